"""Estimates without labels on seven real data sets, beside NannyML: how close, sure?

Employment, hotel, weather, bank, citibike, noshow and police, each but the first under
three client models. Rows are in the order of time: 30 % train the client model, 30 %
are the reference, the rest is production in chunks of 2,000 (police: 1,000). Estimates
are held against the realized metric of each chunk, beside NannyML's CBPE. The floor is
the chunk's own label noise √V_lab, of which no method can know anything. Intervals are
judged without bank and without citibike's spring of 2020, when the world broke: what
`trust` says of each run, and what that is worth over all of them, comes in tables of
its own. Never choose a default on these tables.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.coverage import measure_chunks
from benchmarks.nannyml_process import NannyML
from benchmarks.reporting import Targets, make_parser, print_table
from benchmarks.shifting_tasks import (
    MODELS,
    SETS,
    Task,
    chunks_of,
    read_census,
    read_tasks,
)
from estimator import PerformanceEstimator
from estimator.results.trust import LEVELS

Floats = NDArray[np.float64]

METRICS = ("roc_auc", "accuracy", "f1")
METHODS = ("cbpe", "pape", "feature_aware", "auto")
CHUNK, SMALL_CHUNK = 2_000, 1_000
LEVEL = 0.95
Z = -float(ndtri((1.0 - LEVEL) / 2.0))
CENSUS = "employment"
BROKEN = {"bank": slice(0, 0), "citibike": slice(0, 20)}  # chunks that are judged
# Of RMSE over NannyML's, by metric.
AUTO_TARGET = {"roc_auc": 0.86, "accuracy": 0.82}
CBPE_TARGET = {"roc_auc": 0.97, "accuracy": 0.98}
LEAST_BETTER = 80.0  # % of the runs
WORSE, MOST_WORSE, NEVER_WORSE = 1.05, 10.0, 1.15  # than the better of two; % of runs
LEAST_COVERED, LEAST_BY_RUN = 92.0, 80.0  # % of the chunks
MEDIAN_WIDTH, LARGEST_WIDTH = 2.0, 4.0  # × label noise


@dataclass(frozen=True, kw_only=True)
class Run:
    """One task: realized metrics, and estimates by method; (n_chunks, n_metrics)."""

    name: str
    realized: Floats
    noise: Floats  # √V_lab
    estimated: dict[str, Floats]
    lower: dict[str, Floats]
    upper: dict[str, Floats]
    trust: dict[str, NDArray[np.object_]]  # (n_chunks,)

    @property
    def judged(self) -> slice:
        """Chunks whose intervals are judged."""
        return BROKEN.get(self.name.split(",")[0], slice(None))

    def rmse(self, method: str) -> Floats:
        """Return the root mean square error by metric, in units of 1e-4."""
        error = self.estimated[method] - self.realized
        return 1e4 * np.sqrt(_mean(error**2))

    def excess(self, method: str) -> Floats:
        """Return what the error has beyond label noise, by metric, in units of 1e-4."""
        floor = 1e8 * _mean(self.noise**2)
        return np.sqrt(np.maximum(0.0, self.rmse(method) ** 2 - floor))

    def all_inside(self, method: str) -> Floats:
        """Return 1 where the interval covers, else 0 or NaN."""
        low, high = self.lower[method], self.upper[method]
        inside = (low <= self.realized) & (self.realized <= high)
        defined = np.isfinite(low) & np.isfinite(self.realized)
        return np.where(defined, inside, np.nan)

    def inside(self, method: str) -> Floats:
        """Return 1 where the interval of a judged chunk covers, else 0 or NaN."""
        return self.all_inside(method)[self.judged]

    def half_width(self, method: str) -> Floats:
        """Return the half-width of each chunk, in units of √V_lab."""
        return (self.upper[method] - self.lower[method]) / (2.0 * Z) / self.noise

    def width(self, method: str) -> Floats:
        """Return the median half-width by metric, in units of √V_lab."""
        return _median(self.half_width(method)[self.judged])


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="folder with the data sets")
    parser.add_argument("--nannyml-python", help="interpreter that has nannyml")
    parser.add_argument(
        "--sets", nargs="+", default=[CENSUS, *SETS], choices=[CENSUS, *SETS]
    )
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    options = parser.parse_args()
    runs = []
    for task, chunk in read(options, parser):
        begin = time.perf_counter()
        runs.append(measure_run(task, chunk, options.nannyml_python))
        seconds = time.perf_counter() - begin
        print(f"{task.name}: {seconds:.0f} s", file=sys.stderr, flush=True)
    targets = Targets(source="estimates without labels")
    for k, metric in enumerate(METRICS):
        print_metric(runs, k, metric)
    print_trust(runs, "auto")
    judge_errors(runs, targets)
    judge_intervals(runs, targets)
    return targets.finish(check=options.check)


def read(
    options: argparse.Namespace, parser: argparse.ArgumentParser
) -> Iterator[tuple[Task, int]]:
    """Read the tasks asked for, each with its rows per chunk."""
    for name in options.sets:
        chunk = SMALL_CHUNK if name == "police" else CHUNK
        if name == CENSUS:
            yield read_census(options.data, parser, chunk), chunk
            continue
        tasks = read_tasks(
            options.data, parser, chunk, options.seed, options.models, sets=[name]
        )
        for task in tasks[name]:
            yield task, chunk


def measure_run(task: Task, chunk: int, nannyml_python: str | None) -> Run:
    """Run all methods on one task, and NannyML if there is an interpreter for it."""
    score = task.production["y_pred_proba"].to_numpy(np.float64)
    estimated, lower, upper, trust = {}, {}, {}, {}
    noise = np.empty(0)
    for method in METHODS:
        features = () if method == "cbpe" else task.features
        estimator = PerformanceEstimator(
            METRICS, method, chunk, features=features, level=LEVEL
        ).fit(task.reference)
        # Labels lead to realized values and to nothing else.
        performance = estimator.estimate(
            task.production[["y_pred_proba", "y_true", *features]]
        )
        rows = performance.period == "analysis"
        estimated[method] = performance.estimated[rows]
        lower[method], upper[method] = performance.lower[rows], performance.upper[rows]
        trust[method] = performance.trust[rows, 0]
        realized = performance.realized[rows]
        if method == "cbpe":
            soft = estimator.reference_.calibrator.predict
            measured = measure_chunks(METRICS, score, soft, chunk)
            noise = np.sqrt(measured.label_variance)
    if nannyml_python:
        with NannyML(nannyml_python) as nannyml:
            estimated["NannyML"] = nannyml.values(
                task.reference, task.production, METRICS, chunk
            )
    assert len(realized) == len(chunks_of(task, chunk)) == len(noise)
    return Run(
        name=task.name,
        realized=realized,
        noise=noise,
        estimated=estimated,
        lower=lower,
        upper=upper,
        trust=trust,
    )


def print_metric(runs: list[Run], k: int, metric: str) -> None:
    """Print errors by task and method, then intervals by task."""
    methods = list(runs[0].estimated)
    rows = []
    for run in runs:
        floor = 1e4 * np.sqrt(_mean(run.noise**2)[k])
        cells = [f"{run.rmse(m)[k]:.0f} ({run.excess(m)[k]:.0f})" for m in methods]
        if np.isfinite(floor):
            rows.append((run.name, *cells, f"{floor:.0f}"))
    title = f"{metric}: RMSE e-4, and √(RMSE² - floor²)"
    print_table(title, ("", *methods, "floor"), rows)
    rows = []
    for run in runs:
        cells = []
        for method in METHODS:
            covered, width = _mean(run.inside(method))[k], run.width(method)[k]
            seen = np.isfinite(covered)
            cells.append(f"{covered:.0%} ({width:.1f})" if seen else "")
        rows.append((run.name, *cells))
    title = f"{metric}: chunks covered at 95 %, and median half-width / label noise"
    print_table(title, ("", *METHODS), rows)


def print_trust(runs: list[Run], method: str) -> None:
    """Print how many chunks are trusted, and what that says of their intervals."""
    rows = []
    for run in runs:
        counts = [str(int((run.trust[method] == level).sum())) for level in LEVELS]
        rows.append((run.name, *counts))
    print_table(f"chunks by trust, {method}", ("", *LEVELS), rows)
    rows = []
    for k, metric in enumerate(METRICS):
        for level in LEVELS:
            taken = [run.trust[method] == level for run in runs]
            inside, error, width = (
                np.concatenate([v[t, k] for v, t in zip(values, taken, strict=True)])
                for values in (
                    [run.all_inside(method) for run in runs],
                    [(r.estimated[method] - r.realized) / r.noise for r in runs],
                    [run.half_width(method) for run in runs],
                )
            )
            shown = np.isfinite(inside)
            if shown.any():
                rows.append(
                    (
                        f"{metric}, {level}",
                        f"{shown.sum()}",
                        f"{inside[shown].mean():.1%}",
                        f"{np.sqrt(np.mean(error[shown] ** 2)):.1f}",
                        f"{np.median(width[shown]):.1f}",
                    )
                )
    head = ("", "chunks", "covered", "RMSE / label noise", "half-width / label noise")
    print_table(f"intervals by trust, {method}, all chunks of all runs", head, rows)


def judge_errors(runs: list[Run], targets: Targets) -> None:
    """Hold the errors against NannyML's, and those of `auto` against two methods."""
    for k, metric in enumerate(("roc_auc", "accuracy")):
        auto = np.array([run.rmse("auto")[k] for run in runs])
        if "NannyML" in runs[0].estimated:
            theirs = np.array([run.rmse("NannyML")[k] for run in runs])
            plain = np.array([run.rmse("cbpe")[k] for run in runs])
            what = f"{metric}: geometric mean of RMSE over NannyML's"
            targets.at_most(
                f"{what}, auto", _geometric(auto / theirs), AUTO_TARGET[metric]
            )
            targets.at_most(
                f"{what}, cbpe", _geometric(plain / theirs), CBPE_TARGET[metric]
            )
            better = 100.0 * float(np.mean(auto < theirs))
            targets.at_least(
                f"{metric}: runs in which auto beats NannyML",
                better,
                LEAST_BETTER,
                " %",
            )
        best = np.array(
            [min(run.rmse("cbpe")[k], run.rmse("feature_aware")[k]) for run in runs]
        )
        what = f"{metric}: auto over the better of cbpe and feature_aware"
        worse = 100.0 * float(np.mean(auto / best > WORSE))
        targets.at_most(f"{what}, runs above {WORSE}", worse, MOST_WORSE, " %")
        targets.at_most(f"{what}, worst", float((auto / best).max()), NEVER_WORSE)


