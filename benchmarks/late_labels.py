"""Labels late by class and by a feature, or complete four chunks late: how close, sure?

Simulated worlds and real tasks in the order of time (30 % of the rows train the client
model, 30 % are the reference; chunks of 2,000, police of 1,000). Rows come evenly, a
chunk a day. Labels come late in one of two ways. By class and feature: exponentially,
1.5 days on average for positives and 5 for negatives, times 2 where the first number
among the features is above the reference's median, else times 0.6. A chunk is asked for
when 25, 50 and 75 % of its labels have come. Or complete: all labels of a chunk come
four days after its end, and each chunk is asked for at its own end. The value is held
against the final realized one, beside the labelled rows alone (or the last realized
value) and the estimate without labels. Never choose a default on this table.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.reporting import Targets, make_parser, print_table
from benchmarks.shifting_tasks import MODELS, Task, read_census, read_tasks
from estimator import Monitor, PerformanceEstimator

Floats = NDArray[np.float64]

METRICS = ("roc_auc", "accuracy")
CHUNK, SMALL_CHUNK = 2_000, 1_000
SHARES = (0.25, 0.5, 0.75)
LATE = 4  # chunks
MEAN_DAYS = {1: 1.5, 0: 5.0}  # until a label comes
SLOW, FAST = 2.0, 0.6  # times, above the median of the feature and below
DAY = 86_400 * 10**6  # microseconds
START = np.datetime64("2024-01-01T00:00", "us")
SIMULATED = ("no drift", "gradual drift", "sudden drift")
N_SIMULATED = 20  # chunks
NAMES = ("value", "realized", "estimated", "lower", "upper", "n_labels")
HALF_OF_LABELLED, NEVER_WORSE, LEAST_COVERAGE = 0.5, 1.05, 90.0


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Errors against the final value, and half-widths; each (n_asked, n_metrics)."""

    value: Floats
    labelled: Floats  # labelled rows alone, or the last realized value
    estimated: Floats
    half: Floats

    def rmse(self, name: str) -> Floats:
        """Return the root mean square of an error, by metric, in units of 1e-4."""
        squares = np.nanmean(getattr(self, name) ** 2, axis=0)
        return 1e4 * np.sqrt(squares)

    @property
    def covered(self) -> Floats:
        """Percentage of the final values inside the interval, by metric."""
        inside = np.abs(self.value) <= self.half + 1e-12
        return 100.0 * inside.mean(axis=0)


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="folder with the data sets")
    parser.add_argument("--method", default="cbpe")
    parser.add_argument(
        "--features",
        action="store_true",
        help="name the features, so that delays may differ by them",
    )
    parser.add_argument("--models", nargs="+", default=MODELS[:1], choices=MODELS)
    parser.add_argument("--tasks", nargs="+", help="only those whose names begin so")
    parser.add_argument("--asked", type=int, default=12, help="chunks, at most")
    options = parser.parse_args()
    targets = Targets(source="labels that come late")
    by_share: dict[tuple[str, float], Errors] = {}
    complete: dict[str, Errors] = {}
    for task, chunk in worlds(options, parser):
        name = task.name
        rng = np.random.default_rng(options.seed)
        frame = with_times(task, chunk, rng)
        for share, errors in by_class(frame, task, chunk, options).items():
            by_share[name, share] = errors
        complete[name] = four_late(frame, task, chunk, options)
    for k, metric in enumerate(METRICS):
        rows = [
            (f"{name}, {share:.0%}", *_row(errors, k))
            for (name, share), errors in by_share.items()
        ]
        header = ("", "value", "labelled only", "no labels", "covered", "half-width")
        print_table(f"{metric}: RMSE e-4 as labels come", header, rows)
        rows = [(name, *_row(errors, k)) for name, errors in complete.items()]
        header = ("", "value", "last realized", "no labels", "covered", "half-width")
        title = f"{metric}: RMSE e-4 of the newest chunk, labels {LATE} chunks late"
        print_table(title, header, rows)
    judge(by_share, complete, targets)
    return targets.finish(check=options.check)


