"""Fair pairings: the same data, the same threads, alternating runs, and what they ran on.

callables -> alternate -> Times, whose medians are compared
Peer -> open_peers -> a Runner in this process, or in another interpreter over a pipe
function in a fresh process -> run_in_child -> its result and its peak memory
rows -> Report -> readable tables, and one JSON file
sections with their Options -> run_sections -> a command line
"""

import argparse
import contextlib
import ctypes
import gc
import importlib
import importlib.metadata
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

CPU_CLOCK = "SKMMD_BENCHMARK_CPU_CLOCK"
ROOT = Path(__file__).resolve().parent.parent

Arrays = Mapping[str, Any]
Outcome = dict[str, Any]


# --------------------------------------------------------------------------------------
# time


@contextlib.contextmanager
def limited_threads(n_threads: int) -> Iterator[None]:
    """Hold BLAS, OpenMP, Numba and PyTorch at `n_threads` threads."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(n_threads)
    if "numba" in sys.modules:
        numba = sys.modules["numba"]
        numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
    with threadpool_limits(n_threads):
        yield


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the children it has waited for."""
    import resource  # not on Windows

    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def fit_quietly(model: Any, *arrays: Any) -> Any:
    """Fit; that a fixed number of iterations does not converge is meant so."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*arrays)


def timed(function: Callable[[], Any], n_threads: int) -> tuple[float, Any]:
    """Return the seconds that one call takes, and its result."""
    # In the environment, so that other interpreters use the same clock.
    clock = _cpu_seconds if os.environ.get(CPU_CLOCK) else time.perf_counter
    with limited_threads(n_threads):
        start = clock()
        result = function()
        return clock() - start, result


@dataclass
class Times:
    """Seconds of the runs of one callable, round by round."""

    rounds: list[list[float]] = field(default_factory=list)
    outcome: Any = None

    @property
    def median(self) -> float:
        return statistics.median(s for seconds in self.rounds for s in seconds)

    @property
    def n_runs(self) -> int:
        return sum(len(seconds) for seconds in self.rounds)

    @property
    def spread(self) -> float:
        """Distance of the slowest run from the fastest, in medians."""
        every = [s for seconds in self.rounds for s in seconds]
        return (max(every) - min(every)) / self.median


def alternate(
    runs: Mapping[str, Callable[[], tuple[float, Any]]],
    n_rounds: int,
    *,
    min_seconds: float = 0.5,
    warm: bool = True,
) -> dict[str, Times]:
    """Run all in turn, A B A B ..., so that a slower minute of the machine slows all of them.

    Parameters
    ----------
    runs : mapping of str to callable
        Each returns its seconds and its result.
    n_rounds : int
        Number of turns.
    min_seconds : float, default=0.5
        In its turn, what is quick runs again until as much time has passed, 50 times at most.
    warm : bool, default=True
        Run each once before, not counted: compilation, thread pools, caches.

    Returns
    -------
    dict of str to Times
        What each took.
    """
    if warm:
        for run in runs.values():
            run()
    times = {name: Times() for name in runs}
    for _ in range(n_rounds):
        for name, run in runs.items():
            seconds: list[float] = []
            while not seconds or (sum(seconds) < min_seconds and len(seconds) < 50):
                elapsed, times[name].outcome = run()
                seconds.append(elapsed)
            times[name].rounds.append(seconds)
    return times


# --------------------------------------------------------------------------------------
# peers


@dataclass(frozen=True)
class Peer:
    """Another package's answer to the same question.

    Attributes
    ----------
    distribution : str
        The distribution whose version is printed.
    run : callable
        ``run(**arrays, n_threads=..., **parameters) -> dict``. Imports the package inside.
    modules : tuple of str
        What is imported to see whether the peer is there.
    settings : tuple of dict
        Alternatives in how to call it, of which the quickest is measured.
    threaded_settings : tuple of dict
        The alternatives where there are several threads; `settings` if empty.
    """

    distribution: str
    run: Callable[..., Outcome]
    modules: tuple[str, ...]
    settings: tuple[dict[str, Any], ...] = ({},)
    threaded_settings: tuple[dict[str, Any], ...] = ()

    def choices(self, n_threads: int) -> tuple[dict[str, Any], ...]:
        return (n_threads > 1 and self.threaded_settings) or self.settings


class Runner(Protocol):
    """Something that runs a peer on the data it was last given."""

    def put(self, arrays: Arrays) -> None: ...

    def time(self, name: str, n_threads: int, parameters: Outcome) -> tuple[float, Outcome]: ...

    def close(self) -> None: ...


def _load(registry: str) -> dict[str, Peer]:
    return importlib.import_module(registry).PEERS


def _version(peer: Peer) -> str:
    """Import the peer and return its version."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for module in peer.modules:
            importlib.import_module(module)
    return importlib.metadata.version(peer.distribution)


