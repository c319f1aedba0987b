"""Every section of the density benchmarks runs at tiny sizes, and measures by what is right."""

import json
import warnings

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal
from sklearn.metrics.pairwise import rbf_kernel

from benchmarks import bench_density
from benchmarks._density_data import (
    REAL,
    SETS,
    Known,
    PlaneGrid,
    drawn_log_normalizer,
    ring_rows,
    series_log_normalizer,
)
from benchmarks._density_peers import KEF, PEERS, MixtureByBIC, WhitenedKernelDensity
from benchmarks._harness import LocalRunner, Report
from benchmarks.bench_density import (
    GAUSS,
    GMM,
    KDE,
    OURS,
    REFINED,
    REGISTRY,
    SECTIONS,
    WAYS,
    Case,
    Scores,
    Truth,
    divergences,
    fit_and_listen,
    over_sets,
    paired_rows,
)


def run(section, folder, *options):
    path = folder / "figures.json"
    bench_density.main([section, "--tiny", "--json", str(path), *options])
    return json.loads(path.read_text(encoding="utf-8"))["sections"][section]


# --------------------------------------------------------------------------------------
# sections


@pytest.mark.parametrize("section", SECTIONS)
def test_section(section, tmp_path, capsys):
    found = run(section, tmp_path)
    printed = capsys.readouterr().out
    assert not any(remark.startswith("FAILED") for remark in found["remarks"])
    for table in found["tables"]:
        assert table["title"] in printed
        assert all(row["seconds"] > 0 for row in table["rows"] if "seconds" in row)
    globals()[f"_check_{section}"]([table["rows"] for table in found["tables"]], found["remarks"])


def _check_quality(tables, remarks):
    scores, paired = tables
    assert [row["method"] for row in scores] == [KDE, GMM, OURS, REFINED]
    assert all(np.isfinite([row["KL"], row["rel. Fisher"]]).all() for row in scores)
    assert all(row["log Z off by"] < 1e-3 for row in scores[2:])
    assert {(row["ours"], row["peer"]) for row in paired} == {
        (mine, theirs) for mine in (OURS, REFINED) for theirs in (KDE, GMM)
    }
    ours, kde = scores[2], scores[0]
    assert paired[0]["KL ours - peer"] == pytest.approx(ours["KL"] - kde["KL"])


def _check_real(tables, remarks):
    (rows,) = tables
    assert [row["method"] for row in rows] == [GAUSS, KDE, GMM, OURS]
    ours = rows[-1]["log-likelihood"]
    for row in rows[:-1]:
        assert row[f"{OURS} - it"] == pytest.approx(ours - row["log-likelihood"])


def _check_speed(tables, remarks):
    default, evaluation, fixed, first = tables
    assert [row["what"] for row in default] == [KDE, f"{KDE}, default tree", OURS]
    assert len(evaluation) == 4
    there = not any(f"skipped {KEF}" in remark for remark in remarks)
    assert len(fixed) == 3 + there
    assert (f"not run: {KEF}" in remarks) != there
    assert all(row["first"] > 0 for row in first)


def _check_growth(tables, remarks):
    (rows,) = tables
    assert [(row["n"], row["d"]) for row in rows] == [(200, 2)]
    assert rows[0]["peak MiB beyond X"] >= 0


def _check_normalizer(tables, remarks):
    (rows,) = tables
    assert [row["truth by"] for row in rows] == list(WAYS)
    # The base is a Gaussian: three centres are told exactly, by whatever way it was found.
    assert rows[1]["largest error"] < 1e-3


def _check_samples(tables, remarks):
    (rows,) = tables
    assert all(0 <= row[key] <= 1 for row in rows for key in ("exact/exact", "ours/exact"))
    assert all(0 <= row["masses off by"] <= 1 for row in rows)


# --------------------------------------------------------------------------------------
# peers


@pytest.mark.parametrize(
    "model",
    [
        WhitenedKernelDensity(5),
        MixtureByBIC(("full",), 3),
        MixtureByBIC(("diag",), 3),
    ],
    ids=["kernel density", "full", "diag"],
)
def test_peers_are_densities(model):
    """They integrate to one, and their score is the gradient of their logarithm."""
    drawn = Known("banana", 2).draw(150, 5, 0)
    model.fit(drawn.X)
    grid = PlaneGrid.around(drawn.X, 201)
    assert grid.log_normalizer(grid.values(model.score_samples))[0] == pytest.approx(0, abs=1e-6)
    for x, score in zip(drawn.fresh, model.score_function(drawn.fresh), strict=True):
        slopes = approx_fprime(x, lambda x: model.score_samples(x[None])[0], 1e-6)
        assert np.allclose(slopes, score, atol=1e-3 * np.abs(score).max())


