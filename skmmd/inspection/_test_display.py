"""The null distribution of a test, with the statistic."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd.inspection._axes import INK, NULL, REST, figure_and_axes

__all__ = ["MMDTestDisplay"]


class MMDTestDisplay:
    """Null distribution, statistic and critical value of an MMD test.

    Made by :meth:`from_result` or :meth:`from_estimator`; drawn by :meth:`plot`.

    Parameters
    ----------
    statistic : float
        The observed statistic.
    null_distribution : array-like of shape (n_permutations,)
        The statistic under the permutations; empty for ``method="asymptotic"``, whose null
        distribution is the standard normal.
    critical_value : float
        A statistic above it is significant at `alpha`; infinite if none can be.
    pvalue : float
        The p-value.
    alpha : float, default=0.05
        The level.
    method : str, default="permutation"
        How the null distribution was found.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, once plotted.
    figure_ : matplotlib Figure
        The figure, once plotted.
    bars_ : matplotlib BarContainer or None
        The histogram; None for ``method="asymptotic"``.
    curve_ : matplotlib Line2D or None
        The normal density; None for all other methods.
    statistic_line_ : matplotlib Line2D
        The statistic.
    critical_line_ : matplotlib Line2D or None
        The critical value; None if it is infinite.

    See Also
    --------
    WitnessDisplay : Where the samples differ.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.inspection import MMDTestDisplay
    >>> from skmmd.two_sample import mmd_test
    >>> rng = np.random.default_rng(0)
    >>> result = mmd_test(rng.normal(size=50), rng.normal(size=60) + 1.0, random_state=0)
    >>> display = MMDTestDisplay.from_result(result).plot()
    >>> display.ax_.get_xlabel()
    'statistic'
    """

    ax_: Any
    figure_: Any
    bars_: Any
    curve_: Any
    statistic_line_: Any
    critical_line_: Any

    def __init__(
        self,
        *,
        statistic: float,
        null_distribution: ArrayLike,
        critical_value: float,
        pvalue: float,
        alpha: float = 0.05,
        method: str = "permutation",
    ) -> None:
        self.statistic = statistic
        self.null_distribution: NDArray[np.float64] = np.asarray(null_distribution, np.float64)
        self.critical_value = critical_value
        self.pvalue = pvalue
        self.alpha = alpha
        self.method = method

    @classmethod
    def from_result(cls, result: Any) -> Self:
        """Take what is drawn from a test's result.

        Parameters
        ----------
        result : MMDTestResult
            The result.

        Returns
        -------
        MMDTestDisplay
            The display, not yet plotted.

        Raises
        ------
        ValueError
            If the result has no null distribution, since it came without permutations.
        """
        if result.method != "asymptotic" and len(result.null_distribution) == 0:
            raise ValueError(
                "The result has no null distribution: it was computed with n_permutations=0. "
                "Test with n_permutations=999, say."
            )
        return cls(
            statistic=result.statistic,
            null_distribution=result.null_distribution,
            critical_value=result.threshold,
            pvalue=result.pvalue,
            alpha=result.alpha,
            method=result.method,
        )

    @classmethod
    def from_estimator(cls, estimator: Any, X: ArrayLike | None = None) -> Self:
        """Take what is drawn from a fitted estimator.

        Parameters
        ----------
        estimator : MMDTest, MMDTestCV or MMDDriftDetector
            Fitted.
        X : array-like of shape (n_samples, n_features), default=None
            The batch to test, for a drift detector. None for an estimator that has tested when it
            was fitted and holds its result as ``result_``.

        Returns
        -------
        MMDTestDisplay
            The display, not yet plotted.

        Raises
        ------
        ValueError
            If `X` is missing, or given where nothing is left to test.
        AttributeError
            If the estimator is not fitted.
        """
        name = type(estimator).__name__
        if hasattr(estimator, "test"):
            if X is None:
                raise ValueError(f"{name} tests batches: pass the batch as X.")
            return cls.from_result(estimator.test(X))
        if X is not None:
            raise ValueError(f"{name} tested when it was fitted: X must be None.")
        if not hasattr(estimator, "result_"):
            raise AttributeError(f"{name} has no result_; fit it first.")
        return cls.from_result(estimator.result_)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the null distribution with the statistic and the critical value.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            Passed to matplotlib's ``hist``, or ``plot`` for the normal density of
            ``method="asymptotic"``.

        Returns
        -------
        MMDTestDisplay
            This display, with ``ax_``, ``figure_`` and the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        self.bars_ = self.curve_ = self.critical_line_ = None
        if self.method == "asymptotic":
            self._plot_normal(kwargs)
        else:
            label = f"null distribution, {len(self.null_distribution)} labelings"
            style = {"bins": "auto", "color": NULL, "label": label, **kwargs}
            _, _, self.bars_ = self.ax_.hist(self.null_distribution, **style)
            self.ax_.set_ylabel("labelings")
        if np.isfinite(self.critical_value):
            self.critical_line_ = self.ax_.axvline(
                self.critical_value,
                color=INK,
                linestyle="--",
                linewidth=1.2,
                label=f"critical value at {self.alpha:g}: {self.critical_value:.3g}",
            )
        self.statistic_line_ = self.ax_.axvline(
            self.statistic,
            color=REST,
            linewidth=2.2,
            label=f"statistic {self.statistic:.3g}, p = {self.pvalue:.3g}",
        )
        self.ax_.set_xlabel("statistic")
        self.ax_.spines[["top", "right"]].set_visible(False)
        # Above the axes: inside it would hide the statistic wherever that falls.
        self.ax_.legend(
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            frameon=False,
            fontsize="small",
            borderaxespad=0.2,
        )
        return self

    def _plot_normal(self, kwargs: dict[str, Any]) -> None:
        reach = max(4.0, abs(self.statistic) * 1.1)
        points = np.linspace(-reach, reach, 400)
        density = np.exp(-0.5 * points**2) / np.sqrt(2.0 * np.pi)
        style = {"color": NULL, "linewidth": 2.0, "label": "null distribution, standard normal"}
        (self.curve_,) = self.ax_.plot(points, density, **{**style, **kwargs})
        self.ax_.fill_between(points, density, color=NULL, alpha=0.4)
        self.ax_.set_ylabel("density")
