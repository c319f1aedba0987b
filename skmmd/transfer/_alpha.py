"""The ridge of kernel mean matching, chosen without labels."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skmmd.transfer._kmm import Domain, MatchingOptions, WeightFunction, match_means

__all__ = ["ratio_criterion", "select_alpha"]

FloatArray = NDArray[np.float64]

ALPHAS = tuple(float(a) for a in 10.0 ** np.linspace(-4.0, 0.0, 9))
_FOLDS = 5
_MAX_CV_ROWS = 2000


def ratio_criterion(weigh: WeightFunction, source: Domain, target: Domain) -> float:
    """Return ``1/2 mean(w(x)^2) over source - mean(w(x)) over target``, smaller for better weights.

    Up to a constant it is half the squared error of w as a density ratio, in the mean over the
    source. The rows should not be those that w was fitted on.

    Parameters
    ----------
    weigh : WeightFunction
        The weight of any row.
    source, target : Domain
        Rows of each domain.

    Returns
    -------
    float
        The criterion.

    References
    ----------
    Kanamori, T., Hido, S. & Sugiyama, M. (2009). A least-squares approach to direct importance
    estimation. JMLR 10, 1391-1445.
    """
    of_source = float(weigh(source.rows) ** 2 @ source.weight) / source.size
    of_target = float(weigh(target.rows) @ target.weight) / target.size
    return 0.5 * of_source - of_target


def select_alpha(
    source: Domain,
    target: Domain,
    options: MatchingOptions,
    generator: np.random.Generator,
) -> tuple[float, dict[str, FloatArray]]:
    """Choose alpha by the least-squares criterion of density ratios on held-out rows.

    That of :func:`ratio_criterion`, in the mean over five folds of both domains. Beyond 2,000 rows
    of a domain, a random subset of them is taken.

    Parameters
    ----------
    source, target : Domain
        The domains.
    options : MatchingOptions
        How; its `alpha` is not used.
    generator : numpy.random.Generator
        Draws folds and subsets.

    Returns
    -------
    alpha : float
        The best of the grid.
    results : dict of str to ndarray
        "alpha", and "criterion" for each.

    Raises
    ------
    ValueError
        If a domain has fewer than two rows.
    """
    parts = [_folds(domain, generator) for domain in (source, target)]
    n_folds = min(len(part[1]) for part in parts)
    if n_folds < 2:
        raise ValueError(
            "alpha='cv' holds out rows of both domains, so that each needs two rows or more. Pass "
            "a number."
        )
    criterion = np.zeros((n_folds, len(ALPHAS)))
    for fold in range(n_folds):
        (fit_source, held_source), (fit_target, held_target) = (
            _split(domain, folds, fold) for domain, folds in parts
        )
        for k, alpha in enumerate(ALPHAS):
            chosen = replace(options, alpha=alpha, sum_bounds=(-np.inf, np.inf), solver="smo")
            weigh = match_means(fit_source, fit_target, chosen, generator).weigh
            criterion[fold, k] = ratio_criterion(weigh, held_source, held_target)
    mean = criterion.mean(axis=0)
    results = {"alpha": np.array(ALPHAS), "criterion": mean}
    return ALPHAS[int(np.argmin(mean))], results


def _folds(domain: Domain, generator: np.random.Generator) -> tuple[Domain, list[NDArray[np.intp]]]:
    n_rows = len(domain.rows)
    order = generator.permutation(n_rows)[:_MAX_CV_ROWS]
    folds = [np.sort(part) for part in np.array_split(order, min(_FOLDS, n_rows))]
    return domain, folds


def _split(domain: Domain, folds: list[NDArray[np.intp]], fold: int) -> tuple[Domain, Domain]:
    fitted = np.concatenate([part for k, part in enumerate(folds) if k != fold])
    held = folds[fold]
    return (
        Domain(domain.rows[fitted], domain.weight[fitted]),
        Domain(domain.rows[held], domain.weight[held]),
    )