class LocalRunner:
    """Peers of this interpreter."""

    def __init__(self, registry: str) -> None:
        self._peers = _load(registry)
        self._arrays: Arrays = {}

    def put(self, arrays: Arrays) -> None:
        self._arrays = arrays

    def version(self, name: str) -> str:
        return _version(self._peers[name])

    def time(self, name: str, n_threads: int, parameters: Outcome) -> tuple[float, Outcome]:
        call = {**self._arrays, **parameters, "n_threads": n_threads}
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return timed(lambda: self._peers[name].run(**call), n_threads)

    def close(self) -> None:
        pass


class RemoteRunner:
    """Peers of another interpreter, timed in there: JSON lines over pipes, arrays in a file."""

    def __init__(self, registry: str, python: str) -> None:
        self._folder = temporary_folder()
        self._n_puts = 0
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks._harness", "serve", registry],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def _ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError("the interpreter ended; see its message above")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def put(self, arrays: Arrays) -> None:
        self._n_puts += 1
        path = Path(self._folder.name) / f"{self._n_puts}.npz"
        np.savez(path, **arrays)
        self._ask(do="put", path=str(path))
        path.unlink()

    def version(self, name: str) -> str:
        return self._ask(do="version", name=name)

    def time(self, name: str, n_threads: int, parameters: Outcome) -> tuple[float, Outcome]:
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in parameters.items()}
        seconds, outcome = self._ask(do="time", name=name, n_threads=n_threads, parameters=plain)
        return seconds, outcome

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()


def _serve(registry: str) -> None:
    """Answer the requests of a RemoteRunner until its pipe closes."""
    # What a peer prints must not come between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    local = LocalRunner(registry)
    for line in sys.stdin:
        request = json.loads(line)
        result: Any = None
        try:
            if request["do"] == "put":
                with np.load(request["path"]) as arrays:
                    local.put(dict(arrays))
            elif request["do"] == "version":
                result = local.version(request["name"])
            else:
                result = local.time(request["name"], request["n_threads"], request["parameters"])
            answer = {"result": result}
        except Exception as error:  # said at the other end
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=float), file=answers, flush=True)


@dataclass
class Peers:
    """The peers that were found, each with its runner, and why the others were not."""

    registry: dict[str, Peer]
    runners: dict[str, Any]
    versions: dict[str, str]
    skipped: dict[str, str]

    def put(self, arrays: Arrays) -> None:
        for runner in {id(runner): runner for runner in self.runners.values()}.values():
            runner.put(arrays)

    def time(self, name: str, n_threads: int, parameters: Outcome) -> tuple[float, Outcome]:
        return self.runners[name].time(name, n_threads, parameters)

    def in_this_process(self, name: str) -> bool:
        return isinstance(self.runners[name], LocalRunner)


@contextlib.contextmanager
def open_peers(registry: str, names: Sequence[str], pythons: Sequence[str]) -> Iterator[Peers]:
    """Find each peer here, else in the first other interpreter that has it, else skip it."""
    known = _load(registry)
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"unknown peers {unknown}; there are {sorted(known)}")
    peers = Peers({name: known[name] for name in names}, {}, {}, {})
    runners: list[Any] = []
    try:
        runners.append(LocalRunner(registry))
        runners += [RemoteRunner(registry, python) for python in pythons]
        for name in names:
            reasons = []
            for runner in runners:
                try:
                    peers.versions[name] = runner.version(name)
                except Exception as error:  # a peer may fail in its own way: it is skipped
                    reasons.append(str(error).splitlines()[0] if str(error) else repr(error))
                else:
                    peers.runners[name] = runner
                    break
            else:
                peers.skipped[name] = "; ".join(reasons)
        yield peers
    finally:
        for runner in runners:
            runner.close()


