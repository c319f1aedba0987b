"""Values and gradients of all pair losses: one list of settings under every test.

A new loss is a line in LOSSES and a twin in ``tests/reference.py``.
"""

from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from skmmd.metric_learning import pair_loss
from tests import reference
from tests.strategies import FORMS, as_form, samples

LOSSES = (
    "contrastive",
    "triplet",
    "triplet_center",
    "n_pair",
    "quadruplet",
    "lifted_structure",
    "nca",
)
SYMMETRIC = ("contrastive", "lifted_structure")  # the margin of two classes, in no order
WITHOUT_MARGIN = ("n_pair", "nca")
WITHOUT_PAIRS = ("triplet_center", "nca")
ROTATION_ONLY = ("n_pair",)  # inner products: a shift changes them


def class_margins(labels, symmetric):
    """Return margins of all pairs of classes, of no round ratio to distances on a grid."""
    c = len(set(np.asarray(labels).tolist()))
    M = 0.3 + np.random.default_rng(c).uniform(size=(c, c))
    return (M + M.T) / 2 if symmetric else M


def partial_margins(labels, symmetric):
    """Return a dict that names some pairs of classes, one of them in both orders."""
    a, *others = sorted(set(np.asarray(labels).tolist()))
    if not others:
        return {}
    named = {(others[0], a): 1.731}
    if not symmetric:
        named[(a, others[0])] = 0.417
    if len(others) > 1:
        named[(a, others[1])] = 0.273
    return named


VARIANTS = {
    "default": {},
    "sum": {"reduction": "sum", "margin": 0.731},
    "class margins": {"margin": class_margins, "margin2": 0.231},
    "named margins": {"margin": partial_margins, "margin2": 1.231},
    "normalized": {"normalize": True, "margin": 0.531},
    "nearest": {"positives": "neighbors", "n_neighbors": 1, "margin": 0.731},
    "neighbors": {"positives": "neighbors", "margin": class_margins},
    "neighbors sum normalized": {
        "positives": "neighbors",
        "n_neighbors": 2,
        "reduction": "sum",
        "normalize": True,
        "margin": 0.231,
    },
}
SETTINGS = {
    f"{loss}-{name}": {"loss": loss, **variant}
    for loss in LOSSES
    for name, variant in VARIANTS.items()
    if not (loss in WITHOUT_MARGIN and name == "named margins")
    and not (loss in WITHOUT_PAIRS and variant.get("positives") == "neighbors")
}
REAL_FORMS = tuple(form for form in FORMS if form != "integer")
each_setting = pytest.mark.parametrize("setting", SETTINGS)
each_loss = pytest.mark.parametrize("loss", LOSSES)


