"""Memory: no array of rows by components is held, and files are read in blocks."""

import json
import subprocess
import sys

import numpy as np
import pytest

from skmmd.mixture import GaussianMixture
from tests.memory import MEGABYTE, peak_of

N, D, K = 200_000, 8, 16
X_SIZE = N * D * 8 / MEGABYTE  # 12.2
RESPONSIBILITIES = N * K * 8 / MEGABYTE  # 24.4


def rows(n=N, seed=0):
    rng = np.random.default_rng(seed)
    return 3.0 * rng.integers(0, 2, size=(n, D)) + rng.normal(size=(n, D))


def mixture(covariance_type="full", **options):
    options = {"max_iter": 3, "tol": 0.0, "random_state": 0} | options
    return GaussianMixture(K, covariance_type=covariance_type, **options)


def test_the_measure_sees_numpy():
    assert peak_of(lambda: np.ones((N, K))) == pytest.approx(RESPONSIBILITIES, rel=0.05)


pytestmark = pytest.mark.filterwarnings("ignore:.*did not converge")

# Blocks of 65,536 rows are summed up; they take 4 MB where they must be copied, as those of a file
# in single precision. Blocks of 16,384 rows that are looked at row by row, and the 10,000 rows that
# a start is made from, take 1 MB or less; the latter by components 1.2 MB.
START = 6


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_of_a_fit(covariance_type):
    X = rows()
    assert peak_of(lambda: mixture(covariance_type).fit(X)) < START


@pytest.mark.parametrize(
    "options",
    [
        {"accelerate": "squarem"},
        {"accelerate": "anderson"},
        {"noise": "uniform"},
        {"n_init": 3},
        {"n_jobs": 2},
        {"init_params": "random"},
        {"covariance_prior": "auto"},
    ],
    ids=str,
)
def test_of_other_fits(options):
    X = rows()
    assert peak_of(lambda: mixture(**options).fit(X)) < START


def test_of_a_weighted_fit():
    X, weight = rows(), np.random.default_rng(1).random(N)
    # Weights are kept, and looked at.
    assert peak_of(lambda: mixture().fit(X, sample_weight=weight)) < START + 2 * N * 8 / MEGABYTE


def test_it_does_not_grow_with_the_rows():
    short, long = rows(50_000), rows(400_000)
    peaks = [peak_of(lambda X=X: mixture().fit(X)) for X in (short, long)]
    assert peaks[1] < peaks[0] + 1, peaks


@pytest.mark.parametrize(
    ("dtype", "mode"),
    [("float64", "r+"), ("float64", "r"), ("float32", "r"), ("float32", "r+")],
)
def test_of_a_file(tmp_path, dtype, mode):
    path = tmp_path / "rows"
    rows().astype(dtype).tofile(path)
    X = np.memmap(path, dtype=dtype, mode=mode, shape=(N, D))
    assert X.flags.writeable == (mode == "r+")
    found = mixture().fit(X)
    assert peak_of(lambda: mixture().fit(X)) < START
    expected = mixture().fit(np.array(X))
    np.testing.assert_array_equal(found.means_, expected.means_)
    np.testing.assert_array_equal(found.covariances_, expected.covariances_)


def test_of_chunks():
    """Ten that are made as they are asked for, each gone before the next."""

    def chunks():
        for seed in range(10):
            yield rows(N // 10, seed)

    # One chunk, and what it takes to draw it.
    assert peak_of(lambda: mixture().fit_chunks(chunks)) < START + 4 * X_SIZE / 10


@pytest.mark.parametrize("method", ["score", "bic", "icl"])
def test_of_criteria(method):
    X = rows()
    criterion = getattr(mixture().fit(X), method)
    # Some numbers a row, and blocks of rows by components.
    assert peak_of(lambda: criterion(X)) < RESPONSIBILITIES / 2


@pytest.mark.parametrize("method", ["predict", "score_samples"])
def test_of_one_number_a_row(method):
    X = rows()
    call = getattr(mixture().fit(X), method)
    assert peak_of(lambda: call(X)) < START + 2 * N * 8 / MEGABYTE


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_of_probabilities(dtype):
    X = rows().astype(dtype)
    fitted = mixture().fit(X)
    # The result once, and blocks of rows by components.
    result = RESPONSIBILITIES * np.dtype(dtype).itemsize / 8
    assert peak_of(lambda: fitted.predict_proba(X)) < result + START


# --------------------------------------------------------------------------------------
# the whole process: what compiled code takes is not NumPy's

CHILD = """
import json, sys, warnings
import numpy as np
from skmmd.mixture import GaussianMixture

warnings.simplefilter("ignore")

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

def fit(X):
    estimator = GaussianMixture(16, max_iter=3, tol=0.0, random_state=0)
    if sys.argv[1] == "fit":
        return estimator.fit(X)
    return estimator.fit_chunks([X[i : i + 20_000] for i in range(0, len(X), 20_000)])

X = np.random.default_rng(0).normal(size=(200_000, 8))
fit(X[:30_000])
before = peak()
half = np.ones((100_000, 16))
with_half = peak()
del half
fit(X)
print(json.dumps([with_half - before, peak() - with_half]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of this process alone is wanted")
@pytest.mark.parametrize("method", ["fit", "fit_chunks"])
def test_of_the_process(method):
    """A fit does not reach the peak that half an array of rows by components has made."""
    for _ in range(2):  # the first may have to compile, which takes more than any fit
        done = subprocess.run(
            [sys.executable, "-c", CHILD, method], capture_output=True, text=True, check=True
        )
    rise, beyond = json.loads(done.stdout)
    assert rise > 1, "the peak was higher before: this test proves nothing"
    assert beyond < 1
