"""Does the value of the newest, unlabelled chunk follow a drift that only labels show?

40 chunks of 1,000 rows, s = expit(z), z ~ N(.2, 1.1), P(y = 1) = expit((1.3 + c) z - 1)
with c by chunk: 0, a ramp, a step, a cycle. Labels come 2 or 6 chunks late, complete,
or within that delay at random, by score or by class. At the end of a chunk its value is
held against the final realized one; what an oracle that knows P gets wrong is label
noise, and excess RMSE what comes on top: √(RMSE² - RMSE² of the oracle).
"""

import multiprocessing
import sys
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from benchmarks.reporting import Targets, make_parser, print_table
from estimator import Monitor, PerformanceEstimator
from estimator.chunking.segments import Groups
from estimator.metrics.measurement import measure
from estimator.metrics.metric_names import resolve_metrics
from estimator.metrics.rows import Decisions, Rows

Floats = NDArray[np.float64]

N_CHUNKS, CHUNK, N_REFERENCE = 40, 1_000, 10_000
DRIFTS = ("none", "gradual", "sudden", "cyclical 10", "cyclical 20")
ARRIVALS = ("complete", "at random", "by score", "by class")
LATE = (2, 6)
METRICS = ("roc_auc", "accuracy")
START = np.datetime64("2026-01-05T00:00", "us")
DAY = 86_400 * 10**6  # a chunk is a day
Z = float(ndtri(0.975))


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--repetitions", type=int, default=60)
    parser.add_argument(
        "--asked",
        type=int,
        nargs="+",
        default=[24, 27, 30, 33, 36, 39],
        help="chunks at whose end to ask; errors count at the last, coverage at all",
    )
    parser.add_argument("--arrivals", nargs="+", default=ARRIVALS, choices=ARRIVALS)
    options = parser.parse_args()
    targets = Targets(source="calibration shifts that only labels show")
    cells = list(product(options.arrivals, LATE, DRIFTS))
    work = partial(replicate, asked=tuple(options.asked))
    tasks = [
        (options.seed + r, *cell) for cell in cells for r in range(options.repetitions)
    ]
    with multiprocessing.get_context("spawn").Pool() as pool:
        measured = np.array(pool.starmap(work, tasks, chunksize=10))
    measured = measured.reshape(len(cells), -1, *measured.shape[1:])
    covered, still = [], []
    for arrivals in options.arrivals:
        for k, metric in enumerate(METRICS):
            rows = []
            for (how, late, drift), values in zip(cells, measured, strict=True):
                if how != arrivals:
                    continue
                cell = Cell(values[:, :, k])
                rows.append((late, drift, *cell.row()))
                name = f"{metric}, {drift}, {late} late, {how}"
                covered.append((name, cell.covered))
                if drift == "none":
                    still.append((name, cell.width))
                if metric == "roc_auc":
                    judge(targets, cell, drift, late, name)
            print_table(
                f"{metric}, labels {arrivals}: RMSE e-4 on the newest chunk",
                ("late", "drift", "value", "CBPE", "last realized", "oracle",
                 "excess / CBPE's", "excess / best's", "covered", "width / oracle's"),
                rows,
            )  # fmt: skip
    coverage = 100.0 * np.array([share for _, share in covered])
    targets.within("coverage, all cells", float(coverage.mean()), 90, 98, " %")
    worst = int(np.argmin(coverage))
    targets.at_least(
        f"coverage, worst cell ({covered[worst][0]})", coverage[worst], 88, " %"
    )
    widest, width = max(still, key=lambda pair: pair[1])
    targets.at_most(f"width where nothing moves ({widest})", width, 1.5, " × oracle's")
    return targets.finish(check=options.check)


def judge(targets: Targets, cell: "Cell", drift: str, late: int, name: str) -> None:
    if drift == "none":
        targets.at_most(f"{name}: RMSE", cell.value / cell.estimated, 1.03, " × CBPE's")
    elif drift == "gradual":
        targets.at_most(f"{name}: excess", cell.of_estimated, 0.10, " × CBPE's")
    elif drift == "sudden":
        targets.at_most(f"{name}: excess", cell.of_estimated, 0.12, " × CBPE's")
    elif drift == "cyclical 10" and late == LATE[0]:
        targets.at_most(f"{name}: excess", cell.of_best, 0.65, " × best of the others")


class Cell:
    """One cell of the table, from errors and half-widths (repetitions, asked, 6)."""

    def __init__(self, values: Floats) -> None:
        rmse = np.sqrt((values[:, -1, :4] ** 2).mean(axis=0))
        self.value, self.estimated, self.last, self.oracle = rmse.tolist()
        excess = np.sqrt(np.maximum(rmse[:3] ** 2 - rmse[3] ** 2, 0.0))
        self.of_estimated = float(excess[0] / excess[1]) if excess[1] else np.nan
        best = excess[1:].min()
        self.of_best = float(excess[0] / best) if best else np.nan
        inside = np.abs(values[..., 0]) <= values[..., 4] + 1e-12
        self.covered = float(inside.mean())
        self.width = float(values[..., 4].mean() / values[..., 5].mean())

    def row(self) -> tuple[str, ...]:
        """Return the cells of a table's row."""
        rmse = (self.value, self.estimated, self.last, self.oracle)
        return (
            *(f"{1e4 * value:.0f}" for value in rmse),
            f"{self.of_estimated:.2f}",
            f"{self.of_best:.2f}",
            f"{self.covered:.1%}",
            f"{self.width:.2f}",
        )


