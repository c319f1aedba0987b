"""``skmmd test REFERENCE CURRENT`` asks whether two files hold samples of one distribution."""

import argparse
import math
from typing import Any

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd import __version__
from skmmd._cli._figures import check_figure, save_test
from skmmd._cli._tables import Samples, pair_samples, read_table
from skmmd._cli._text import format_table, write, write_json
from skmmd.kernels import KERNELS
from skmmd.two_sample import FeatureScores, MMDTest, MMDTestResult

__all__ = ["add_parser", "run"]

_METHODS = ("auto", "exact", "permutation", "binned", "nystroem", "asymptotic")
_DESCRIPTION = """
Test whether the rows of two files come from the same distribution, and which columns differ.

Files: .csv, .tsv or .txt with a line of column names, .parquet (with polars or pandas), .npy, .npz.
Columns that are not numeric are left out, and that is said.
"""
_EPILOG = """
Exit status: 0 no difference found, 1 the samples differ, 2 error. No difference found does not
prove that there is none: small samples show large differences only.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "test",
        help="compare two files: same distribution? which columns differ?",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("reference", metavar="REFERENCE", help="file of the first sample")
    parser.add_argument("current", metavar="CURRENT", help="file of the second sample")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--columns",
        type=lambda text: text.split(","),
        metavar="A,B,...",
        help="columns to compare (default: all numeric ones)",
    )
    data.add_argument("--delimiter", help="between the columns of text (default: comma, .tsv: tab)")
    data.add_argument(
        "--missing",
        choices=("drop", "error"),
        default="drop",
        help="rows with missing values: leave out and say how many, or stop (default: drop)",
    )
    data.add_argument(
        "--scale",
        choices=("standard", "none"),
        default="standard",
        help="scale columns to mean 0 and variance 1 over both samples, so that units do not "
        "matter (default: standard)",
    )
    test = parser.add_argument_group("test")
    test.add_argument("--kernel", choices=KERNELS, default="rbf", help="(default: rbf)")
    test.add_argument(
        "--gamma",
        type=_gamma,
        default="aggregate",
        metavar="G",
        help="'aggregate', 'median', a number, or several with commas between (default: aggregate)",
    )
    test.add_argument("--method", choices=_METHODS, default="auto", help="(default: auto)")
    test.add_argument(
        "--permutations", type=_positive, default=999, metavar="N", help="(default: 999)"
    )
    test.add_argument("--alpha", type=float, default=0.05, help="level (default: 0.05)")
    test.add_argument("--seed", type=int, default=0, help="of the permutations (default: 0)")
    test.add_argument("--jobs", type=int, metavar="N", help="threads; the result is the same")
    output = parser.add_argument_group("output")
    output.add_argument("--no-features", action="store_true", help="do not test each column")
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--plot", metavar="FILE.png", help="write a figure")
    parser.set_defaults(run=run)


def _gamma(text: str) -> str | float | list[float]:
    if text in ("aggregate", "median"):
        return text
    values = [float(part) for part in text.split(",")]
    return values if len(values) > 1 else values[0]


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {value}")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Compare the two files; return 1 if they differ, else 0."""
    if arguments.plot:
        check_figure(arguments.plot)
    samples = pair_samples(
        read_table(arguments.reference, delimiter=arguments.delimiter),
        read_table(arguments.current, delimiter=arguments.delimiter),
        columns=arguments.columns,
        missing=arguments.missing,
    )
    test = MMDTest(
        arguments.kernel,
        gamma=arguments.gamma,
        method=arguments.method,
        n_permutations=arguments.permutations,
        alpha=arguments.alpha,
        random_state=arguments.seed,
        n_jobs=arguments.jobs,
    )
    scaler = StandardScaler() if arguments.scale == "standard" else "passthrough"
    labels = np.repeat([0, 1], [len(rows) for rows in samples.rows])
    make_pipeline(scaler, test).fit(np.concatenate(samples.rows), labels)
    scores = None if arguments.no_features else test.feature_scores()
    if arguments.plot:
        save_test(arguments.plot, test.result_, scores, samples.names)
    if arguments.json:
        write_json(_as_json(arguments, samples, test.result_, scores))
    else:
        write(_as_text(arguments, samples, test.result_, scores))
    return int(test.result_.rejected)