def judge_intervals(runs: list[Run], targets: Targets) -> None:
    """Hold the intervals of `auto` against what they say."""
    judged = [run for run in runs if run.inside("auto").size]
    for k, metric in enumerate(METRICS):
        inside = [run.inside("auto")[:, k] for run in judged]
        every = 100.0 * float(np.nanmean(np.concatenate(inside)))
        targets.at_least(f"{metric}: chunks covered", every, LEAST_COVERED, " %")
        by_run = [100.0 * np.nanmean(one) for one in inside if np.isfinite(one).any()]
        what = f"{metric}: chunks covered, fewest of a run"
        targets.at_least(what, float(min(by_run)), LEAST_BY_RUN, " %")
        width = np.array([run.width("auto")[k] for run in judged])
        what = f"{metric}: half-width / label noise"
        targets.at_most(f"{what}, median", float(np.nanmedian(width)), MEDIAN_WIDTH)
        targets.at_most(f"{what}, widest run", float(np.nanmax(width)), LARGEST_WIDTH)


def _geometric(ratio: Floats) -> float:
    return float(np.exp(np.log(ratio).mean()))


def _mean(values: Floats) -> Floats:
    """Return the mean by column of what is defined; NaN where nothing is."""
    defined = np.isfinite(values)
    total = np.where(defined, values, 0.0).sum(axis=0)
    n = defined.sum(axis=0)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _median(values: Floats) -> Floats:
    """Return the median by column of what is defined; NaN where nothing is."""
    return np.array(
        [
            np.median(column[np.isfinite(column)])
            if np.isfinite(column).any()
            else np.nan
            for column in values.T
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
