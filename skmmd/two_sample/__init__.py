"""MMD two-sample tests: whether samples come from one distribution, and where they differ.

arrays -> PooledSample -> method and gammas          (_functions, _sample)
rows, labelings -> sums of kernel values in groups   (_sums, _bin_sums, _tiles; _labelings)
sums -> statistic, p-value -> MMDTestResult          (_statistics, _permutation, _result)
witness and features say where the samples differ    (_witness, _features)
MMDTest, MMDTestCV, MMDDriftDetector check, call one of these, and store
"""

from skmmd.two_sample._cv import MMDTestCV
from skmmd.two_sample._drift import DriftUpdate, MMDDriftDetector
from skmmd.two_sample._estimators import MMDTest
from skmmd.two_sample._functions import mmd, mmd_test
from skmmd.two_sample._result import FeatureScores, MMDTestResult

__all__ = [
    "DriftUpdate",
    "FeatureScores",
    "MMDDriftDetector",
    "MMDTest",
    "MMDTestCV",
    "MMDTestResult",
    "mmd",
    "mmd_test",
]
