"""Files of the standard library through pipelines of scikit-learn, in every form of input."""

import py_compile
import sysconfig
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd.hashing import MMDTClassifier, MMDTIndex, MMDTVectorizer
from tests import reference

N_OF_A_KIND = 15
BEST = ["histogram", "bigrams"]


def some_sources():
    """Return modules of the standard library, of moderate size."""
    library = Path(sysconfig.get_path("stdlib"))
    moderate = (path for path in library.glob("*.py") if 2000 < path.stat().st_size < 40_000)
    return sorted(moderate)[:N_OF_A_KIND]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return paths and kinds: sources, their compiled form, and random bytes."""
    folder = tmp_path_factory.mktemp("files")
    sources = some_sources()
    if len(sources) < N_OF_A_KIND:
        pytest.skip("the standard library is not in files")
    generator = np.random.default_rng(0)
    paths, kinds = [], []
    for source in sources:
        compiled = folder / f"{source.stem}.pyc"
        py_compile.compile(str(source), cfile=str(compiled), doraise=True)
        mixed = folder / f"{source.stem}.bin"
        mixed.write_bytes(generator.bytes(source.stat().st_size))
        paths += [source, compiled, mixed]
        kinds += ["source", "compiled", "random"]
    return paths, np.array(kinds)


def forms(paths, stack):
    """Return the same inputs in every form, and `input` for each."""
    pd = pytest.importorskip("pandas")
    contents = [path.read_bytes() for path in paths]
    names = [str(path) for path in paths]
    opened = [stack.enter_context(path.open("rb")) for path in paths]
    return [
        ("content", contents),
        ("content", np.array(contents, dtype=object)),
        ("content", pd.Series(contents, index=range(7, 7 + len(paths)))),
        ("content", paths),
        ("filename", paths),
        ("filename", names),
        ("filename", np.array(names)),
        ("filename", pd.Series(names)),
        ("filename", pd.DataFrame({"path": names})),
        ("file", opened),
        ("file", paths),
    ]


def test_nearest_neighbours_tell_kinds_of_files(files):
    paths, kinds = files
    train, test = slice(0, 30), slice(30, None)
    chain = make_pipeline(MMDTVectorizer(features=BEST), KNeighborsClassifier(1))
    chain.fit(paths[train], kinds[train])
    assert chain.score(paths[test], kinds[test]) == 1.0
    assert chain[:-1].get_feature_names_out()[[0, -1]].tolist() == ["histogram0", "bigrams1023"]


def test_every_form_of_input_is_alike(files):
    paths, kinds = files
    with ExitStack() as stack:
        answers, columns = [], []
        for input, X in forms(paths[:20], stack):
            vectorizer = MMDTVectorizer(input, features=["all", "histogram"])
            columns.append(vectorizer.fit_transform(X))
            if input == "file" and hasattr(X[0], "read"):
                for file in X:
                    file.seek(0)
            chain = make_pipeline(MMDTVectorizer(input, features=BEST), KNeighborsClassifier(3))
            answers.append(chain.fit(X, kinds[:20]).predict(paths[20:]))
    for column, answer in zip(columns, answers, strict=True):
        np.testing.assert_array_equal(column, columns[0])
        np.testing.assert_array_equal(answer, answers[0])
    expected = [reference.mmdt_digest(path.read_bytes()) for path in paths[:20]]
    np.testing.assert_array_equal(columns[0][:, :20], expected)


def test_k_means(files):
    paths, kinds = files
    chain = make_pipeline(MMDTVectorizer(features="histogram"), KMeans(3, n_init=5, random_state=0))
    assert adjusted_rand_score(kinds, chain.fit_predict(paths)) > 0.9
    # Bytes of the digest go in as they are, too.
    digest = make_pipeline(MMDTVectorizer(), KMeans(3, n_init=1, random_state=0))
    columns = MMDTVectorizer().transform(paths).astype(float)
    expected = KMeans(3, n_init=1, random_state=0).fit_predict(columns)
    assert adjusted_rand_score(digest.fit_predict(paths), expected) == 1.0


def test_grid_search_over_features(files):
    paths, kinds = files
    chain = make_pipeline(MMDTVectorizer(), KNeighborsClassifier(1))
    grid = {"mmdtvectorizer__features": ["index", "sums", BEST], "mmdtvectorizer__n_jobs": [None]}
    search = GridSearchCV(chain, grid, cv=StratifiedKFold(3), error_score="raise")
    search.fit(paths, kinds)
    assert search.best_params_["mmdtvectorizer__features"] == BEST
    assert search.best_score_ == 1.0
    scores = search.cv_results_["mean_test_score"]
    alone = cross_val_score(
        KNeighborsClassifier(1),
        MMDTVectorizer(features="index").transform(paths),
        kinds,
        cv=StratifiedKFold(3),
    )
    assert scores[0] == pytest.approx(alone.mean())


@pytest.mark.parametrize("make", [list, lambda X: np.array(X, dtype=object)])
def test_cross_validation_of_lists_and_arrays(files, make):
    paths, kinds = files
    contents = make([path.read_bytes() for path in paths])
    chain = make_pipeline(
        MMDTVectorizer(features="histogram"), StandardScaler(), KNeighborsClassifier(1)
    )
    found = cross_validate(
        chain, contents, kinds, cv=3, return_train_score=True, error_score="raise"
    )
    assert found["train_score"].tolist() == [1.0] * 3
    assert found["test_score"].mean() > 0.8


def test_cross_validation_of_the_classifier_and_the_index(files):
    """In each fold the files that are judged are not among those it knows."""
    paths, _ = files
    contents = [path.read_bytes() for path in paths[::3]]
    copies = [content + b"# a further line\n" for content in contents]
    X, y = contents + copies, [str(i) for i in range(len(contents))] * 2
    cv = StratifiedKFold(2)
    scores = cross_val_score(MMDTClassifier(), X, y, cv=cv, error_score="raise")
    assert scores.mean() > 0.8
    answers = cross_val_predict(MMDTClassifier(method="bucket"), X, y, cv=cv)
    assert np.mean(answers == np.array(y)) > 0.8
    chain = make_pipeline(
        MMDTIndex(n_neighbors=1, tolerance=None), KNeighborsClassifier(1, metric="precomputed")
    )
    alike = cross_val_score(chain, X, y, cv=cv, error_score="raise")
    np.testing.assert_array_equal(alike, scores)


def test_standardised_columns(files):
    paths, _ = files
    columns = MMDTVectorizer(features="sums").transform(paths)
    expected = StandardScaler().fit_transform(columns)
    chain = make_pipeline(MMDTVectorizer(features="sums"), StandardScaler())
    np.testing.assert_allclose(chain.fit_transform(paths), expected, rtol=1e-6)


def test_rows_of_numbers(rng):
    """Slow and quick oscillations; the range is learned from the training rows alone."""
    time = np.linspace(0, 1, 200)
    kinds = rng.integers(0, 2, 40)
    X = np.sin(2 * np.pi * (np.where(kinds, 3, 5)[:, None] * time)) + 0.05 * rng.normal(
        size=(40, 200)
    )
    chain = make_pipeline(MMDTVectorizer(features="sums"), LogisticRegression(C=1e-4, max_iter=500))
    chain.fit(X[:25], kinds[:25])
    assert chain[0].scale_ == (X[:25].min(), X[:25].max())
    assert chain.score(X[25:], kinds[25:]) == 1.0
    signals = [
        reference.stretched(reference.signal_bytes(row, *chain[0].scale_)) for row in X[25:28]
    ]
    expected = [reference.mmdt_sums(signal)[4:] for signal in signals]
    np.testing.assert_array_equal(chain[0].transform(X[25:28]), expected)


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("column", ["text", ["text"]])
def test_a_column_of_a_table(library, column, files):
    """As a series and as a frame of one column, beside other columns."""
    frames = pytest.importorskip(library)
    paths, kinds = files
    texts = [path.read_bytes().decode("latin1") for path in paths]
    sizes = np.array([path.stat().st_size for path in paths], float)
    table = frames.DataFrame({"text": texts, "size": sizes})
    columns = ColumnTransformer(
        [("bytes", MMDTVectorizer(features="histogram"), column), ("size", "passthrough", ["size"])]
    ).set_output(transform=library)
    found = columns.fit_transform(table)
    assert list(found.columns) == [f"bytes__histogram{i}" for i in range(256)] + ["size__size"]
    expected = MMDTVectorizer(features="histogram").transform([text.encode() for text in texts])
    np.testing.assert_array_equal(found.to_numpy()[:, :256], expected)
    np.testing.assert_array_equal(found.to_numpy()[:, 256], sizes)
    chain = make_pipeline(clone(columns), StandardScaler(), KNeighborsClassifier(1))
    chain.fit(table[:30], kinds[:30])
    assert chain.score(table[30:], kinds[30:]) > 0.8


def test_features_in_a_union(files):
    paths, _ = files
    union = FeatureUnion(
        [("digest", MMDTVectorizer(features="all")), ("counts", MMDTVectorizer(features=BEST))]
    )
    together = MMDTVectorizer(features=["all", *BEST]).transform(paths)
    np.testing.assert_array_equal(union.fit_transform(paths), together)
    names = union.get_feature_names_out()
    assert names[[0, 20]].tolist() == ["digest__index0", "counts__histogram0"]
