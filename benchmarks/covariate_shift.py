"""Covariate shift: methods that read features beside CBPE and the published rivals.

Every estimate is held against the realized metric of its chunk. Errors are divided by
the chunk's own label noise √V_lab, of which no method can know anything: 1 is the floor
where nothing else goes wrong. First the census (104 chunks of 2,000 rows), then hotel
bookings, weather and bank marketing under three client models each (30 % of the rows
train the model, 30 % are the reference, the rest is production in chunks of 2,000),
then the same rows shuffled, as they are and reweighted by score: there adapting cannot
help. Chunks of which even perfect knowledge of P(y | score, features) in the reference
gives no account (residual over √(V_lab + V_cal) beyond 4) are also set apart.
Never choose a default on these tables.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.coverage import measure_chunks
from benchmarks.nannyml_process import NannyML
from benchmarks.reporting import Targets, make_parser, print_table
from benchmarks.rivals import RIVALS, metrics_of
from benchmarks.shifting_tasks import Task, chunks_of, mix_up, read_census, read_tasks
from estimator import PerformanceEstimator

Floats = NDArray[np.float64]

METRICS = ("roc_auc", "accuracy")
METHODS = ("cbpe", "feature_aware", "pape", "auto")
LEVEL = 0.95
Z = float(ndtri(0.5 + LEVEL / 2.0))
CENSUS_TARGET = {"roc_auc": 66.0, "accuracy": 83.0}  # e-4
SET_RATIO, MEAN_RATIO = 1.03, 0.88  # of normalized RMSE, auto over cbpe
APART, MOST_APART = 4.0, 10.0  # standard errors; % of the chunks
TILT, N_MIXED = 1.0, 20  # chunks of each kind without drift


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One task: estimates and intervals by method; all (n_chunks, n_metrics)."""

    realized: Floats
    noise: Floats  # √V_lab
    estimated: dict[str, Floats]
    half: dict[str, Floats]
    calibration: dict[str, Floats]  # √V_cal
    weight: float

    def part(self, chunks: slice) -> "Outcome":
        """Return some of the chunks."""
        by_method = {
            field: {
                name: values[chunks] for name, values in getattr(self, field).items()
            }
            for field in ("estimated", "half", "calibration")
        }
        realized, noise = self.realized[chunks], self.noise[chunks]
        return Outcome(realized=realized, noise=noise, weight=self.weight, **by_method)

    def normalized(self, method: str) -> Floats:
        """Return the RMSE in units of the chunks' label noise, by metric."""
        error = (self.estimated[method] - self.realized) / self.noise
        return np.sqrt(np.mean(error**2, axis=0))


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="folder with the data sets")
    parser.add_argument("--chunk", type=int, default=2_000)
    parser.add_argument("--nannyml-python", help="interpreter that has nannyml")
    parser.add_argument("--sets", nargs="+", help="only these data sets")
    options = parser.parse_args()
    targets = Targets(source="estimates that adapt to covariate shift")
    chunk, rng = options.chunk, np.random.default_rng(options.seed)

    if not options.sets:
        census = evaluate(
            read_census(options.data, parser, chunk), chunk, options.nannyml_python
        )
        report_census(census, targets)
    tasks = read_tasks(options.data, parser, chunk, options.seed)
    tasks = {name: tasks[name] for name in options.sets or tasks}
    real = {
        name: [evaluate(task, chunk, options.nannyml_python) for task in of_set]
        for name, of_set in tasks.items()
    }
    report_sets("In the order of time", real, targets, mean_target=MEAN_RATIO)
    mixed = {
        name: [
            evaluate(mix_up(task, chunk, N_MIXED, rng, tilt=TILT), chunk, rivals=False)
            for task in of_set
        ]
        for name, of_set in tasks.items()
    }
    halves = slice(None, N_MIXED), slice(N_MIXED, None)
    for what, half in zip(("Shuffled", "Reweighted by score"), halves, strict=True):
        part = {
            name: [one.part(half) for one in of_set] for name, of_set in mixed.items()
        }
        report_sets(what, part, targets, mean_target=None)
    return targets.finish(check=options.check)


def evaluate(
    task: Task, chunk: int, nannyml_python: str | None = None, *, rivals: bool = True
) -> Outcome:
    """Run all methods on one task, and the rivals if wanted."""
    begin = time.perf_counter()
    score, label = (
        task.production[name].to_numpy(np.float64)
        for name in ("y_pred_proba", "y_true")
    )
    pieces = chunks_of(task, chunk)
    realized = np.array([metrics_of(score[rows], label[rows]) for rows in pieces])
    estimated, half, calibration = {}, {}, {}
    weight = np.nan
    for method in METHODS:
        estimator = PerformanceEstimator(
            METRICS, method, chunk, features=task.features, level=LEVEL
        ).fit(task.reference)
        performance = estimator.estimate(
            task.production[["y_pred_proba", *task.features]]
        )
        is_analysis = performance.period == "analysis"
        estimated[method] = performance.estimated[is_analysis]
        half[method] = (performance.upper - performance.lower)[is_analysis] / 2.0
        calibration[method] = performance.calibration_error[is_analysis]
        if method == "cbpe":
            soft = estimator.reference_.calibrator.predict
            noise = np.sqrt(measure_chunks(METRICS, score, soft, chunk).label_variance)
        elif method == "auto":
            weight = estimator.reference_.adapter.weight
    raw = PerformanceEstimator(METRICS, "cbpe", chunk, calibrator="identity")
    performance = raw.fit(task.reference).estimate(task.production[["y_pred_proba"]])
    estimated["raw scores"] = performance.estimated[performance.period == "analysis"]
    for name, rival in (RIVALS if rivals else {}).items():
        estimated[name] = rival(task, chunk)
    if nannyml_python:
        with NannyML(nannyml_python) as nannyml:
            estimated["NannyML CBPE"] = nannyml.values(
                task.reference, task.production, METRICS, chunk
            )
    seconds = time.perf_counter() - begin
    progress = (
        f"{task.name}: {len(pieces)} chunks, weight {weight:.2f}, {seconds:.0f} s"
    )
    print(progress, file=sys.stderr, flush=True)
    return Outcome(
        realized=realized,
        noise=noise,
        estimated=estimated,
        half=half,
        calibration=calibration,
        weight=weight,
    )


