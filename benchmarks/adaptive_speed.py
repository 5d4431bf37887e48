"""How fast methods that read features are: beside LightGBM itself, and by chunk.

`feature_aware` on 1 M rows is held against what LightGBM takes to predict with the same
trees, on as many threads as it likes, plus `cbpe` on the same rows. `pape` is timed per
chunk of 2,000 rows with a reference of 50,000.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.reporting import Targets, make_parser, print_table
from benchmarks.shifting_tasks import read_census
from benchmarks.timing import median_seconds
from estimator import PerformanceEstimator
from estimator.frames.features import read_features

N_REFERENCE, CHUNK, N_CHUNKS = 50_000, 2_000, 10
RATIO, SECONDS = 1.3, 0.4


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="folder with employment_MA_*.pq")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    targets = Targets(source="speed of estimates that read features")
    task = read_census(options.data, parser, CHUNK)
    names = ["y_pred_proba", *task.features]
    copies = -(-options.rows // len(task.production))
    rows = pd.concat([task.production[names]] * copies, ignore_index=True)
    rows = rows[: options.rows]
    fitted = {
        method: PerformanceEstimator(
            method=method, chunk=CHUNK, features=task.features
        ).fit(task.reference[:N_REFERENCE])
        for method in ("cbpe", "feature_aware", "pape")
    }
    adapter = fitted["feature_aware"].reference_.adapter
    matrix = read_features(adapter.table, rows, name="production")
    matrix = np.column_stack([rows["y_pred_proba"], matrix])
    trees = [booster for booster in adapter.feature_aware.trees_ if booster]

    def predict() -> None:
        for booster in trees:
            booster.predict(matrix, raw_score=True)

    few = rows[: N_CHUNKS * CHUNK]
    seconds = median_seconds(
        {
            "LightGBM's prediction": predict,
            "cbpe": partial(fitted["cbpe"].estimate, rows),
            "feature_aware": partial(fitted["feature_aware"].estimate, rows),
            "pape": partial(fitted["pape"].estimate, few),
        },
        options.repeats,
    )
    n_trees = sum(booster.num_trees() for booster in trees)
    print_table(
        f"Seconds, {len(rows):,} rows ({len(few):,} for pape), {n_trees} trees",
        ("", "wall", "all cores"),
        [(name, f"{s.wall:.2f}", f"{s.cpu:.2f}") for name, s in seconds.items()],
    )
    alone = seconds["LightGBM's prediction"].wall + seconds["cbpe"].wall
    targets.at_most("feature_aware", seconds["feature_aware"].wall / alone, RATIO, " ×")
    targets.at_most("pape, a chunk", seconds["pape"].wall / N_CHUNKS, SECONDS, " s")
    return targets.finish(check=options.check)


if __name__ == "__main__":
    sys.exit(main())