def test_mixture_has_the_least_bic():
    X = Known("grid", 2).draw(200, 1, 0).X
    full, diag = (MixtureByBIC((each,), 5).fit(X).model_.bic(X) for each in ("full", "diag"))
    assert MixtureByBIC(most=5).fit(X).model_.bic(X) == min(full, diag)


def test_kernel_exp_family_is_told_the_same_problem():
    """Its coefficients solve the lite system with the identity beside the kernel matrix."""
    runner = LocalRunner(REGISTRY)
    try:
        runner.version(KEF)
    except Exception as error:
        pytest.skip(f"{KEF}: {error}")
    X = np.random.default_rng(0).standard_normal((12, 2))
    bandwidth, alpha = 0.8, 0.01
    found = PEERS[KEF].run(X=X, bandwidth=bandwidth, alpha=alpha, n_threads=1)
    K = rbf_kernel(X, gamma=0.5 / bandwidth**2)
    G, h = np.zeros((12, 12)), np.zeros(12)
    for x in X:
        k = rbf_kernel(x[None], X, gamma=0.5 / bandwidth**2)[0]
        J = -k[:, None] * (x - X) / bandwidth**2
        G += J @ J.T / 12
        h += k * (np.sum((x - X) ** 2, axis=1) / bandwidth**4 - 2 / bandwidth**2) / 12
    coef = -np.linalg.solve(G + alpha * (K + np.eye(12)), h)
    assert np.allclose(found["values"], (K @ coef)[:5])


# --------------------------------------------------------------------------------------
# data


@pytest.mark.parametrize("known", SETS, ids=str)
def test_a_seed_is_a_sample(known):
    first, again, other = (known.draw(30, 20, seed) for seed in (1, 1, 2))
    assert first.X.shape == (30, known.d)
    assert first.fresh.shape == (20, known.d)
    assert np.array_equal(first.X, again.X)
    assert np.array_equal(first.fresh, again.fresh)
    assert not np.array_equal(first.X, other.X)
    assert not np.isin(first.X, first.fresh).any()
    assert Known.parse(f"{known.name}:{known.d}") == known


def test_ring_rows_have_any_number_of_columns():
    X = ring_rows(2000, 100, 0)
    assert X.shape == (2000, 100)
    assert np.allclose(X[:, 2:].std(axis=0), 1.0, atol=0.1)
    radius = np.hypot(X[:, 0], X[:, 1])
    assert np.mean(np.minimum(abs(radius - 1), abs(radius - 3)) < 0.75) > 0.98


@pytest.mark.parametrize("name", REAL)
def test_real_rows_are_standardised_by_the_training_part(name):
    train, test = REAL[name](0)
    assert np.allclose(train.mean(axis=0), 0.0, atol=1e-9)
    assert np.allclose(train.std(axis=0), 1.0)
    assert len(test) == pytest.approx(0.3 * (len(train) + len(test)), abs=1)
    assert not np.allclose(test.mean(axis=0), 0.0, atol=1e-3)


# --------------------------------------------------------------------------------------
# integrals


@pytest.fixture
def gaussian():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((2, 2))
    return multivariate_normal(rng.standard_normal(2), A @ A.T + 0.1 * np.eye(2))


def test_grid_integrates(gaussian):
    X = gaussian.rvs(100, random_state=0)
    grid = PlaneGrid.around(X, 101)
    value, error = grid.log_normalizer(grid.values(gaussian.logpdf, block=77) + 3.0)
    assert value == pytest.approx(3.0, abs=1e-9)
    assert error < 1e-6


def test_grid_knows_masses_and_draws(gaussian):
    """Left and right of the mean lies one half; draws have the moments."""
    grid = PlaneGrid.around(gaussian.rvs(100, random_state=0), 101)
    values = grid.values(gaussian.logpdf)
    right = (grid.points[:, 0] > gaussian.mean[0]).astype(int)
    assert np.allclose(grid.masses(values, right, 2), 0.5, atol=0.05)
    assert grid.masses(values, right, 2).sum() == pytest.approx(1.0)
    draws = grid.draw(values, 40_000, np.random.default_rng(1))
    assert np.allclose(draws.mean(axis=0), gaussian.mean, atol=0.05)
    assert np.allclose(np.cov(draws.T), gaussian.cov, atol=0.1)


def test_many_draws_integrate():
    """A density that is known up to a constant, which is neither of those drawn from."""
    drawn = Known("funnel", 3).draw(200, 20_000, 0)
    other = multivariate_normal(np.full(3, 0.3), np.diag([0.5, 1.0, 0.7]))
    value, error = drawn_log_normalizer(lambda X: other.logpdf(X) - 5.0, drawn, 1)
    assert 0 < error < 0.02
    assert abs(value + 5.0) < 4.0 * error