def judge(
    by_share: dict[tuple[str, float], Errors],
    complete: dict[str, Errors],
    targets: Targets,
) -> None:
    for share in SHARES:
        every = [errors for (_, s), errors in by_share.items() if s == share]
        ratios = np.array([e.rmse("value") / e.rmse("labelled") for e in every])
        best = np.array(
            [np.fmin(e.rmse("labelled"), e.rmse("estimated")) for e in every]
        )
        worse = np.array([e.rmse("value") for e in every]) / best
        what = f"{share:.0%} of the labels"
        targets.at_most(
            f"accuracy, {what}: geometric mean",
            float(np.exp(np.log(ratios[:, 1]).mean())),
            HALF_OF_LABELLED,
            " × labelled rows only",
        )
        targets.at_most(
            f"accuracy, {what}: worst task",
            float(ratios[:, 1].max()),
            HALF_OF_LABELLED,
            " × labelled rows only",
        )
        targets.at_most(
            f"roc_auc, {what}: worst task",
            float(worse[:, 0].max()),
            NEVER_WORSE,
            " × the better of the others",
        )
    for k, metric in enumerate(METRICS):
        for what, every in (
            ("by class and feature", list(by_share.values())),
            (f"{LATE} chunks late", list(complete.values())),
        ):
            covered = np.array([e.covered[k] for e in every])
            targets.at_least(
                f"coverage, {metric}, {what}", covered.mean(), LEAST_COVERAGE, " %"
            )
    for k, metric in enumerate(METRICS):
        ratio = [e.rmse("value")[k] / e.rmse("labelled")[k] for e in complete.values()]
        targets.at_most(
            f"{metric}, {LATE} chunks late: geometric mean",
            float(np.exp(np.log(ratio).mean())),
            1.0,
            " × the last realized value",
        )


def worlds(
    options: argparse.Namespace, parser: argparse.ArgumentParser
) -> list[tuple[Task, int]]:
    """Return simulated and real tasks, and the rows of a chunk of each."""
    wanted = tuple(options.tasks or [""])
    both = [
        (simulate(drift, np.random.default_rng(options.seed)), CHUNK)
        for drift in SIMULATED
    ]
    if "police".startswith(wanted) or any(w.startswith("police") for w in wanted):
        small = read_tasks(
            options.data,
            parser,
            SMALL_CHUNK,
            options.seed,
            options.models,
            sets=("police",),
        )
        both += [(task, SMALL_CHUNK) for task in small["police"]]
    large = [
        name
        for name in ("hotel", "weather", "bank", "citibike", "noshow")
        if any(name.startswith(w) or w.startswith(name) for w in wanted)
    ]
    every = read_tasks(
        options.data, parser, CHUNK, options.seed, options.models, sets=large
    )
    both += [(task, CHUNK) for tasks in every.values() for task in tasks]
    if any("employment".startswith(w) for w in wanted):
        both.append((read_census(options.data, parser, CHUNK), CHUNK))
    return [(task, chunk) for task, chunk in both if task.name.startswith(wanted)]


def simulate(drift: str, rng: np.random.Generator) -> Task:
    """Draw a task whose score is miscalibrated, with or without a concept drift."""
    n_reference = n_production = N_SIMULATED * CHUNK
    n = n_reference + n_production
    z = rng.normal(-0.6, 1.1, n)
    day = (np.arange(n) - n_reference) / CHUNK
    change = {
        "no drift": 0.0 * day,
        "gradual drift": 0.8 * day.clip(0.0) / N_SIMULATED,
        "sudden drift": np.where(day >= 6, 0.6, 0.0),
    }[drift]
    frame = pd.DataFrame(
        {
            "y_pred_proba": expit(z),
            "y_true": (rng.random(n) < expit(1.3 * z - 0.5 + change)).astype(int),
            "x": rng.normal(size=n),
        }
    )
    return Task(
        name=f"simulated, {drift}",
        reference=frame[:n_reference],
        production=frame[n_reference:].reset_index(drop=True),
        features=["x"],
    )


