"""stack_domains: two samples of any container become one, source first."""

import builtins

import numpy as np
import pandas
import polars
import pytest
from scipy import sparse
from sklearn.model_selection import StratifiedKFold

from skmmd.transfer import stack_domains
from skmmd.transfer._stack import take_rows


def samples(rng, n_source=5, n_target=3, n_features=2):
    return rng.normal(size=(n_source, n_features)), rng.normal(size=(n_target, n_features))


def test_source_rows_come_first(rng):
    Xs, Xt = samples(rng)
    X, y, sample_domain = stack_domains(Xs, [0, 1, 0, 1, 1], Xt, [1, 1, 0])
    np.testing.assert_array_equal(X[:5], Xs)
    np.testing.assert_array_equal(X[5:], Xt)
    assert y.tolist() == [0, 1, 0, 1, 1, 1, 1, 0]
    assert sample_domain.tolist() == [1] * 5 + [-1] * 3
    assert sample_domain.dtype == np.int64
    assert not np.shares_memory(X, Xs)


def test_inputs_are_not_written(rng):
    Xs, Xt = samples(rng)
    ys = np.array([0, 1, 0, 1, 1])
    for given in (Xs, Xt, ys):
        given.flags.writeable = False
    before = Xs.copy(), Xt.copy(), ys.copy()
    X, y, _ = stack_domains(Xs, ys, Xt)
    X[:], y[:] = 7.0, 7
    for given, kept in zip((Xs, Xt, ys), before, strict=True):
        np.testing.assert_array_equal(given, kept)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, object])
def test_dtypes_are_kept(rng, dtype):
    Xs, Xt = (np.round(10.0 * rows).astype(dtype) for rows in samples(rng))
    assert stack_domains(Xs, np.zeros(5), Xt)[0].dtype == dtype


def test_missing_values_pass_for_a_pipeline_to_fill(rng):
    Xs, Xt = samples(rng)
    Xt[0, 1] = np.nan
    assert np.isnan(stack_domains(Xs, np.zeros(5), Xt)[0][5, 1])


# --------------------------------------------------------------------------------------
# placeholders


@pytest.mark.parametrize(
    ("ys", "expected"),
    [
        (["b", "a", "c", "a", "a"], ["a", "b", "c", "a"]),
        ([3, 1, 1, 1, 3], [1, 3, 1, 3]),
        ([-1, 1, 1, -1, 1], [-1, 1, -1, 1]),
        ([2.0, 0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 2.0, 0.0]),
        ([True, False, True, True, True], [False, True, False, True]),
        ([4, 4, 4, 4, 4], [4, 4, 4, 4]),
        ([0.5, 1.5, 2.5, 0.5, 1.0], [1.2] * 4),
    ],
)
def test_placeholders_are_the_classes_in_turn_or_the_mean(rng, ys, expected):
    Xs, Xt = samples(rng, n_target=4)
    _, y, _ = stack_domains(Xs, ys, Xt)
    assert y[:5].tolist() == ys
    assert y[5:].tolist() == pytest.approx(expected) if ys[0] == 0.5 else expected
    assert y.dtype == np.asarray(ys).dtype


def test_placeholders_of_several_outputs(rng):
    Xs, Xt = samples(rng, n_target=4)
    values = rng.normal(size=(5, 3))
    np.testing.assert_allclose(
        stack_domains(Xs, values, Xt)[1][5:], np.tile(values.mean(axis=0), (4, 1))
    )
    # Of indicators only combinations that occur; of several classes, each output by itself.
    indicators = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 1], [0, 1, 1], [1, 0, 1]])
    assert stack_domains(Xs, indicators, Xt)[1][5:].tolist() == [[0, 1, 1], [1, 0, 1]] * 2
    classes = np.array([[5, 0], [7, 1], [7, 2], [5, 1], [7, 0]])
    assert stack_domains(Xs, classes, Xt)[1][5:].tolist() == [[5, 0], [7, 1], [5, 2], [7, 0]]
    names = np.array([["a", "x"], ["b", "x"], ["b", "y"], ["a", "z"], ["a", "y"]])
    expected = [["a", "x"], ["b", "y"], ["a", "z"], ["b", "x"]]
    assert stack_domains(Xs, names, Xt)[1][5:].tolist() == expected


