"""The compiled exponential and logarithm, and the decorator of compiled loops."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skmmd import _jit
from tests import reference

EPS = 2.3e-16


def exp_of(values):
    """Apply the scalar exp as loops do: one number after the other."""
    return np.array([_jit.exp(v) for v in np.asarray(values, dtype=float)])


def relative_error(values):
    truth = reference.exact_exp(values)
    got = exp_of(values).astype(np.longdouble)
    return np.abs((got - truth) / truth).astype(float)


needs_long_double = pytest.mark.skipif(
    np.finfo(np.longdouble).eps >= np.finfo(float).eps,
    reason="the long double of this machine is no better than float64",
)


@needs_long_double
@pytest.mark.parametrize(
    ("low", "high"), [(-708, 0), (-1, 0), (-1e-3, 0), (-40, -20), (0, 1), (0, 700)]
)
def test_exp_is_accurate_to_the_last_bits(low, high, rng):
    values = np.concatenate([rng.uniform(low, high, 20_000), [low, high]])
    assert relative_error(values).max() <= EPS


@needs_long_double
def test_exp_at_the_seams_of_the_range_reduction():
    halves = (np.arange(-2042, 1) / 2) * np.log(2)  # k ln2 and (k + 1/2) ln2
    halves = halves[halves > -708]
    around = np.concatenate([np.nextafter(halves, -np.inf), halves, np.nextafter(halves, np.inf)])
    assert relative_error(around[around <= 0]).max() <= EPS


def test_exp_of_zero_and_tiny_values_is_one():
    values = np.array([0.0, -0.0, 1e-17, -1e-17, 5e-324, -5e-324, -1e-300])
    np.testing.assert_array_equal(exp_of(values), 1.0)


def test_exp_keeps_nan_and_saturates():
    assert np.isnan(_jit.exp(np.nan))
    assert _jit.exp(np.inf) == np.inf
    for value in (710.0, 1e3, 1e10, 1e300):
        assert _jit.exp(value) == np.inf, value
    # Below the normal range the value may be clamped to the smallest one, but not wrap round.
    for value in (-709.0, -745.0, -746.0, -1e3, -1e10, -1e300, -np.inf):
        assert 0.0 <= _jit.exp(value) <= 3.4e-308, value


@given(st.floats(-708, 709, allow_nan=False))
def test_exp_agrees_with_numpy(value):
    # NumPy's own exp is good to one unit in the last place.
    assert abs(_jit.exp(value) - np.exp(value)) <= 3 * EPS * np.exp(value)


@given(st.floats(width=64))
def test_exp_of_any_float_is_never_negative(value):
    with np.errstate(all="ignore"):
        result = _jit.exp(value)
    assert np.isnan(result) if np.isnan(value) else result >= 0


def test_exp_inside_a_loop(rng):
    """The function as it is used: called from another compiled function, over an array."""

    @_jit.loop
    def apply(values, out):
        for i in range(values.shape[0]):
            out[i] = _exp(values[i])

    values = rng.uniform(-700, 5, 1000)
    out = np.empty_like(values)
    apply(values, out)
    np.testing.assert_array_equal(out, exp_of(values))


_exp = _jit.exp


# --------------------------------------------------------------------------------------
# logarithm

LOGS = {"as it is used": _jit.log, "interpreted": _jit._interpreted_log}
each_log = pytest.mark.parametrize("log", LOGS.values(), ids=LOGS.keys())


def log_errors(log, values):
    """Return the errors in units in the last place."""
    truth = reference.exact_log(values)
    got = np.array([log(v) for v in values]).astype(np.longdouble)
    unit = np.spacing(np.abs(truth).astype(float))
    return (np.abs(got - truth) / unit).astype(float)


def with_neighbours(values):
    return np.concatenate([np.nextafter(values, 0.0), values, np.nextafter(values, np.inf)])


@needs_long_double
@each_log
@pytest.mark.parametrize(
    ("low", "high"), [(-1022, 1024), (-40, 0), (-1, 1), (-0.5, 0.5), (-1e-3, 1e-3), (-1e-9, 1e-9)]
)
def test_log_is_accurate_to_the_last_bits(log, low, high, rng):
    values = np.exp2(rng.uniform(low, high, 20_000))
    assert log_errors(log, values[values != 1.0]).max() <= 1.1


@needs_long_double
@each_log
def test_log_at_the_seams_of_the_range_reduction(log):
    """Numbers sqrt(1/2) 2^k, where the exponent changes, and powers of two, where bits do."""
    powers = np.ldexp(1.0, np.arange(-1022, 1024))
    values = with_neighbours(np.concatenate([np.sqrt(0.5) * powers[1:], powers]))
    assert log_errors(log, values[values != 1.0]).max() <= 1.1


@needs_long_double
@each_log
def test_log_of_subnormal_numbers(log, rng):
    smallest = np.ldexp(1.0, np.arange(-1074, -1021))
    drawn = rng.integers(1, 2**52, 5000) * 5e-324
    seams = np.sqrt(0.5) * smallest[10:]
    values = np.concatenate([smallest, np.nextafter(smallest, 1.0), drawn, seams])
    assert values.min() == 5e-324
    assert log_errors(log, values).max() <= 1.1


@each_log
def test_log_of_one_is_zero(log):
    assert log(1.0) == 0.0


@each_log
def test_log_where_there_is_none(log):
    for zero in (0.0, -0.0):
        assert log(zero) == -np.inf
    for value in (-5e-324, -1e-300, -1.0, -1e300, -np.inf, np.nan):
        assert np.isnan(log(value)), value
    assert log(np.inf) == np.inf
    assert log(np.finfo(float).max) < 709.79


@given(st.floats(min_value=0.0, exclude_min=True, allow_infinity=False))
def test_log_agrees_with_numpy(value):
    # NumPy's own log is good to one unit in the last place.
    assert abs(_jit.log(value) - np.log(value)) <= 2.1 * np.spacing(abs(np.log(value)))


def test_log_inside_a_loop(rng):
    """The function as it is used: called from another compiled function, over an array."""

    @_jit.loop
    def apply(values, out):
        for i in range(values.shape[0]):
            out[i] = _log(values[i])

    values = np.concatenate(
        [np.exp(rng.uniform(-700, 700, 1000)), [5e-324, 1.0, 0.0, -1.0, np.nan, np.inf, -np.inf]]
    )
    out = np.empty_like(values)
    apply(values, out)
    np.testing.assert_array_equal(out, [_jit.log(value) for value in values])


_log = _jit.log


# --------------------------------------------------------------------------------------
# the decorator

compiled_only = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled in this lane"
)


@compiled_only
def test_loops_release_the_gil_and_keep_nan():
    options = _jit.loop(lambda x: x).targetoptions
    assert options["nogil"] is True
    assert not options.get("parallel", False)
    fastmath = options.get("fastmath", False)
    assert fastmath is not True
    assert not fastmath or set(fastmath) <= {"nsz", "arcp", "contract", "reassoc"}


LOOPS = """
from frozen._jit import exp, loop


