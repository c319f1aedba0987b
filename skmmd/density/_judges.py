"""Judges of what a fit leaves open: held-out log-likelihood, or the held-out loss.

A judge knows one base measure in all splits. It is asked for bandwidths, penalties and noise, and
answers with a value for each penalty; higher is better.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmmd.density._bases import MixtureBase
from skmmd.density._candidates import BaseCandidate
from skmmd.density._fold_loss import FoldLoss, FoldSystems
from skmmd.density._folds import noisy_folds
from skmmd.density._normalizer import Proposal, ess_with_peak, log_normalizers
from skmmd.density._radial import half_distances, radial

__all__ = ["Choice", "LikelihoodJudge", "LossJudge"]

FloatArray = NDArray[np.float64]

_N_DRAWS = 3000
# Held-out normalisers from fewer effective draws than these shares, on average and in each split,
# are not trusted.
_MEAN_ESS, _LEAST_ESS = 0.01, 0.003
# What f must gain over f = 0, in standard errors of that gain over the rows; more for few rows,
# whose standard error is not known well.
_LEAST_GAIN, _FEW_ROWS = 1.0, 20.0


@dataclass(frozen=True)
class Choice:
    """One answer: a base measure with a function f, or without.

    Parameters
    ----------
    base : BaseCandidate
        The base measure.
    lengths : ndarray of shape (n_features,) or None
        Bandwidths; None for f = 0.
    alpha : float
        Penalty.
    noise_scale : float
        Scale of the denoising loss, 0 for the explicit one.
    value : float
        Held-out log-likelihood per row less the standard error of its normaliser, or minus the
        held-out loss.
    penalty : float or None
        Penalty of the refinement by likelihood, None without.
    """

    base: BaseCandidate
    lengths: FloatArray | None
    alpha: float
    noise_scale: float
    value: float
    penalty: float | None = None


class _Judge:
    """What both judges share: the sums to train by, for each scale of noise."""

    def __init__(self, base: BaseCandidate, loss: FoldLoss, generator: np.random.Generator) -> None:
        self.base, self.loss, self.generator = base, loss, generator

    def systems(self, rho: FloatArray, noise: float) -> FoldSystems:
        """Return the sums of all splits."""
        loss, parts = self.loss, self.base.folds
        if noise == 0.0:
            return loss.systems(rho)
        if self.base.is_gaussian and loss.kernel == "rbf":
            gaussians = [part.precision for part in parts if isinstance(part, MixtureBase)]
            return loss.denoised(rho, gaussians, noise)
        noisy = noisy_folds(loss.folds, noise, self.generator)
        scores = np.stack([part.score(noisy.X) for part in parts])
        return FoldLoss(loss.kernel, loss.centers, noisy, scores).systems(rho)


class LikelihoodJudge(_Judge):
    """Held-out log-likelihood, the normalisers by importance sampling.

    Parameters
    ----------
    base : BaseCandidate
        The base measure.
    loss : FoldLoss
        The held-out loss with it.
    proposal : Proposal
        What the normalisers draw from.
    n_samples : float
        Number of samples the rows stand for.
    generator : numpy.random.Generator
        Source of the draws.
    """

    def __init__(
        self,
        base: BaseCandidate,
        loss: FoldLoss,
        proposal: Proposal,
        n_samples: float,
        generator: np.random.Generator,
    ) -> None:
        super().__init__(base, loss, generator)
        folds, centers = loss.folds, loss.centers
        self.n_samples = n_samples
        self.least_gain = _LEAST_GAIN + _FEW_ROWS / n_samples
        self.draws = proposal.draw(_N_DRAWS, generator)
        self.log_proposal = proposal.log_density(self.draws)
        self.log_base = [part.log_density(self.draws) for part in base.folds]
        at_centers = np.stack([part.log_density(centers) for part in base.folds])
        self.weights_at_centers = at_centers - proposal.log_density(centers)
        held_out = np.stack([part.log_density(folds.X) for part in base.folds])
        self.base_values = np.einsum("kb,kb->k", folds.test, held_out)

    def without_f(self) -> Choice:
        """Return the answer f = 0."""
        return Choice(self.base, None, 1.0, 0.0, float(self.base_values.mean()))

    def choices(
        self, lengths: FloatArray, alphas: FloatArray, noises: tuple[float, ...]
    ) -> list[Choice]:
        """Return the answers that can be trusted.

        Parameters
        ----------
        lengths : ndarray of shape (n_features,)
            Bandwidths.
        alphas : ndarray of shape (n_alphas,)
            Penalties.
        noises : tuple of float
            Scales of the denoising loss.

        Returns
        -------
        list of Choice
            Without those whose normaliser is not known.
        """
        loss, rho = self.loss, lengths**-2.0
        at_draws = radial(loss.kernel, half_distances(rho, self.draws, loss.centers))[0]
        at_rows = radial(loss.kernel, half_distances(rho, loss.folds.X, loss.centers))[0]
        test_means = loss.folds.test @ at_rows
        found = []
        for noise in noises:
            systems = self.systems(rho, noise)
            coef = np.stack([systems.coefficients(float(alpha)) for alpha in alphas], axis=1)
            values = np.empty((len(coef), len(alphas)))
            ess, variances = np.empty_like(values), np.empty_like(values)
            for k, of_split in enumerate(coef):
                functions = at_draws @ of_split.T
                normalizer = log_normalizers(self.log_base[k], functions, self.log_proposal)
                log_z = normalizer.log_normalizer + normalizer.standard_error
                means = of_split @ test_means[k]
                values[k] = self.base_values[k] + means - log_z
                variances[k] = loss.folds.test[k] @ (at_rows @ of_split.T - means) ** 2
                peaks = self.weights_at_centers[k, :, None] + systems.penalty @ of_split.T
                peak = peaks.max(axis=0) - normalizer.log_normalizer
                ess[k] = ess_with_peak(normalizer.ess, peak, _N_DRAWS)
            trusted = np.all((ess > _LEAST_ESS) & np.isfinite(values), axis=0)
            trusted &= ess.mean(axis=0) > _MEAN_ESS
            value = values.mean(axis=0)
            gains = values - self.base_values[:, None]
            spread = variances.mean(axis=0) + gains.var(axis=0)
            chance = np.sqrt(spread / self.n_samples)
            trusted &= gains.mean(axis=0) > self.least_gain * chance
            found += [
                Choice(self.base, lengths, float(alphas[a]), noise, float(value[a]))
                for a in np.flatnonzero(trusted)
            ]
        return found


class LossJudge(_Judge):
    """Minus the held-out score-matching loss, the explicit one whatever is trained by.

    Parameters
    ----------
    base : BaseCandidate
        The base measure.
    loss : FoldLoss
        The held-out loss with it.
    generator : numpy.random.Generator
        Source of the noise.
    """

    def __init__(self, base: BaseCandidate, loss: FoldLoss, generator: np.random.Generator) -> None:
        super().__init__(base, loss, generator)
        values = []
        for part, score, test in zip(base.folds, loss.base_scores, loss.folds.test, strict=True):
            if loss.boundary is None:
                rows = 0.5 * np.square(score).sum(axis=1) + part.laplacian(loss.folds.X)
            else:
                share, slope = loss.boundary
                second = np.diagonal(part.hessian(loss.folds.X), axis1=1, axis2=2)
                rows = (share * (0.5 * score**2 + second) + slope * score).sum(axis=1)
            values.append(-float(test @ rows))
        self.base_value = float(np.mean(values))

    def without_f(self) -> Choice:
        """Return the answer f = 0."""
        return Choice(self.base, None, 1.0, 0.0, self.base_value)

    def choices(
        self, lengths: FloatArray, alphas: FloatArray, noises: tuple[float, ...]
    ) -> list[Choice]:
        """Return the answers, as :meth:`LikelihoodJudge.choices`."""
        rho = lengths**-2.0
        explicit = self.loss.systems(rho)
        found = []
        for noise in noises:
            systems = explicit if noise == 0.0 else self.systems(rho, noise)
            for alpha in map(float, alphas):
                losses = explicit.losses(systems.coefficients(alpha))
                value = self.base_value - float(losses.mean())
                found.append(Choice(self.base, lengths, alpha, noise, value))
        return found