def test_stratified_splitters_can_split_placeholders(rng):
    Xs, Xt = samples(rng, n_source=30, n_target=20)
    ys = np.repeat(["a", "b", "c"], 10)
    X, y, _ = stack_domains(Xs, ys, Xt)
    for _, test in StratifiedKFold(5).split(X, y):
        assert set(y[test]) == {"a", "b", "c"}


def test_series_are_labels(rng):
    Xs, Xt = samples(rng)
    for labels in (pandas.Series(list("abaab"), index=range(10, 15)), polars.Series(list("abaab"))):
        _, y, _ = stack_domains(Xs, labels, Xt, labels[:3])
        assert isinstance(y, np.ndarray)
        assert y.tolist() == list("abaababa")


def test_categorical_labels(rng):
    Xs, Xt = samples(rng)
    _, y, _ = stack_domains(Xs, pandas.Categorical(list("abaab")), Xt)
    assert y.tolist() == list("abaababa")


# --------------------------------------------------------------------------------------
# containers


def test_pandas_frames_stay_frames(rng):
    Xs, Xt = samples(rng)
    source = pandas.DataFrame(Xs, columns=["u", "v"], index=list("abcde"))
    source["kind"] = pandas.Categorical(list("ppqqp"), categories=["p", "q"])
    target = pandas.DataFrame(Xt, columns=["u", "v"])
    target["kind"] = pandas.Categorical(list("qqp"), categories=["p", "q"])
    X, _, _ = stack_domains(source, np.zeros(5), target)
    assert list(X.columns) == ["u", "v", "kind"]
    assert list(X.index) == list(range(8))
    assert X["kind"].dtype == "category"
    assert X["kind"].tolist() == list("ppqqpqqp")
    np.testing.assert_array_equal(X[["u", "v"]], np.vstack([Xs, Xt]))


def test_polars_frames_stay_frames(rng):
    Xs, Xt = samples(rng)
    source = polars.DataFrame({"u": Xs[:, 0], "n": [1, 2, 3, 4, 5]})
    target = polars.DataFrame({"u": Xt[:, 0], "n": [1.5, 2.5, 3.5]})
    X, _, _ = stack_domains(source, np.zeros(5), target)
    assert isinstance(X, polars.DataFrame)
    assert X.columns == ["u", "n"]
    assert X["n"].to_list() == [1.0, 2.0, 3.0, 4.0, 5.0, 1.5, 2.5, 3.5]


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
def test_sparse_matrices_stay_sparse(rng, kind):
    Xs, Xt = samples(rng)
    X, _, _ = stack_domains(kind(Xs), np.zeros(5), kind(Xt))
    assert isinstance(X, sparse.csr_array)
    np.testing.assert_array_equal(X.toarray(), np.vstack([Xs, Xt]))
    X, _, _ = stack_domains(sparse.csr_matrix(Xs), np.zeros(5), Xt)
    assert sparse.issparse(X)
    np.testing.assert_array_equal(X.toarray(), np.vstack([Xs, Xt]))


def test_arrays_need_no_library_of_frames(rng):
    def asked_for(name, *args, **kwargs):
        asked.append(name.split(".")[0])
        return kept(name, *args, **kwargs)

    kept, asked = builtins.__import__, []
    builtins.__import__ = asked_for
    try:
        stack_domains(samples(rng)[0], np.zeros(5), samples(rng)[1])
        arrays = set(asked)
        frame = polars.DataFrame(samples(rng)[0], schema=["u", "v"])
        stack_domains(frame, np.zeros(5), frame)
    finally:
        builtins.__import__ = kept
    assert not arrays & {"pandas", "polars"}
    assert "polars" in asked


