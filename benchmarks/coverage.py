"""Does the 95 % prediction interval cover the realized value in 95 % of the chunks?

Each replicate draws a reference of m rows, fits, and estimates a few chunks of n rows,
whose labels then tell. The chunks of a replicate share the calibration's error, hence
many replicates of few chunks; ± is the standard error over replicates.

Sources: a simulated world whose score is not calibrated; the same with the scores
shifted in production (mean logit + 0.8, and + 4: most of them beyond the reference's),
reported but not judged; and real rows,
resampled without replacement from the pooled employment data, so that reference and
chunks are exchangeable by construction.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.reporting import Targets, make_parser, print_table
from benchmarks.worlds import draw_frame, draw_scores, read_employment, true_probability
from estimator import PerformanceEstimator
from estimator.chunking.segments import Groups
from estimator.metrics.measurement import Measurement, measure
from estimator.metrics.metric_names import resolve_metrics
from estimator.metrics.rows import Decisions, Rows
from estimator.results.performance import Performance
from estimator.results.trust import LEVELS

Floats = NDArray[np.float64]
Draw = Callable[[int, int, np.random.Generator], tuple[pd.DataFrame, pd.DataFrame]]

METRICS = ("roc_auc", "accuracy", "f1")
LEVEL = 0.95
Z = float(ndtri(0.5 + LEVEL / 2.0))
LOW, LOW_AT_1K, HIGH = 92.0, 90.0, 98.0  # %
MOST_DOUBTED = 1.0  # % of the chunks of any cell
SHIFT, FAR = 0.8, 4.0
POPULATION_ROWS = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Cell:
    """All replicates of one reference and chunk size; (replicates, chunks, metrics)."""

    error: Floats  # estimated minus realized
    predicted: Floats  # what the interval holds its standard deviation to be
    covered: NDArray[np.bool_]
    half_width: Floats  # relative to label noise alone
    expected: NDArray[np.bool_]  # the population value lies in the other interval
    population_error: Floats  # estimated minus population value
    population_predicted: Floats
    calibration_variance: Floats
    label_variance: Floats
    drift: Floats  # (replicates, metrics): tau²
    rank: NDArray[np.int64]  # (replicates, chunks): 0 good, 1 doubtful, 2 no trust


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, help="folder with employment_MA_*.pq")
    parser.add_argument(
        "--references", type=int, nargs="+", default=[1000, 3000, 10000]
    )
    parser.add_argument("--chunks", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--per-replicate", type=int, default=5, help="chunks")
    parser.add_argument("--calibrator", default="spline")
    options = parser.parse_args()
    targets = Targets(source="coverage of the 95 % prediction interval")
    real = None
    if options.data is not None:
        real = pd.concat(read_employment(options.data, parser), ignore_index=True)

    def run(draw: Draw, population: Floats | None, m: int, n: int) -> Cell:
        rng = np.random.default_rng([options.seed, m, n])
        estimator = PerformanceEstimator(
            METRICS, "cbpe", n, level=LEVEL, calibrator=options.calibrator
        )
        ahead = options.per_replicate * n
        return _collect(
            [
                _replicate(estimator, *draw(m, ahead, rng), n, population)
                for _ in range(options.replicates)
            ]
        )

    def simulated(shift: float) -> Draw:
        return lambda m, ahead, rng: (
            draw_frame(m, rng),
            draw_frame(ahead, rng, shift=shift),
        )

    def resampled(m: int, ahead: int, rng: np.random.Generator):
        taken = real.iloc[rng.choice(len(real), m + ahead, replace=False)]
        return taken[:m], taken[m:]

    worlds: list[tuple[str, Draw, Floats | None, bool]] = [
        ("simulated", simulated(0.0), _population(0.0), True),
        ("simulated, scores shifted", simulated(SHIFT), _population(SHIFT), False),
        ("simulated, scores far beyond", simulated(FAR), _population(FAR), False),
    ]
    if real is not None:
        worlds.append(("employment, resampled", resampled, None, True))
    print(
        f"Each cell: {options.replicates} references × {options.per_replicate} chunks; "
        f"calibrator {options.calibrator}."
    )
    for name, draw, population, judged in worlds:
        rows, doubted, lost = [], 0.0, 0.0
        for m, n in product(options.references, options.chunks):
            cell = run(draw, population, m, n)
            rows += _describe(m, n, cell)
            doubted = max(doubted, 100.0 * float((cell.rank > 0).mean()))
            lost = max(lost, 100.0 * float((cell.rank > 1).mean()))
            low = LOW if m > 1000 else LOW_AT_1K
            for k, metric in enumerate(METRICS if judged else ()):
                where = f"{name}: {metric}, m = {m:,}, n = {n:,}"
                covered = 100.0 * float(cell.covered[..., k].mean())
                targets.within(where, covered, low, HIGH, " %")
        print_table(f"{name} (nominal {LEVEL:.0%})", HEADER, rows)
        if judged:  # no drift, and no shift
            what = f"{name}: chunks"
            targets.at_most(f"{what} doubted", doubted, MOST_DOUBTED, " %")
            targets.at_most(f"{what} without trust", lost, 0.0, " %")
    if real is None:
        print("No --data: coverage on real rows was not measured.")
    return targets.finish(check=options.check)


HEADER = (
    "m, n: metric",
    "covered",
    "half-width / label noise",
    "z mean",
    "z sd",
    "√V_cal / √V_lab",
    "mean tau / √V_lab",
    "tau > 0",
    "covered without tau",
    "expectation interval",
    "its z sd",
    "good, doubtful, none",
)


def _replicate(
    estimator: PerformanceEstimator,
    reference: pd.DataFrame,
    analysis: pd.DataFrame,
    n: int,
    population: Floats | None,
) -> dict[str, Floats]:
    """Fit, estimate, and hold the estimates against what the labels say."""
    performance = estimator.fit(reference).estimate(analysis)
    is_analysis = performance.period == "analysis"
    fitted = estimator.reference_
    label_variance = measure_chunks(
        METRICS, analysis["y_pred_proba"].to_numpy(), fitted.calibrator.predict, n
    ).label_variance
    tau2 = fitted.drift[""].variance(fitted.period.typical_distance)
    hidden = performance.calibration_error[is_analysis] ** 2 + tau2
    truth = np.full(len(METRICS), np.nan) if population is None else population
    return {
        "error": performance.estimated[is_analysis] - performance.realized[is_analysis],
        "predicted": np.sqrt(label_variance + hidden),
        "covered": _inside(
            performance,
            is_analysis,
            performance.realized[is_analysis],
            "lower",
            "upper",
        ),
        "half_width": (performance.upper - performance.lower)[is_analysis]
        / (2 * Z)
        / label_variance**0.5,
        "expected": _inside(
            performance, is_analysis, truth, "expected_lower", "expected_upper"
        ),
        "population_error": performance.estimated[is_analysis] - truth,
        "population_predicted": np.sqrt(
            performance.standard_error[is_analysis] ** 2 + hidden
        ),
        "calibration_variance": performance.calibration_error[is_analysis] ** 2,
        "label_variance": label_variance,
        "drift": tau2,
        "rank": np.array(
            [LEVELS.index(level) for level in performance.trust[is_analysis, 0]]
        ),
    }


def _inside(
    performance: Performance,
    rows: NDArray[np.bool_],
    value: Floats,
    lower: str,
    upper: str,
) -> NDArray[np.bool_]:
    return (getattr(performance, lower)[rows] <= value) & (
        value <= getattr(performance, upper)[rows]
    )


def _collect(replicates: list[dict[str, Floats]]) -> Cell:
    return Cell(
        **{key: np.stack([one[key] for one in replicates]) for key in replicates[0]}
    )


def _describe(m: int, n: int, cell: Cell) -> list[tuple[str, ...]]:
    rows = []
    for k, metric in enumerate(METRICS):
        covered = cell.covered[..., k]
        spread = covered.mean(axis=1).std(ddof=1) / len(covered) ** 0.5
        z = cell.error[..., k] / cell.predicted[..., k]
        label = cell.label_variance[..., k]
        tau = np.sqrt(cell.drift[:, k])
        bare = np.sqrt(label + cell.calibration_variance[..., k])
        without = np.abs(cell.error[..., k]) <= Z * bare
        population = cell.population_error[..., k] / cell.population_predicted[..., k]
        has_population = np.isfinite(population).all()
        rows.append(
            (
                f"{m:,}, {n:,}: {metric}",
                f"{covered.mean():.1%} ± {spread:.1%}",
                f"{cell.half_width[..., k].mean():.2f}",
                f"{z.mean():+.2f}",
                f"{z.std():.2f}",
                f"{np.sqrt(cell.calibration_variance[..., k] / label).mean():.2f}",
                f"{(tau / np.sqrt(label.mean(axis=1))).mean():.2f}",
                f"{(tau > 0).mean():.0%}",
                f"{without.mean():.1%}",
                f"{cell.expected[..., k].mean():.1%}" if has_population else "",
                f"{population.std():.2f}" if has_population else "",
                ", ".join(f"{(cell.rank == rank).mean():.0%}" for rank in range(3)),
            )
        )
    return rows


def _population(shift: float) -> Floats:
    """Return the metrics of the population: the true P(y = 1 | score) of many rows."""
    rng = np.random.default_rng(20_240_601)
    score = draw_scores(POPULATION_ROWS, rng, shift=shift)
    measured = measure_chunks(METRICS, score, true_probability, POPULATION_ROWS)
    return measured.value[0]


def measure_chunks(
    metrics: tuple[str, ...], score: Floats, soft: Callable[[Floats], Floats], n: int
) -> Measurement:
    """Measure chunks of ``n`` rows whose soft label is a function of the score."""
    offsets = np.arange(0, score.size + 1, n)
    groups = Groups(
        parts=((None, offsets),),
        segment=np.full(offsets.size - 1, "", dtype=object),
        chunk=np.arange(offsets.size - 1),
    )
    chosen = resolve_metrics(metrics, None)
    rows = Rows(score=score, soft=soft, decisions=Decisions(threshold=0.5))
    return measure(chosen, groups, rows)


if __name__ == "__main__":
    sys.exit(main())
