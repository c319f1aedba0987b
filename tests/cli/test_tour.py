"""The tour: a table on the terminal, figures, and a page that needs nothing else."""

import base64
import contextlib
import re
from html.parser import HTMLParser
from io import BytesIO, StringIO

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.optimize import minimize
from scipy.spatial.distance import cdist, pdist
from scipy.stats import norm
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, train_test_split
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from skmmd import density, hashing, metric_learning, mixture, transfer, two_sample
from skmmd._cli import main
from skmmd._cli._tour import PARTS, Finding, Part, _installed, save_figures, write_page
from skmmd._cli._tour import _density as density_part
from skmmd._cli._tour import _hashing as hashing_part
from skmmd._cli._tour import _metric_learning as metric_part
from skmmd._cli._tour import _mixture as mixture_part
from skmmd._cli._tour import _transfer as transfer_part
from skmmd._cli._tour import _two_sample as part
from skmmd.datasets import make_rotated_digits, make_shifted_digits

# Where a base measure alone is best, a table says so.
pytestmark = pytest.mark.filterwarnings("ignore:ScoreMatchingDensity. on held-out rows:UserWarning")


class Page(HTMLParser):
    """The tags of a page with their attributes, its identifiers, and whether all is closed."""

    VOID = ("meta", "img", "br", "hr", "link", "input")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tour") / "deep" / "folder"
    # Not by way of `print`, with which Numba, too, writes what it compiles.
    with contextlib.redirect_stdout(StringIO()) as printed:
        status = main(["tour", "--quick", "--output", str(folder)])
    assert status == 0
    text = (folder / "index.html").read_text(encoding="utf-8")
    return folder, printed.getvalue().splitlines(), text, Page(text)


def test_the_last_line_says_where_the_page_is(tour):
    folder, lines, _, _ = tour
    assert lines[-1].endswith(str((folder / "index.html").resolve()))


def test_every_estimator_is_part_of_the_tour(tour):
    """Each public class and function of each area is called on the page, or its result shown."""
    calls = "".join(tour[3].text)
    results = ("DriftUpdate", "FeatureScores", "MMDTestResult", "PairLoss")
    areas = two_sample, hashing, mixture, metric_learning, transfer, density
    for name in [name for area in areas for name in area.__all__ if name not in results]:
        assert f"{name}(" in calls, name
    assert [f"skmmd.{p.name}" for p in PARTS] == [area.__name__ for area in areas]


def test_the_page_needs_nothing_else(tour):
    _, _, text, page = tour
    assert page.open == []
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        for name, value in attributes.items():
            if name in ("src", "srcset", "data", "poster", "background"):
                assert value.startswith("data:image/png;base64,")
            elif name == "href":
                assert value.startswith("#")
    assert "http:" not in text
    assert "https:" not in text
    style = "".join(re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL))
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_fits_phones_and_dark_rooms(tour):
    _, _, text, page = tour
    viewport = [a for tag, a in page.tags if tag == "meta" and a.get("name") == "viewport"]
    assert "width=device-width" in viewport[0]["content"]
    assert "prefers-color-scheme: dark" in text


def test_the_images_are_the_files(tour):
    folder, _, _, page = tour
    files = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    shown = []
    for tag, attributes in page.tags:
        if tag == "img":
            assert len(attributes["alt"]) > 20
            shown.append(base64.b64decode(attributes["src"].split(",", 1)[1], validate=True))
    assert len(shown) > 10
    assert sorted(shown) == sorted(files.values())
    for image in shown:
        pixels = imread(BytesIO(image), format="png")
        assert min(pixels.shape[:2]) > 300
        assert len(np.unique(pixels[:, :, 0])) > 10


def test_table_and_page_tell_the_same(tour):
    _, lines, _, page = tour
    headers = [number for number, line in enumerate(lines) if line.startswith("what")]
    assert len(headers) == len(PARTS)
    rows = [row for header in headers for row in lines[header + 1 : lines.index("", header)]]
    sections = [a["id"] for tag, a in page.tags if tag == "section"]
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in sections]
    assert len(rows) == len(sections) > 8
    text = "".join(page.text)
    for row in rows:
        title, data, outcome, seconds = re.split(r"\s{2,}", row, maxsplit=3)
        for words in (title, data, outcome, seconds):
            # Once in the page's table, once in the section.
            assert text.count(words) >= 2, words


