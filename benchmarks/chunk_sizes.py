"""Estimates without labels by size of the chunks: does `auto` hold up at each?

The tasks of ``benchmarks.label_free`` in chunks of several sizes, evenly spaced over
production. Each size has the geometric mean, over the tasks, of the RMSE against the
realized metric. Density ratios need 200 rows: below, `pape` is `cbpe`.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.label_free import CENSUS, read
from benchmarks.reporting import Targets, make_parser, print_table
from benchmarks.shifting_tasks import MODELS, SETS, Task
from calibration.features.density_ratio import evenly_spaced
from estimator import PerformanceEstimator

Floats = NDArray[np.float64]

METRICS = ("roc_auc", "accuracy")
METHODS = ("cbpe", "pape", "auto")
SIZES = (100, 300, 1_000, 5_000)
MAX_CHUNKS = 40
MOST = 1.02  # `auto` over the better of the other two, at each size


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="folder with the data sets")
    parser.add_argument(
        "--sets", nargs="+", default=[CENSUS, *SETS], choices=[CENSUS, *SETS]
    )
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    options = parser.parse_args()
    rmse = measure(options, parser)
    targets = Targets(source="estimates by size of the chunks")
    for k, metric in enumerate(METRICS):
        rows = []
        mean = np.exp(np.nanmean(np.log(rmse[..., k]), axis=0))
        for size, by_method in zip(options.sizes, mean, strict=True):
            *others, auto = by_method.tolist()
            rows.append((f"{size:,}", *(f"{one:.0f}" for one in by_method)))
            what = f"{metric}: auto over the better of the others, chunks of {size:,}"
            targets.at_most(what, auto / min(others), MOST)
        title = f"{metric}: RMSE e-4, geometric mean of {len(rmse)} tasks"
        print_table(title, ("rows", *METHODS), rows)
    return targets.finish(check=options.check)


def measure(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Floats:
    """Return RMSE e-4, of shape (n_tasks, n_sizes, n_methods, n_metrics)."""
    every = []
    for task, _ in read(options, parser):
        begin = time.perf_counter()
        every.append(
            [[_rmse(task, m, size) for m in METHODS] for size in options.sizes]
        )
        seconds = time.perf_counter() - begin
        print(f"{task.name}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return np.array(every)


def _rmse(task: Task, method: str, size: int) -> Floats:
    features = () if method == "cbpe" else task.features
    estimator = PerformanceEstimator(METRICS, method, size, features=features)
    n_chunks = len(task.production) // size
    chunks = evenly_spaced(n_chunks, MAX_CHUNKS)
    rows_kept = (chunks[:, None] * size + np.arange(size)).ravel()
    # Labels lead to realized values and to nothing else.
    production = task.production[["y_pred_proba", "y_true", *features]]
    estimates = estimator.fit(task.reference).estimate(production.iloc[rows_kept])
    rows = estimates.period == "analysis"
    error = estimates.estimated[rows] - estimates.realized[rows]
    squares = np.where(np.isfinite(error), error, 0.0) ** 2
    return 1e4 * np.sqrt(squares.sum(axis=0) / np.isfinite(error).sum(axis=0))


if __name__ == "__main__":
    sys.exit(main())
