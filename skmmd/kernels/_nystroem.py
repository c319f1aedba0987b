"""Nystroem features: a Gram matrix of low rank through the kernel values with a few landmarks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from skmmd._chunked import row_blocks, single_threaded_blas
from skmmd.kernels._gram import Gram, Kernel, gram

__all__ = ["Nystroem", "nystroem"]

FloatArray = NDArray[np.float64]

_PROBE_ROWS = 4096
_BLOCK = 1024
_INDEFINITE = 1e-6


@dataclass(frozen=True)
class Nystroem:
    """Kernel values of rows with landmarks, and the projections that turn them into features.

    With E the kernel values of a block of rows and P the projection, the features are ``E @ P``
    and the kernel is approximated by their inner products. Built by :func:`nystroem`.

    Parameters
    ----------
    to_landmarks : Gram
        Kernel values of the rows with the landmarks.
    offsets : tuple of two ndarrays or None
        What is added to the kernel values of each row and of each landmark.
    projections : tuple of ndarray of shape (n_landmarks, n_components)
        One for each gamma.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.kernels import nystroem
    >>> rows = np.array([[0.0], [1.0], [2.0]])
    >>> features = nystroem("rbf", np.array([0.5]), rows, rows[:2])
    >>> features.n_landmarks
    2
    """

    to_landmarks: Gram
    offsets: tuple[FloatArray, FloatArray] | None
    projections: tuple[FloatArray, ...]

    @property
    def n_landmarks(self) -> int:
        """Number of landmarks."""
        return self.to_landmarks.shape[1]

    def blocks(self, rows: slice, landmarks: slice) -> Iterator[FloatArray]:
        """Yield the kernel values of a block of rows with landmarks, for each gamma in turn.

        Parameters
        ----------
        rows, landmarks : slice
            Which of each.

        Yields
        ------
        ndarray of shape (n_rows, n_landmarks)
            Kernel values. The next step overwrites them.
        """
        for tile in self.to_landmarks.blocks(rows, landmarks):
            if self.offsets is not None:
                tile += self.offsets[0][rows, None]
                tile += self.offsets[1][None, landmarks]
            yield tile

    @property
    def _varies(self) -> bool:
        """Whether k(x, x) depends on x."""
        kernel = self.to_landmarks.kernel
        return callable(kernel) or kernel in ("linear", "polynomial", "energy")

    def _diagonal(self, k: int, n_rows: int) -> FloatArray:
        own = np.empty(n_rows)
        every = slice(0, self.n_landmarks)
        for rows in row_blocks(n_rows, _BLOCK):
            tile = next(islice(self.blocks(rows, every), k, None))
            features = tile @ self.projections[k]
            own[rows] = np.einsum("ij,ij->i", features, features)
        return own

    def diagonal_and_norm(self, weight: FloatArray) -> tuple[list[FloatArray], FloatArray]:
        """Return the approximation's diagonal, and its Frobenius norm with zero diagonal.

        Parameters
        ----------
        weight : ndarray of shape (n_rows,)
            Weights of the rows.

        Returns
        -------
        diagonal : list of ndarray of shape (n_rows,)
            One for each gamma; where k(x, x) is constant, beyond 4,096 rows the mean over every
            k-th row, about as many.
        norm : ndarray of shape (n_gammas,)
            From the same rows.
        """
        n_rows = len(weight)
        step = -(-n_rows // _PROBE_ROWS)
        probe = slice(0, n_rows, step)
        mass = weight[probe]
        if mass.sum() <= 1.0 and step > 1:
            # The weight lies on other rows: take these as they are.
            mass = np.ones(len(mass))
        diagonal: list[FloatArray] = []
        norm = np.empty(len(self.projections))
        pairs = weight.sum() * (weight.sum() - 1.0)
        probe_pairs = mass.sum() * (mass.sum() - 1.0)
        share = pairs / probe_pairs if step > 1 else 1.0
        with single_threaded_blas():
            for k, tile in enumerate(self.blocks(probe, slice(0, self.n_landmarks))):
                features = tile @ self.projections[k]
                own = np.einsum("ij,ij->i", features, features)
                second = features.T @ (features * mass[:, None])
                squares = np.vdot(second, second) - mass @ own**2
                norm[k] = np.sqrt(max(float(squares), 0.0) * share)
                if step > 1 and self._varies:
                    own = self._diagonal(k, n_rows)
                elif step > 1:
                    own = np.broadcast_to(np.average(own, weights=mass), n_rows)
                diagonal.append(own)
        return diagonal, norm


def nystroem(
    kernel: Kernel,
    gammas: FloatArray,
    rows: FloatArray,
    landmarks: FloatArray,
    *,
    center_dot: bool = False,
) -> Nystroem:
    """Prepare Nystroem features of `rows` with the given landmarks.

    Parameters
    ----------
    kernel : str or callable
        The kernel. For "energy", which is not positive definite, the positive definite kernel
        ``|x - c| + |y - c| - |x - y|`` of the same MMD stands in.
    gammas : ndarray of shape (n_gammas,)
        Kernel coefficients.
    rows : ndarray of shape (n_rows, n_features)
        Rows.
    landmarks : ndarray of shape (n_landmarks, n_features)
        Landmarks.
    center_dot : bool, default=False
        As in :func:`gram`.

    Returns
    -------
    Nystroem
        The features.

    Raises
    ------
    ValueError
        If a callable kernel is not positive semi-definite on the landmarks.

    References
    ----------
    Williams, C. & Seeger, M. (2000). Using the Nystroem method to speed up kernel machines. NIPS.

    Chatalic, A., Letizia, M., Schreuder, N. & Rosasco, L. (2025). A scalable Nystroem-based kernel
    two-sample test with permutations. arXiv 2502.13570.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.kernels import nystroem
    >>> rows = np.array([[0.0], [1.0], [2.0]])
    >>> features = nystroem("rbf", np.array([0.5]), rows, rows)
    >>> (tile,) = features.blocks(slice(0, 3), slice(0, 3))
    >>> approximation = tile @ features.projections[0]
    >>> bool(np.allclose(approximation @ approximation.T, tile))
    True
    """
    to_landmarks = gram(kernel, gammas, rows, landmarks, center_dot=center_dot)
    offsets = None
    if kernel == "energy":
        offsets = (np.sqrt(to_landmarks.left_norms), np.sqrt(to_landmarks.right_norms))
    among = gram(kernel, gammas, to_landmarks.right)
    every = slice(0, len(landmarks))
    projections = []
    with single_threaded_blas():
        for tile in among.blocks(every, every):
            if offsets is not None:
                tile += offsets[1][:, None] + offsets[1][None, :]
            values, vectors = linalg.eigh(tile)
            if values[0] < -_INDEFINITE * max(values[-1], 0.0):
                raise ValueError(
                    "The kernel is not positive semi-definite on the landmarks: its Gram matrix "
                    f"has eigenvalues from {values[0]:.3g} to {values[-1]:.3g}. Nystroem features "
                    "do not exist then; take a method without landmarks, or another kernel."
                )
            keep = values > values[-1] * len(landmarks) * np.finfo(np.float64).eps
            projections.append(vectors[:, keep] / np.sqrt(values[keep]))
    return Nystroem(to_landmarks, offsets, tuple(projections))