@pytest.mark.parametrize(
    "finding",
    [
        part._few_flowers,
        part._iris_choice,
        part._wine_classes,
        part._two_halves,
        part._kernels,
        hashing_part._one_file,
        hashing_part._clusters,
        hashing_part._rejection,
        mixture_part._kinds_of_iris,
        mixture_part._rows_that_belong_nowhere,
        mixture_part._fewer_passes,
        mixture_part._likelihood_is_not_class,
        metric_part._wine_before_neighbours,
        metric_part._alike_and_unlike,
        metric_part._digits_that_look_alike,
        transfer_part._a_line_elsewhere,
        transfer_part._patients_kept_by_chance,
        transfer_part._no_overlap,
        density_part._never_negative,
        density_part._what_goes_together,
        density_part._slant_of_sevens,
    ],
)
def test_findings_are_the_same_each_time(finding, tour):
    """Found again, they are what the page says."""
    _, _, _, page = tour
    again = finding(True)
    for words in (again.title, again.outcome, again.reading):
        assert words in page.text


def test_known_answers(tour):
    text = "".join(tour[3].text)
    # Six and six flowers: 924 labelings, and the two most extreme are the flowers themselves.
    assert "p = 0.00216" in text
    assert round(2 / 924, 5) == 0.00216
    # The pairs of digits with the smallest and the largest squared MMD, by brute force.
    images, digits = load_digits(return_X_y=True)
    norms = (images**2).sum(axis=1)
    squared = np.maximum(norms[:, None] + norms - 2.0 * images @ images.T, 0.0)
    pairs = np.triu_indices(len(images), 1)
    values = np.exp(-squared / (2.0 * np.median(np.sqrt(squared[pairs])) ** 2))
    groups = [np.flatnonzero(digits == digit) for digit in range(10)]

    def within(rows):
        n = len(rows)
        return (values[np.ix_(rows, rows)].sum() - n) / (n * (n - 1))

    distances = {
        (i, j): within(groups[i])
        + within(groups[j])
        - 2.0 * values[np.ix_(groups[i], groups[j])].mean()
        for i in range(10)
        for j in range(i)
    }
    near, far = min(distances, key=distances.get), max(distances, key=distances.get)
    assert f"nearest {near[0]} and {near[1]}, farthest {far[0]} and {far[1]}" in text


def test_known_mixtures():
    """The criterion is scikit-learn's, and one component is least squares."""
    iris = load_iris().data
    # The ridge of the tour, in units of each column, on columns of variance 1.
    scaled = (iris - iris.mean(axis=0)) / iris.std(axis=0)
    twice = 2.0 * len(iris) * np.log(iris.std(axis=0)).sum()
    settings = {"reg_covar": 1e-3, "tol": 1e-9, "max_iter": 1000, "random_state": 0}
    finding = mixture_part._kinds_of_iris(True)
    for n_components, n_init in ((2, 1), (3, 20)):
        fitted = GaussianMixture(
            n_components, n_init=n_init, init_params="random_from_data", **settings
        ).fit(scaled)
        assert f"({fitted.bic(scaled) + twice:.1f}" in finding.reading
    assert finding.outcome.startswith("2 full")

    X, y = load_diabetes(return_X_y=True)
    left = 0.0
    for train, test in KFold(10, shuffle=True, random_state=0).split(X):
        line = LinearRegression().fit(X[train], y[train])
        left += (((y[test] - line.predict(X[test])) / y[train].std()) ** 2).sum()
    explained = f"{1.0 - left / len(y):.4f}"
    reading = mixture_part._regression_with_gaps(True).reading
    assert f"least squares ({explained} and {explained})" in reading


