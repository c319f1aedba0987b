"""MMD two-sample tests: do these samples come from the same distribution, and where do they differ?

arrays -> PooledSample -> method and gammas          (_functions, _sample)
rows, labelings -> sums of kernel values in groups   (_sums, _loops; _labelings draws them)
sums -> statistic, p-value -> MMDTestResult          (_statistics, _permutation, _result)
witness and features say where the samples differ    (_witness, _features)
MMDTest, MMDTestCV, MMDDriftDetector check, call one of these, and store
"""

from skmmd.two_sample._estimators import MMDTest
from skmmd.two_sample._functions import mmd, mmd_test
from skmmd.two_sample._result import FeatureScores, MMDTestResult

__all__ = ["FeatureScores", "MMDTest", "MMDTestResult", "mmd", "mmd_test"]
