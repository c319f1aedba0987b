"""The estimator: checks, calls, stores."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_consistent_length

from skmmd._validation import (
    Estimator,
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
    check_weight,
    fit_method,
    generator,
    stack_level,
    validate_data,
)
from skmmd.metric_learning._classes import (
    checked_classes,
    checked_labels,
    margin_matrix,
    mean_margin,
    row_weights,
)
from skmmd.metric_learning._lengths import unit_rows
from skmmd.metric_learning._losses import LOSSES
from skmmd.metric_learning._mining import MINERS
from skmmd.metric_learning._objective import Settings, target_neighbors
from skmmd.metric_learning._optimize import (
    LEAST_SPLIT,
    AdamState,
    Fit,
    Schedule,
    adam_epoch,
    best_scaled,
    call_back,
    fit_components,
)
from skmmd.metric_learning._retrieval import mean_average_precision_at_r
from skmmd.metric_learning._rows import Rows, is_sparse, standardised_rows
from skmmd.metric_learning._start import STARTS, given_start, scaled_start, start

__all__ = ["MetricLearner"]

FloatArray = NDArray[np.float64]

_LARGE = 10_000  # rows above which "auto" takes Adam
_MOST_PASSES, _USUAL_PASSES = 20, 2  # with and without rows held out
_LEAST_HELD_OUT = 8  # rows in the smallest class, for "auto" to hold some out
_COLLAPSED = 1e-6  # of the components at the start
_RIDGE = 0.05  # of losses whose optimum is at infinity, where alpha is 0


def _distance(
    u: ArrayLike, v: ArrayLike, *, components: FloatArray, mean: FloatArray | None
) -> float:
    """Return the distance of two rows; with `mean` that of their embeddings at unit length."""
    pair = np.stack([np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64)])
    if mean is None:
        return float(np.linalg.norm(components @ (pair[0] - pair[1])))
    unit, _ = unit_rows((pair - mean) @ components.T)
    return float(np.linalg.norm(unit[0] - unit[1]))


class MetricLearner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """Learn a linear embedding in which rows of one class are near each other.

    The map L minimises a pair loss of the rows L x, and with it the Mahalanobis distance
    :math:`|L x - L x'|` is learned. Inside, features are centred and divided by their standard
    deviations; ``components_`` applies to the features as they are.

    Parameters
    ----------
    loss : {"triplet", "contrastive", "triplet_center", "n_pair", "quadruplet", \
"lifted_structure"}, default="triplet"
        The loss, see :func:`pair_loss`; also "nca".
    n_components : int, default=None
        Number of components; None keeps as many as there are features.
    margin : float, array-like of shape (n_classes, n_classes) or dict, default=1.0
        The margin. For most losses a single number is a mere scale; a matrix [class of anchor,
        class of negative], or a dict of pairs of labels, says which classes are to be farther from
        each other than others. See :func:`pair_loss`.
    margin2 : float, default=0.5
        The second margin of "quadruplet".
    positives : {"neighbors", "all"}, default="neighbors"
        What a row is compared with: its nearest rows of its class, which leaves classes of several
        clusters apart and is best for nearest neighbours, or all rows of its class, which is best
        for retrieval (MAP@R). Ignored by "triplet_center", which compares no pairs.
    n_neighbors : int, default=3
        Number of target neighbours. A class of fewer rows has fewer, with a warning.
    n_passes : int or "auto", default="auto"
        How often target neighbours and mined negatives are selected anew, under the metric that was
        learned so far. With early stopping these are the most: it takes the first pass that is not
        clearly worse than the best for rows held out, and runs that one on all rows. "auto" is 20,
        2 without early stopping. With Adam the passes are spread over the epochs; "auto" is one
        for each epoch.
    mining : {"all", "hard", "semihard", "distance_weighted"}, default="all"
        Which negatives a row is compared with: all; or one for each anchor and positive: that which
        violates the margin most ("hard", and for positives="all" with the farthest positive), the
        nearest one behind the positive ("semihard"), or one drawn with a probability inverse to the
        density of its distance on the sphere ("distance_weighted"). For "contrastive", "triplet"
        and "quadruplet"; the other losses weigh all negatives themselves and ignore it.
    normalize : bool, default=False
        Divide the rows of the embedding by their lengths.
    alpha : float, default=0.0
        L2 penalty: weight of the mean squared length of the embedded rows, which are centred.
        "n_pair" takes 0.05 in place of 0 unless `normalize`, since on classes that can be separated
        its minimum is at infinity otherwise.
    pull_weight : float, default=0.5
        Weight p of distances to positives against negatives: "contrastive" minimises 2 p times the
        mean over positive pairs plus 2 (1 - p) times that over negative pairs; "triplet" and
        "quadruplet" with target neighbours minimise 2 p times the mean squared distance to them
        plus 2 (1 - p) times 10 times the mean hinge (not 10 times it if negatives are mined). The
        other settings do not use it.
    init : {"auto", "pca", "lda", "identity", "random"} or array-like of shape \