def test_known_embeddings():
    """What came before learning, by brute force: MAP@R, nearest neighbours, triplets."""
    X, y = load_wine(return_X_y=True)
    scores = []
    for train, test in StratifiedKFold(3, shuffle=True, random_state=0).split(X, y):
        Z = (X - X[train].mean(axis=0)) / X[train].std(axis=0)
        found = y[train][np.argsort(cdist(Z[test], Z[train]), axis=1)] == y[test, None]
        fold = []
        for row, label in zip(found, y[test], strict=True):
            right = row[: np.sum(y[train] == label)]
            precision = np.cumsum(right) / np.arange(1, len(right) + 1)
            fold.append(np.mean(right * precision))
        scores.append(np.mean(fold))
    finding = metric_part._wine_before_neighbours(True)
    assert finding.outcome.endswith(f"standardised {np.mean(scores):.2f}")

    X, y = load_digits(return_X_y=True)
    split = train_test_split(X, y, train_size=600, test_size=800, stratify=y, random_state=0)
    train, test, known, truth = split
    right = KNeighborsClassifier(1, algorithm="brute").fit(train, known).score(test, truth)
    assert f"right kind in {right:.1%}," in metric_part._digits_that_look_alike(True).reading

    squared = cdist(X[:600], X[:600], "sqeuclidean") / 256.0
    hinges = []
    for anchor, row in enumerate(squared):
        same = np.flatnonzero(y[:600] == y[anchor])
        positives = row[same[same != anchor]]
        hinges.append(np.subtract.outer(positives, row[y[:600] != y[anchor]]).ravel())
    differences = np.concatenate(hinges)
    finding = metric_part._every_triplet(True)
    assert finding.outcome == f"{np.mean(differences > 0):.2%} of {len(differences):,}"
    assert f"is {np.maximum(differences, 0.0).mean():.6f};" in finding.reading


def gaussian(rows, others, pooled):
    """Return the Gaussian kernel at the median distance of the pooled rows."""
    return np.exp(-cdist(rows, others, "sqeuclidean") / (2.0 * np.median(pdist(pooled)) ** 2))


def test_known_weights():
    """Accuracies as they are, by scikit-learn alone; weights by a solver of SciPy's."""
    plain = []
    for seed in range(2):
        Xs, ys, Xt, yt = make_shifted_digits(random_state=seed)
        plain.append(LogisticRegression(max_iter=1000).fit(Xs, ys).score(Xt, yt))
    finding = transfer_part._another_mix_of_digits(True)
    assert finding.outcome.startswith(f"accuracy {np.mean(plain):.2f}, ")

    Xs, ys, Xt, yt = transfer_part._small_from_large()
    pooled = np.concatenate([Xs, Xt])
    ridged = gaussian(Xs, Xs, pooled) + 0.01 * len(Xs) * np.eye(len(Xs))
    linear = gaussian(Xs, Xt, pooled).mean(axis=1) * len(Xs)
    weights = minimize(
        lambda w: (0.5 * w @ ridged @ w - linear @ w, ridged @ w - linear),
        np.ones(len(Xs)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * len(Xs),
        options={"maxiter": 10000, "ftol": 1e-15, "gtol": 1e-8},
    ).x
    scores = [LinearRegression().fit(Xs, ys, w).score(Xt, yt) for w in (None, weights)]
    assert (
        transfer_part._a_line_elsewhere(True).outcome
        == f"R2 {scores[0]:.2f}, weighted {scores[1]:.2f}"
    )


def test_known_alignment_and_selection():
    """Least squares without MMD is scikit-learn's; prototypes are greedy by brute force."""
    Xs, ys, Xt, yt = make_rotated_digits(200, random_state=0)
    gamma = 0.5 / np.median(pdist(np.concatenate([Xs, Xt]))) ** 2
    model = KernelRidge(alpha=0.1, kernel="rbf", gamma=gamma).fit(Xs, np.eye(10)[ys])
    right = np.mean(model.predict(Xt).argmax(axis=1) == yt)
    reading = transfer_part._turned_digits(True).reading
    assert f"kernel least squares {right:.1%}" in reading

    images, digits = load_digits(return_X_y=True)
    K = gaussian(images, images, images)
    mean, picks = K.mean(axis=1), []
    for _ in range(10):
        trials = [
            np.inf
            if i in picks
            else K[np.ix_([*picks, i], [*picks, i])].mean() - 2.0 * mean[[*picks, i]].mean()
            for i in range(len(images))
        ]
        picks.append(int(np.argmin(trials)))
    finding = transfer_part._prototypes(True)
    assert finding.outcome.startswith(f"MMD^2 {min(trials) + K.mean():.3f}, random ")
    assert f"are {len(set(digits[picks]))} different digits" in finding.reading


def test_known_densities():
    """Areas and likelihoods of scikit-learn's densities; a truth that is drawn from."""
    tumours = load_breast_cancer()
    train, test = train_test_split(100.0 * tumours.data[:, [6]], test_size=0.3, random_state=0)
    bandwidths = {"bandwidth": train.std() * np.geomspace(0.1, 1.0, 10)}
    search = GridSearchCV(KernelDensity(), bandwidths).fit(train)
    expected = f"{search.score(test) / len(test):.3f}"
    finding = density_part._never_negative(True)
    assert finding.outcome.endswith(f"KernelDensity {expected}")
    # What of a kernel lies below zero, exactly; a thousand draws have 3.5 standard errors of 2 %.
    below = norm.cdf(-train / search.best_params_["bandwidth"]).mean()
    told = float(re.search(r"has ([\d.]+)% of its mass", finding.reading)[1]) / 100.0
    assert told == pytest.approx(below, abs=0.021)
    assert "draws from the density on the domain 0 are there" in finding.reading

    benign = tumours.data[tumours.target == 1]
    normal, held_out = train_test_split(benign, test_size=0.4, random_state=0)
    rows = np.concatenate([held_out, tumours.data[tumours.target == 0]])
    scaled = (normal - normal.mean(axis=0)) / normal.std(axis=0)
    turned, lengths, axes = np.linalg.svd(scaled, full_matrices=False)
    X = turned[:, :3] * np.sqrt(len(normal) - 1)
    rows = (rows - normal.mean(axis=0)) / normal.std(axis=0) @ axes[:3].T
    rows *= np.sqrt(len(normal) - 1) / lengths[:3]
    likely = GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.1, 1.0, 10)}).fit(X)
    likely = likely.best_estimator_.score_samples(rows)
    pairs = np.sign(likely[: len(held_out), None] - likely[len(held_out) :])
    expected = f"KernelDensity {(1.0 + pairs.mean()) / 2.0:.3f}"
    assert expected in density_part._unlike_the_benign(True).reading


