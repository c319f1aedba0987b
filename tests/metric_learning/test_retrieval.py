"""Measures of retrieval against loops."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skmmd.metric_learning import mean_average_precision_at_r, r_precision, recall_at_k
from tests import reference
from tests.strategies import FORMS, as_form, samples

MEASURES = {
    "MAP@R": (mean_average_precision_at_r, reference.mean_average_precision_at_r),
    "R-precision": (r_precision, reference.r_precision),
    **{
        f"recall@{k}": (
            partial(recall_at_k, k=k),
            lambda Z, y, *others, k=k: reference.recall_at_k(Z, y, k, *others),
        )
        for k in (1, 2, 4)
    },
}
each_measure = pytest.mark.parametrize(("ours", "naive"), MEASURES.values(), ids=MEASURES)


def labelled(n=24, d=2, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, size=n - n_classes)])
    return rng.normal(size=(n, d)) + y[:, None] * 0.7, y


def draw_labels(n, seed):
    rng = np.random.default_rng(seed)
    return np.concatenate([[0, 0], rng.integers(0, 3, size=n - 2)])


@each_measure
@pytest.mark.parametrize("seed", range(5))
def test_measures_equal_loops(ours, naive, seed):
    Z, y = labelled(seed=seed, d=seed + 1)
    assert ours(Z, y) == pytest.approx(naive(Z, y), rel=1e-13)


@each_measure
@given(data=samples(1, min_rows=5, max_rows=14), seed=st.integers(0, 2**32 - 1))
def test_measures_equal_loops_on_awkward_rows(ours, naive, data, seed):
    """Ties among them: on a grid many rows are equally near, and the first comes first."""
    y = draw_labels(len(data.plain[0]), seed)
    assert ours(data.given[0], y) == pytest.approx(naive(data.plain[0], y), rel=1e-13)


@each_measure
@given(data=samples(2, min_rows=4, max_rows=10), seed=st.integers(0, 2**32 - 1))
def test_a_reference_sample_equals_loops(ours, naive, data, seed):
    y, labels = (draw_labels(len(Z), seed) for Z in data.plain)
    value = ours(data.given[0], y, Z_reference=data.given[1], y_reference=labels)
    assert value == pytest.approx(naive(data.plain[0], y, data.plain[1], labels), rel=1e-13)


@each_measure
def test_a_row_finds_its_copy_in_a_reference_sample(ours, naive):
    """No row is left out there, also not one that is the same object."""
    Z, y = labelled()
    value = ours(Z, y, Z_reference=Z, y_reference=y)
    assert value == pytest.approx(naive(Z, y, Z, y), rel=1e-13)
    assert value > ours(Z, y)


def test_small_cases_by_hand():
    Z, y = [[0.0], [1.0], [3.0], [4.0]], [0, 1, 0, 0]
    # Row 0 sees 1, 0, 0 with R = 2: (0 + 1/2) / 2. Row 2: 0 (row 3), 1: 1/2. Row 3: 0, 1: 1/2.
    assert mean_average_precision_at_r(Z, y) == pytest.approx((1 / 4 + 1 / 2 + 1 / 2) / 3)
    assert r_precision(Z, y) == pytest.approx(1 / 2)
    assert recall_at_k(Z, y, 1) == pytest.approx(2 / 3)
    assert recall_at_k(Z, y, 2) == 1.0


def test_perfect_and_hopeless_embeddings():
    Z = [[0.0], [0.1], [5.0], [5.2]]
    for measure, _ in MEASURES.values():
        if measure is not MEASURES["recall@4"][0]:
            assert measure(Z, [0, 0, 1, 1]) == 1.0
    for measure in (mean_average_precision_at_r, r_precision):
        assert measure(Z, [0, 1, 0, 1]) == 0.0


def test_recall_at_one_is_the_accuracy_of_the_nearest_neighbour():
    from sklearn.neighbors import KNeighborsClassifier

    Z, y = labelled(60)
    accuracy = KNeighborsClassifier(1).fit(Z[:40], y[:40]).score(Z[40:], y[40:])
    value = recall_at_k(Z[40:], y[40:], 1, Z_reference=Z[:40], y_reference=y[:40])
    assert value == pytest.approx(accuracy)


@each_measure
def test_rows_without_a_mate_are_left_out_but_found(ours, naive):
    Z, y = labelled(12, n_classes=2)
    Z, y = np.vstack([Z, Z.mean(axis=0)]), np.append(y, 9)
    assert ours(Z, y) == pytest.approx(naive(Z, y), rel=1e-13)
    # Queries of classes that the reference sample lacks have nothing to find.
    with_strangers = ours(Z, y, Z_reference=Z[:12], y_reference=y[:12])
    assert with_strangers == pytest.approx(
        ours(Z[:12], y[:12], Z_reference=Z[:12], y_reference=y[:12])
    )


@each_measure
def test_ties_go_to_the_first_row(ours, naive):
    """All rows equal: the order of the rows decides alone."""
    for y in ([0, 1, 0, 1, 0, 0], [1, 1, 0, 0, 0, 1], [0, 0, 0, 1, 1, 1]):
        for row in ([0.1, 0.2, 0.3], [1e6 + 0.1, -3e5, 7.0]):
            Z = np.tile(row, (6, 1))
            assert ours(Z, y) == pytest.approx(naive(Z, y), rel=1e-13)
    Z = np.array([[0.0], [-1.0], [1.0], [-1.0], [1.0], [2.0]]) * 0.1
    for y in ([0, 1, 0, 1, 0, 0], [1, 1, 0, 0, 0, 1], [0, 0, 1, 1, 0, 1]):
        assert ours(Z, y) == pytest.approx(naive(Z, y), rel=1e-13)


@each_measure
@pytest.mark.parametrize(
    "change",
    [
        lambda Z: Z * 1e8,
        lambda Z: Z * 1e-8,
        lambda Z: Z * 1e160,
        lambda Z: Z * 1e-170,
        lambda Z: Z + 2.0**20,
        lambda Z: Z[:, ::-1] * [-1.0, 1.0],
    ],
    ids=["large", "small", "huge", "tiny", "offset", "reflected"],
)
def test_only_ratios_of_distances_count(ours, naive, change):
    Z, y = labelled(30)
    Z = np.round(Z * 2.0**20) / 2.0**20  # so that an offset rounds nothing
    assert ours(change(Z), y) == ours(Z, y)


@each_measure
def test_the_order_of_rows_does_not_matter_without_ties(ours, naive):
    Z, y = labelled(30)
    order = np.random.default_rng(1).permutation(30)
    assert ours(Z[order], y[order]) == pytest.approx(ours(Z, y), rel=1e-13)


@each_measure
def test_many_rows_equal_a_full_sort(ours, naive):
    """Unequal classes and more rows than a block holds, against one sort of all distances."""
    rng = np.random.default_rng(5)
    y = np.repeat([0, 1, 2, 3], [900, 250, 149, 1])
    order = rng.permutation(1300)
    Z, y = (rng.normal(size=(1300, 4)) + 0.5 * y[:, None])[order], y[order]
    D = ((Z[:, None, :] - Z[None, :, :]) ** 2).sum(axis=2)
    np.fill_diagonal(D, np.inf)
    hits = y[np.argsort(D, axis=1, kind="stable")[:, :-1]] == y[:, None]
    precision = np.cumsum(hits, axis=1) / np.arange(1, 1300)
    values = []
    for row, p in zip(hits, precision, strict=True):
        R = row.sum()
        if R:
            k = {"recall@1": 1, "recall@2": 2, "recall@4": 4}
            name = next(n for n, (measure, _) in MEASURES.items() if measure is ours)
            if name == "MAP@R":
                values.append((p[:R] * row[:R]).sum() / R)
            elif name == "R-precision":
                values.append(row[:R].mean())
            else:
                values.append(row[: k[name]].any())
    assert ours(Z, y) == pytest.approx(np.mean(values), rel=1e-12)
    assert ours(Z, y, n_jobs=2) == ours(Z, y, n_jobs=1)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_rows(form):
    Z, y = np.round(labelled()[0] * 4), labelled()[1]
    assert r_precision(as_form(Z, form), y) == r_precision(Z, y)


@each_measure
def test_labels_are_only_compared(ours, naive):
    Z, y = labelled()
    expected = ours(Z, y)
    for labels in (y.tolist(), y * 1.5 - 1, np.array(["dog", "cat", "wolf"])[y], -y, y == 7):
        if len(np.unique(labels)) > 1:
            assert ours(Z, labels) == expected
    names = np.array(["dog", "cat", "wolf"], dtype=object)[y]
    assert ours(Z, names.tolist(), Z_reference=Z, y_reference=names.astype(str)) == ours(
        Z, y, Z_reference=Z, y_reference=y
    )


def test_inputs_are_left_as_they_are():
    Z, y = labelled()
    before = Z.copy(), y.copy()
    Z.flags.writeable = y.flags.writeable = False
    for measure, _ in MEASURES.values():
        measure(Z, y)
        measure(Z, y, Z_reference=Z, y_reference=y)
    np.testing.assert_array_equal(Z, before[0])
    np.testing.assert_array_equal(y, before[1])


Z0, Y0 = labelled(8)

BAD = {
    "NaN": ((np.where(np.arange(16).reshape(8, 2) == 3, np.nan, Z0), Y0), {}, "Z.*NaN"),
    "inf": ((np.where(np.arange(16).reshape(8, 2) == 3, np.inf, Z0), Y0), {}, "Z.*infinity"),
    "lengths": ((Z0, Y0[:5]), {}, "(?i)inconsistent numbers of samples"),
    "all alone": ((Z0, np.arange(8)), {}, "no row has another row of its class"),
    "no class in common": (
        (Z0, Y0),
        {"Z_reference": Z0, "y_reference": Y0 + 10},
        "no row has a reference",
    ),
    "no labels": ((Z0, Y0), {"Z_reference": Z0}, "y_reference is missing"),
    "no rows": ((Z0, Y0), {"y_reference": Y0}, "Z_reference is missing"),
    "columns": ((Z0, Y0), {"Z_reference": Z0[:, :1], "y_reference": Y0}, "Z_reference"),
    "reference lengths": (
        (Z0, Y0),
        {"Z_reference": Z0, "y_reference": Y0[:3]},
        "(?i)inconsistent numbers of samples",
    ),
    "reference NaN": (
        (Z0, Y0),
        {"Z_reference": Z0 * np.nan, "y_reference": Y0},
        "Z_reference.*NaN",
    ),
    "NaN label": ((Z0, np.where(Y0 == 1, np.nan, Y0)), {}, "y.*NaN"),
    "NaN among objects": (
        (Z0, Y0),
        {"Z_reference": Z0, "y_reference": np.array([np.nan, *range(7)], dtype=object)},
        "y_reference.*NaN",
    ),
}


@each_measure
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(ours, naive, case):
    args, options, words = BAD[case]
    with pytest.raises(ValueError, match=words):
        ours(*args, **options)


@pytest.mark.parametrize("k", [0, -1, 1.5, "1", None])
def test_bad_k_is_named(k):
    with pytest.raises((ValueError, TypeError), match="k"):
        recall_at_k(Z0, Y0, k)


def test_k_beyond_the_rows_is_named():
    assert recall_at_k(Z0, Y0, 7) == 1.0
    with pytest.raises(ValueError, match="k=8"):
        recall_at_k(Z0, Y0, 8)
    assert recall_at_k(Z0, Y0, 8, Z_reference=Z0, y_reference=Y0) == 1.0
