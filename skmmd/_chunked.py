"""Additive statistics of blocks: ``block_stats`` -> ``merge`` -> finalise, over threads.

What can be written as a sum over blocks of rows is written as three functions. This module runs the
first two; the caller finalises. Blocks are fixed by the data and merged in their order, so that the
result is the same to the bit for any number of threads.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.pool import AsyncResult, ThreadPool
from typing import Any, TypeVar

import joblib
from threadpoolctl import ThreadpoolController

__all__ = [
    "gather_blocks",
    "kept_threads",
    "reduce_blocks",
    "row_blocks",
    "single_threaded_blas",
]

Block = TypeVar("Block")
Stats = TypeVar("Stats")


_WAKE_SECONDS = 0.1


class _BlasThreads:
    """One shared limit on the threads of BLAS, entered any number of times at once.

    Nested or concurrent limits would restore each other's value: the first to enter sets the
    limit and the last to leave lifts it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._controller: ThreadpoolController | None = None
        self._limit: Any = None

    def enter(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                if self._controller is None:
                    self._controller = ThreadpoolController()
                self._limit = self._controller.limit(limits=1, user_api="blas")
            self._n_inside += 1

    def leave(self) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._release()
                self._limit.restore_original_limits()
                self._release()
                self._limit = None

    def _release(self) -> None:
        # Newer threadpoolctl lets only the thread that limited OpenBLAS change the limit, for as
        # long as that thread lives; here the last to leave may be another.
        for library in self._controller.lib_controllers if self._controller else ():
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)


_blas_threads = _BlasThreads()


@contextlib.contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS at one thread: threads run outside, over blocks, and rounding stays the same.

    The context can be nested, and entered from several Python threads at once.
    """
    _blas_threads.enter()
    try:
        yield
    finally:
        _blas_threads.leave()


_kept = threading.local()


@contextlib.contextmanager
def kept_threads() -> Iterator[None]:
    """Let all reductions inside, if this thread calls them, share the threads of the first.

    For many short passes: starting threads takes a millisecond. Not where two reductions run inside
    each other.
    """
    before = getattr(_kept, "pools", None)
    _kept.pools = {}
    try:
        yield
    finally:
        for pool in _kept.pools.values():
            pool.terminate()
            pool.join()
        _kept.pools = before


def row_blocks(n_rows: int, block_size: int) -> list[slice]:
    """Cut ``range(n_rows)`` into slices of `block_size` rows; the last may be shorter."""
    return [slice(start, min(start + block_size, n_rows)) for start in range(0, n_rows, block_size)]


def reduce_blocks(
    block_stats: Callable[[Block], Stats],
    blocks: Sequence[Block],
    merge: Callable[[Stats, Stats], Stats],
    *,
    n_jobs: int | None = None,
    verbose: int = 0,
    desc: str | None = None,
) -> Stats:
    """Merge the statistics of all blocks, from the first to the last.

    Parameters
    ----------
    block_stats : callable
        ``block_stats(block) -> stats``; runs in a thread, with BLAS at one thread.
    blocks : sequence
        The blocks, at least one. They may not depend on `n_jobs`.
    merge : callable
        ``merge(stats, stats) -> stats``; may reuse the memory of its first argument.
    n_jobs : int, default=None
        Number of threads; None means 1 unless in a :func:`joblib.parallel_config` context, -1 means
        all processors.
    verbose : int, default=0
        Show a progress bar if positive.
    desc : str, default=None
        The title of the progress bar.

    Returns
    -------
    stats
        The merged statistics.
    """
    if not blocks:
        raise ValueError("There is no block to reduce.")
    with single_threaded_blas(), contextlib.closing(_results(block_stats, blocks, n_jobs)) as found:
        results: Iterator[Stats] = found
        if verbose > 0:
            from tqdm.auto import tqdm

            results = iter(tqdm(found, total=len(blocks), desc=desc))
        merged = next(results)
        for stats in results:
            merged = merge(merged, stats)
    return merged


def gather_blocks(
    block_result: Callable[[Block], Stats],
    blocks: Sequence[Block],
    *,
    n_jobs: int | None = None,
    verbose: int = 0,
    desc: str | None = None,
) -> list[Stats]:
    """Return the results of all blocks as a list, in the order of the blocks.

    Parameters
    ----------
    block_result : callable
        ``block_result(block) -> result``; runs in a thread, with BLAS at one thread.
    blocks : sequence
        The blocks, at least one.
    n_jobs : int, default=None
        Number of threads, as in :func:`reduce_blocks`.
    verbose : int, default=0
        Show a progress bar if positive.
    desc : str, default=None
        The title of the progress bar.

    Returns
    -------
    list
        One result for each block.
    """

    def extend(done: list[Stats], more: list[Stats]) -> list[Stats]:
        done.extend(more)
        return done

    return reduce_blocks(
        lambda block: [block_result(block)],
        blocks,
        extend,
        n_jobs=n_jobs,
        verbose=verbose,
        desc=desc,
    )


def _results(
    block_stats: Callable[[Block], Stats], blocks: Sequence[Block], n_jobs: int | None
) -> Generator[Stats, None, None]:
    """Yield the statistics of the blocks in their order; few of them are alive at a time."""
    n_threads = min(joblib.effective_n_jobs(n_jobs), len(blocks))
    if n_threads == 1:
        yield from map(block_stats, blocks)
        return
    # joblib says how many; its own pool takes 10 ms to start, as long as a small job. Threads of
    # this one do not keep an interrupted process alive, should one of them wait for a file.
    pools: dict[int, ThreadPool] | None = getattr(_kept, "pools", None)
    pool = pools.get(n_threads) if pools is not None else None
    if pool is None:
        pool = ThreadPool(n_threads)
        if pools is not None:
            pools[n_threads] = pool
    waiting: deque[AsyncResult[Stats]] = deque()
    try:
        for block in blocks:
            waiting.append(pool.apply_async(block_stats, (block,)))
            if len(waiting) > 2 * n_threads:
                yield _wait_for(waiting.popleft())
        while waiting:
            yield _wait_for(waiting.popleft())
    finally:
        if pools is None:
            pool.terminate()


def _wait_for(result: AsyncResult[Stats]) -> Stats:
    """Return a result; Ctrl-C ends the wait."""
    # A signal between the last instruction and an endless wait would be noticed only after it.
    while not result.ready():
        result.wait(_WAKE_SECONDS)
    return result.get()