def with_times(task: Task, chunk: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return reference and production with ids, times, and delays by class and feature.

    The features of neither are changed.
    """
    n_reference = len(task.reference)
    frame = pd.concat([task.reference, task.production], ignore_index=True)
    numbers = frame[task.features].select_dtypes("number")
    # The first number of which neither half of the rows is small.
    for name in numbers:
        high = numbers[name] > numbers[name][:n_reference].median()
        if 0.2 <= high[:n_reference].mean() <= 0.8:
            break
    y = frame["y_true"].to_numpy()
    mean = np.where(y == 1, MEAN_DAYS[1], MEAN_DAYS[0]) * np.where(high, SLOW, FAST)
    steps = (np.arange(len(frame)) - n_reference) * (DAY // chunk)
    time = START + steps.astype("m8[us]")
    delay = rng.exponential(mean) * DAY
    return frame.assign(
        id=np.arange(len(frame)),
        time=time,
        known=time + delay.astype(np.int64).astype("m8[us]"),
    )


def by_class(
    frame: pd.DataFrame, task: Task, chunk: int, options: argparse.Namespace
) -> dict[float, Errors]:
    """Ask for chunks when a share of their labels has come."""
    production, monitor = _monitor(frame, task, chunk, options)
    final = _final(production, chunk, monitor)
    arrival = production["known"].to_numpy().reshape(-1, chunk)
    asked = _spread(len(arrival), options.asked)
    errors = {}
    for share in SHARES:
        rows = []
        for c in asked:
            then = np.sort(arrival[c])[int(share * chunk)]
            then = max(then, final["end"][c])
            now = _analysis(monitor.performance(as_of=then))
            rows.append(_errors(now, c, now["realized"][c], final["realized"][c]))
        errors[share] = _join(rows)
    return errors


def four_late(
    frame: pd.DataFrame, task: Task, chunk: int, options: argparse.Namespace
) -> Errors:
    """Ask for the newest chunk, when the labels of the fourth before have just come."""
    day = np.arange(len(frame)) - len(task.reference)
    end = START + ((day // chunk + LATE + 1) * DAY - 1).astype("m8[us]")
    production, monitor = _monitor(frame.assign(known=end), task, chunk, options)
    final = _final(production, chunk, monitor)
    rows = []
    for c in _spread(len(final["realized"]), options.asked, first=LATE):
        then = START + np.timedelta64((c + 1) * DAY - 1, "us")
        now = _analysis(monitor.performance(as_of=then))
        last = final["realized"][c - LATE]
        rows.append(_errors(now, c, last, final["realized"][c]))
    return _join(rows)


def _spread(n_chunks: int, most: int, first: int = 0) -> list[int]:
    asked = np.linspace(first, n_chunks - 1, min(most, n_chunks - first))
    return np.rint(asked).astype(int).tolist()


def _monitor(
    frame: pd.DataFrame, task: Task, chunk: int, options: argparse.Namespace
) -> tuple[pd.DataFrame, Monitor]:
    """Return production, and a monitor that knows its rows and all labels."""
    n_reference = len(task.reference)
    reference, production = frame[:n_reference], frame[n_reference:]
    estimator = PerformanceEstimator(
        METRICS,
        options.method,
        chunk,
        timestamp="time",
        labeled_at="known",
        features=task.features if options.features else None,
    ).fit(reference)
    monitor = Monitor(estimator, row_id="id")
    predictions = production.drop(columns=["y_true", "known"])
    for start in range(0, len(production), chunk):  # soft labels are a chunk's own
        monitor.add_predictions(predictions[start : start + chunk])
    monitor.add_labels(production[["id", "y_true", "known"]])
    return production, monitor


def _final(
    production: pd.DataFrame, chunk: int, monitor: Monitor
) -> dict[str, NDArray[Any]]:
    final = _analysis(monitor.performance())
    final["end"] = production["time"].to_numpy().reshape(-1, chunk)[:, -1]
    return final


def _analysis(performance: Any) -> dict[str, NDArray[Any]]:
    rows = performance.period == "analysis"
    return {name: getattr(performance, name)[rows] for name in NAMES}


def _errors(
    now: dict[str, NDArray[Any]], c: int, other: Floats, truth: Floats
) -> Floats:
    half = (now["upper"][c] - now["lower"][c]) / 2.0
    return np.stack(
        [now["value"][c] - truth, other - truth, now["estimated"][c] - truth, half]
    )


def _join(rows: list[Floats]) -> Errors:
    value, labelled, estimated, half = np.stack(rows, axis=1)
    return Errors(value=value, labelled=labelled, estimated=estimated, half=half)


def _row(errors: Errors, k: int) -> tuple[str, ...]:
    rmse = [errors.rmse(name)[k] for name in ("value", "labelled", "estimated")]
    half = 1e4 * errors.half[:, k].mean()
    return (*(f"{e:.0f}" for e in rmse), f"{errors.covered[k]:.0f}%", f"{half:.0f}")


if __name__ == "__main__":
    sys.exit(main())