@pytest.mark.parametrize(
    "container",
    [
        np.asarray,
        lambda X: X.tolist(),
        sparse.csr_array,
        sparse.coo_array,
        lambda X: pandas.DataFrame(X, columns=["u", "v"], index=range(9, 4, -1)),
        lambda X: polars.DataFrame(X, schema=["u", "v"]),
    ],
)
def test_rows_are_taken_by_their_place(rng, container):
    X = samples(rng)[0]
    taken = take_rows(container(X), np.array([3, 0, 4]))
    dense = taken.toarray() if sparse.issparse(taken) else np.asarray(taken)
    np.testing.assert_array_equal(dense, X[[3, 0, 4]])
    if not isinstance(container(X), list | sparse.coo_array):
        assert type(taken) is type(container(X))


# --------------------------------------------------------------------------------------
# errors


def test_columns_must_be_the_same(rng):
    Xs, Xt = samples(rng)
    with pytest.raises(ValueError, match="Xs has 2 features, but Xt has 1"):
        stack_domains(Xs, np.zeros(5), Xt[:, :1])
    with pytest.raises(ValueError, match="Xs has 2 features, but Xt has 1"):
        stack_domains(sparse.csr_array(Xs), np.zeros(5), sparse.csr_array(Xt[:, :1]))
    for frame in (pandas.DataFrame, polars.DataFrame):
        source, target = (
            frame(dict(zip(names, rows.T, strict=True))) for names, rows in (("uv", Xs), ("vu", Xt))
        )
        with pytest.raises(ValueError, match="same columns in the same order"):
            stack_domains(source, np.zeros(5), target)


def test_containers_are_not_mixed(rng):
    Xs, Xt = samples(rng)
    frames = pandas.DataFrame(Xs, columns=["u", "v"]), polars.DataFrame(Xt, schema=["u", "v"])
    for source, target in ((frames[0], Xt), (Xs, frames[1]), frames):
        with pytest.raises(TypeError, match="both as data frames of one library"):
            stack_domains(source, np.zeros(5), target)


@pytest.mark.parametrize(
    ("ys", "yt", "message"),
    [
        (np.zeros(4), None, r"ys has shape \(4,\), but Xs has 5 rows"),
        (np.zeros(5), np.zeros(2), r"yt has shape \(2,\), but Xt has 3 rows"),
        (3, None, r"ys has shape \(\), but Xs has 5 rows"),
        (np.zeros((5, 1, 1)), None, r"expected \(5,\) or \(5, n_outputs\)"),
        (np.zeros((5, 2)), np.zeros(3), "same number of outputs"),
        (np.zeros(5), ["a", "b", "c"], "both must be strings, or both numbers"),
        (list("abaab"), [0, 1, 0], "both must be strings, or both numbers"),
        (np.array(["a", 1, None, 2, 2], dtype=object), None, "neither classes nor numbers"),
        ([0.5, np.nan, 1.0, 1.0, 1.0], None, "contains NaN"),
    ],
)
def test_labels_must_fit(rng, ys, yt, message):
    Xs, Xt = samples(rng)
    with pytest.raises(ValueError, match=message):
        stack_domains(Xs, ys, Xt, yt)


def test_samples_must_have_rows(rng):
    Xs, Xt = samples(rng)
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        stack_domains(Xs, np.zeros(5), Xt[:0])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        stack_domains(Xs[:0], np.zeros(0), Xt)
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        stack_domains(Xs[:, 0], np.zeros(5), Xt[:, 0])


def test_rows_of_text_and_of_numbers_are_not_joined(rng):
    with pytest.raises(ValueError, match="both must be strings, or both numbers"):
        stack_domains(samples(rng)[0], np.zeros(5), np.array([["a", "b"]]))
