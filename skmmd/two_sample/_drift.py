"""Drift: a reference that is kept, and batches or rows that are tested against it."""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd._validation import (
    Estimator,
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
    fit_method,
    generator,
    validate_data,
)
from skmmd.kernels import KERNELS, Kernel, median_gamma
from skmmd.two_sample._functions import TEST_CONSTRAINTS, run_test
from skmmd.two_sample._monitors import BettingMonitor, RunTimeMonitor
from skmmd.two_sample._result import MMDTestResult
from skmmd.two_sample._sample import PooledSample, resolve_gammas
from skmmd.two_sample._witness import mean_kernel

__all__ = ["DriftUpdate", "MMDDriftDetector"]

FloatArray = NDArray[np.float64]

_SIMULATIONS_PER_RUN_TIME = 10
_MIN_SIMULATIONS = 1000


@dataclass(frozen=True)
class DriftUpdate:
    """The state of online monitoring after a row.

    Attributes
    ----------
    statistic : float
        MMD^2 of the window and the reference; the wealth for ``monitor="betting"``.
    threshold : float
        The value above which drift is reported.
    drift : bool
        Whether any row of this update was reported as drift.
    n_seen : int
        Number of rows seen since `fit` or `reset`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.two_sample import MMDDriftDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = MMDDriftDetector(monitor="betting", random_state=0)
    >>> detector.fit(rng.normal(size=(500, 2))).update(rng.normal(size=(200, 2)) + 2.0).drift
    True
    """

    statistic: float
    threshold: float
    drift: bool
    n_seen: int