def quickest_setting(
    peers: Peers, name: str, n_threads: int, parameters: Outcome
) -> dict[str, Any]:
    """Try a peer's alternative settings twice each, and return the one of the quickest run."""
    choices = peers.registry[name].choices(n_threads)
    if len(choices) == 1:
        return choices[0]
    seconds = [
        min(peers.time(name, n_threads, {**parameters, **setting})[0] for _ in range(2))
        for setting in choices
    ]
    return choices[int(np.argmin(seconds))]


# --------------------------------------------------------------------------------------
# fresh processes


def resident_mebibytes(peak: bool) -> float:
    """Return the resident memory of this process, now or at its highest."""
    key = "VmHWM:" if peak else "VmRSS:"
    try:
        # Not getrusage: its peak includes what the parent held when it started this process.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(key):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    import resource

    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest / 2**20 if sys.platform == "darwin" else highest / 1024


def release_memory() -> None:
    """Give back what is free, and forget the peak so far, where the system can.

    Else a fit that uses what an earlier one left would seem to need nothing.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for files that are measured, which goes when its context ends."""
    return tempfile.TemporaryDirectory(prefix="skmmd-benchmark-")


def run_in_child(target: str, **arguments: Any) -> Outcome:
    """Call ``module:function`` with JSON arguments in a fresh process, and add its peak memory."""
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks._harness", "call", target, json.dumps(arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        return {"error": f"exit status {finished.returncode}"}
    return json.loads(finished.stdout.splitlines()[-1])


def run_code(code: str) -> Any:
    """Run code in a fresh process that has imported nothing; its last line of output is JSON."""
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(finished.stdout.splitlines()[-1])


def _call(target: str, arguments: str) -> None:
    module, function = target.split(":")
    result = getattr(importlib.import_module(module), function)(**json.loads(arguments))
    print(json.dumps({**result, "peak_mebibytes": resident_mebibytes(peak=True)}))