(n_components, n_features), default="auto"
        The start: "pca" and "lda" of the standardised rows, "identity" their first features. "lda"
        takes the directions that tell the classes apart, and behind them, if the classes are too
        few for so many, principal ones of the rest. "auto" is "identity" if all components are
        kept, else "lda". The start is scaled to the margin, for "adam" by powers of two to the
        least loss of some rows; an array is not.
    solver : {"auto", "lbfgs", "adam"}, default="auto"
        "lbfgs" sees all rows in each iteration; "adam" batches. "auto" is "adam" above 10,000 rows
        and where negatives are mined.
    batch_size : int, default=256
        Rows in a batch of "adam", target neighbours among them.
    learning_rate : float, default=0.01
        Step of "adam", as a share of the mean length of the components at the start; after some
        hundred steps it falls with the square root of their number.
    max_iter : int, default=100
        Most iterations of "lbfgs" in each pass, or epochs of "adam".
    tol : float, default=1e-5
        Relative decrease of the loss in an iteration at which "lbfgs" stops; "adam" stops after ten
        epochs and a hundred steps without that.
    early_stopping : bool or "auto", default="auto"
        Hold out rows to choose the number of passes, or to stop "adam", by the share of the own
        class among the five nearest training rows. "auto" does if there are eight rows in each
        class that has more than one.
    validation_fraction : float, default=0.25
        Share of the rows that is held out, about 2,000 at most; of each class of four rows or more
        at least one.
    class_weight : dict or "balanced", default=None
        Weights of the classes, which multiply those of the rows.
    warm_start : bool, default=False
        Start from the components of the fit before.
    callback : callable, default=None
        Called as ``callback(components, n_iter)`` after each iteration, with components for the
        features as they are.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.
    random_state : int, RandomState instance or None, default=None
        Draws rows to hold out, batches, negatives that are mined by chance, and the start "random".
    verbose : int, default=0
        Show the progress if positive.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The linear map.
    mean_ : ndarray of shape (n_features,)
        Means of the features. They matter with `normalize` only.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    loss_ : float
        The objective of the components, where they were found.
    loss_curve_ : list of float
        The objective after each iteration. It starts again with each pass, since that compares
        other rows.
    n_iter_ : int
        Number of iterations, or epochs, of all passes.
    n_passes_ : int
        How often the target neighbours of the result were selected.
    validation_score_ : float or None
        Share of the own class among the five nearest training rows, mean over the rows held out;
        None without.
    converged_ : bool
        Whether the last pass ended before `max_iter`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where `X` had string names.

    See Also
    --------
    pair_loss : The losses as functions, with gradients.
    skmmd.inspection.EmbeddingDisplay : Rows before and after, in two dimensions.
    sklearn.neighbors.NeighborhoodComponentsAnalysis : A linear map for nearest neighbours by
        another loss.

    Notes
    -----
    Rows with equal features and label are merged into one with their weight, and rows are sorted:
    their order does not matter, and an integer weight equals so many copies.

    With target neighbours and triplets this is large margin nearest neighbour [1]_ with the mean
    over negatives in place of their sum; selecting the neighbours anew follows [1]_, section 6.

    References
    ----------
    .. [1] K. Q. Weinberger and L. K. Saul, "Distance metric learning for large margin nearest
       neighbor classification", Journal of Machine Learning Research 10, 2009, pp. 207-244.
    .. [2] K. Musgrave, S. Belongie and S.-N. Lim, "A metric learning reality check", ECCV 2020.
    .. [3] C.-Y. Wu, R. Manmatha, A. J. Smola and P. Krähenbühl, "Sampling matters in deep embedding
       learning", ICCV 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from skmmd.metric_learning import MetricLearner
    >>> X, y = load_wine(return_X_y=True)
    >>> learner = MetricLearner(loss="lifted_structure", positives="all", n_components=2)
    >>> learner.fit_transform(X, y).shape
    (178, 2)
    >>> model = make_pipeline(learner, KNeighborsClassifier(5)).fit(X[::2], y[::2])
    >>> bool(model.score(X[1::2], y[1::2]) > 0.95)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "loss": [StrOptions(set(LOSSES))],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "margin": [Real, "array-like", dict],
        "margin2": [Interval(Real, None, None, closed="neither")],
        "positives": [StrOptions({"all", "neighbors"})],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "n_passes": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "mining": [StrOptions(set(MINERS))],
        "normalize": ["boolean"],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "pull_weight": [Interval(Real, 0, 1, closed="both")],
        "init": [StrOptions(set(STARTS)), "array-like"],
        "solver": [StrOptions({"auto", "lbfgs", "adam"})],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "warm_start": ["boolean"],
        "callback": [callable, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        loss: str = "triplet",
        *,
        n_components: int | None = None,
        margin: Any = 1.0,
        margin2: float = 0.5,
        positives: str = "neighbors",
        n_neighbors: int = 3,
        n_passes: int | str = "auto",
        mining: str = "all",
        normalize: bool = False,
        alpha: float = 0.0,
        pull_weight: float = 0.5,
        init: Any = "auto",
        solver: str = "auto",
        batch_size: int = 256,
        learning_rate: float = 1e-2,
        max_iter: int = 100,
        tol: float = 1e-5,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.25,
        class_weight: dict[Any, float] | str | None = None,
        warm_start: bool = False,
        callback: Callable[[FloatArray, int], Any] | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.n_components = n_components
        self.margin = margin
        self.margin2 = margin2
        self.positives = positives
        self.n_neighbors = n_neighbors
        self.n_passes = n_passes
        self.mining = mining
        self.normalize = normalize
        self.alpha = alpha
        self.pull_weight = pull_weight
        self.init = init
        self.solver = solver
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.callback = callback
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_method
    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the components.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. Sparse ones are not made dense.
        y : array-like of shape (n_samples,)
            Labels of at least two classes, of which one has at least two rows. Rows that are alone
            in their class are negatives of the others.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. An integer weight equals so many copies of the row. Of target
            neighbours the heavier ones count more; their number is one of different rows. In the
            sums over negatives of "n_pair" and "lifted_structure", and in "nca", more copies weigh
            more, so that there not only ratios of weights matter.

        Returns
        -------
        MetricLearner
            This estimator.

        Raises
        ------
        ValueError
            If the input is not finite, there is one class or no class of two rows, `n_components`
            is above the number of features, or `margin` or `init` does not fit; or if the loss
            diverges.
        """
        X, labels = self._check(X, y, reset=True)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        weight = check_weight(sample_weight, X, name="sample_weight")
        weight = row_weights(weight, self.class_weight, self.classes_, codes)
        settings = self._settings(self.classes_)
        rows = standardised_rows(X, codes, len(self.classes_), weight)
        self._check_classes(rows)
        draws = generator(self.random_state)
        first = self._start(rows, settings, draws)
        with self._progress() as report:
            schedule = self._schedule(rows, settings, report)
            found = fit_components(rows, first, settings, schedule, draws)
        self._adam: AdamState | None = None
        self._warn_of_collapse(found.components, first)
        return self._store(found, rows)

    def _warn_of_collapse(self, components: FloatArray, first: FloatArray) -> None:
        if np.abs(components).max() > _COLLAPSED * np.abs(first).max():
            return
        warnings.warn(
            f"The components collapsed to 0: the {self.loss} loss maps all rows to one point here. "
            "Use a larger margin, more components or another loss.",
            ConvergenceWarning,
            stacklevel=stack_level(),
        )

    def _store(self, found: Fit, rows: Rows) -> Self:
        self.components_ = found.components / rows.scale
        self.mean_ = rows.mean
        self._scale = rows.scale
        self.loss_curve_ = found.loss_curve
        self.loss_ = found.loss
        self.n_iter_ = found.n_iter
        self.n_passes_ = found.n_passes
        self.validation_score_ = found.validation_score
        self.converged_ = found.converged
        self._n_features_out = len(self.components_)
        if not found.converged:
            warnings.warn(
                f"MetricLearner stopped after {self.max_iter} iterations before the loss changed "
                f"by less than tol={self.tol:g}. Raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=stack_level(),
            )
        return self

    # ----------------------------------------------------------------------------------
    # checks

    def _check(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, NDArray[Any]]:
        if y is None:
            raise ValueError(
                "MetricLearner requires y to be passed, but the target y is None: pass the label "
                "of each row."
            )
        X = validate_data(self, X, dtype=np.float64, accept_sparse="csr", order="C", reset=reset)
        labels = checked_labels(y)
        check_consistent_length(X, labels)
        return X, labels

    def _check_classes(self, rows: Rows) -> None:
        total = rows.groups.class_weight
        present = self.classes_[total > 0.0]
        if len(present) < 2:
            raise ValueError(
                f"MetricLearner needs rows of at least two classes, but y has only one class: "
                f"{present.tolist()[0]!r}."
            )
        if not np.any(rows.groups.partner_weight > 0.0):
            raise ValueError(
                f"MetricLearner needs a class with at least two rows, but each of the "
                f"{len(present)} classes has a single one. Is y a class label?"
            )
        if self.loss == "quadruplet" and len(present) == 2:
            warnings.warn(
                "loss='quadruplet' compares pairs of two classes other than the anchor's, which "
                "two classes do not have: its triplets are left.",
                UserWarning,
                stacklevel=stack_level(),
            )
        if self.positives == "neighbors" and LOSSES[self.loss].pairs:
            n_others = np.diff(rows.groups.bounds) - 1
            n_others = n_others[n_others > 0].min(initial=self.n_neighbors)
            if n_others < self.n_neighbors:
                warnings.warn(
                    f"n_neighbors={self.n_neighbors}, but a class has only {n_others} other "
                    "different rows; there the target neighbours are fewer.",
                    UserWarning,
                    stacklevel=stack_level(),
                )

    def _settings(self, classes: NDArray[Any]) -> Settings:
        loss = LOSSES[self.loss]
        margin = margin_matrix(self.margin, classes, loss=self.loss, symmetric=loss.symmetric)
        if loss.hinge and not np.any(margin > 0.0):
            warnings.warn(
                f"No margin is positive, got margin={self.margin!r}: the {self.loss} loss is least "
                "where all rows are mapped to one point.",
                UserWarning,
                stacklevel=stack_level(),
            )
        diverges = loss.products and self.alpha == 0.0 and not self.normalize
        return Settings(
            loss=self.loss,
            margin=margin,
            margin2=float(self.margin2),
            positives=self.positives,
            n_neighbors=self.n_neighbors,
            mining=self.mining,
            normalize=self.normalize,
            alpha=_RIDGE if diverges else float(self.alpha),
            pull_weight=float(self.pull_weight),
            n_jobs=self.n_jobs,
        )

    def _has_given_start(self) -> bool:
        return not isinstance(self.init, str) or (self.warm_start and hasattr(self, "components_"))

    def _start(self, rows: Rows, settings: Settings, draws: np.random.Generator) -> FloatArray:
        """Return the start in standardised coordinates."""
        n_features = rows.n_features
        n_components = n_features if self.n_components is None else self.n_components
        if n_components > n_features:
            raise ValueError(
                f"n_components={n_components} must not be greater than the number of features, "
                f"{n_features}."
            )
        if self.warm_start and hasattr(self, "components_"):
            name = "The components of the fit before"
            return given_start(rows, self.components_, name, self.n_components)
        if not isinstance(self.init, str):
            init = check_array(self.init, dtype=np.float64, ensure_2d=False, input_name="init")
            return given_start(rows, init, "init", self.n_components)
        first = start(rows, self.init, n_components, draws)
        length = mean_margin(settings.margin) if LOSSES[self.loss].margin else 1.0
        if length <= 0.0:
            length = 1.0
        if LOSSES[self.loss].symmetric:  # margins of distances, not of their squares
            length = length**2
        return scaled_start(rows, first, self.n_neighbors, length, n_jobs=self.n_jobs)

    def _schedule(self, rows: Rows, settings: Settings, report: Any) -> Schedule:
        solver = self.solver
        if solver == "auto":
            solver = "adam" if len(rows) > _LARGE or settings.mines else "lbfgs"
        counts = np.diff(rows.groups.bounds)
        holds_out = self.early_stopping
        if holds_out == "auto":
            holds_out = bool(counts[counts > 1].min(initial=len(rows)) >= _LEAST_HELD_OUT)
        holds_out = holds_out and bool(counts.max() >= LEAST_SPLIT)
        if self.n_passes != "auto":
            n_passes = int(self.n_passes)
        elif solver == "adam":
            n_passes = self.max_iter
        else:
            n_passes = _MOST_PASSES if holds_out else _USUAL_PASSES
        if solver == "lbfgs" and not settings.selects_anew:
            n_passes = 1
        if solver == "lbfgs" and n_passes == 1:
            holds_out = False
        callback = self.callback
        return Schedule(
            solver=solver,
            n_passes=n_passes,
            max_iter=self.max_iter,
            tol=float(self.tol),
            batch_size=self.batch_size,
            learning_rate=float(self.learning_rate),
            validation_fraction=float(self.validation_fraction) if holds_out else None,
            rescales=not self._has_given_start(),
            callback=None if callback is None else lambda L, n: callback(L / rows.scale, n),
            report=report,
        )

    @contextlib.contextmanager
    def _progress(self) -> Iterator[Callable[[float], Any] | None]:
        if not self.verbose:
            yield None
            return
        from tqdm.auto import tqdm

        with tqdm(desc=f"MetricLearner ({self.loss})", unit="it") as bar:

            def report(value: float) -> None:
                bar.set_postfix(loss=f"{value:.5g}", refresh=False)
                bar.update()

            yield report

    # ----------------------------------------------------------------------------------
    # batches

    @fit_method
    def partial_fit(self, X: Any, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Let Adam see a batch of rows once.

        Target neighbours and negatives are those within the batch. The first batch tells the means
        and scales of the features, and the start. Rows of a single class make no step.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Their labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will come, for the first call; None takes those in `y`.

        Returns
        -------
        MetricLearner
            This estimator.

        Raises
        ------
        ValueError
            If the input is not finite, a label is not among the classes, or there is one class.
        """
        first_call = not hasattr(self, "components_")
        X, labels = self._check(X, y, reset=first_call)
        if first_call:
            self.classes_ = np.unique(labels if classes is None else checked_classes(classes))
            if X.shape[0] < 2:
                raise ValueError(
                    "The first batch of partial_fit needs at least two rows, from which the scales "
                    "of the features are taken; got one row (n_samples = 1)."
                )
        elif classes is not None and not np.array_equal(
            self.classes_, np.unique(checked_classes(classes))
        ):
            raise ValueError(
                f"classes={classes!r} differs from those of the first call, "
                f"{self.classes_.tolist()}."
            )
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y has the label {unknown.tolist()[0]!r}, which is not among the classes "
                f"{self.classes_.tolist()}. Pass all labels as `classes` to the first call."
            )
        codes = np.searchsorted(self.classes_, labels)
        weight = row_weights(np.ones(len(labels)), self.class_weight, self.classes_, codes)
        settings = self._settings(self.classes_)
        units = None if first_call else (self.mean_, self._scale)
        rows = standardised_rows(X, codes, len(self.classes_), weight, units)
        return self._one_epoch(rows, settings, first_call=first_call)

    def _one_epoch(self, rows: Rows, settings: Settings, *, first_call: bool) -> Self:
        draws = generator(self.random_state)
        if first_call:
            if len(self.classes_) < 2:
                raise ValueError(
                    "MetricLearner needs at least two classes, but y has only one class: "
                    f"{self.classes_.tolist()[0]!r}. Pass all labels as `classes`."
                )
            components = self._start(rows, settings, draws)
            if isinstance(self.init, str):
                components = best_scaled(rows, components, settings, draws)
        else:
            components = self.components_ * rows.scale
            expected = self.n_components
            if expected is None and isinstance(self.init, str):
                expected = rows.n_features
            if expected not in (None, len(components)):
                raise ValueError(
                    f"n_components={self.n_components} was changed between batches: there are "
                    f"{len(components)} components. Call fit, or use a new MetricLearner."
                )
        before = None if first_call else self._adam
        state = AdamState.at(components) if before is None else before.copy()
        n_iter = 0 if first_call else self.n_iter_
        targets = target_neighbors(rows, components, settings) if settings.uses_targets else None
        components, loss = adam_epoch(
            rows,
            components,
            state,
            settings,
            targets,
            self.batch_size,
            self.learning_rate,
            draws,
        )
        curve = [] if first_call else list(self.loss_curve_)
        if np.isfinite(loss):
            curve.append(loss)
        loss = curve[-1] if curve else np.nan
        if self.callback is not None:
            call_back(self.callback, components / rows.scale, n_iter + 1)
        self._adam = state
        return self._store(Fit(components, loss, curve, n_iter + 1, n_iter + 1, None, True), rows)

    # ----------------------------------------------------------------------------------
    # use

    def _embed(self, X: Any) -> FloatArray:
        """Return rows as distances are measured: centred, and of unit length with `normalize`."""
        if is_sparse(X):
            Z = np.asarray(X @ self.components_.T) - self.components_ @ self.mean_
        else:
            Z = (X - self.mean_) @ self.components_.T
        return unit_rows(np.ascontiguousarray(Z))[0] if self.normalize else Z

    def transform(self, X: Any) -> NDArray[Any]:
        """Map rows into the embedding.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            ``X @ components_.T``, or with `normalize` the rows of ``(X - mean_) @ components_.T``
            at unit length. float32 is kept.
        """
        check_is_fitted(self)
        X = validate_data(
            self, X, dtype=(np.float64, np.float32), accept_sparse="csr", order="C", reset=False
        )
        dtype = X.dtype
        X = X.astype(np.float64, copy=False)
        Z = self._embed(X) if self.normalize else np.asarray(X @ self.components_.T)
        result: NDArray[Any] = Z.astype(dtype, copy=False)
        return result

    def score(self, X: Any, y: ArrayLike) -> float:
        """Return the mean average precision at R of the embedding of labelled rows.

        Each row queries the others: :func:`mean_average_precision_at_r`. It depends neither on the
        loss nor on the scale of the components, so that a grid search can compare losses.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Their labels.

        Returns
        -------
        float
            Between 0 and 1.
        """
        check_is_fitted(self)
        X, labels = self._check(X, y, reset=False)
        return mean_average_precision_at_r(self._embed(X), labels, n_jobs=self.n_jobs)

    def get_mahalanobis_matrix(self) -> FloatArray:
        """Return the matrix M of the squared distance (x - x')' M (x - x').

        Returns
        -------
        ndarray of shape (n_features, n_features)
            ``components_.T @ components_``. With `normalize` it describes the map before rows are
            divided by their lengths.
        """
        check_is_fitted(self)
        matrix: FloatArray = self.components_.T @ self.components_
        return matrix

    def pair_distance(self, pairs: ArrayLike) -> FloatArray:
        """Return the learned distance of pairs of rows.

        Parameters
        ----------
        pairs : array-like of shape (n_pairs, 2, n_features)
            The pairs.

        Returns
        -------
        ndarray of shape (n_pairs,)
            Distances of their embeddings.
        """
        check_is_fitted(self)
        given = check_array(pairs, dtype=np.float64, allow_nd=True, input_name="pairs")
        if given.ndim != 3 or given.shape[1:] != (2, self.n_features_in_):
            raise ValueError(
                f"pairs must have the shape (n_pairs, 2, {self.n_features_in_}), got {given.shape}."
            )
        if self.normalize:
            difference = self._embed(given[:, 0]) - self._embed(given[:, 1])
        else:
            difference = (given[:, 0] - given[:, 1]) @ self.components_.T
        distances: FloatArray = np.sqrt(np.einsum("ij,ij->i", difference, difference))
        return distances

    def pair_score(self, pairs: ArrayLike) -> FloatArray:
        """Return minus the learned distance: the higher, the more alike.

        Parameters
        ----------
        pairs : array-like of shape (n_pairs, 2, n_features)
            The pairs.

        Returns
        -------
        ndarray of shape (n_pairs,)
            The scores.
        """
        return -self.pair_distance(pairs)

    def get_metric(self) -> Callable[[ArrayLike, ArrayLike], float]:
        """Return the learned distance as a function of two rows.

        An estimator that calls it for each pair is far slower than one that gets the rows of
        :meth:`transform`.

        Returns
        -------
        callable
            ``metric(u, v)``, the distance of two rows of shape (n_features,).
        """
        check_is_fitted(self)
        mean = self.mean_.copy() if self.normalize else None
        return functools.partial(_distance, components=self.components_.copy(), mean=mean)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.one_d_labels = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
