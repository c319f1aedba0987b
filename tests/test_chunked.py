"""Statistics of blocks, merged in a fixed order whatever the number of threads."""

import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController, threadpool_limits

from skmmd._chunked import (
    gather_blocks,
    kept_threads,
    reduce_blocks,
    row_blocks,
    single_threaded_blas,
)

N_JOBS = (None, 1, 2, 3, -1)


def blas_threads():
    return [
        library["num_threads"]
        for library in ThreadpoolController().info()
        if library["user_api"] == "blas"
    ]


def test_sum_over_row_blocks_equals_the_whole(rng):
    X = rng.normal(size=(103, 4))
    merged = reduce_blocks(
        lambda rows: X[rows].T @ X[rows], row_blocks(len(X), 10), lambda a, b: a + b
    )
    np.testing.assert_allclose(merged, X.T @ X, rtol=1e-12)


@given(n_rows=st.integers(0, 300), block_size=st.integers(1, 70))
def test_row_blocks_cover_each_row_once(n_rows, block_size):
    blocks = row_blocks(n_rows, block_size)
    rows = [i for block in blocks for i in range(n_rows)[block]]
    assert rows == list(range(n_rows))
    assert all(0 < block.stop - block.start <= block_size for block in blocks)


@given(n_blocks=st.integers(1, 40), n_jobs=st.sampled_from(N_JOBS))
def test_blocks_are_merged_in_their_order(n_blocks, n_jobs):
    """Concatenation does not commute: any tree over the right order gives this result."""
    merged = reduce_blocks(lambda i: (i,), range(n_blocks), lambda a, b: a + b, n_jobs=n_jobs)
    assert merged == tuple(range(n_blocks))


def test_order_holds_when_early_blocks_finish_last():
    def slow_first(i):
        time.sleep(0.02 if i == 0 else 0.0)
        return (i,)

    assert reduce_blocks(slow_first, range(12), lambda a, b: a + b, n_jobs=2) == tuple(range(12))


def test_rounding_does_not_depend_on_the_threads(rng):
    """Terms from 1e-16 to 1e16 with both signs: any other order of addition shows."""
    terms = rng.normal(size=200) * 10.0 ** rng.integers(-16, 17, size=200)
    results = {
        reduce_blocks(lambda i: terms[i], range(200), lambda a, b: a + b, n_jobs=n_jobs)
        for n_jobs in N_JOBS
        for _ in range(3)
    }
    assert len(results) == 1


def test_the_tree_is_the_same_for_any_number_of_threads():
    trees = {
        reduce_blocks(str, range(23), lambda a, b: f"({a} {b})", n_jobs=n_jobs) for n_jobs in N_JOBS
    }
    assert len(trees) == 1


def test_one_block_is_not_merged():
    def merge(a, b):
        raise AssertionError("there is nothing to merge")

    assert reduce_blocks(lambda block: block, ["only"], merge, n_jobs=2) == "only"


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_no_block_is_an_error(n_jobs):
    with pytest.raises(ValueError, match="block"):
        reduce_blocks(lambda block: block, [], lambda a, b: a, n_jobs=n_jobs)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_in_a_block_arrives_and_the_next_call_works(n_jobs):
    def fail(i):
        if i == 3:
            raise ZeroDivisionError("block 3")
        return i

    before = blas_threads()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match="block 3"):
            reduce_blocks(fail, range(8), lambda a, b: a + b, n_jobs=n_jobs)
    assert blas_threads() == before
    assert reduce_blocks(lambda i: i, range(8), lambda a, b: a + b, n_jobs=n_jobs) == 28


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_in_merge_arrives_and_the_next_call_works(n_jobs):
    def merge(a, b):
        raise ZeroDivisionError("merge")

    before = blas_threads()
    with pytest.raises(ZeroDivisionError, match="merge"):
        reduce_blocks(lambda i: i, range(50), merge, n_jobs=n_jobs)
    assert blas_threads() == before
    assert reduce_blocks(lambda i: i, range(8), lambda a, b: a + b, n_jobs=n_jobs) == 28


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_every_block_sees_blas_at_one_thread(n_jobs):
    """Also the first ones, which start before anything is merged."""
    if not blas_threads():
        pytest.skip("no BLAS that threadpoolctl knows")
    with threadpool_limits(limits=4, user_api="blas"):
        seen = reduce_blocks(lambda _: blas_threads(), range(6), lambda a, b: a + b, n_jobs=n_jobs)
        assert max(blas_threads()) == 4
    assert set(seen) == {1}


