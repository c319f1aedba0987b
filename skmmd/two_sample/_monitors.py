"""Monitors of a stream against a reference, one row at a time: expected run time, and betting."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import row_blocks, single_threaded_blas
from skmmd.kernels import Kernel, gram

__all__ = ["BOUNDED_KERNELS", "BettingMonitor", "RunTimeMonitor"]

FloatArray = NDArray[np.float64]

# k(x, x) = 1 and k >= 0: the witness of unit norm pays between -sqrt(2) and sqrt(2).
BOUNDED_KERNELS = ("rbf", "laplacian", "imq", "rq")

_BLOCK = 512
_SIMULATED_VALUES = 2**21
# Simulated steps after which the windows no longer hold rows that they started with, in windows.
_SIMULATED_WINDOWS = 2
_BETS = np.geomspace(0.02, 0.98, 12)


class MeanKernel:
    """The mean of several kernels, each divided by its root mean square on the reference.

    A sum of kernels is a kernel: one MMD that sees all scales, updated row by row.
    """

    def __init__(self, kernel: Kernel, gammas: FloatArray, reference: FloatArray) -> None:
        self._kernel, self._gammas = kernel, gammas
        self._origin = np.median(reference, axis=0)
        n = len(reference)
        blocks = gram(kernel, gammas, reference, origin=self._origin)
        self.matrix = np.zeros((n, n))
        squares = np.zeros(len(gammas))
        with single_threaded_blas():
            for rows in row_blocks(n, _BLOCK):
                for k, tile in enumerate(blocks.blocks(rows, slice(0, n))):
                    squares[k] += np.vdot(tile, tile)
            scale = np.sqrt(squares / n**2)
            self._scale = 1.0 / (np.where(scale > 0.0, scale, 1.0) * len(gammas))
            for rows in row_blocks(n, _BLOCK):
                self.matrix[rows] = self._mean(blocks.blocks(rows, slice(0, n)))

    def _mean(self, tiles: Any) -> FloatArray:
        total = None
        for tile, scale in zip(tiles, self._scale, strict=True):
            total = scale * tile if total is None else total + scale * tile
        return np.asarray(total)

    def __call__(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Return the kernel values of two blocks of rows, shape (n_left, n_right)."""
        blocks = gram(self._kernel, self._gammas, left, right, origin=self._origin)
        return self._mean(blocks.blocks(slice(0, len(left)), slice(0, len(right))))


class RunTimeMonitor:
    """MMD between the last rows of the stream and the reference, with a simulated threshold.

    The window starts with rows held out of the reference. At each step the alarm's probability,
    given that there was none before, is 1 / `expected_run_time` without drift: the threshold is the
    quantile over streams drawn from the reference itself, those that had alarmed left out.
    """

    def __init__(
        self,
        kernel: Kernel,
        gammas: FloatArray,
        reference: FloatArray,
        *,
        window_size: int,
        expected_run_time: float,
        n_simulations: int,
        rng: np.random.Generator,
    ) -> None:
        if len(reference) < 8 * window_size:
            raise ValueError(
                f"Monitoring with window_size={window_size} needs at least {8 * window_size} "
                f"reference rows, got {len(reference)}; use a smaller window or more rows."
            )
        self._kernel = MeanKernel(kernel, gammas, reference)
        matrix = self._kernel.matrix
        np.fill_diagonal(matrix, 0.0)
        self.thresholds = simulate_thresholds(
            matrix, window_size, expected_run_time, n_simulations, rng
        )
        order = rng.permutation(len(reference))
        held_out, kept = order[:window_size], order[window_size:]
        self._reference = reference[kept]
        self._window = reference[held_out]
        self._of_reference = float(matrix[np.ix_(kept, kept)].sum())
        self._to_reference = matrix[np.ix_(held_out, kept)].sum(axis=1)
        self._among = matrix[np.ix_(held_out, held_out)].copy()
        # The Gram matrix was needed for the simulation alone.
        self._kernel.matrix = np.zeros((0, 0))
        self.n_seen = 0

    def update(self, row: FloatArray) -> tuple[float, float, bool]:
        """Take in one row; return the statistic, the threshold, and whether it is exceeded."""
        n_window, n_reference = len(self._window), len(self._reference)
        slot = self.n_seen % n_window
        self._window[slot] = row
        self._to_reference[slot] = self._kernel(row[None, :], self._reference).sum()
        self._among[slot] = self._kernel(row[None, :], self._window)[0]
        self._among[slot, slot] = 0.0
        self._among[:, slot] = self._among[slot]
        statistic = (
            self._among.sum() / (n_window * (n_window - 1))
            + self._of_reference / (n_reference * (n_reference - 1))
            - 2.0 * self._to_reference.sum() / (n_window * n_reference)
        )
        threshold = float(self.thresholds[min(self.n_seen, len(self.thresholds) - 1)])
        self.n_seen += 1
        return float(statistic), threshold, bool(statistic > threshold)