def drift_of(drift: str, chunk: Floats) -> Floats:
    """Return c by chunk."""
    if drift.startswith("cyclical"):
        return 0.3 * np.sin(2.0 * np.pi * chunk / float(drift.split()[1]))
    return {
        "none": 0.0 * chunk,
        "gradual": -0.8 * chunk / N_CHUNKS,
        "sudden": np.where(chunk >= 12, -0.6, 0.0),
    }[drift]


def replicate(
    seed: int, arrivals: str, late: int, drift: str, asked: tuple[int, ...]
) -> Floats:
    """Return errors and half-widths, (asked, metrics, measures), of one repetition."""
    rng = np.random.default_rng([seed, DRIFTS.index(drift), late])
    reference, _ = draw(rng, np.zeros(N_REFERENCE), -N_REFERENCE // CHUNK)
    chunk = np.repeat(np.arange(N_CHUNKS), CHUNK)
    production, probability = draw(rng, drift_of(drift, chunk.astype(float)), 0)
    production["known"] = arrival(rng, production, chunk, arrivals, late)
    estimator = PerformanceEstimator(
        METRICS, chunk=CHUNK, timestamp="time", labeled_at="known"
    ).fit(reference)
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(production.drop(columns=["y_true", "known"]))
    monitor.add_labels(production[["id", "y_true", "known"]])
    final = analysis_of(monitor.performance())["realized"]
    metrics = resolve_metrics(METRICS, None)
    oracle = measure(
        metrics,
        Groups(
            parts=((None, np.arange(N_CHUNKS + 1) * CHUNK),),
            segment=np.full(N_CHUNKS, "", dtype=object),
            chunk=np.arange(N_CHUNKS),
        ),
        Rows(
            score=production["y_pred_proba"].to_numpy(),
            soft=probability,
            decisions=Decisions(threshold=0.5),
        ),
    )
    rows = []
    for t in asked:
        then = START + np.timedelta64((t + 1) * DAY - 1, "us")
        then_known = analysis_of(monitor.performance(as_of=then))
        complete = np.flatnonzero(then_known["n_labels"] == then_known["n_rows"])
        last = final[complete[-1]] if complete.size else then_known["estimated"][t]
        truth = final[t]
        half = (then_known["upper"] - then_known["lower"])[t] / 2.0
        rows.append(
            np.stack(
                [
                    then_known["value"][t] - truth,
                    then_known["estimated"][t] - truth,
                    last - truth,
                    oracle.value[t] - truth,
                    half,
                    Z * np.sqrt(oracle.label_variance[t]),
                ],
                axis=1,
            )
        )
    return np.array(rows)


def draw(
    rng: np.random.Generator, c: Floats, first: int
) -> tuple[pd.DataFrame, Floats]:
    """Draw rows, a chunk a day from day ``first``, and P(y = 1)."""
    z = rng.normal(0.2, 1.1, c.size)
    probability = expit((1.3 + c) * z - 1.0)
    steps = first * DAY + np.arange(c.size) * (DAY // CHUNK)
    frame = pd.DataFrame(
        {
            "id": np.arange(c.size),
            "time": START + steps.astype("m8[us]"),
            "y_pred_proba": expit(z),
            "y_true": (rng.random(c.size) < probability).astype(int),
        }
    )
    return frame, probability


def arrival(
    rng: np.random.Generator,
    frame: pd.DataFrame,
    chunk: NDArray[np.int64],
    arrivals: str,
    late: int,
) -> NDArray[np.datetime64]:
    """Return when each label comes: complete, or within ``late`` chunks."""
    if arrivals == "complete":  # all of a chunk at the end of the chunk `late` on
        return START + ((chunk + late + 1) * DAY - 1).astype("m8[us]")
    spread = rng.random(len(frame))
    if arrivals == "by score":  # high scores first
        spread *= np.where(frame["y_pred_proba"] > 0.5, 0.5, 1.0)
    elif arrivals == "by class":  # positives early, negatives late
        spread = np.where(frame["y_true"] == 1, 0.6 * spread, 0.5 + 0.5 * spread)
    delay = (spread * late * DAY).astype(np.int64).astype("m8[us]")
    return frame["time"].to_numpy().astype("M8[us]") + delay


def analysis_of(performance: object) -> dict[str, NDArray[np.generic]]:
    is_analysis = performance.period == "analysis"
    names = ("value", "realized", "estimated", "lower", "upper", "n_labels", "n_rows")
    return {name: getattr(performance, name)[is_analysis] for name in names}


if __name__ == "__main__":
    sys.exit(main())
