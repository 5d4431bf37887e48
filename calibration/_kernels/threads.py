"""Work on many items (chunks, motions), shared out to all cores in blocks."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import n_cores

Item = TypeVar("Item")

_ROWS_PER_BLOCK = 65_536
# Below this, starting threads costs more than they save.
_ROWS_FOR_THREADS = 50_000


def share_out(offsets: NDArray[np.int64], work: Callable[[slice], None]) -> None:
    """Call ``work`` on slices of items that together are all of them.

    Parameters
    ----------
    offsets : ndarray of shape (n_items + 1,)
        Rising bounds of the items' rows, the measure of work; blocks have about equal.
    work : callable
        Fills in the results of one slice of items; must release the GIL to be faster
        on several threads, and may run on any of them.
    """
    n_rows = int(offsets[-1] - offsets[0])
    if n_rows < _ROWS_FOR_THREADS:
        work(slice(0, offsets.size - 1))
        return
    threads = n_cores()
    # Several blocks a thread, so that none waits long for the last one.
    _work_off(
        _blocks(offsets, max(2 * threads, n_rows // _ROWS_PER_BLOCK)), work, threads
    )


def for_each(items: Sequence[Item], work: Callable[[Item], None]) -> None:
    """Call ``work`` on each of a few items that take long, on all cores.

    So LightGBM is used: one of its fits is hardly faster on two threads, and if others
    use the machine, too, its threads wait for one another a hundred times as long.
    """
    _work_off(items, work, min(n_cores(), len(items)))


def _work_off(
    items: Sequence[Item], work: Callable[[Item], None], threads: int
) -> None:
    """Call ``work`` on the items, on the caller's thread and on those that help it.

    When it returns or raises, no thread works for it any more: after the first error,
    whoever's it is, no further item is begun. The caller's own error is raised, or else
    that of the first helper that had one.
    """
    pending = deque(items)

    def work_through() -> None:
        try:
            while True:
                try:
                    item = pending.popleft()
                except IndexError:  # all are done, or another thread was faster
                    return
                work(item)
        except BaseException:
            pending.clear()
            raise

    helpers: list[Future[None]] = []
    try:
        for _ in range(threads - 1):
            helpers.append(_pool().submit(work_through))  # noqa: PERF401 - see below
        work_through()
    finally:  # also where an interrupt comes while helpers are being called
        pending.clear()
        _await_all(helpers)
    for helper in helpers:
        if not helper.cancelled():
            helper.result()


def _await_all(helpers: Sequence[Future[None]]) -> None:
    """Wait until no helper works; an interrupt meanwhile is raised after that."""
    interrupt: KeyboardInterrupt | None = None
    for helper in helpers:
        while not (helper.cancel() or helper.done()):
            try:
                wait([helper])
            except KeyboardInterrupt as error:  # it waits for one item at most
                interrupt = error
    if interrupt is not None:
        raise interrupt


@cache
def _pool() -> ThreadPoolExecutor:
    """Return the threads that help the caller's: starting them takes a millisecond."""
    return ThreadPoolExecutor(n_cores() - 1, thread_name_prefix="deadreckon")


if hasattr(os, "register_at_fork"):  # a forked child inherits no threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _blocks(offsets: NDArray[np.int64], n_blocks: int) -> list[slice]:
    """Cut the items into runs of about equal numbers of rows."""
    even = np.linspace(offsets[0], offsets[-1], n_blocks + 1)[1:-1]
    inner = np.searchsorted(offsets, even)
    cuts = np.unique(np.concatenate([[0], inner, [offsets.size - 1]])).tolist()
    return [slice(first, last) for first, last in pairwise(cuts)]
