"""DomainKFold: folds of both domains, by scikit-learn's protocol for splitters."""

import numpy as np
import pandas
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV, check_cv, cross_val_score, cross_validate
from sklearn.utils.metadata_routing import get_routing_for_object

from skmmd.transfer import DomainKFold


def interleaved(rng, n_source=23, n_target=14):
    sample_domain = rng.permutation([1] * n_source + [-1] * n_target)
    n_rows = n_source + n_target
    return rng.normal(size=(n_rows, 2)), rng.integers(0, 3, n_rows), sample_domain


@given(
    n_splits=st.integers(2, 6),
    extra=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    shuffle=st.booleans(),
    n_classes=st.integers(1, 4),
    seed=st.integers(0, 2**16),
)
def test_folds_share_out_both_domains_and_the_classes(n_splits, extra, shuffle, n_classes, seed):
    rng = np.random.default_rng(seed)
    X, y, sample_domain = interleaved(rng, n_splits + extra[0], n_splits + extra[1])
    source = np.flatnonzero(sample_domain > 0)
    y[source] = np.arange(len(source)) % n_classes
    if np.bincount(y[source]).min() < n_splits:
        y[source] = 0
    folds = DomainKFold(n_splits, shuffle=shuffle, random_state=seed if shuffle else None)
    tests = []
    for train, test in folds.split(X, y, groups=sample_domain):
        np.testing.assert_array_equal(np.union1d(train, test), np.arange(len(X)))
        assert len(train) + len(test) == len(X)
        tests.append(test)
    assert len(tests) == folds.get_n_splits() == n_splits
    np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(len(X)))
    for rows in (source, np.flatnonzero(sample_domain < 0)):
        sizes = [len(np.intersect1d(test, rows)) for test in tests]
        assert min(sizes) >= 1
        assert max(sizes) - min(sizes) <= 1
    for label in np.unique(y[source]):
        members = source[y[source] == label]
        sizes = [len(np.intersect1d(test, members)) for test in tests]
        assert max(sizes) - min(sizes) <= 1


def test_labels_of_target_rows_do_not_matter(rng):
    X, y, sample_domain = interleaved(rng)
    other = np.where(sample_domain > 0, y, 99)
    for (_, first), (_, second) in zip(
        DomainKFold(3).split(X, y, sample_domain),
        DomainKFold(3).split(X, other, sample_domain),
        strict=True,
    ):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "values",
    [
        lambda rng: rng.normal(size=37),
        lambda rng: rng.normal(size=(37, 2)),
        lambda rng: rng.permutation(37),
        lambda rng: sparse.csr_array(rng.integers(0, 2, (37, 3))),
        lambda rng: None,
    ],
    ids=["continuous", "outputs", "integers", "sparse", "none"],
)
def test_values_are_not_stratified(rng, values):
    X, _, sample_domain = interleaved(rng)
    source = np.flatnonzero(sample_domain > 0)
    tests = [test for _, test in DomainKFold(4).split(X, values(rng), sample_domain)]
    # As KFold: consecutive source rows.
    expected = np.array_split(source, 4)
    for test, rows in zip(tests, expected, strict=True):
        np.testing.assert_array_equal(np.intersect1d(test, source), rows)


def test_string_labels_in_any_container(rng):
    X, y, sample_domain = interleaved(rng)
    names = np.array(["a", "b", "c"])[y]
    expected = [test.tolist() for _, test in DomainKFold(3).split(X, y, sample_domain)]
    for labels in (names, names.tolist(), pandas.Series(names, index=range(37)[::-1])):
        domains = pandas.Series(sample_domain, index=range(5, 42))
        found = [test.tolist() for _, test in DomainKFold(3).split(X, labels, domains)]
        assert found == expected
    column = DomainKFold(3).split(X, y[:, None], sample_domain.astype(float))
    assert [test.tolist() for _, test in column] == expected