def test_known_parameters():
    """The D-trace loss by other steps, held-out losses by hand, angles by two moments."""
    X = StandardScaler().fit_transform(load_wine().data)
    finding = density_part._what_goes_together(True)
    alpha = float(re.search(r"alpha ([\d.]+)$", finding.outcome)[1])
    losses = []
    for train, test in KFold(5, shuffle=True, random_state=0).split(X):
        Y = X[train] - X[train].mean(axis=0)
        K = sparse_precision(Y.T @ Y / len(Y), alpha)
        score = (X[test] - X[train].mean(axis=0)) @ K
        losses.append(0.5 * np.mean((score**2).sum(axis=1)) - np.trace(K))
    assert f"the lowest held-out loss, {np.mean(losses):.3f}," in finding.reading
    K = sparse_precision(X.T @ X / len(X), alpha)
    n_pairs = np.count_nonzero(np.abs(K[np.triu_indices(13, 1)]) > 1e-8)
    assert finding.outcome.startswith(f"{n_pairs} of 78 pairs")

    images, digits = load_digits(return_X_y=True)
    angles = []
    for image in images[digits == 7].reshape(-1, 8, 8):
        row, column = np.indices(image.shape)
        spread = np.cov(column.ravel(), -row.ravel(), aweights=image.ravel())
        angles.append(2.0 * np.arctan2(*np.linalg.eigh(spread)[1][::-1, -1]))
    # Minimum of 1/2 mean (a sin x - b cos x)^2 - mean (a cos x + b sin x).
    cosine, sine = np.cos(angles), np.sin(angles)
    mixed = -np.mean(sine * cosine)
    quadratic = [[np.mean(sine**2), mixed], [mixed, np.mean(cosine**2)]]
    theta = np.linalg.solve(quadratic, [cosine.mean(), sine.mean()])
    outcome = density_part._slant_of_sevens(True).outcome
    assert outcome.startswith(f"kappa {np.hypot(*theta):.2f}, ")


def sparse_precision(S, alpha):
    """Minimise 1/2 tr(KSK) - tr(K) + alpha |K| off the diagonal, by proximal gradient steps."""
    off = ~np.eye(len(S), dtype=bool)
    K = before = np.eye(len(S))
    step, momentum = 1.0 / np.linalg.eigvalsh(S)[-1], 1.0
    for _ in range(5000):
        then = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = K + (momentum - 1.0) / then * (K - before)
        moved = ahead - step * ((S @ ahead + ahead @ S) / 2.0 - np.eye(len(S)))
        shrunk = np.sign(moved) * np.maximum(np.abs(moved) - step * alpha, 0.0)
        K, before, momentum = np.where(off, shrunk, moved), K, then
    return K


