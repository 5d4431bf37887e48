"""A tenth of the labels of 5 M rows in 1,000 chunks come at once: how long, how large?

Then a night's batch on top of that history: what one call per chunk costs.
"""

import sys
import time
import tracemalloc

import numpy as np
import pandas as pd

from benchmarks.reporting import Bars, make_parser, print_table
from benchmarks.worlds import draw_frame
from estimator import Monitor, PerformanceEstimator

METRICS = ("roc_auc", "accuracy")
START = np.datetime64("2024-01-01", "us")
SECONDS_BAR, BYTES_BAR = 3.0, 64.0


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--chunks", type=int, default=1_000)
    parser.add_argument("--share", type=float, default=0.1, help="of labels that come")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    bars = Bars(source="issue 3, “What it must reach”, fourth point")
    rng = np.random.default_rng(options.seed)
    size = options.rows // options.chunks
    reference = draw(50_000, 0, size, rng)
    reference["id"] = -1 - np.arange(len(reference))
    estimator = PerformanceEstimator(
        METRICS, chunk=size, timestamp="time", labeled_at="known"
    ).fit(reference)
    frame = draw(options.rows, len(reference), size, rng)
    rows = []
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    monitor = Monitor(estimator, row_id="id")
    began = time.perf_counter()
    monitor.add_predictions(frame[["id", "time", "y_pred_proba"]])
    rows.append(("add all predictions", f"{time.perf_counter() - began:.2f} s"))
    n_labels = int(options.share * options.rows)
    which = rng.permutation(options.rows)[:n_labels].copy()
    tracemalloc.stop()
    labels = frame.iloc[which][["id", "y_true", "known"]]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0] - monitor.nbytes
    monitor.add_labels(labels)
    held = (tracemalloc.get_traced_memory()[0] - before) / options.rows
    tracemalloc.reset_peak()
    monitor.performance()
    peak = (tracemalloc.get_traced_memory()[1] - before) / options.rows
    tracemalloc.stop()
    rows.append(("memory a row, with the labels", f"{held:.1f} bytes"))
    rows.append(("peak during `performance`, a row", f"{peak:.1f} bytes"))
    adding, asking = [], []
    for _ in range(options.repetitions):
        monitor = Monitor(estimator, row_id="id")
        monitor.add_predictions(frame[["id", "time", "y_pred_proba"]])
        began = time.perf_counter()
        monitor.add_labels(labels)
        then = time.perf_counter()
        monitor.performance()
        adding.append(then - began)
        asking.append(time.perf_counter() - then)
    both = np.median(np.add(adding, asking))
    rows.append(("add_labels", f"{np.median(adding):.2f} s"))
    rows.append(("performance", f"{np.median(asking):.2f} s"))
    # The same history with the labels of all but the last 30 days in.
    now = frame["time"].iloc[-1]
    monitor.add_labels(frame.loc[frame["known"] <= now, ["id", "y_true", "known"]])
    monitor.performance()
    night = draw(size, options.rows + len(reference), size, rng)
    night["id"] = options.rows + np.arange(size)
    began = time.perf_counter()
    monitor.add_predictions(night[["id", "time", "y_pred_proba"]])
    took = time.perf_counter() - began
    rows.append(("one more chunk, all but the last 30 labelled", f"{took:.2f} s"))
    title = (
        f"{options.rows:,} rows, {options.chunks:,} chunks, {options.share:.0%} labels"
    )
    print_table(title, ("", "median"), rows)
    bars.at_most("add_labels + performance", float(both), SECONDS_BAR, " s")
    bars.at_most("memory a row", held, BYTES_BAR, " bytes")
    return bars.finish(check=options.check)


def draw(n: int, first: int, size: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw rows, a chunk a day, whose labels take up to 30 days."""
    frame = draw_frame(n, rng).drop(columns="y_pred")
    step = 86_400 * 10**6 // size
    when = START + ((first + np.arange(n)) * step).astype("m8[us]")
    delay = (rng.random(n) * 30 * 86_400 * 10**6).astype(np.int64).astype("m8[us]")
    return frame.assign(id=np.arange(n), time=when, known=when + delay)


if __name__ == "__main__":
    sys.exit(main())