def _as_text(
    arguments: argparse.Namespace,
    samples: Samples,
    result: MMDTestResult,
    scores: FeatureScores | None,
) -> str:
    found = "the samples differ" if result.rejected else "no difference found"
    n_gammas = np.size(result.gamma)
    gammas = f"{n_gammas} gammas" if n_gammas > 1 else f"gamma {result.best_gamma:.4g}"
    facts = [
        ("reference", _sample_text(arguments.reference, samples, 0)),
        ("current", _sample_text(arguments.current, samples, 1)),
        ("columns", str(len(samples.names))),
        ("left out", ", ".join(samples.left_out)),
        ("scaled", "to variance 1 over both samples" if arguments.scale == "standard" else ""),
        ("kernel", arguments.kernel + ("" if math.isnan(result.best_gamma) else f", {gammas}")),
        ("method", _method_text(result)),
        ("statistic", f"{result.statistic:.6g}"),
        ("critical", f"{result.threshold:.6g} at level {result.alpha:g}"),
        ("p-value", f"{result.pvalue:.4g}"),
        ("result", found),
        ("figure", arguments.plot or ""),
    ]
    text = format_table([(name, value) for name, value in facts if value])
    return text if scores is None else f"{text}\n\n{_features_text(samples.names, scores, result)}"


def _sample_text(path: str, samples: Samples, which: int) -> str:
    n_rows, n_dropped = len(samples.rows[which]), samples.dropped[which]
    dropped = f", {n_dropped} left out for missing values" if n_dropped else ""
    return f"{path}: {n_rows} rows{dropped}"


def _method_text(result: MMDTestResult) -> str:
    if result.method == "asymptotic":
        return "asymptotic"
    return f"{result.method}, {result.n_permutations} labelings"


def _features_text(names: list[str], scores: FeatureScores, result: MMDTestResult) -> str:
    rows = [
        (
            names[feature],
            f"{scores.statistic[feature]:.3g}",
            f"{scores.pvalue[feature]:.4g}",
            "differs" if scores.pvalue[feature] <= result.alpha else "",
        )
        for feature in scores.ranking()
    ]
    return format_table(rows, header=("column", "statistic", "adjusted p", ""), right=(1, 2))


def _as_json(
    arguments: argparse.Namespace,
    samples: Samples,
    result: MMDTestResult,
    scores: FeatureScores | None,
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "version": __version__,
        **{
            name: {
                "path": getattr(arguments, name),
                "n_rows": len(samples.rows[which]),
                "n_dropped": samples.dropped[which],
            }
            for which, name in enumerate(("reference", "current"))
        },
        "columns": samples.names,
        "left_out": samples.left_out,
        "scale": arguments.scale,
        "kernel": arguments.kernel,
        "gamma": [_number(gamma) for gamma in np.atleast_1d(result.gamma)],
        "best_gamma": _number(result.best_gamma),
        "method": result.method,
        "n_permutations": result.n_permutations,
        "seed": arguments.seed,
        "statistic": _number(result.statistic),
        "critical_value": _number(result.threshold),
        "alpha": result.alpha,
        "pvalue": _number(result.pvalue),
        "rejected": result.rejected,
    }
    if scores is not None:
        facts["features"] = [
            {
                "name": samples.names[feature],
                "statistic": _number(scores.statistic[feature]),
                "pvalue": _number(scores.pvalue[feature]),
            }
            for feature in scores.ranking()
        ]
    return facts


def _number(value: float) -> float | None:
    """Return a number that JSON knows: null for NaN and the infinite."""
    return float(value) if math.isfinite(value) else None
