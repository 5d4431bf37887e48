"""Wall-clock medians of interleaved repetitions, and peaks of allocated memory."""

import gc
import time
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def median_seconds(
    runs: Mapping[str, Callable[[], Any]], repeats: int, *, budget: float = np.inf
) -> dict[str, float]:
    """Time each run ``repeats`` times in turn: a slow minute hits all alike.

    Each is called once before, to compile and to fill caches. Repetitions end early
    once they have taken ``budget`` seconds, but not before the third.
    """
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    begin = time.perf_counter()
    for done in range(repeats):
        if done >= 3 and time.perf_counter() - begin > budget:
            break
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(taken)) for name, taken in seconds.items()}


def peak_bytes(run: Callable[[], Any]) -> int:
    """Return by how much memory grew at its peak (NumPy reports its arrays, too)."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = run()
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        tracemalloc.stop()
    return peak - before
