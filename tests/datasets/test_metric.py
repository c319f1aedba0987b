"""Classes in columns of all scales."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from skmmd.datasets import make_scaled_classification


def test_shapes_and_classes():
    X_train, y_train, X_test, y_test = make_scaled_classification(5000, 64, 10)
    assert X_train.shape == (5000, 64)
    assert X_test.shape == (2000, 64)
    np.testing.assert_array_equal(np.unique(y_train), np.arange(10))
    np.testing.assert_array_equal(np.unique(y_test), np.arange(10))


def test_scales_hide_the_classes_and_undoing_them_helps():
    X_train, y_train, X_test, y_test = make_scaled_classification()
    scales = np.exp(np.random.RandomState(1).randn(32))
    spread = (X_train / scales).std(axis=0)
    # make_classification leaves noise columns at deviation 1; informative ones are wider.
    assert np.sum(np.abs(spread - 1) < 0.05) >= 32 - 8 - 4

    def accuracy(by):
        neighbours = KNeighborsClassifier().fit(X_train / by, y_train)
        return neighbours.score(X_test / by, y_test)

    assert accuracy(scales) > accuracy(1.0) + 0.05


def test_a_seed_fixes_the_rows():
    first, again, other = (
        make_scaled_classification(50, n_test=10, random_state=seed) for seed in (0, 0, 1)
    )
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])