def test_shuffling(rng):
    X, y, sample_domain = interleaved(rng)

    def tests(**settings):
        return [t.tolist() for _, t in DomainKFold(3, **settings).split(X, y, sample_domain)]

    assert tests() == tests()
    assert tests(shuffle=True, random_state=0) == tests(shuffle=True, random_state=0)
    assert tests(shuffle=True, random_state=0) != tests(shuffle=True, random_state=1)
    assert tests(shuffle=True, random_state=0) != tests()
    # A generator moves on: the next folds are others.
    generator = np.random.RandomState(0)
    folds = DomainKFold(3, shuffle=True, random_state=generator)
    first, second = ([t.tolist() for _, t in folds.split(X, y, sample_domain)] for _ in range(2))
    assert first != second


def test_protocol():
    folds = DomainKFold(4, shuffle=True, random_state=3)
    assert repr(folds) == "DomainKFold(n_splits=4, random_state=3, shuffle=True)"
    assert check_cv(folds) is folds
    copied = clone(folds, safe=False)
    assert (copied.n_splits, copied.shuffle, copied.random_state) == (4, True, 3)
    assert folds.get_n_splits(None, None, None) == 4
    assert DomainKFold().n_splits == 5
    assert get_routing_for_object(folds).consumes("split", ["groups"]) == {"groups"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_splits": 1}, ValueError, "n_splits=2 or more"),
        ({"n_splits": 2.5}, ValueError, "must be of Integral type"),
        ({"shuffle": 1}, TypeError, "shuffle must be True or False"),
        ({"random_state": 0}, ValueError, "shuffle is False"),
    ],
)
def test_parameters(arguments, error, message):
    with pytest.raises(error, match=message):
        DomainKFold(**arguments)


def test_rare_classes_are_warned_of_as_by_stratified_folds(rng):
    X, _, sample_domain = interleaved(rng, 6, 6)
    y = np.zeros(12, dtype=int)
    y[np.flatnonzero(sample_domain > 0)[0]] = 1
    with pytest.warns(UserWarning, match="least populated class in y has only 1 members"):
        assert len(list(DomainKFold(3).split(X, y, sample_domain))) == 3


def test_rows_must_suffice(rng):
    X, _, _ = interleaved(rng, 6, 3)
    y = np.zeros(9, dtype=int)

    def split(sample_domain, n_splits=5):
        return list(DomainKFold(n_splits).split(X, y, sample_domain))

    with pytest.raises(ValueError, match=r"3 target rows for n_splits=5 folds.*n_splits=3 or less"):
        split([1] * 6 + [-1] * 3)
    with pytest.raises(ValueError, match=r"3 source rows for n_splits=5 folds.*n_splits=3 or less"):
        split([0] * 3 + [-2] * 6)
    with pytest.raises(ValueError, match="There is one target row"):
        split([1] * 8 + [-1])
    assert len(split([1] * 6 + [-1] * 3, 3)) == 3
    with pytest.raises(ValueError, match="no target rows"):
        split([1] * 9)
    with pytest.raises(ValueError, match="pass groups=sample_domain"):
        split(None)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        split([1] * 5 + [-1] * 5)
    with pytest.raises(TypeError, match="bool"):
        split([True] * 4 + [False] * 5, 2)
    with pytest.raises(ValueError, match="NaN"):
        split([1.0] * 4 + [-1.0] * 4 + [np.nan], 2)


def test_cross_validation_hands_groups_over(rng):
    X, y, sample_domain = interleaved(rng)
    model = DummyClassifier()
    scores = cross_val_score(model, X, y, groups=sample_domain, cv=DomainKFold(3))
    expected = [
        model.fit(X[train], y[train]).score(X[test], y[test])
        for train, test in DomainKFold(3).split(X, y, sample_domain)
    ]
    np.testing.assert_array_equal(scores, expected)
    search = GridSearchCV(model, {"strategy": ["prior", "uniform"]}, cv=DomainKFold(3))
    assert search.fit(X, y, groups=sample_domain).n_splits_ == 3
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_validate(model, X, y, cv=DomainKFold(3), params={"groups": sample_domain})
        np.testing.assert_array_equal(routed["test_score"], expected)
        search.fit(X, y, groups=sample_domain)
        renamed = DomainKFold(3).set_split_request(groups="sample_domain")
        routed = cross_validate(model, X, y, cv=renamed, params={"sample_domain": sample_domain})
        np.testing.assert_array_equal(routed["test_score"], expected)