@loop
def twice_exp(x):
    return 2.0 * exp(x)
"""

RUN = """
import sys, warnings
warnings.simplefilter("error")
sys.path.insert(0, sys.argv[1])
import numba
from frozen import _loops
assert _loops.twice_exp(0.0) == 2.0
try:
    from frozen import _plain
except RuntimeError as error:
    assert "cannot cache function" in str(error), error
else:
    raise AssertionError("there was a place to cache after all: this test proves nothing")
print("ran")
"""

PLAIN = """
import numba


@numba.njit(cache=True)
def twice(x):
    return 2.0 * x
"""


@compiled_only
def test_no_place_to_cache_falls_back_to_uncached_code(tmp_path):
    """Neither beside the sources nor below HOME can a folder be made: files stand in the way."""
    package = tmp_path / "frozen"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_jit.py").write_text(Path(_jit.__file__).read_text())
    (package / "_loops.py").write_text(LOOPS)
    (package / "_plain.py").write_text(PLAIN)
    (package / "__pycache__").write_text("not a folder")
    home = tmp_path / "home"
    home.write_text("not a folder")
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home), "NUMBA_DISABLE_JIT": "0"}
    done = subprocess.run(
        [sys.executable, "-B", "-c", RUN, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "ran"


def test_the_cache_folder_is_the_one_of_the_sources():
    import numba

    assert os.environ["NUMBA_CACHE_DIR"] == numba.config.CACHE_DIR


EVERY_LOOP = """
import json
import numpy as np
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, e):
        compiled.append(str(e.data["dispatcher"]))
    def on_end(self, e):
        pass
event.register("numba:compile", Listener())
from skmmd.two_sample import MMDTest, mmd, mmd_test
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
frozen = X.copy()
frozen.flags.writeable = False
for kernel in ("rbf", "laplacian", "imq", "rq", "linear", "polynomial", "energy"):
    mmd(X, Y, kernel=kernel)
for method in ("permutation", "binned", "nystroem", "asymptotic"):
    mmd_test(X, Y, method=method, n_permutations=9, random_state=0)
    mmd_test(frozen, Y[:, ::-1], method=method, n_permutations=9, random_state=0)
test = MMDTest(n_permutations=9).fit(np.vstack([X, Y]), np.arange(80) % 3)
test.feature_scores()
test.score(np.vstack([X, Y]), np.arange(80) % 2)
import importlib, numba
overloads = {}
for name in ("skmmd.kernels._loops", "skmmd.two_sample._loops"):
    for value in vars(importlib.import_module(name)).values():
        if isinstance(value, numba.core.dispatcher.Dispatcher):
            overloads[value.__name__] = len(value.signatures)
print(json.dumps({"compiled": compiled, "overloads": overloads}))
"""


def run_every_loop(folder):
    done = subprocess.run(
        [sys.executable, "-c", EVERY_LOOP],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@compiled_only
@pytest.mark.slow
def test_a_second_process_compiles_nothing(tmp_path):
    """Closures, functions as arguments and functions made on the fly are never found again."""
    first = run_every_loop(tmp_path)
    assert first["compiled"], "an empty folder holds no compiled code"
    second = run_every_loop(tmp_path)
    assert second["compiled"] == []
    # One array type; read-only and writable may both come.
    assert second["overloads"]
    assert max(second["overloads"].values()) <= 2, second["overloads"]
