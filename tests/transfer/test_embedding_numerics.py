"""Maps inside: landmarks against the whole matrix, solvers against each other, blocks, memory."""

import tracemalloc

import numpy as np
import pytest
from scipy import linalg
from scipy.sparse.linalg import ArpackNoConvergence
from sklearn.linear_model import RidgeClassifier

from skmmd.kernels import kernel_values
from skmmd.transfer import JointDistributionAdaptation, TransferComponentAnalysis
from skmmd.transfer import _components as components
from skmmd.transfer import _low_rank as low_rank

MEGABYTE = 2**20
KERNELS = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial")


def two_domains(n=80, d=4, seed=0):
    """Return interleaved rows of two domains, labels of three classes, and the domains."""
    rng = np.random.default_rng(seed)
    sample_domain = np.where(rng.random(n) < 0.5, 1, -1)
    y = rng.integers(0, 3, n)
    X = rng.normal(size=(n, d)) + 0.7 * (sample_domain < 0)[:, None]
    X[:, 0] += 2.0 * y
    return X, y, sample_domain


def fit(estimator, data):
    X, y, sample_domain = data
    return estimator.fit(X, y, sample_domain=sample_domain)


def least_cosine(Z, other):
    """Return the cosine of the largest angle between the spans of two sets of columns."""
    bases = [np.linalg.qr(columns)[0] for columns in (Z, other)]
    return np.linalg.svd(bases[0].T @ bases[1], compute_uv=False).min()


# --------------------------------------------------------------------------------------
# landmarks


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("mmd_weight", [0.0, 1.0, 1e6])
def test_all_rows_as_landmarks_are_the_whole_matrix(kernel, mmd_weight):
    data = two_domains()
    options = {"n_components": 4, "kernel": kernel, "mmd_weight": mmd_weight}
    exact = fit(TransferComponentAnalysis(**options), data)
    landmarks = fit(TransferComponentAnalysis(**options, n_landmarks=80), data)
    assert (exact.n_landmarks_, landmarks.n_landmarks_) == (0, 80)
    np.testing.assert_allclose(landmarks.eigenvalues_, exact.eigenvalues_, rtol=1e-7)
    Z, other = exact.transform(data[0]), landmarks.transform(data[0])
    np.testing.assert_allclose(np.abs(other), np.abs(Z), atol=1e-6 * np.abs(Z).max())


@pytest.mark.parametrize("ridge", [1.0, 0.01])
def test_all_rows_as_landmarks_are_the_whole_matrix_for_joint_adaptation(ridge):
    data = two_domains()
    exact = fit(JointDistributionAdaptation(4, ridge=ridge), data)
    landmarks = fit(JointDistributionAdaptation(4, ridge=ridge, n_landmarks=80), data)
    np.testing.assert_allclose(landmarks.eigenvalues_, exact.eigenvalues_, rtol=1e-7)
    np.testing.assert_array_equal(landmarks.pseudo_labels_, exact.pseudo_labels_)
    assert landmarks.n_iter_ == exact.n_iter_
    Z, other = exact.transform(data[0]), landmarks.transform(data[0])
    np.testing.assert_allclose(np.abs(other), np.abs(Z), atol=1e-6 * np.abs(Z).max())


def test_more_landmarks_come_closer():
    data = two_domains(600)
    exact = fit(TransferComponentAnalysis(5), data)
    Z = exact.transform(data[0])
    off = []
    for n_landmarks in (20, 80, 300):
        model = TransferComponentAnalysis(5, n_landmarks=n_landmarks, random_state=0)
        off.append(1.0 - least_cosine(fit(model, data).transform(data[0]), Z))
    assert off[0] > off[1] > off[2]
    assert off[2] < 1e-6