def simulate_thresholds(
    matrix: FloatArray,
    window_size: int,
    expected_run_time: float,
    n_simulations: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Return the threshold of each of the first `window_size` steps, and of all later ones.

    Parameters
    ----------
    matrix : ndarray of shape (n_reference, n_reference)
        Gram matrix of the reference with zero diagonal.
    window_size : int
        Number of rows of the window.
    expected_run_time : float
        Mean number of rows up to a false alarm.
    n_simulations : int
        Number of simulated streams.
    rng : Generator
        Draws them.

    Returns
    -------
    ndarray of shape (window_size + 1,)
        Thresholds; the last one stays.
    """
    at_once = max(1, _SIMULATED_VALUES // ((1 + _SIMULATED_WINDOWS) * window_size) ** 2)
    statistics = np.concatenate(
        [
            _simulate(matrix, window_size, part.stop - part.start, rng)
            for part in row_blocks(n_simulations, at_once)
        ]
    )
    level = 1.0 - 1.0 / expected_run_time
    alive = np.ones(n_simulations, dtype=bool)
    thresholds = np.empty(window_size + 1)
    for step in range(window_size):
        thresholds[step] = np.quantile(statistics[alive, step], level)
        alive &= statistics[:, step] <= thresholds[step]
    thresholds[-1] = _steady_threshold(statistics[alive, window_size:], 1.0 / expected_run_time)
    return thresholds


def _simulate(
    matrix: FloatArray, window_size: int, n_streams: int, rng: np.random.Generator
) -> FloatArray:
    """Statistics of streams drawn from the reference, (n_streams, n_steps)."""
    n_reference, n_steps = len(matrix), _SIMULATED_WINDOWS * window_size
    n_drawn = window_size + n_steps
    drawn = np.stack([rng.choice(n_reference, n_drawn, replace=False) for _ in range(n_streams)])
    among = matrix[drawn[:, :, None], drawn[:, None, :]]
    row_sums = matrix.sum(axis=1)
    of_drawn = row_sums[drawn]
    rest = n_reference - n_drawn
    # All but the drawn rows are the reference of the stream.
    to_rest = of_drawn - among.sum(axis=2)
    of_rest = row_sums.sum() - 2.0 * of_drawn.sum(axis=1) + among.sum(axis=(1, 2))
    corner = np.zeros((n_streams, n_drawn + 1, n_drawn + 1))
    corner[:, 1:, 1:] = among.cumsum(axis=1).cumsum(axis=2)
    start = np.arange(1, n_steps + 1)
    stop = start + window_size
    within = (
        corner[:, stop, stop]
        - corner[:, start, stop]
        - corner[:, stop, start]
        + corner[:, start, start]
    )
    running = np.concatenate([np.zeros((n_streams, 1)), to_rest.cumsum(axis=1)], axis=1)
    cross = running[:, stop] - running[:, start]
    statistics: FloatArray = (
        within / (window_size * (window_size - 1))
        + (of_rest / (rest * (rest - 1)))[:, None]
        - 2.0 * cross / (window_size * rest)
    )
    return statistics


def _steady_threshold(statistics: FloatArray, rate: float) -> float:
    """Threshold at which streams that have not alarmed yet do so at `rate` a step."""
    # Rows: streams. With threshold h a stream lives up to its first value above h.
    highest = np.maximum.accumulate(statistics, axis=1)
    n_streams, n_steps = statistics.shape

    def hazard(threshold: float) -> float:
        dead = highest > threshold
        n_alarms = int(dead[:, -1].sum())
        return n_alarms / (n_streams * n_steps - int(dead.sum()) + n_alarms)

    low, high = float(statistics.min()), float(statistics.max())
    for _ in range(60):
        middle = (low + high) / 2.0
        if hazard(middle) > rate:
            low = middle
        else:
            high = middle
    return high


class BettingMonitor:
    """Wealth of bets that the stream differs from the reference: valid at any time.

    Each row of the stream is paired with a row of the reference that was not used before. A witness
    learned on the pairs so far bets on the next; without drift the wealth is a non-negative
    martingale that starts at 1, so that it ever exceeds 1 / alpha with a probability of at most
    alpha (Ville's inequality). The wealth is the mean over the kernels and several bet sizes.

    References
    ----------
    Shekhar, S. & Ramdas, A. (2023). Nonparametric two-sample testing by betting. IEEE Transactions
    on Information Theory.
    """

    def __init__(
        self,
        kernel: Kernel,
        gammas: FloatArray,
        reference: FloatArray,
        *,
        alpha: float,
        rng: np.random.Generator,
    ) -> None:
        if kernel not in BOUNDED_KERNELS:
            raise ValueError(
                f"monitor='betting' needs a bounded kernel, one of {list(BOUNDED_KERNELS)}; got "
                f"kernel={kernel!r}."
            )
        self._kernel, self._gammas, self._alpha = kernel, gammas, alpha
        self._reference = reference[rng.permutation(len(reference))]
        self._origin = np.median(reference, axis=0)
        self._stream = np.empty_like(self._reference)
        # Squared norm of the witness's sum, for each kernel.
        self._norm2 = np.zeros(len(gammas))
        self._log_wealth = np.zeros((len(gammas), len(_BETS)))
        self.n_seen = 0

    @property
    def exhausted(self) -> bool:
        """Whether every row of the reference has been paired."""
        return self.n_seen >= len(self._reference)

    def update(self, row: FloatArray) -> tuple[float, float, bool]:
        """Take in one row; return the wealth, 1 / alpha, and whether it is reached.

        Once all rows of the reference are paired there is nothing to bet with: the wealth stays.
        """
        if not self.exhausted:
            self._bet(row)
        highest = self._log_wealth.max()
        wealth = float(np.exp(highest) * np.mean(np.exp(self._log_wealth - highest)))
        return wealth, 1.0 / self._alpha, bool(wealth >= 1.0 / self._alpha)

    def _bet(self, row: FloatArray) -> None:
        t = self.n_seen
        partner = self._reference[t]
        pair = np.vstack([partner, row])
        past = slice(0, t)
        # Witness sums at the two new rows, for each kernel: reference rows minus stream rows.
        sums = np.zeros((len(self._gammas), 2))
        if t > 0:
            both = np.concatenate([self._reference[past], self._stream[past]])
            signs = np.repeat([1.0, -1.0], t)
            blocks = gram(self._kernel, self._gammas, pair, both, origin=self._origin)
            for k, tile in enumerate(blocks.blocks(slice(0, 2), slice(0, 2 * t))):
                sums[k] = tile @ signs
        gain = sums[:, 0] - sums[:, 1]
        norm = np.sqrt(np.maximum(self._norm2, 0.0))
        payoff = np.where(norm > 0.0, gain / np.where(norm > 0.0, np.sqrt(2.0) * norm, 1.0), 0.0)
        # Rounding may carry a payoff just past its bound.
        payoff = np.clip(payoff, -1.0, 1.0)
        self._log_wealth += np.log1p(_BETS * payoff[:, None])
        among = gram(self._kernel, self._gammas, pair, origin=self._origin)
        tiles = among.blocks(slice(0, 2), slice(0, 2))
        self._norm2 += 2.0 * gain + np.array([2.0 - 2.0 * tile[0, 1] for tile in tiles])
        self._stream[t] = row
        self.n_seen += 1