def rows(d=3, seed=0, sizes=(5, 4, 3, 1), spread=0.6):
    """Return rows in mixed order, of classes of these shares."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    Z = rng.normal(size=(len(y), d)) + spread * rng.normal(size=(len(sizes), d))[y]
    order = rng.permutation(len(y))
    return Z[order], y[order]


def with_duplicates(seed):
    """Rows that occur twice, in their own class and in another one."""
    Z, y = rows(seed=seed)
    for c in (0, 1):
        first, second = np.flatnonzero(y == c)[:2]
        Z[second] = Z[first]
    Z[np.flatnonzero(y == 2)[0]] = Z[np.flatnonzero(y == 0)[0]]
    return Z, y


def distant(seed):
    """Classes that lie far apart beside their spread."""
    Z, y = rows(seed=seed)
    return Z + 300.0 * y[:, None], y


DATA = {
    "classes": rows(seed=1),
    "one column": rows(d=1, seed=2),
    "many columns": rows(d=20, seed=3),
    "two classes": rows(sizes=(6, 4), seed=4),
    "two rows each": rows(sizes=(2, 2, 2), seed=5),
    "a pair and a row": rows(sizes=(2, 1), seed=6),
    "duplicates": with_duplicates(7),
    "distant": distant(8),
    "a zero row": (np.vstack([np.zeros(3), rows(seed=9)[0]]), np.append(0, rows(seed=9)[1])),
}
each_data = pytest.mark.parametrize("data", DATA)


def arguments(setting, y):
    """Return the setting with margins that fit the labels."""
    chosen = dict(SETTINGS[setting])
    if callable(chosen.get("margin")):
        chosen["margin"] = chosen["margin"](y, chosen["loss"] in SYMMETRIC)
    return chosen


@cache
def twin(data, setting):
    Z, y = DATA[data]
    return reference.pair_loss(Z, y, **arguments(setting, y))


def assert_same(ours, expected, rtol=1e-12, gradient_rtol=1e-11):
    """Compare with a twin; the gradient relative to its largest entry."""
    assert ours.value == pytest.approx(expected.value, rel=rtol, abs=0)
    size = np.abs(expected.gradient).max()
    np.testing.assert_allclose(ours.gradient, expected.gradient, rtol=0, atol=gradient_rtol * size)
    assert ours.n_terms == pytest.approx(expected.n_terms, rel=1e-13)
    assert ours.n_active == pytest.approx(expected.n_active, rel=1e-13)


def numeric_gradient(value, Z, step=1e-6):
    gradient = np.zeros_like(Z)
    for place in np.ndindex(*Z.shape):
        shift = np.zeros_like(Z)
        shift[place] = step
        gradient[place] = (value(Z + shift) - value(Z - shift)) / (2 * step)
    return gradient


# --------------------------------------------------------------------------------------
# against the twins


@each_setting
@each_data
def test_losses_equal_their_twins(data, setting):
    Z, y = DATA[data]
    assert_same(pair_loss(Z, y, **arguments(setting, y)), twin(data, setting))


@each_setting
def test_gradients_equal_finite_differences(setting):
    Z, y = DATA["classes"]
    options = arguments(setting, y)
    numeric = numeric_gradient(lambda Z: pair_loss(Z, y, **options).value, Z)
    gradient = pair_loss(Z, y, **options).gradient
    assert np.abs(gradient).max() > 0
    np.testing.assert_allclose(gradient, numeric, rtol=0, atol=1e-6 * np.abs(numeric).max())


@each_setting
@given(
    data=samples(3, 1, 4, forms=REAL_FORMS, contents=("normal", "constant column", "offset")),
    seed=st.integers(0, 2**32 - 1),
)
def test_losses_equal_their_twins_in_every_form(setting, data, seed):
    y = np.repeat(np.arange(3), [len(Z) for Z in data.plain])
    order = np.random.default_rng(seed).permutation(len(y))
    Z, y = np.concatenate(data.plain)[order], y[order]
    options = arguments(setting, y)
    ours = pair_loss(as_form(Z, data.form), y, **options)
    expected = reference.pair_loss(Z, y, **options)
    # Normalised rows at an offset of 1000 differ by a thousandth: three digits are lost.
    lost = 1e7 if data.form == "float32" else 1e4 if data.content == "offset" else 1
    assert ours.value == pytest.approx(expected.value, rel=1e-12 * lost, abs=1e-12 * lost)
    size = max(np.abs(expected.gradient).max(), np.abs(Z).max() if data.form == "float32" else 0)
    np.testing.assert_allclose(
        ours.gradient, expected.gradient, rtol=0, atol=max(1e-10 * lost * size, 1e-13)
    )
    assert ours.n_terms == expected.n_terms


@each_loss
@given(data=samples(3, min_rows=1, max_rows=4, contents=("grid", "duplicates")))
def test_values_with_equal_distances(loss, data):
    y = np.repeat(["b", "a", "c"], [len(Z) for Z in data.plain])
    Z = np.concatenate(data.plain)
    options = {"loss": loss, "margin": 0.7310585786, "margin2": 0.2689414214}
    ours = pair_loss(as_form(Z, data.form), y, **options)
    expected = reference.pair_loss(Z, y, **options)
    rtol = 1e-5 if data.form == "float32" else 1e-12
    assert ours.value == pytest.approx(expected.value, rel=rtol, abs=rtol)
    assert (ours.n_terms, ours.n_active) == (expected.n_terms, expected.n_active)


# --------------------------------------------------------------------------------------
# against another package


ANCHOR = np.array(
    [
        [0.3, -1.2],
        [1.1, 0.4],
        [-0.7, 0.9],
        [0.2, 0.5],
        [-1.4, -0.6],
        [0.8, -0.3],
        [1.6, 1.3],
        [-0.1, -0.8],
    ]
)
ANCHOR_LABELS = np.array([0, 1, 0, 2, 1, 2, 0, 1])
# pytorch-metric-learning 2.9.0, torch 2.13.0, float64: TripletMarginLoss (squared distances,
# MeanReducer), LiftedStructureLoss(neg_margin=0.7, pos_margin=0), NTXentLoss(temperature=1) of
# inner products; the value and the first two rows of the gradient.
PEER = (
    (
        {"loss": "triplet", "margin": 0.7},
        2.6362499999999995,
        [[-0.108333333333333, -0.766666666666667], [0.591666666666667, 0.477777777777778]],
    ),
    (
        {"loss": "triplet", "margin": 0.7, "normalize": True},
        1.5599030780079632,
        [[-0.034090603186232, -0.008522650796558], [-0.081078443911914, 0.222965720757763]],
    ),
    (
        {"loss": "triplet", "margin": 0.7, "reduction": "sum"},
        189.80999999999997,
        [[-7.8, -55.2], [42.6, 34.4]],
    ),
    (
        {"loss": "lifted_structure", "margin": 0.7},
        6.624846465520754,
        [[-0.36612798372505, -0.206081781881425], [0.533684959682031, 0.564318603619188]],
    ),
    (
        {"loss": "lifted_structure", "margin": 0.7, "normalize": True},
        6.041284687271899,
        [[-0.358050907548012, -0.089512726887003], [-0.195927807589935, 0.53880147087232]],
    ),
    (
        {"loss": "n_pair"},
        2.6671692970455783,
        [[-0.15976052955489, -0.422701965129774], [0.518541737275738, 0.416861664720646]],
    ),
    (
        {"loss": "n_pair", "normalize": True},
        2.250268828139842,
        [[-0.063868706896937, -0.015967176724234], [-0.044286755752111, 0.121788578318305]],
    ),
)


@pytest.mark.parametrize(("options", "value", "gradient"), PEER, ids=str)
def test_losses_equal_those_of_pytorch_metric_learning(options, value, gradient):
    ours = pair_loss(ANCHOR, ANCHOR_LABELS, **options)
    assert ours.value == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(ours.gradient[:2], gradient, rtol=1e-12, atol=2e-15)


# --------------------------------------------------------------------------------------
# by hand


def test_contrastive_by_hand():
    """One column, l = 1: positive pairs of distance .8, negative ones of 1, 1.8, .2 and 1."""
    Z, y = [[0.0], [0.8], [1.0], [1.8]], ["a", "a", "b", "b"]
    assert pair_loss(Z, y, loss="contrastive").value == pytest.approx(0.32 + 0.32 / 4)
    optimum = pair_loss(np.multiply(Z, 25 / 49), y, loss="contrastive")
    assert optimum.value == pytest.approx(12 / 49, rel=1e-14)
    assert np.sum(optimum.gradient * Z) == pytest.approx(0, abs=1e-15)
    assert (optimum.n_terms, optimum.n_active) == (6, 6)


def test_counts_by_hand():
    """Sizes 3, 2, 1: triplets 3*2*3 + 2*1*4; second terms 6 * (2*2*1) + 2 * (2*3*1)."""
    Z, y = rows(sizes=(3, 2, 1))
    expected = {
        "contrastive": (3 + 1) + (3 * 2 + 3 * 1 + 2 * 1),
        "triplet": 18 + 8,
        "triplet_center": 6,
        "n_pair": 6 + 2,
        "quadruplet": 18 + 8 + 24 + 12,
        "lifted_structure": 3 + 1,
        "nca": 5,
    }
    assert {loss: pair_loss(Z, y, loss=loss).n_terms for loss in LOSSES} == expected
    # A large margin makes every hinge count, zero distances and a negative one none.
    for loss in ("triplet", "quadruplet", "triplet_center"):
        ours = pair_loss(Z, y, loss=loss, margin=1e4, margin2=1e4)
        assert ours.n_active == ours.n_terms == expected[loss]
        none = pair_loss(1e3 * y[:, None] ** 3.0, y, loss=loss)
        assert (none.value, none.n_active) == (0.0, 0)
        assert not none.gradient.any()


def test_counts_of_many_rows_are_exact():
    sizes = np.array([330, 157, 128, 90, 1, 20])
    n, pairs = sizes.sum(), sizes * (sizes - 1)
    apart = (n - sizes) ** 2 - (np.sum(sizes**2) - sizes**2)
    expected = {
        "contrastive": n * (n - 1) // 2,
        "triplet": np.sum(pairs * (n - sizes)),
        "triplet_center": n,
        "n_pair": pairs.sum(),
        "quadruplet": np.sum(pairs * (n - sizes)) + np.sum(pairs * apart),
        "lifted_structure": pairs.sum() // 2,
        "nca": n - 1,
    }
    Z, y = many_rows()
    assert {loss: pair_loss(Z, y, loss=loss).n_terms for loss in LOSSES} == expected
    for loss in ("triplet", "quadruplet"):
        every = pair_loss(Z, y, loss=loss, margin=1e6, margin2=1e6)
        assert every.n_active == expected[loss]


# --------------------------------------------------------------------------------------
# what does not matter, and what scales


@each_setting
def test_rotations_turn_the_gradient(setting):
    Z, y = DATA["classes"]
    options = arguments(setting, y)
    Q = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    plain, turned = pair_loss(Z, y, **options), pair_loss(Z @ Q, y, **options)
    assert turned.value == pytest.approx(plain.value, rel=1e-12)
    size = np.abs(plain.gradient).max()
    np.testing.assert_allclose(turned.gradient, plain.gradient @ Q, rtol=0, atol=1e-12 * size)


@each_setting
def test_the_order_of_rows_does_not_matter(setting):
    Z, y = DATA["classes"]
    options = arguments(setting, y)
    order = np.random.default_rng(4).permutation(len(y))
    plain, mixed = pair_loss(Z, y, **options), pair_loss(Z[order], y[order], **options)
    assert mixed.value == pytest.approx(plain.value, rel=1e-13)
    size = np.abs(plain.gradient).max()
    np.testing.assert_allclose(mixed.gradient, plain.gradient[order], rtol=0, atol=1e-12 * size)
    assert (mixed.n_terms, mixed.n_active) == (plain.n_terms, plain.n_active)


def depends_on_origin(setting):
    """Inner products and unit rows do."""
    return SETTINGS[setting]["loss"] in ROTATION_ONLY or "normalize" in SETTINGS[setting]


@pytest.mark.parametrize("setting", [s for s in SETTINGS if not depends_on_origin(s)])
@pytest.mark.parametrize("offset", [10.0, 1e6])
def test_translations_do_not_matter(setting, offset):
    """Rows on a fine grid are moved without rounding."""
    Z, y = DATA["classes"]
    options = arguments(setting, y)
    Z = np.round(Z * 2.0**20) / 2.0**20
    plain, moved = pair_loss(Z, y, **options), pair_loss(Z + offset, y, **options)
    assert moved.value == pytest.approx(plain.value, rel=1e-12)
    size = np.abs(plain.gradient).max()
    np.testing.assert_allclose(moved.gradient, plain.gradient, rtol=0, atol=1e-11 * size)
    np.testing.assert_allclose(plain.gradient.sum(axis=0), 0, atol=1e-12 * len(y) * size)


@pytest.mark.parametrize(
    "setting",
    [s for s in SETTINGS if s.startswith(ROTATION_ONLY) and "normalize" not in SETTINGS[s]],
)
def test_inner_products_far_from_the_origin(setting):
    Z, y = DATA["classes"]
    options = arguments(setting, y)
    ours, expected = (f(Z + 1e6, y, **options) for f in (pair_loss, reference.pair_loss))
    assert_same(ours, expected, gradient_rtol=1e-9)


@each_setting
def test_lengths_do_not_matter_once_normalised(setting):
    Z, y = DATA["classes"]
    options = {**arguments(setting, y), "normalize": True}
    lengths = np.random.default_rng(2).uniform(0.1, 10, size=(len(y), 1))
    plain, scaled = pair_loss(Z, y, **options), pair_loss(Z * lengths, y, **options)
    assert scaled.value == pytest.approx(plain.value, rel=1e-12)
    size = np.abs(plain.gradient).max()
    np.testing.assert_allclose(scaled.gradient * lengths, plain.gradient, rtol=0, atol=1e-12 * size)
    np.testing.assert_allclose(np.sum(plain.gradient * Z, axis=1), 0, atol=1e-13 * size)


@each_setting
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_tiny_and_huge_rows_equal_the_twins(setting, scale):
    """With the margins as they are, so that nearly all terms count, or few."""
    Z, y = DATA["classes"]
    options = arguments(setting, y)
    ours, expected = (f(Z * scale, y, **options) for f in (pair_loss, reference.pair_loss))
    # Exponents of 1e16 carry absolute errors of 1, exponents of 1e8 of 1e-8.
    loose = {"n_pair": 1e-9, "lifted_structure": 1e-7}.get(options["loss"], 1e-11)
    assert_same(ours, expected, gradient_rtol=loose if scale > 1 else 1e-11)


@pytest.mark.parametrize("loss", ["triplet", "triplet_center", "quadruplet", "contrastive"])
@pytest.mark.parametrize("scale", [1e-8, 1e8, 1e100, 1e-100])
def test_a_margin_is_only_a_scale(loss, scale):
    Z, y = DATA["classes"]
    power = 1 if loss == "contrastive" else 2
    options = {"positives": "neighbors", "loss": loss}
    plain = pair_loss(Z, y, margin=0.7, margin2=0.3, **options)
    scaled = pair_loss(
        Z * scale, y, margin=0.7 * scale**power, margin2=0.3 * scale**power, **options
    )
    assert scaled.value == pytest.approx(plain.value * scale**2, rel=1e-12)
    size = np.abs(plain.gradient).max()
    np.testing.assert_allclose(scaled.gradient / scale, plain.gradient, rtol=0, atol=1e-11 * size)
    assert (scaled.n_terms, scaled.n_active) == (plain.n_terms, plain.n_active)


@each_loss
def test_terms_that_vanish_keep_their_digits(loss):
    """Well separated classes: exp(-40) beside 1 would be lost."""
    Z, y = DATA["classes"]
    Z = Z * 0.2 + 7.0 * np.eye(3)[y % 3] * (1 + (y == 3))[:, None]
    ours, expected = pair_loss(Z, y, loss=loss), reference.pair_loss(Z, y, loss=loss)
    assert ours.value == pytest.approx(expected.value, rel=1e-11, abs=0)
    assert ours.n_active == expected.n_active
    np.testing.assert_allclose(
        ours.gradient, expected.gradient, rtol=0, atol=1e-10 * np.abs(expected.gradient).max()
    )


@each_loss
def test_one_row_far_away(loss):
    """Its coordinates must not cost the others their digits: target terms of all are kept."""
    Z, y = rows(sizes=(5, 4, 3), seed=11)
    lone = int(np.flatnonzero(y == 2)[0])
    y[lone], Z[lone] = 3, [1e5, -2e5, 1.5e5]
    options = {"loss": loss, "positives": "neighbors"}
    ours, expected = (f(Z, y, **options) for f in (pair_loss, reference.pair_loss))
    assert_same(ours, expected, rtol=1e-11, gradient_rtol=1e-8 if loss == "n_pair" else 1e-10)


# --------------------------------------------------------------------------------------
# few classes, equal rows


@each_loss
@pytest.mark.parametrize("positives", ["all", "neighbors"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_one_class_alone(loss, positives, reduction):
    Z = DATA["classes"][0]
    y = np.full(len(Z), "only")
    options = {"loss": loss, "positives": positives, "reduction": reduction}
    ours = pair_loss(Z, y, **options)
    expected = reference.pair_loss(Z, y, **options)
    assert ours.value == pytest.approx(expected.value, rel=1e-12, abs=0)
    np.testing.assert_allclose(ours.gradient, expected.gradient, rtol=0, atol=1e-12)
    assert ours.n_active == expected.n_active
    assert (ours.value > 0) == (loss == "contrastive")


@each_loss
@pytest.mark.parametrize("positives", ["all", "neighbors"])
def test_no_class_with_two_rows(loss, positives):
    Z = DATA["classes"][0]
    y = np.arange(len(Z))
    options = {"loss": loss, "positives": positives}
    ours, expected = (f(Z, y, **options) for f in (pair_loss, reference.pair_loss))
    assert_same(ours, expected)
    if loss not in ("contrastive", "triplet_center"):
        assert (ours.value, ours.n_terms) == (0.0, 0)
        assert not ours.gradient.any()


@each_loss
def test_a_single_row_has_no_terms_but_its_own(loss):
    ours = pair_loss([[1.0, 2.0]], [3], loss=loss)
    assert ours.value == 0.0
    assert ours.n_active == 0
    np.testing.assert_array_equal(ours.gradient, np.zeros((1, 2)))


@each_setting
def test_all_rows_equal(setting):
    """Every distance is 0, with derivative 0; nothing is biased by a small constant."""
    y = DATA["classes"][1]
    Z = np.tile([0.1, -0.7, 0.3], (len(y), 1))
    options = arguments(setting, y)
    ours, expected = pair_loss(Z, y, **options), reference.pair_loss(Z, y, **options)
    assert ours.value == pytest.approx(expected.value, rel=1e-13)
    if options["loss"] != "n_pair":  # of inner products, whose derivative is no difference
        np.testing.assert_allclose(ours.gradient, 0, atol=1e-14)
    elif options.get("positives") != "neighbors":
        np.testing.assert_allclose(ours.gradient, expected.gradient, atol=1e-13)
    assert ours.n_terms == expected.n_terms
    assert ours.n_active == expected.n_active


@each_loss
def test_all_rows_zero_and_normalised(loss):
    y = DATA["classes"][1]
    ours = pair_loss(np.zeros((len(y), 2)), y, loss=loss, normalize=True)
    assert np.isfinite(ours.value)
    np.testing.assert_array_equal(ours.gradient, np.zeros((len(y), 2)))


@pytest.mark.parametrize("loss", [x for x in LOSSES if x not in WITHOUT_PAIRS])
def test_equally_near_neighbours_are_taken_in_order(loss):
    """Two mates at the same distance: the first row is the target, also after a shift."""
    Z = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0], [3.0, 2.0], [3.5, 2.5]])
    y = np.array([0, 0, 0, 0, 1, 1])
    for order in ([0, 1, 2, 3, 4, 5], [3, 5, 2, 0, 4, 1], [2, 1, 4, 3, 5, 0]):
        for shift in (0.0, 1 / 3):
            # A shift that rounds: the tie must be found in the rounded rows, if it is there.
            given = (Z + np.round(shift * 2.0**20) / 2.0**20)[order]
            options = {"loss": loss, "positives": "neighbors", "n_neighbors": 1, "margin": 20.1}
            ours, expected = (
                f(given, y[order], **options) for f in (pair_loss, reference.pair_loss)
            )
            assert_same(ours, expected)


@pytest.mark.parametrize("loss", [x for x in LOSSES if x not in WITHOUT_PAIRS])
def test_more_neighbours_than_mates_are_all_mates(loss):
    Z, y = DATA["classes"]
    ours = pair_loss(Z, y, loss=loss, positives="neighbors", n_neighbors=50, reduction="sum")
    every = pair_loss(Z, y, loss=loss, reduction="sum")
    if loss not in ("contrastive", "lifted_structure"):
        assert ours.value == pytest.approx(every.value, rel=1e-13)
        np.testing.assert_allclose(ours.gradient, every.gradient, rtol=0, atol=1e-10)
    expected = reference.pair_loss(
        Z, y, loss=loss, positives="neighbors", n_neighbors=50, reduction="sum"
    )
    assert_same(ours, expected)


def test_what_is_said_to_be_ignored_is():
    Z, y = DATA["classes"]
    plain = pair_loss(Z, y, loss="n_pair")
    for margin in (0.0, 7.0, np.full((4, 4), 2.0), {(0, 1): 5.0}):
        again = pair_loss(Z, y, loss="n_pair", margin=margin)
        assert again.value == plain.value
        np.testing.assert_array_equal(again.gradient, plain.gradient)
    plain = pair_loss(Z, y, loss="triplet_center")
    again = pair_loss(Z, y, loss="triplet_center", positives="neighbors", n_neighbors=1)
    assert again.value == plain.value
    for loss in (x for x in LOSSES if x != "quadruplet"):
        assert pair_loss(Z, y, loss=loss, margin2=9.0).value == pair_loss(Z, y, loss=loss).value


# --------------------------------------------------------------------------------------
# margins


@pytest.mark.parametrize("loss", [x for x in LOSSES if x not in WITHOUT_MARGIN])
def test_margins_in_every_form_agree(loss):
    Z, y = rows(sizes=(4, 3, 3), seed=12)
    names = np.array(["cat", "dog", "wolf"])[y]
    M = np.array([[9.0, 2.0, 2.0], [2.0, 9.0, 0.6], [2.0, 0.6, 9.0]])
    expected = pair_loss(Z, y, loss=loss, margin=M)
    named = {("cat", "dog"): 2.0, ("wolf", "cat"): 2.0, ("dog", "wolf"): 0.6}
    for labels, margin in (
        (y, M.tolist()),
        (y, M + 5 * np.eye(3)),  # the diagonal does not count
        (names, named),
        (names, {**named, ("dog", "cat"): 2.0}),
    ):
        ours = pair_loss(Z, labels, loss=loss, margin=margin)
        assert ours.value == expected.value
        np.testing.assert_array_equal(ours.gradient, expected.gradient)
    assert pair_loss(Z, y, loss=loss, margin=np.ones((3, 3))).value == pytest.approx(
        pair_loss(Z, y, loss=loss, margin={}).value, rel=1e-15
    )
    assert pair_loss(Z, y, loss=loss, margin=1.0).value == pytest.approx(
        pair_loss(Z, y, loss=loss).value, rel=1e-15
    )


@pytest.mark.parametrize("loss", ["triplet", "triplet_center", "quadruplet"])
def test_margins_are_of_anchor_and_negative(loss):
    """An asymmetric matrix: each entry on its own is that of the twin."""
    Z, y = rows(sizes=(3, 3, 3), seed=13)
    for a, b in ((0, 1), (1, 0), (2, 0), (1, 2)):
        M = np.full((3, 3), 0.5)
        M[a, b] = 3.0
        ours, expected = (f(Z, y, loss=loss, margin=M) for f in (pair_loss, reference.pair_loss))
        assert_same(ours, expected)


# --------------------------------------------------------------------------------------
# weights


@each_setting
def test_integer_weights_are_copies(setting):
    Z, y = rows(sizes=(4, 4, 3, 2), seed=14)
    weights = np.array([2, 1, 0, 3, 1, 1, 2, 1, 4, 1, 2, 1, 1])
    assert all(weights[y == c].sum() for c in range(4))
    options = arguments(setting, y)
    ours = pair_loss(Z, y, sample_weight=weights, **options)
    index = np.repeat(np.arange(len(y)), weights)
    copies = pair_loss(Z[index], y[index], **options)
    gradient = np.zeros_like(Z)
    np.add.at(gradient, index, copies.gradient)
    assert ours.value == pytest.approx(copies.value, rel=1e-12)
    np.testing.assert_allclose(
        ours.gradient, gradient, rtol=0, atol=1e-12 * max(np.abs(gradient).max(), 1)
    )
    assert (ours.n_terms, ours.n_active) == (copies.n_terms, copies.n_active)
    expected = reference.pair_loss(Z[index], y[index], **options)
    assert ours.value == pytest.approx(expected.value, rel=1e-12)


@each_setting
@pytest.mark.parametrize("seed", range(3))
def test_fractional_weights_equal_the_twins(setting, seed):
    Z, y = rows(sizes=(4, 3, 2, 1), seed=15 + seed)
    weights = np.random.default_rng(seed).uniform(0.05, [0.9, 2.5, 5.0][seed], size=len(y))
    options = {**arguments(setting, y), "sample_weight": weights}
    ours, expected = (f(Z, y, **options) for f in (pair_loss, reference.pair_loss))
    assert_same(ours, expected)


@each_setting
def test_gradients_with_fractional_weights_equal_finite_differences(setting):
    Z, y = rows(sizes=(3, 3, 2), seed=18)
    weights = np.random.default_rng(5).uniform(0.1, 2.5, size=len(y))
    options = {**arguments(setting, y), "sample_weight": weights}
    ours = pair_loss(Z, y, **options)
    numeric = numeric_gradient(lambda Z: pair_loss(Z, y, **options).value, Z)
    np.testing.assert_allclose(ours.gradient, numeric, rtol=0, atol=1e-6 * np.abs(numeric).max())


@each_setting
def test_weights_of_one_change_nothing(setting):
    Z, y = DATA["duplicates"]
    options = arguments(setting, y)
    plain = pair_loss(Z, y, **options)
    for weights in (np.ones(len(y)), [1] * len(y), np.ones(len(y), dtype=np.float32)):
        ones = pair_loss(Z, y, sample_weight=weights, **options)
        assert ones.value == pytest.approx(plain.value, rel=1e-14)
        np.testing.assert_allclose(ones.gradient, plain.gradient, rtol=0, atol=1e-13)
        assert (ones.n_terms, ones.n_active) == (plain.n_terms, plain.n_active)


@each_loss
@given(data=st.data())
def test_any_integer_weights_are_copies(loss, data):
    Z, y = rows(sizes=(3, 3, 2), seed=data.draw(st.integers(0, 1000)))
    # A class needs not keep any row: it is gone then.
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=8, max_size=8)))
    options = {
        "loss": loss,
        "positives": data.draw(st.sampled_from(["all", "neighbors"])),
        "n_neighbors": data.draw(st.integers(1, 4)),
        "reduction": data.draw(st.sampled_from(["mean", "sum"])),
    }
    if not weights.any():
        weights[0] = 1
    ours = pair_loss(Z, y, sample_weight=weights, **options)
    index = np.repeat(np.arange(8), weights)
    expected = reference.pair_loss(Z[index], y[index], **options)
    gradient = np.zeros_like(Z)
    np.add.at(gradient, index, expected.gradient)
    assert ours.value == pytest.approx(expected.value, rel=1e-12, abs=1e-300)
    np.testing.assert_allclose(
        ours.gradient, gradient, rtol=0, atol=1e-12 * max(np.abs(gradient).max(), 1e-3)
    )
    assert ours.n_active == expected.n_active


@pytest.mark.parametrize("loss", ["triplet", "n_pair"])
@pytest.mark.parametrize("positives", ["all", "neighbors"])
def test_duplicates_and_weights_say_the_same(loss, positives):
    """A weighted row, beside an equal row of its class, fills the places of neighbours in order."""
    Z, y = rows(sizes=(4, 3, 2), seed=16)
    first, second = np.flatnonzero(y == 0)[:2]
    Z[second] = Z[first]
    weights = np.ones(9, dtype=int)
    weights[[first, second]] = 3, 2
    options = {"loss": loss, "positives": positives, "n_neighbors": 4, "margin": 1.7}
    ours = pair_loss(Z, y, sample_weight=weights, **options)
    index = np.repeat(np.arange(9), weights)
    expected = reference.pair_loss(Z[index], y[index], **options)
    gradient = np.zeros_like(Z)
    np.add.at(gradient, index, expected.gradient)
    # Which of two equal rows is pushed does not matter to the map that makes both.
    for G in (gradient, ours.gradient):
        G[first] += G[second]
        G[second] = 0
    assert ours.value == pytest.approx(expected.value, rel=1e-12)
    np.testing.assert_allclose(ours.gradient, gradient, rtol=0, atol=1e-12)


# --------------------------------------------------------------------------------------
# forms of input


@each_loss
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_rows_and_labels(loss, form):
    Z, y = DATA["classes"]
    Z = np.round(Z * 4)
    options = {"loss": loss, "margin": 1.731}
    plain = pair_loss(Z, y, **options)
    names = np.array(["d", "a", "c", "b"])
    ours = pair_loss(as_form(Z, form), y, **options)
    assert ours.value == pytest.approx(plain.value, rel=1e-5 if form == "float32" else 1e-14)
    np.testing.assert_allclose(
        ours.gradient,
        plain.gradient,
        rtol=0,
        atol=(1e-5 if form == "float32" else 1e-14) * np.abs(plain.gradient).max(),
    )
    for labels in (y.tolist(), y.astype(float), names[y], names[y].astype(object), y * -3 + 7):
        assert pair_loss(as_form(Z, form), labels, **options).value == pytest.approx(
            ours.value, rel=1e-13
        )


@each_setting
def test_single_precision(setting):
    """The gradient comes in the precision of the rows, close to that of double precision."""
    Z, y = DATA["classes"]
    Z = Z.astype(np.float32)
    options = arguments(setting, y)
    ours, expected = pair_loss(Z, y, **options), pair_loss(Z.astype(float), y, **options)
    assert ours.gradient.dtype == np.float32
    assert expected.gradient.dtype == np.float64
    assert isinstance(ours.value, float)
    assert ours.value == pytest.approx(expected.value, rel=1e-5)
    size = np.abs(expected.gradient).max()
    np.testing.assert_allclose(ours.gradient, expected.gradient, rtol=0, atol=2e-5 * size)


@pytest.mark.parametrize("loss", [x for x in LOSSES if x not in ROTATION_ONLY])
def test_single_precision_far_from_the_origin(loss):
    """At 1000 the rows are known to 6e-5; nothing more may be lost by the way."""
    Z, y = DATA["classes"]
    Z = (Z + 1000).astype(np.float32)
    ours, expected = pair_loss(Z, y, loss=loss), reference.pair_loss(Z.astype(float), y, loss=loss)
    assert ours.value == pytest.approx(expected.value, rel=1e-5)


@each_setting
def test_inputs_are_left_as_they_are(setting):
    Z, y = (a.copy() for a in DATA["classes"])
    weights = np.arange(1.0, len(y) + 1)
    options = arguments(setting, y)
    arrays = [Z, y, weights, *([options["margin"]] if np.ndim(options.get("margin")) else [])]
    before = [a.copy() for a in arrays]
    for array in arrays:
        array.flags.writeable = False
    ours = pair_loss(Z, y, sample_weight=weights, **options)
    for array, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, kept)
    assert ours.gradient.flags.writeable
    assert not np.shares_memory(ours.gradient, Z)


def test_the_result_is_frozen_and_says_what_it_holds():
    import dataclasses
    import pickle

    ours = pair_loss(*DATA["classes"], loss="triplet")
    with pytest.raises(dataclasses.FrozenInstanceError):
        ours.value = 1.0
    assert isinstance(ours.value, float)
    assert ours.gradient.shape == (13, 3)
    assert "value=" in repr(ours)
    again = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(again.gradient, ours.gradient)


# --------------------------------------------------------------------------------------
# many rows, by whole matrices


def brute_squared(Z):
    return ((Z[:, None, :] - Z[None, :, :]) ** 2).sum(axis=2)


def brute_mask(D, y, n_neighbors):
    """Return which ordered pairs are positives."""
    same = (y[:, None] == y[None, :]) & ~np.eye(len(y), dtype=bool)
    if n_neighbors is None:
        return same
    nearest = np.argsort(np.where(same, D, np.inf), axis=1, kind="stable")[:, :n_neighbors]
    chosen = np.zeros_like(same)
    np.put_along_axis(chosen, nearest, True, axis=1)
    return chosen & same


def gradient_of_distances(W, Z):
    """Return the gradient from the derivatives with respect to squared distances."""
    A = W + W.T
    return 2 * (A.sum(axis=1)[:, None] * Z - A @ Z)


def brute_contrastive(Z, y, M, n_neighbors):
    D = brute_squared(Z)
    positive, negative = brute_mask(D, y, n_neighbors), y[:, None] != y[None, :]
    d = np.sqrt(D)
    gap = np.where(negative, np.maximum(M[y][:, y] - d, 0), 0)
    value = D[positive].mean() / 2 + (gap[negative] ** 2).mean() / 2
    W = positive / (2 * positive.sum()) - gap / np.where(d > 0, 2 * d, 1) / negative.sum()
    return value, gradient_of_distances(W, Z)


def brute_triplet(Z, y, M, n_neighbors):
    D = brute_squared(Z)
    positive = brute_mask(D, y, n_neighbors)
    W, total, count = np.zeros_like(D), 0.0, 0
    for a in range(len(y)):
        p, n = np.flatnonzero(positive[a]), np.flatnonzero(y != y[a])
        values = D[a, p][:, None] - D[a, n][None, :] + M[y[a], y[n]]
        total += values[values > 0].sum()
        count += values.size
        W[a, p] += (values > 0).sum(axis=1)
        W[a, n] -= (values > 0).sum(axis=0)
    return total / count, gradient_of_distances(W / count, Z)


def brute_quadruplet(Z, y, M, n_neighbors, margin2=0.5):
    """All pairs of negatives in order, once for each class of positives."""
    value, gradient = brute_triplet(Z, y, M, n_neighbors)
    D = brute_squared(Z)
    positive = brute_mask(D, y, n_neighbors)
    W, total, count = np.zeros_like(D), 0.0, 0
    for c in np.unique(y):
        pairs = np.nonzero(positive & (y == c)[:, None])
        others = np.nonzero((y[:, None] != y[None, :]) & (y != c)[:, None] & (y != c)[None, :])
        near, far = D[pairs] + margin2, D[others]
        ordered = np.sort(far)
        n_below = np.searchsorted(ordered, near)
        below = np.append(0, np.cumsum(ordered.astype(np.longdouble)))[n_below]
        total += float(np.sum(n_below * near - below))
        count += len(near) * len(far)
        W[pairs] += n_below
        W[others] -= len(near) - np.searchsorted(np.sort(near), far, side="right")
    return value + total / count, gradient + gradient_of_distances(W / count, Z)


def brute_lifted_structure(Z, y, M, n_neighbors):
    D = brute_squared(Z)
    d = np.sqrt(D)
    i, j = np.nonzero(brute_mask(D, y, n_neighbors))
    exponents = np.where(y[:, None] != y[None, :], M[y][:, y] - d, -np.inf)
    each = logsumexp(exponents, axis=1)
    both = np.logaddexp(each[i], each[j])
    J = np.maximum(d[i, j] + both, 0)
    # d J / d d_ik = -exp(m - d_ik - both), summed over the pairs of i as first and second row.
    share = np.bincount(i, J * np.exp(each[i] - both), len(y))
    share += np.bincount(j, J * np.exp(each[j] - both), len(y))
    slope = -share[:, None] * np.exp(exponents - each[:, None])
    np.add.at(slope, (i, j), J)
    W = slope / np.where(d > 0, 2 * d, 1) / len(i)
    return np.mean(J**2) / 2, gradient_of_distances(W, Z)


def brute_n_pair(Z, y, M, n_neighbors):
    S = Z @ Z.T
    positive = brute_mask(brute_squared(Z), y, n_neighbors)
    i, p = np.nonzero(positive)
    negative = y[:, None] != y[None, :]
    each = logsumexp(np.where(negative, S, -np.inf), axis=1)
    excess = each[i] - S[i, p]
    sigmoid = 1 / (1 + np.exp(-excess))
    V = np.bincount(i, sigmoid, len(y))[:, None] * np.where(negative, np.exp(S - each[:, None]), 0)
    np.add.at(V, (i, p), -sigmoid)
    return np.logaddexp(0, excess).mean(), (V + V.T) @ Z / len(i)


def brute_triplet_center(Z, y, M, n_neighbors):
    means = np.array([Z[y == c].mean(axis=0) for c in range(len(M))])
    half = ((Z[:, None, :] - means) ** 2).sum(axis=2) / 2
    own = half[np.arange(len(y)), y]
    keys = np.where(y[:, None] == np.arange(len(M)), np.inf, half - M[y])
    rival = keys.argmin(axis=1)
    values = own - keys.min(axis=1)
    on = values > 0
    R, Q = (Z - means[y]) * on[:, None], (Z - means[rival]) * on[:, None]
    gradient = R - Q
    for c in range(len(M)):
        mine = y == c
        gradient[mine] += (Q[rival == c].sum(axis=0) - R[mine].sum(axis=0)) / mine.sum()
    return values[on].sum() / len(y), gradient / len(y)


def brute_nca(Z, y, M, n_neighbors):
    D = brute_squared(Z)
    np.fill_diagonal(D, np.inf)
    share = np.exp(-D - logsumexp(-D, axis=1)[:, None])
    same = y[:, None] == y[None, :]
    p = (share * same).sum(axis=1)
    mates = same.sum(axis=1) > 1
    W = share * (same - p[:, None]) / mates.sum()
    return 1 - p[mates].mean(), gradient_of_distances(W, Z)


BRUTE = {
    "contrastive": brute_contrastive,
    "triplet": brute_triplet,
    "triplet_center": brute_triplet_center,
    "n_pair": brute_n_pair,
    "quadruplet": brute_quadruplet,
    "lifted_structure": brute_lifted_structure,
    "nca": brute_nca,
}


@each_loss
@pytest.mark.parametrize("n_neighbors", [None, 4])
def test_whole_matrices_equal_the_loops(loss, n_neighbors):
    """The oracle of the next test, itself under a test."""
    Z, y = DATA["classes"]
    M = class_margins(y, loss in SYMMETRIC)
    value, gradient = BRUTE[loss](Z, y, M, n_neighbors)
    positives = "all" if n_neighbors is None else "neighbors"
    expected = reference.pair_loss(
        Z, y, loss=loss, margin=M, positives=positives, n_neighbors=n_neighbors or 1
    )
    assert value == pytest.approx(expected.value, rel=1e-13)
    np.testing.assert_allclose(gradient, expected.gradient, rtol=0, atol=1e-13)


@cache
def many_rows():
    """Classes of unequal size, a lone row among them, that cross the bounds of blocks."""
    return rows(d=5, sizes=(330, 157, 128, 90, 1, 20), seed=21, spread=1.0)


@each_loss
@pytest.mark.parametrize("n_neighbors", [None, 4])
def test_many_rows_equal_whole_matrices(loss, n_neighbors):
    Z, y = many_rows()
    M = class_margins(y, loss in SYMMETRIC)
    value, gradient = BRUTE[loss](Z, y, M, n_neighbors)
    positives = "all" if n_neighbors is None else "neighbors"
    call = partial(
        pair_loss, loss=loss, margin=M, positives=positives, n_neighbors=n_neighbors or 1
    )
    ours = call(Z, y)
    assert ours.value == pytest.approx(value, rel=1e-12)
    size = np.abs(gradient).max()
    np.testing.assert_allclose(ours.gradient, gradient, rtol=0, atol=1e-11 * size)
    weighted = call(Z, y, sample_weight=np.ones(len(y)))
    assert weighted.value == pytest.approx(value, rel=1e-12)


@each_loss
@pytest.mark.parametrize("positives", ["all", "neighbors"])
def test_many_weighted_rows_are_copies(loss, positives):
    Z, y = rows(d=3, sizes=(150, 80, 40, 1), seed=22, spread=1.0)
    weights = np.random.default_rng(3).integers(0, 4, size=len(y))
    weights[y == 3] = 2
    options = {"loss": loss, "positives": positives, "n_neighbors": 5, "margin": 1.3}
    index = np.repeat(np.arange(len(y)), weights)
    ours = pair_loss(Z, y, sample_weight=weights, **options)
    copies = pair_loss(Z[index], y[index], **options)
    gradient = np.zeros_like(Z)
    np.add.at(gradient, index, copies.gradient)
    assert ours.value == pytest.approx(copies.value, rel=1e-12)
    np.testing.assert_allclose(ours.gradient, gradient, rtol=0, atol=1e-11 * np.abs(gradient).max())
    assert (ours.n_terms, ours.n_active) == (copies.n_terms, copies.n_active)