@pytest.mark.parametrize("mmd_weight", [0.0, 10.0, 1e6])
def test_few_landmarks_solve_the_problem_of_their_own_kernel(mmd_weight):
    """The kernel of low rank, written out in full and given to SciPy's generalised solver."""
    data = two_domains()
    model = fit(
        TransferComponentAnalysis(4, mmd_weight=mmd_weight, n_landmarks=12, random_state=0), data
    )
    X, _, sample_domain = data
    to_landmarks = kernel_values("rbf", model.gamma_, X, model.X_fit_)
    K = to_landmarks @ np.linalg.solve(
        kernel_values("rbf", model.gamma_, model.X_fit_), to_landmarks.T
    )
    source = sample_domain > 0
    e = np.where(source, 1.0 / source.sum(), -1.0 / (~source).sum())
    centred = K - K.mean(axis=0)
    penalty = np.eye(len(K)) + mmd_weight * np.outer(K @ e, K @ e)
    values, W = linalg.eigh(centred.T @ centred, penalty)
    np.testing.assert_allclose(model.eigenvalues_, values[::-1][:4], rtol=1e-7)
    Z = K @ W[:, ::-1][:, :4]
    np.testing.assert_allclose(np.abs(model.transform(X)), np.abs(Z), atol=1e-6 * np.abs(Z).max())


@pytest.mark.parametrize(
    "estimator", [TransferComponentAnalysis(3), JointDistributionAdaptation(3)]
)
def test_signs_of_landmarks(estimator):
    model = fit(estimator.set_params(n_landmarks=12, random_state=0), two_domains())
    assert model.dual_coef_.shape == (12, 3)
    largest = np.abs(model.dual_coef_).argmax(axis=0)
    assert np.all(model.dual_coef_[largest, range(3)] > 0.0)


def test_many_rows_take_as_many_landmarks_as_the_spectrum_asks_for(monkeypatch):
    data = two_domains(400, d=2)
    exact = fit(TransferComponentAnalysis(2), data)
    monkeypatch.setattr(low_rank, "_MAX_EXACT_ROWS", 399)
    model = fit(TransferComponentAnalysis(2, random_state=0), data)
    assert 2 < model.n_landmarks_ < 200
    np.testing.assert_allclose(model.eigenvalues_, exact.eigenvalues_, rtol=1e-3)
    monkeypatch.setattr(low_rank, "_MAX_LANDMARKS", 30)
    assert fit(TransferComponentAnalysis(2, random_state=0), data).n_landmarks_ <= 30


def test_the_seed_draws_the_landmarks():
    data = two_domains()
    fits = [
        fit(TransferComponentAnalysis(2, n_landmarks=10, random_state=seed), data)
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(fits[0].X_fit_, fits[1].X_fit_)
    assert not np.array_equal(fits[0].X_fit_, fits[2].X_fit_)


@pytest.mark.parametrize("n_landmarks", [None, 10])
def test_more_components_than_there_are(n_landmarks):
    model = TransferComponentAnalysis(81, n_landmarks=n_landmarks)
    with pytest.raises(ValueError, match=r"n_components=81 .* must not be greater than"):
        fit(model, two_domains())


# --------------------------------------------------------------------------------------
# solvers


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "linear"])
@pytest.mark.parametrize("mmd_weight", [0.0, 1.0, 1e6])
def test_lanczos_finds_what_the_dense_solver_finds(kernel, mmd_weight, monkeypatch):
    data = two_domains(300)
    model = TransferComponentAnalysis(4, kernel=kernel, mmd_weight=mmd_weight)
    lanczos = fit(model, data).dual_coef_
    values = model.eigenvalues_
    monkeypatch.setattr(components, "_DENSE_ROWS", 300)
    monkeypatch.setattr(components, "eigsh", None)
    dense = fit(model, data).dual_coef_
    np.testing.assert_allclose(values, model.eigenvalues_, rtol=1e-7)
    np.testing.assert_allclose(lanczos, dense, atol=1e-6 * np.abs(dense).max())


def test_no_convergence_of_lanczos_is_made_up_for(monkeypatch):
    data = two_domains(300)
    expected = fit(TransferComponentAnalysis(4), data)

    def gives_up(*args, **kwargs):
        raise ArpackNoConvergence("none", np.empty(0), np.empty((0, 0)))

    monkeypatch.setattr(components, "eigsh", gives_up)
    found = fit(TransferComponentAnalysis(4), data)
    np.testing.assert_allclose(found.eigenvalues_, expected.eigenvalues_, rtol=1e-9)


