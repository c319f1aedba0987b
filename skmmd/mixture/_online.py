"""Online EM: running averages of sufficient statistics, moved by each batch."""

from typing import NamedTuple

import numpy as np

from skmmd.mixture._data import Data
from skmmd.mixture._parameters import (
    DIAGONAL,
    FULL,
    ILL_DEFINED,
    SPHERICAL,
    FloatArray,
    Model,
    Parameters,
    dense,
)
from skmmd.mixture._sweep import Statistics, expectation, maximization, objective


class State(NamedTuple):
    """Averages of the statistics about the current means, per unit of weight.

    Attributes
    ----------
    weights : ndarray of shape (n_joint,)
        Weights of the components and the noise.
    moments : ndarray of shape (n_components or 1, n_moments)
        Second moments about the means, times the weights.
    n_batches : int
        Batches after the first.
    """

    weights: FloatArray
    moments: FloatArray
    n_batches: int


class Stream(NamedTuple):
    """What a stream of batches goes on with: the first fit's model, and its averages if any."""

    model: Model
    state: State | None


def pack(matrices: FloatArray, shape: int) -> FloatArray:
    """Return matrices as the second moments of :mod:`skmmd.mixture._loops`."""
    d = matrices.shape[1]
    if shape == FULL:
        rows, columns = np.triu_indices(d)
        return matrices[:, rows, columns]
    diagonals = np.diagonal(matrices, axis1=1, axis2=2).copy()
    return diagonals if shape == DIAGONAL else diagonals.sum(axis=1, keepdims=True)


def implied_state(model: Model, parameters: Parameters, total_weight: float) -> State:
    """Return the statistics that fitted parameters stand for: without ridge and prior."""
    k, d = parameters.means.shape
    shares = parameters.weights[:k]
    counts = np.array([shares.sum()]) if model.shared else shares
    rows = parameters.covariances
    if model.strength > 0.0:
        n = np.maximum(counts * total_weight, 1e-300)[:, None]
        n = n * d if model.shape == SPHERICAL else n
        rows = (rows * (n + model.strength) - model.prior) / n
    matrices = dense(rows, model.shape, d) - np.diag(model.ridge)
    moments = pack(matrices * counts[:, None, None], model.shape)
    return State(parameters.weights.copy(), moments, 0)


def blend(
    data: Data,
    model: Model,
    state: State,
    parameters: Parameters,
    rate: float,
    total_weight: float,
    n_batches: int,
) -> tuple[State, Parameters, float, int]:
    """Move the averages towards a batch and maximise.

    Parameters
    ----------
    data : Data
        The batch.
    model : Model
        What is estimated.
    state : State
        Averages so far, about the means of `parameters`.
    parameters : Parameters
        Current parameters.
    rate : float
        Share of the batch.
    total_weight : float
        Weight of all rows seen, which a prior is compared with.
    n_batches : int
        Number of this batch.

    Returns
    -------
    state : State
        New averages, about the new means.
    parameters : Parameters
        New parameters.
    objective : float
        Objective of the batch before.
    n_dead : int
        Components without weight.
    """
    k, d = parameters.means.shape
    batch = expectation(data, model, parameters)
    share = rate / data.total_weight
    sums = share * batch.sums
    sums[:, 0] += (1.0 - rate) * state.weights
    moments = share * batch.moments
    if model.shared:
        moments += (1.0 - rate) * state.moments[0]
    else:
        sums[:k, 1 + d :] += (1.0 - rate) * state.moments
    # Without a prior the factor does not matter, and with one neither, out of these bounds.
    factor = min(max(total_weight, 1e-100), 1e100)
    averages = Statistics(0.0, sums * factor, moments * factor)
    new, n_dead = maximization(model, averages, parameters)
    if n_dead < 0:
        raise ValueError(ILL_DEFINED)
    weights = sums[:, 0]
    shift = new.means - parameters.means
    lost = pack(shift[:, :, None] * shift[:, None, :] * weights[:k, None, None], model.shape)
    seconds = moments - lost.sum(axis=0) if model.shared else sums[:k, 1 + d :] - lost
    moved = State(weights / weights.sum(), np.atleast_2d(seconds), n_batches)
    return moved, new, objective(data, model, batch, parameters), n_dead
