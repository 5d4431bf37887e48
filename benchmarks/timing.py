"""Medians of interleaved repetitions, and peaks of allocated memory."""

import gc
import time
import tracemalloc
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np


class Seconds(NamedTuple):
    """Wall-clock time, and time on all cores together."""

    wall: float
    cpu: float


def median_seconds(
    runs: Mapping[str, Callable[[], object]], repeats: int, *, budget: float = np.inf
) -> dict[str, Seconds]:
    """Time each run ``repeats`` times in turn: a slow minute hits all alike.

    Each is called once before, to compile and to fill caches. Repetitions end early
    once they have taken ``budget`` seconds, but not before the third.
    """
    for run in runs.values():
        run()
    taken: dict[str, list[Seconds]] = {name: [] for name in runs}
    begin = time.perf_counter()
    for done in range(repeats):
        if done >= 3 and time.perf_counter() - begin > budget:
            break
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            cpu = time.process_time() - cpu
            taken[name].append(Seconds(time.perf_counter() - wall, cpu))
    return {name: Seconds(*np.median(each, axis=0)) for name, each in taken.items()}


def peak_bytes(run: Callable[[], object]) -> tuple[int, int]:
    """Return by how much memory grew at its peak, and how much of it the result keeps.

    NumPy reports its arrays, too.
    """
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = run()
        after, peak = tracemalloc.get_traced_memory()
        del result
    finally:
        tracemalloc.stop()
    return peak - before, after - before