class MMDDriftDetector(Estimator):
    """Detect drift away from a reference by MMD tests, batch by batch or row by row.

    `fit` keeps a reference, `test` tests a batch against it with a valid p-value each time, and
    `update` monitors a stream one row at a time.

    Parameters
    ----------
    kernel : {"rbf", "laplacian", "imq", "rq", "linear", "polynomial", "energy"} or callable, \
default="rbf"
        As in :func:`mmd`.
    gamma : float, "median", "aggregate" or array-like of float, default="aggregate"
        Kernel coefficient, as in :func:`mmd_test`; `test` resolves it on the reference and the
        batch together, `update` on the reference.
    estimator : {"unbiased", "biased"}, default="unbiased"
        Statistic of `test`.
    method : {"auto", "exact", "permutation", "binned", "nystroem", "asymptotic"}, default="auto"
        How `test` finds the null distribution; see :func:`mmd_test`.
    n_permutations : int, default=999
        Number of random labelings of `test`.
    n_bins : int, default=256
        Number of bins of "binned" and "nystroem".
    n_components : int, default=256
        Number of landmarks of "nystroem".
    alpha : float, default=0.05
        Level at which `test` says "rejected", and of ``monitor="betting"``.
    max_reference : int or None, default=2000
        Number of reference rows to keep; a larger reference is sampled without replacement. None
        keeps all.
    monitor : {"run_time", "betting"}, default="run_time"
        What `update` does. "run_time" compares a sliding window with the reference; a false alarm
        comes after `expected_run_time` rows on average. "betting" gathers evidence over the whole
        stream: the probability of any false alarm, ever, is at most `alpha`; each row uses up a row
        of the reference, a tenth of which is kept to set `gamma` where that is a rule.
    window_size : int, default=25
        Number of rows of the window of "run_time".
    expected_run_time : float, default=1000
        Mean number of rows up to a false alarm of "run_time".
    n_simulations : int or None, default=None
        Number of streams to simulate for the threshold of "run_time"; None means ten times
        `expected_run_time`, at least 1,000.
    random_state : int, RandomState instance or None, default=None
        Samples the reference, draws permutations and simulates.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.
    verbose : int, default=0
        Show a progress bar if positive.

    Attributes
    ----------
    reference_ : ndarray of shape (n_reference, n_features)
        The rows that are kept.
    reference_gamma_ : float
        The gamma of `score_samples`: `gamma` itself, or the median heuristic on the reference where
        `gamma` means several.
    n_seen_ : int
        Number of rows that `update` has seen.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where `X` had string names.

    See Also
    --------
    mmd_test : A single test of two samples.

    Notes
    -----
    Each call of `test` is a test of its own: of many batches without drift a share of `alpha` is
    rejected. The batches share the reference, so that their p-values are dependent.

    The run time is expected over references: with a reference that happens to be unusual, the mean
    time to a false alarm is shorter.

    References
    ----------
    Cobb, O., Van Looveren, A. & Klaise, J. (2022). Sequential multivariate change detection with
    calibrated and memoryless false detection rates. AISTATS.

    Shekhar, S. & Ramdas, A. (2023). Nonparametric two-sample testing by betting. IEEE Transactions
    on Information Theory.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.two_sample import MMDDriftDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = MMDDriftDetector(random_state=0).fit(rng.normal(size=(500, 2)))
    >>> bool(detector.test(rng.normal(size=(80, 2)) + 1.0).pvalue < 0.05)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TEST_CONSTRAINTS,
        "kernel": [StrOptions(set(KERNELS)), callable],
        "max_reference": [Interval(Integral, 2, None, closed="left"), None],
        "monitor": [StrOptions({"run_time", "betting"})],
        "window_size": [Interval(Integral, 2, None, closed="left")],
        "expected_run_time": [Interval(Real, 1, None, closed="neither")],
        "n_simulations": [Interval(Integral, 100, None, closed="left"), None],
    }

    def __init__(
        self,
        kernel: Kernel = "rbf",
        *,
        gamma: float | str | ArrayLike = "aggregate",
        estimator: str = "unbiased",
        method: str = "auto",
        n_permutations: int = 999,
        n_bins: int = 256,
        n_components: int = 256,
        alpha: float = 0.05,
        max_reference: int | None = 2000,
        monitor: str = "run_time",
        window_size: int = 25,
        expected_run_time: float = 1000,
        n_simulations: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.estimator = estimator
        self.method = method
        self.n_permutations = n_permutations
        self.n_bins = n_bins
        self.n_components = n_components
        self.alpha = alpha
        self.max_reference = max_reference
        self.monitor = monitor
        self.window_size = window_size
        self.expected_run_time = expected_run_time
        self.n_simulations = n_simulations
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @fit_method
    def fit(self, X: ArrayLike, y: None = None) -> "MMDDriftDetector":
        """Keep a reference.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows without drift.
        y : None
            Not used.

        Returns
        -------
        MMDDriftDetector
            Itself.
        """
        rows: FloatArray = validate_data(self, X, dtype=np.float64, order="C", ensure_min_samples=2)
        if self.max_reference is not None and len(rows) > self.max_reference:
            rng = generator(self.random_state)
            kept = rng.choice(len(rows), int(self.max_reference), replace=False)
            rows = rows[np.sort(kept)]
        self.reference_ = np.array(rows)
        gammas = self._gammas_on(self.reference_)
        single = len(gammas) == 1
        self.reference_gamma_ = (
            float(gammas[0]) if single else median_gamma(self.kernel, self.reference_)
        )
        return self.reset()

    def _gammas_on(self, rows: FloatArray) -> FloatArray:
        codes = np.zeros(len(rows), dtype=np.intp)
        alone = PooledSample(rows, codes, np.ones(len(codes)), 1)
        return resolve_gammas(self.kernel, self.gamma, alone)

    def reset(self) -> "MMDDriftDetector":
        """Forget the stream that `update` has seen; the reference stays.

        Returns
        -------
        MMDDriftDetector
            Itself.
        """
        check_is_fitted(self, "reference_")
        self._monitor: RunTimeMonitor | BettingMonitor | None = None
        self._told_exhausted = False
        return self

    @property
    def n_seen_(self) -> int:
        """Number of rows that `update` has seen."""
        check_is_fitted(self, "reference_")
        return 0 if self._monitor is None else self._monitor.n_seen

    def test(self, X: ArrayLike) -> MMDTestResult:
        """Test whether a batch comes from the distribution of the reference.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            The batch.

        Returns
        -------
        MMDTestResult
            ``statistic``, ``pvalue`` and more; the reference is the first sample.
        """
        check_is_fitted(self)
        batch = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        rows = np.concatenate([self.reference_, batch])
        codes = np.repeat([0, 1], [len(self.reference_), len(batch)])
        sample = PooledSample(rows, codes, np.ones(len(rows)), 2)
        return run_test(sample, **{name: getattr(self, name) for name in TEST_CONSTRAINTS})

    def score_samples(self, X: ArrayLike) -> FloatArray:
        """Return the mean kernel value with the reference: small where the reference is sparse.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_rows,)
            Mean of ``k(x, r)`` over the reference.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        return mean_kernel(
            self.kernel, self.reference_gamma_, rows, self.reference_, n_jobs=self.n_jobs
        )

    def update(self, x: ArrayLike) -> DriftUpdate:
        """Monitor a stream: take in its next row or rows.

        The first call prepares the monitor; "run_time" simulates its threshold then.

        Parameters
        ----------
        x : array-like of shape (n_features,) or (n_rows, n_features)
            The next row, or rows in their order.

        Returns
        -------
        DriftUpdate
            The state after the last row; ``drift`` tells whether any of the rows was reported.

        Raises
        ------
        ValueError
            If the reference is too small for the window, or the kernel is unbounded and
            ``monitor="betting"``.
        """
        check_is_fitted(self)
        if np.ndim(x) == 1 and self.n_features_in_ > 1:
            x = np.asarray(x)[None, :]
        elif np.ndim(x) < 2:
            x = np.reshape(np.asarray(x), (-1, 1))
        rows = validate_data(self, x, dtype=np.float64, order="C", reset=False)
        if self._monitor is None:
            self._monitor = self._new_monitor()
        drift, seen_before = False, self._monitor.n_seen
        for row in rows:
            statistic, threshold, alarm = self._monitor.update(row)
            drift |= alarm
        if self._monitor.n_seen - seen_before < len(rows) and not self._told_exhausted:
            self._told_exhausted = True
            warnings.warn(
                f"All reference rows are paired after {self._monitor.n_seen} rows: the wealth "
                "stays as it is. Fit a larger reference (and max_reference) to go on.",
                UserWarning,
                stacklevel=2,
            )
        return DriftUpdate(statistic, threshold, drift, self._monitor.n_seen)

    def _new_monitor(self) -> RunTimeMonitor | BettingMonitor:
        rng = generator(self.random_state)
        reference = self.reference_
        if self.monitor == "betting" and isinstance(self.gamma, str):
            # A bet may not know the rows that it is about: these set gamma and are not bet with.
            order = rng.permutation(len(reference))
            n_held_out = max(2, len(reference) // 10)
            held_out, reference = reference[order[:n_held_out]], reference[order[n_held_out:]]
            gammas = self._gammas_on(held_out)
        else:
            gammas = self._gammas_on(reference)
        if self.monitor == "betting":
            return BettingMonitor(self.kernel, gammas, reference, alpha=self.alpha, rng=rng)
        n_simulations = self.n_simulations
        if n_simulations is None:
            n_simulations = int(_SIMULATIONS_PER_RUN_TIME * self.expected_run_time)
            n_simulations = max(_MIN_SIMULATIONS, n_simulations)
        return RunTimeMonitor(
            self.kernel,
            gammas,
            reference,
            window_size=self.window_size,
            expected_run_time=self.expected_run_time,
            n_simulations=n_simulations,
            rng=rng,
        )