@pytest.mark.parametrize("n", [60, 300])
def test_more_components_than_dimensions_of_the_kernel(n):
    """The linear kernel of two features has two; the others keep no variance."""
    data = two_domains(n, d=2)
    model = fit(TransferComponentAnalysis(4, kernel="linear"), data)
    Z = model.transform(data[0])
    assert np.all(model.eigenvalues_[2:] <= 1e-12 * model.eigenvalues_[0])
    assert np.all(Z.std(axis=0)[2:] <= 1e-6 * Z.std(axis=0)[0])
    W, (X, _, sample_domain) = model.dual_coef_, data
    difference = Z[sample_domain > 0].mean(axis=0) - Z[sample_domain < 0].mean(axis=0)
    np.testing.assert_allclose(W.T @ W + np.outer(difference, difference), np.eye(4), atol=1e-9)
    np.testing.assert_allclose(Z, X @ X.T @ W, atol=1e-9)


def test_the_whole_problem_shrinks_with_its_ridge():
    """Eigenvalues of JDA are those for ridge 1 of a strength divided by the ridge, over ridge."""
    X, _, _ = two_domains()
    K = components.FullKernel(kernel_values("rbf", 0.1, X))
    E = np.random.default_rng(1).normal(size=(80, 3)) / 80
    one = K.components(E, 5.0, 0.2, 3)
    two = K.components(E, 25.0, 1.0, 3)
    np.testing.assert_allclose(one.eigenvalues, two.eigenvalues / 0.2, rtol=1e-10)
    np.testing.assert_allclose(one.dual_coef, two.dual_coef / np.sqrt(0.2), rtol=1e-7, atol=1e-9)


# --------------------------------------------------------------------------------------
# blocks, threads, memory


ESTIMATORS = [
    pytest.param(kind(3, n_landmarks=n, random_state=0), id=f"{kind.__name__}-{n}")
    for kind in (TransferComponentAnalysis, JointDistributionAdaptation)
    for n in (None, 40)
]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_threads_change_nothing(estimator):
    data = two_domains(1300)
    model = fit(estimator.set_params(n_jobs=1), data)
    first = model.dual_coef_, model.transform(data[0])
    for n_jobs in (2, 3):
        model = fit(estimator.set_params(n_jobs=n_jobs), data)
        np.testing.assert_array_equal(model.dual_coef_, first[0])
        np.testing.assert_array_equal(model.transform(data[0]), first[1])


@pytest.mark.parametrize("estimator", ESTIMATORS[1::2])
def test_size_of_blocks_changes_rounding_alone(estimator, monkeypatch):
    data = two_domains(1300)
    first = fit(estimator, data).transform(data[0])
    monkeypatch.setattr(low_rank, "_BLOCK", 77)
    second = fit(estimator, data).transform(data[0])
    np.testing.assert_allclose(second, first, atol=1e-8 * np.abs(first).max())


def peak_of(run):
    run()  # compiled code and lazy imports are not what is measured
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / MEGABYTE
    finally:
        tracemalloc.stop()


N = 4000
MATRIX = N * N * 8 / MEGABYTE  # 122


@pytest.mark.parametrize("kind", [TransferComponentAnalysis, JointDistributionAdaptation])
def test_landmarks_hold_blocks_alone(kind):
    """The factor of pivoted Cholesky, and less; never rows times rows."""
    data = two_domains(N)
    options = {"n_landmarks": 50, "random_state": 0, "gamma": 0.1}
    if kind is JointDistributionAdaptation:
        options["max_iter"] = 2
        options["estimator"] = RidgeClassifier()  # nearest neighbours take memory of their own
    assert peak_of(lambda: fit(kind(3, **options), data)) < MATRIX / 6


def test_transform_holds_blocks_alone():
    data = two_domains(1000)
    model = fit(TransferComponentAnalysis(3), data)
    X = np.tile(data[0], (16, 1))
    assert peak_of(lambda: model.transform(X)) < len(X) * 1000 * 8 / MEGABYTE / 10