# --------------------------------------------------------------------------------------
# reports


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """Describe what the figures depend on; the load tells whether others were at work too."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("numpy", "scipy", "scikit-learn")},
        "numba": importlib.metadata.version("numba"),
        "skmmd": importlib.import_module("skmmd").__version__,
    }


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


class Report:
    """Prints tables and remarks as they come, and keeps them for a JSON file."""

    def __init__(self) -> None:
        self.content: dict[str, Any] = {"machine": machine(), "sections": {}}
        self._section: dict[str, Any] = {}
        print(", ".join(f"{k} {v}" for k, v in self.content["machine"].items()), flush=True)
        load, cores = self.content["machine"]["load"], os.cpu_count() or 1
        if load is not None and load > 0.5:
            print(f"The load is {load:.1f} on {cores} cores: the machine is busy, times are high.")

    def section(self, name: str, text: str) -> None:
        self._section = {"tables": [], "remarks": []}
        self.content["sections"][name] = self._section
        print(f"\n## {name}: {text}", flush=True)

    def peers(self, peers: Peers) -> None:
        found = {peers.registry[n].distribution: v for n, v in peers.versions.items()}
        self.content.setdefault("peers", {}).update(found)
        if found:
            self.remark("peers: " + ", ".join(f"{n} {v}" for n, v in sorted(found.items())))
        for name, reason in peers.skipped.items():
            self.remark(f"skipped {name}: {reason}")

    def table(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Print rows of equal keys under a title."""
        self._section["tables"].append({"title": title, "rows": [dict(row) for row in rows]})
        columns = list(rows[0])
        cells = [columns, *([_cell(row[c]) for c in columns] for row in rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        print(f"\n{title}")
        for line in cells:
            first, *rest = (text for text in line)
            padded = [first.ljust(widths[0])]
            padded += [text.rjust(width) for text, width in zip(rest, widths[1:], strict=True)]
            print("  ".join(padded).rstrip())
        sys.stdout.flush()

    def remark(self, text: str) -> None:
        self._section["remarks"].append(text)
        print(text, flush=True)

    def verdict(self, claim: str, value: float, wanted: float, *, at_least: bool = True) -> None:
        """Print a figure beside what is wanted of it."""
        met = value >= wanted if at_least else value <= wanted
        sign = ">=" if at_least else "<="
        self.remark(
            f"{'met' if met else 'NOT MET'}: {claim}: {_cell(float(value))} "
            f"(wanted {sign} {_cell(float(wanted))})"
        )

    def save(self, path: str) -> None:
        text = json.dumps(self.content, indent=1, default=float)
        Path(path).write_text(text + "\n", encoding="utf-8")


def progress(text: str) -> None:
    """Say on standard error what runs now."""
    print(f"  ... {text}", file=sys.stderr, flush=True)


# --------------------------------------------------------------------------------------
# command line

Settings = argparse.Namespace


@dataclass(frozen=True)
class Option:
    """A setting of a section: its value, and its value in a smoke run."""

    value: Any
    tiny: Any
    help: str
    parse: Callable[[str], Any] = int


def peers_option(*names: str, tiny: tuple[str, ...] | None = None) -> Option:
    """Return the option that names the peers; a smoke run has them all if `tiny` is None."""
    text = f"peers to run beside ours; here: {', '.join(names)}"
    return Option(names, names if tiny is None else tiny, text, str)


Sections = Mapping[str, tuple[Callable[[Settings, Report], None], Mapping[str, Option]]]


def _section_parser(prog: str, description: str, sections: Sections) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=description)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--tiny", action="store_true", help="sizes of a smoke run")
    common.add_argument(
        "--cpu-time",
        action="store_true",
        help="CPU seconds in place of wall-clock time, one thread: for a machine that is not quiet",
    )
    common.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    common.add_argument("--json", metavar="FILE", help="write all figures there too")
    common.add_argument(
        "--peer-python",
        metavar="PATH",
        action="append",
        default=[],
        help="another interpreter in which to look for peers that this one lacks; repeatable",
    )
    commands = parser.add_subparsers(dest="section", required=True, metavar="SECTION")
    for name, (function, options) in sections.items():
        command = commands.add_parser(name, parents=[common], help=function.__doc__)
        for key, option in options.items():
            command.add_argument(
                "--" + key.replace("_", "-"),
                type=option.parse,
                nargs="*" if isinstance(option.value, tuple) else None,
                default=None,
                help=option.help,
            )
    commands.add_parser("all", parents=[common], help="every section with its defaults")
    return parser


def run_sections(
    prog: str, description: str, sections: Sections, arguments: Sequence[str] | None = None
) -> Report:
    """Run sections as the command line says."""
    given = _section_parser(prog, description, sections).parse_args(arguments)
    if given.cpu_time:
        os.environ[CPU_CLOCK] = "1"
    try:
        report = Report()
        for name in sections if given.section == "all" else [given.section]:
            _run_section(name, *sections[name], given, report)
            if given.json:
                report.save(given.json)
        return report
    finally:
        os.environ.pop(CPU_CLOCK, None)


def _run_section(
    name: str,
    function: Callable[[Settings, Report], None],
    options: Mapping[str, Option],
    given: Settings,
    report: Report,
) -> None:
    settings = argparse.Namespace(**vars(given))
    for key, option in options.items():
        if getattr(given, key, None) is None:
            setattr(settings, key, option.tiny if given.tiny else option.value)
    # Seconds that a quick call repeats for within its turn.
    settings.turn = 0.05 if given.tiny else 0.5
    report.section(name, (function.__doc__ or "").strip())
    if given.cpu_time:
        if "threads" in options:
            settings.threads = (1,)
        report.remark("seconds are CPU seconds, of one thread")
    start = time.perf_counter()
    function(settings, report)
    progress(f"{name} took {time.perf_counter() - start:.0f} s")


def main() -> None:
    """Serve a RemoteRunner, or make one call for run_in_child."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve").add_argument("registry")
    call = commands.add_parser("call")
    call.add_argument("target")
    call.add_argument("arguments")
    arguments = parser.parse_args()
    if arguments.command == "serve":
        _serve(arguments.registry)
    else:
        _call(arguments.target, arguments.arguments)


if __name__ == "__main__":
    main()