def report_census(outcome: Outcome, targets: Targets) -> None:
    """Print errors in units of the metric, and what lies above the floor."""
    for k, metric in enumerate(METRICS):
        floor = np.sqrt(np.mean(outcome.noise[:, k] ** 2))
        rows = []
        for method, values in outcome.estimated.items():
            error = values[:, k] - outcome.realized[:, k]
            rmse = np.sqrt(np.mean(error**2))
            excess = np.sqrt(max(0.0, rmse**2 - floor**2))
            mae = np.mean(np.abs(error))
            cells = [f"{1e4 * v:.1f}" for v in (rmse, excess, mae, np.mean(error))]
            rows.append((method, *cells))
        mae_floor = np.mean(outcome.noise[:, k]) * np.sqrt(2.0 / np.pi)
        rows.append(
            ("label noise", f"{1e4 * floor:.1f}", "", f"{1e4 * mae_floor:.1f}", "")
        )
        print_table(
            f"Census, {metric}, e-4",
            ("", "RMSE", "√(RMSE² − floor²)", "MAE", "bias"),
            rows,
        )
        rmse = np.sqrt(
            np.mean((outcome.estimated["auto"] - outcome.realized)[:, k] ** 2)
        )
        targets.at_most(
            f"census, {metric}: RMSE", 1e4 * rmse, CENSUS_TARGET[metric], "e-4"
        )
    report_coverage("census", [outcome], targets)


def report_sets(
    what: str,
    outcomes: dict[str, list[Outcome]],
    targets: Targets,
    *,
    mean_target: float | None,
) -> None:
    """Print normalized RMSE by data set, mean over client models."""
    methods = list(next(iter(outcomes.values()))[0].estimated)
    for k, metric in enumerate(METRICS):
        table = {
            name: {
                method: np.mean([one.normalized(method)[k] for one in of_set])
                for method in methods
            }
            for name, of_set in outcomes.items()
        }
        ratio = {
            method: np.mean(
                [errors[method] / errors["cbpe"] for errors in table.values()]
            )
            for method in methods
        }
        print_table(
            f"{what}, {metric}: RMSE / √V_lab, mean over client models",
            ("", *table, "mean of ratios to cbpe"),
            [
                (
                    m,
                    *(f"{errors[m]:.2f}" for errors in table.values()),
                    f"{ratio[m]:.3f}",
                )
                for m in methods
            ],
        )
        for name, errors in table.items():
            what_is_held = f"{what}, {name}, {metric}: auto / cbpe"
            targets.at_most(what_is_held, errors["auto"] / errors["cbpe"], SET_RATIO)
        if mean_target is not None and metric == "roc_auc":
            targets.at_most(
                f"{what}, {metric}: mean auto / cbpe", ratio["auto"], mean_target
            )
    weights = ", ".join(
        f"{name} {' '.join(f'{one.weight:.2f}' for one in of_set)}"
        for name, of_set in outcomes.items()
    )
    print(f"Weights of auto: {weights}.")
    for name, of_set in outcomes.items():
        report_coverage(f"{what}, {name}", of_set, targets if mean_target else None)


def report_coverage(
    what: str, outcomes: list[Outcome], targets: Targets | None
) -> None:
    """Print how often intervals cover, with and without chunks set apart."""
    rows = []
    for method in METHODS:
        for k, metric in enumerate(METRICS):
            error, half, noise, calibration = (
                np.concatenate(parts)
                for parts in zip(
                    *(
                        (
                            (one.estimated[method] - one.realized)[:, k],
                            one.half[method][:, k],
                            one.noise[:, k],
                            one.calibration[method][:, k],
                        )
                        for one in outcomes
                    ),
                    strict=True,
                )
            )
            inside = np.abs(error) <= half
            kept = np.abs(error) <= APART * np.hypot(noise, calibration)
            apart = 100.0 * float(1.0 - kept.mean())
            covered = 100.0 * float(inside[kept].mean()) if kept.any() else np.nan
            width = float(half.mean() / (Z * noise.mean()))
            rows.append(
                (
                    f"{method}, {metric}",
                    f"{inside.mean():.1%}",
                    f"{apart:.0f} %",
                    f"{covered:.1f} %",
                    f"{width:.2f}",
                )
            )
            if method == "auto" and targets is not None:
                targets.within(f"{what}, {metric}: covered", covered, 90.0, 98.0, " %")
                targets.at_most(f"{what}, {metric}: half-width", width, 1.5, " × noise")
                targets.at_most(f"{what}, {metric}: apart", apart, MOST_APART, " %")
    print_table(
        f"{what}: 95 % prediction intervals",
        ("", "covered", "set apart", "covered of the others", "half-width / noise"),
        rows,
    )


if __name__ == "__main__":
    sys.exit(main())
