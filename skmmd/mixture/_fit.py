"""A fit: EM from each start, the best of them, and what is wrong with it."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import joblib
import numpy as np

from skmmd._chunked import kept_threads, single_threaded_blas
from skmmd._validation import generator
from skmmd.mixture._data import Data
from skmmd.mixture._em import Fit, run
from skmmd.mixture._model import Settings, build_model, check_initial, degenerate_components
from skmmd.mixture._parameters import FloatArray, Model, Parameters
from skmmd.mixture._start import METHODS, Sample, overwrite


class Outcome(NamedTuple):
    """What a fit has found.

    Attributes
    ----------
    model : Model
        What was estimated.
    best : Fit
        From the best start.
    noise_bounds : ndarray of shape (2, n_features) or None
        Corners of the noise's box.
    n_samples : float
        Sum of the weights.
    complaints : list of str
        All that a user should know.
    """

    model: Model
    best: Fit
    noise_bounds: FloatArray | None
    n_samples: float
    complaints: list[str]


def fit_mixture(
    data: Data,
    settings: Settings,
    before: tuple[Parameters, float] | None = None,
    *,
    must_converge: bool = True,
) -> Outcome:
    """Fit a mixture.

    Parameters
    ----------
    data : Data
        Rows.
    settings : Settings
        Constructor parameters.
    before : tuple of Parameters and float or None, default=None
        Where to go on, and the lower bound there; None for new starts.
    must_converge : bool, default=True
        Whether to complain if EM did not converge.

    Returns
    -------
    Outcome
        The best fit.

    Raises
    ------
    ValueError
        If settings do not fit together or to the rows, or all covariances collapse at the start.
    """
    if settings.accelerate is not None and settings.stopping == "aitken":
        raise ValueError(
            "stopping='aitken' extrapolates plain steps, but "
            f"accelerate={settings.accelerate!r}. Pass stopping='change' or accelerate=None."
        )
    with single_threaded_blas(), kept_threads():
        data.check()
        model = build_model(data, settings)
        initial = check_initial(settings, data.n_features)
        rng = generator(settings.random_state)
        if before is not None:
            fits = [_run(data, model, settings, before[0], previous=before[1])]
        else:
            fits = _run_starts(data, model, settings, initial, rng)
    # The likelihood of a collapsing fit has no bound: any other is better.
    best = max(fits, key=lambda fit: (not fit.collapsed, fit.lower_bound))
    bounds = None
    if model.noise is not None:
        bounds = np.stack([data.least, data.least + data.ranges])
    must_converge = must_converge and settings.max_iter > 0
    complaints = list(_complaints(data, model, best, must_converge))
    return Outcome(model, best, bounds, data.n_effective, complaints)


def _run_starts(
    data: Data,
    model: Model,
    settings: Settings,
    initial: dict[str, FloatArray],
    rng: np.random.Generator,
) -> list[Fit]:
    sample = None if len(initial) == 3 else Sample(data, settings.n_components, rng)
    starts = rng.spawn(settings.n_init)

    def fit_one(number: int) -> Fit:
        method = METHODS[settings.init_params]
        found = method(sample, model, starts[number]) if sample else None
        return _run(data, model, settings, overwrite(found, initial, model), number)

    n_jobs = (
        1
        if data.is_threaded or data.is_serial
        else min(joblib.effective_n_jobs(settings.n_jobs), settings.n_init)
    )
    if n_jobs == 1:
        return [fit_one(number) for number in range(settings.n_init)]
    return list(
        joblib.Parallel(n_jobs=n_jobs, prefer="threads")(
            joblib.delayed(fit_one)(number) for number in range(settings.n_init)
        )
    )


def _run(
    data: Data,
    model: Model,
    settings: Settings,
    start: Parameters,
    number: int = 0,
    previous: float = -np.inf,
) -> Fit:
    """Run EM from one start, and print what `verbose` asks for."""
    began = time.perf_counter()
    if settings.verbose > 0:
        print(f"Initialization {number}")

    def report(step: int, change: float) -> None:
        detail = ""
        if settings.verbose > 1:
            detail = f": {time.perf_counter() - began:.3f} s, lower bound changed {change:.6f}"
        print(f"  Iteration {step}{detail}")

    found = run(
        data,
        model,
        start,
        max_iter=settings.max_iter,
        tol=settings.tol,
        stopping=settings.stopping,
        accelerate=settings.accelerate,
        previous=previous,
        report=report if settings.verbose > 0 else None,
        report_interval=settings.verbose_interval,
    )
    if settings.verbose > 0:
        state = "converged" if found.converged else "did not converge"
        detail = ""
        if settings.verbose > 1:
            seconds = time.perf_counter() - began
            detail = f" {seconds:.3f} s, lower bound {found.lower_bound:.6f}."
        print(f"Initialization {number} {state}.{detail}")
    return found


def _complaints(data: Data, model: Model, fit: Fit, must_converge: bool) -> Iterator[str]:
    """Yield what is wrong with a fit."""
    if fit.collapsed:
        yield (
            "EM stopped because a covariance became singular: a component has collapsed onto "
            "too few rows. The parameters are those before. Increase reg_covar, decrease the "
            "number of components, or try other init_params."
        )
    elif must_converge and not fit.converged:
        yield (
            "Best performing initialization did not converge. Try different init parameters, "
            "or increase max_iter, tol, or check for degenerate data."
        )
    if fit.n_dead:
        yield complaint_of_dead(fit.n_dead, len(fit.parameters.means))
    spurious = degenerate_components(data, model, fit.parameters)
    if len(spurious):
        yield (
            f"Components {spurious.tolist()} have a variance of little more than reg_covar in "
            "every feature: each sits on one point, such as an outlier, and its likelihood "
            "says nothing. Decrease n_components, increase reg_covar, or use noise='uniform' "
            "or covariance_prior."
        )


def complaint_of_dead(n_dead: int, n_components: int) -> str:
    """Say that components have lost all their weight."""
    return (
        f"{n_dead} of {n_components} components have lost all their weight. "
        "Decrease n_components, or try other init_params."
    )