def test_threads_run_at_the_same_time():
    """Both blocks wait for each other: they can pass only if two are under way at once."""
    barrier = threading.Barrier(2, timeout=20)
    assert reduce_blocks(lambda i: barrier.wait() * 0 + i, [1, 2], max, n_jobs=2) == 2


def test_one_thread_is_the_default_and_the_calling_one():
    names = reduce_blocks(lambda _: {threading.current_thread().name}, range(5), lambda a, b: a | b)
    assert names == {threading.current_thread().name}


def test_parallel_config_of_joblib_is_obeyed():
    barrier = threading.Barrier(2, timeout=20)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert reduce_blocks(lambda i: barrier.wait() * 0 + i, [1, 2], max) == 2


def test_blocks_run_in_threads_even_where_processes_are_configured():
    seen = []
    with joblib.parallel_config(backend="loky", n_jobs=2):
        reduce_blocks(lambda i: seen.append(i), range(4), lambda a, b: a)
    assert sorted(seen) == [0, 1, 2, 3]


def test_silent_by_default_and_a_bar_on_request(capsys):
    reduce_blocks(lambda i: i, range(4), max, desc="tiles")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    reduce_blocks(lambda i: i, range(4), max, verbose=1, desc="tiles")
    assert "tiles" in capsys.readouterr().err


def test_blas_limit_is_lifted_and_nests():
    if not blas_threads():
        pytest.skip("no BLAS that threadpoolctl knows")
    with threadpool_limits(limits=3, user_api="blas"):
        with single_threaded_blas():
            assert set(blas_threads()) == {1}
            with single_threaded_blas():
                assert set(blas_threads()) == {1}
            assert set(blas_threads()) == {1}
        assert max(blas_threads()) == 3
        with pytest.raises(KeyError), single_threaded_blas():
            raise KeyError("inside")
        assert max(blas_threads()) == 3


def test_blas_limits_of_overlapping_threads_leave_no_trace():
    """First in, first out: each would restore the other's limit if each kept its own.

    The first thread is still alive when the second leaves, as the threads of a server are.
    """
    before = blas_threads()
    if not before or max(before) == 1:
        pytest.skip("BLAS has one thread anyway")
    first_in, second_in, first_out, checked = (threading.Event() for _ in range(4))
    seen = {}

    def first():
        with single_threaded_blas():
            seen["alone"] = blas_threads()
            first_in.set()
            second_in.wait(20)
        first_out.set()
        checked.wait(20)

    def second():
        first_in.wait(20)
        with single_threaded_blas():
            second_in.set()
            first_out.wait(20)
            seen["after the first left"] = blas_threads()

    threads = [threading.Thread(target=f) for f in (first, second)]
    for thread in threads:
        thread.start()
    threads[1].join(30)
    try:
        assert seen == {
            "alone": [1] * len(before),
            "after the first left": [1] * len(before),
        }
        assert blas_threads() == before
    finally:
        checked.set()
        threads[0].join(30)


def test_concurrent_reductions_agree(rng):
    """Several Python threads reduce at once, each with its own workers."""
    X = rng.normal(size=(400, 30))

    def total():
        return reduce_blocks(
            lambda rows: X[rows].T @ X[rows],
            row_blocks(len(X), 16),
            lambda a, b: a + b,
            n_jobs=2,
        )

    expected = total()
    results = []
    threads = [threading.Thread(target=lambda: results.append(total())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 4
    for result in results:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_gathered_results_keep_the_order_of_the_blocks(n_jobs):
    found = gather_blocks(lambda block: [block, -block], list(range(40)), n_jobs=n_jobs)
    assert found == [[block, -block] for block in range(40)]


def test_kept_threads_are_shared_and_end_with_the_context():
    seen = []
    for _ in range(2):
        with kept_threads():
            for _ in range(3):
                names = gather_blocks(lambda _: threading.current_thread().name, range(8), n_jobs=2)
                seen.append(set(names))
    assert len(set().union(*seen[:3])) <= 2
    assert not set().union(*seen[:3]) & set().union(*seen[3:])
    assert not any(t.name in set().union(*seen) for t in threading.enumerate())


INTERRUPTED = """
import signal, threading, time
from skmmd._chunked import gather_blocks

def block_result(block):
    # To this thread: the one that waits for it is not woken.
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    time.sleep(60)

try:
    gather_blocks(block_result, [0, 1], n_jobs=2)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals of POSIX")
def test_an_interrupt_that_wakes_no_one_ends_the_wait():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "interrupted\n"