@pytest.mark.parametrize("signs", [(1.5, 0.7, 0.9), (1.5, -0.7, -2.0)])
def test_series_in_one_dimension(signs):
    mean, variance, metric = 0.4, 1.7, 2.3
    centers = np.array([[-0.5], [0.1], [1.2]])

    def height(x):
        bumps = np.exp(-0.5 * metric * (x - centers[:, 0]) ** 2)
        gauss = np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
        return gauss * np.exp(bumps @ np.array(signs))

    wanted = np.log(quad(height, -15, 15, epsabs=1e-12)[0])
    found = series_log_normalizer(
        np.array([mean]), np.array([[variance]]), np.array([[metric]]), centers, np.array(signs)
    )
    assert found == pytest.approx(wanted, abs=1e-9)


def test_series_beside_the_grid(gaussian):
    """A metric that is not aligned with the covariance."""
    metric = np.array([[1.5, 0.4], [0.4, 0.8]])
    centers, coef = gaussian.rvs(3, random_state=2), np.array([1.2, -0.8, 0.5])

    def log_density(X):
        away = X[:, None, :] - centers
        bumps = np.exp(-0.5 * np.einsum("nmi,ij,nmj->nm", away, metric, away))
        return gaussian.logpdf(X) + bumps @ coef

    grid = PlaneGrid.around(gaussian.rvs(100, random_state=0), 301)
    wanted, _ = grid.log_normalizer(grid.values(log_density))
    found = series_log_normalizer(gaussian.mean, gaussian.cov, metric, centers, coef)
    assert found == pytest.approx(wanted, abs=1e-9)


# --------------------------------------------------------------------------------------
# measures


class _Shifted:
    """A density whose logarithm is off by a number, and whose score by a factor."""

    def __init__(self, density, log_factor, factor):
        self.density, self.log_factor, self.factor = density, log_factor, factor

    def score_samples(self, X):
        return self.density.score_samples(X) - self.log_factor

    def score_function(self, X):
        return self.factor * self.density.score_function(X)


def test_divergences():
    drawn = Known("ring", 3).draw(1, 50, 0)
    assert divergences(drawn, drawn.density) == (0.0, 0.0)
    assert divergences(drawn, _Shifted(drawn.density, 0.7, 0.5)) == pytest.approx((0.7, 0.25))


def test_over_sets():
    mean, error = over_sets([[1.0, 3.0], [10.0, 10.0, 10.0]])
    assert mean == pytest.approx(6.0)
    assert error == pytest.approx(0.5)
    assert over_sets([[1.0], [2.0]]) == (1.5, None)


def test_paired_rows():
    mine, theirs = Scores(kl=[0.1, 0.3], fisher=[0.2, 0.2]), Scores(kl=[0.2, 0.2], fisher=[0.5] * 2)
    found = {Known("ring", 2): {OURS: mine, GMM: theirs}, Known("ring", 5): {GMM: theirs}}
    (row,) = paired_rows(found, [GMM, OURS])
    assert row["d"] == 2
    assert row["KL ours - peer"] == pytest.approx(0.0)
    assert row["s.e."] == pytest.approx(0.1)
    assert row["Fisher ours - peer"] == pytest.approx(-0.3)
    assert row["within one s.e."]


def test_truth_in_standard_errors():
    truth = Truth(1.0, 0.03, 0.9, 0.04, 0.5, False)
    assert truth.z == pytest.approx(2.0)


def test_case():
    assert Case.parse("ring:5:fixed:draws") == Case(Known("ring", 5), "fixed", "draws")
    with pytest.raises(ValueError, match="nothing"):
        Case.parse("ring:5:nothing:draws")


def test_a_method_that_fails_is_said(monkeypatch, capsys):
    """It has no row, and the others go on."""

    def failing(seed):
        raise ArithmeticError("no")

    monkeypatch.setitem(bench_density.SMALL, KDE, failing)
    settings = bench_density.Settings(
        tiny=True, seeds=2, first_seed=0, n_samples=40, n_fresh=10, methods=(KDE, GMM), n_side=11
    )
    report = Report()
    report.section("quality", "")
    found = bench_density.run_set(Known("mix3", 3), settings, report)
    assert {name: len(scores.kl) for name, scores in found.items()} == {GMM: 2}
    (remark,) = report.content["sections"]["quality"]["remarks"]
    assert remark == "FAILED: KDE, mix3 d=3, seed 0: ArithmeticError: no"


def test_warnings_are_kept():
    class Loud:
        def fit(self, X):
            warnings.warn("oh", UserWarning, stacklevel=1)
            return self

    fitted = fit_and_listen(Loud(), np.zeros((1, 1)))
    assert fitted.warned == ["oh"]
    assert isinstance(fitted.model, Loud)