def test_special_characters_stay_text(tmp_path):
    finding = Finding(
        title="a < b & c",
        question="<script>",
        data='"data"',
        call="f(x) > 1",
        outcome="<b>",
        reading="</section>",
        seconds=1.0,
        figures=(),
    )
    strange = Part("area", "<Title>", "&", lambda quick: iter([finding]))
    assert save_figures(tmp_path, strange, finding) == {}
    write_page(tmp_path / "page.html", [(strange, [finding])], {"area": {}}, version="1<2")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert not {"script", "b"} & {tag for tag, _ in page.tags}
    text = "".join(page.text)
    for words in ("a < b & c", "<script>", '"data"', "f(x) > 1", "<b>", "</section>", "1<2"):
        assert words in text


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Folders of files in place of the installed ones."""
    _installed.installed_files.cache_clear()
    monkeypatch.setattr(_installed, "_folders", lambda: [tmp_path])
    yield tmp_path
    _installed.installed_files.cache_clear()


def write_kind(folder, suffix, contents):
    for number, content in enumerate(contents):
        (folder / f"file{number}.v1{suffix}").write_bytes(content)


def test_installed_files_are_chosen_by_kind_and_size(folders):
    rng = np.random.default_rng(0)
    write_kind(folders, ".many", [rng.bytes(5000) for _ in range(30)])
    write_kind(folders, ".few", [rng.bytes(5000) for _ in range(5)])
    write_kind(folders, ".same", [bytes(5000)] * 30)
    write_kind(folders, ".small", [rng.bytes(4095) for _ in range(30)])
    write_kind(folders, ".large", [rng.bytes(2**17 + 1) for _ in range(30)])
    for number in range(30):
        (folders / f"no suffix {number}").write_bytes(rng.bytes(5000))
    (folders / "loop.many").symlink_to(folders / "loop.many")
    found = _installed.installed_files(25)
    assert set(found.kinds) == {".many"}
    assert len(found.names) == len(set(found.contents)) == 25
    assert set(found.names) <= {f"file{number}.many" for number in range(30)}


def test_unreadable_files_are_passed_over(folders, monkeypatch):
    rng = np.random.default_rng(0)
    write_kind(folders, ".any", [rng.bytes(5000) for _ in range(30)])
    read = _installed.Path.read_bytes

    def refuse(path):
        if "file1" in path.name:
            raise PermissionError(path)
        return read(path)

    monkeypatch.setattr(_installed.Path, "read_bytes", refuse)
    found = _installed.installed_files(25)
    # Of 30 names 11 begin so; 19 files are too few for a kind.
    assert found.names == []
    monkeypatch.setattr(_installed.Path, "read_bytes", read)
    _installed.installed_files.cache_clear()
    assert len(_installed.installed_files(25).names) == 25


def test_the_standard_library_may_be_an_archive(monkeypatch, tmp_path):
    monkeypatch.setattr(_installed.sysconfig, "get_path", lambda name: str(tmp_path / "python.zip"))
    folders = _installed._folders()
    assert {folder.name for folder in folders} == set(_installed._PACKAGES)


def test_without_files_there_are_findings_on_numbers(folders):
    findings = list(hashing_part.PART.findings(True))
    assert [finding.title for finding in findings] == ["Rows of numbers"]


def test_edits_make_copies_that_differ():
    rng = np.random.default_rng(0)
    content = b"the quick brown fox; " * 500
    sizes = {name: len(edit(content, rng)) for name, edit in hashing_part._EDITS.items()}
    n = len(content)
    assert sizes == {
        "1 % of bytes changed": n,
        "every e made an E": n,
        "16 bytes inserted": n + 16,
        "1 % appended": n + n // 100,
        "10 % appended": n + n // 10,
        "last 10 % cut off": n - n // 10,
        "8 pieces shuffled": n,
    }
    changed = np.frombuffer(hashing_part._EDITS["1 % of bytes changed"](content, rng), np.uint8)
    assert (changed != np.frombuffer(content, np.uint8)).sum() == n // 100
    shuffled = hashing_part._EDITS["8 pieces shuffled"](content, rng)
    assert sorted(shuffled) == sorted(content)
