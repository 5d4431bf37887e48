"""Kinds of decline in simulated series: told apart, dated, announced, and how fast.

Beside it, on the same series: change points (PELT, from the package ruptures) read by
rules, and an alert at the reference's mean ± 3 standard deviations.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from statistics import median
from time import perf_counter

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score

from benchmarks.reporting import Targets, make_parser, print_table
from estimator import classify_degradation, follow_degradation
from estimator.degradation.kinds import KINDS
from trials.series import (
    NO_TROUBLE,
    TROUBLES,
    Series,
    Trouble,
    draw_series,
)

CELLS = [(n, drop) for n in (25, 50, 100) for drop in (3.0, 5.0, 8.0)]
SHORT = (12, 5.0)
LENGTHS = (12, 25, 50, 100)
TIMES = {
    50: 20.0,
    100: 25.0,
    200: 60.0,
    400: 180.0,
    1000: 300.0,
}  # chunks: milliseconds


@dataclass(frozen=True, kw_only=True)
class Task:
    """Series to draw and judge in one go."""

    kind: str
    n: int
    drop: float
    trouble: Trouble
    repetitions: int
    seed: int


def main() -> int:
    args = _arguments()
    if find_spec("ruptures") is None:
        msg = "The rival needs ruptures, which is not installed: pip install ruptures"
        raise SystemExit(msg)
    targets = Targets(source="kinds of decline in simulated series")
    with ProcessPoolExecutor(2) as pool:
        judged = _kinds(pool, targets, args)
        _false_alarms(pool, targets, args)
        _places(judged, targets)
        _calibration(judged, targets)
        _online(pool, targets, args)
    _speed(targets, args.seed)
    return targets.finish(check=args.check)


def _arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--repetitions", type=int, default=300, help="series per kind, length and drop"
    )
    parser.add_argument(
        "--stable", type=int, default=500, help="stable series per trouble and length"
    )
    parser.add_argument(
        "--followed", type=int, default=40, help="series per kind followed by chunk"
    )
    return parser.parse_args()


def _judge(task: Task) -> list[dict]:
    rng = np.random.default_rng([task.seed, task.n, KINDS.index(task.kind)])
    judged = []
    for _ in range(task.repetitions):
        series = draw_series(rng, task.kind, task.n, task.drop, task.trouble)
        verdict = classify_degradation(
            series.values,
            series.standard_errors,
            n_reference=series.n_reference,
            times=series.times,
        )
        times = series.times
        off = None
        if series.onset is not None and verdict.onset is not None:
            off = int(np.searchsorted(times, verdict.onset)) - series.onset
        judged.append(
            {
                "cell": (task.n, task.drop),
                "truth": task.kind,
                "verdict": verdict.kind,
                "probabilities": tuple(verdict.probabilities.values()),
                "off": off,
                "true_period": series.period,
                "period": verdict.period,
                "pelt": _pelt(series),
                "alert": _alert(series),
            }
        )
    return judged


def _pelt(series: Series) -> str:
    """Read the kind off PELT's change points, in units of the standard error."""
    import ruptures

    present = np.isfinite(series.values)
    n_reference = int(present[: series.n_reference].sum())
    y = series.values[present] / np.median(series.standard_errors)
    pelt = ruptures.Pelt(model="l2", min_size=2, jump=1).fit(y)
    ends = pelt.predict(pen=3.0 * np.log(y.size))
    edges = [0, *ends]
    levels = [y[a:b].mean() for a, b in zip(edges, ends, strict=False)]
    steps = np.diff(levels)
    if steps.size == 0 or steps.min() > 0:
        return "stable"
    if steps.size == 1:
        at_deployment = abs(ends[0] - n_reference) <= 1
        return "training_serving_skew" if at_deployment else "sudden"
    if (steps < 0).all():
        return "gradual"
    if steps.size == 2:
        return "recovered" if steps[0] < 0 else "sudden"
    return "cyclical"


def _alert(series: Series) -> bool:
    """Whether a chunk lies beyond the reference's mean ± 3 standard deviations."""
    reference = series.values[: series.n_reference]
    analysis = series.values[series.n_reference :]
    away = np.abs(analysis - np.nanmean(reference))
    return bool(np.nanmax(away) > 3.0 * np.nanstd(reference, ddof=1))


def _run(
    pool: ProcessPoolExecutor, work: Callable, tasks: Sequence[Task]
) -> list[dict]:
    return [one for batch in pool.map(work, tasks) for one in batch]


def _kinds(pool: ProcessPoolExecutor, targets: Targets, args) -> list[dict]:
    tasks = [
        Task(
            kind=kind,
            n=n,
            drop=drop,
            trouble=NO_TROUBLE,
            repetitions=args.repetitions,
            seed=args.seed + int(drop),
        )
        for n, drop in [*CELLS, SHORT]
        for kind in KINDS
    ]
    judged = _run(pool, _judge, tasks)

    def score(series: list[dict], name: str) -> float:
        truth = [one["truth"] for one in series]
        return f1_score(truth, [one[name] for one in series], average="macro")

    rows = []
    for cell in [*CELLS, SHORT]:
        in_cell = [one for one in judged if one["cell"] == cell]
        rows.append(
            (*cell, f"{score(in_cell, 'verdict'):.3f}", f"{score(in_cell, 'pelt'):.3f}")
        )
    long = [one for one in judged if one["cell"] != SHORT]
    short = [one for one in judged if one["cell"] == SHORT]
    rows.append(
        (
            "all ≥ 25",
            "≥ 3",
            f"{score(long, 'verdict'):.3f}",
            f"{score(long, 'pelt'):.3f}",
        )
    )
    print_table(
        "Macro-F1 over six kinds", ("chunks", "drop", "verdict", "PELT + rules"), rows
    )
    for title, in_cell in (("n ≥ 25, drop ≥ 3", long), ("n = 12, drop 5", short)):
        matrix = confusion_matrix(
            [one["truth"] for one in in_cell],
            [one["verdict"] for one in in_cell],
            labels=KINDS,
        )
        print_table(
            f"Confusion, {title} (rows: truth)",
            ("", *KINDS),
            ((kind, *row) for kind, row in zip(KINDS, matrix.tolist(), strict=True)),
        )
    targets.at_least("macro-F1, n ≥ 25, drop ≥ 3", score(long, "verdict"), 0.96)
    targets.at_least("macro-F1, n = 12, drop 5", score(short, "verdict"), 0.90)
    return judged


def _false_alarms(pool: ProcessPoolExecutor, targets: Targets, args) -> None:
    rows = []
    for name, trouble in {"none": NO_TROUBLE, **TROUBLES}.items():
        tasks = [
            Task(
                kind="stable",
                n=n,
                drop=0.0,
                trouble=trouble,
                repetitions=args.stable,
                seed=args.seed + 100,
            )
            for n in LENGTHS
        ]
        judged = _run(pool, _judge, tasks)

        def share(
            n: int | None, is_counted: Callable[[dict], bool], judged=judged
        ) -> float:
            counted = [is_counted(one) for one in judged if n in (None, one["cell"][0])]
            return 100.0 * float(np.mean(counted))

        ours = partial(share, is_counted=lambda one: one["verdict"] != "stable")
        rows.append(
            (
                name,
                *(f"{ours(n):.1f}" for n in LENGTHS),
                f"{ours(None):.2f}",
                f"{share(None, lambda one: one['pelt'] != 'stable'):.1f}",
                f"{share(None, lambda one: one['alert']):.1f}",
            )
        )
        target = {"none": 1.0, "autocorrelation .5": 5.0}.get(name, 2.0)
        targets.at_most(f"false alarms, trouble: {name}", ours(None), target, " %")
    print_table(
        "False alarms on stable series, %",
        ("trouble", *(f"n = {n}" for n in LENGTHS), "all", "PELT", "± 3 sd"),
        rows,
    )


def _places(judged: list[dict], targets: Targets) -> None:
    at_three = [
        abs(one["off"]) <= 1
        for one in judged
        if one["truth"] == one["verdict"] == "sudden" and one["cell"][1] == 3.0
    ]
    periods = [
        one["period"] is not None and abs(one["period"] / one["true_period"] - 1) <= 0.1
        for one in judged
        if one["truth"] == one["verdict"] == "cyclical"
        and one["true_period"] is not None
    ]
    targets.at_least(
        "sudden, drop 3: located within ± 1 chunk", 100 * np.mean(at_three), 90, " %"
    )
    targets.at_least("cyclical: period within 10 %", 100 * np.mean(periods), 90, " %")


def _calibration(judged: list[dict], targets: Targets) -> None:
    stated = np.array([one["probabilities"] for one in judged])
    true = np.array([[kind == one["truth"] for kind in KINDS] for one in judged])
    tenth = np.minimum((stated * 10).astype(int), 9)
    rows, worst = [], 0.0
    for k in range(10):
        inside = tenth == k
        n = int(inside.sum())
        stated_mean, was = stated[inside].mean(), true[inside].mean()
        noise = np.sqrt(max(stated_mean * (1 - stated_mean), 1e-9) / n)
        rows.append(
            (
                f"{k / 10:.1f} to {(k + 1) / 10:.1f}",
                n,
                f"{stated_mean:.3f}",
                f"{was:.3f}",
                f"{was - stated_mean:+.3f}",
                f"{noise:.3f}",
            )
        )
        worst = max(worst, abs(was - stated_mean))
    print_table(
        "Stated probabilities of all kinds, in ten bins",
        ("bin", "series × kinds", "stated", "true", "difference", "its noise"),
        rows,
    )
    targets.at_most("calibration: worst of ten bins", worst, 0.05)


def _follow(task: Task) -> list[dict]:
    rng = np.random.default_rng([task.seed, task.n, KINDS.index(task.kind)])
    followed = []
    for _ in range(task.repetitions):
        series = draw_series(rng, task.kind, task.n, task.drop, task.trouble)
        history = follow_degradation(
            series.values, series.standard_errors, n_reference=series.n_reference
        ).history
        onset = series.n_reference if series.onset is None else series.onset
        after = [a for a in history if a.chunk >= onset]
        followed.append(
            {
                "kind": task.kind,
                "after": after[0].chunk - onset + 1 if after else series.values.size,
                "is_right": bool(after) and after[0].kind == task.kind,
            }
        )
    return followed


def _online(pool: ProcessPoolExecutor, targets: Targets, args) -> None:
    tasks = [
        Task(
            kind=kind,
            n=40,
            drop=drop,
            trouble=NO_TROUBLE,
            repetitions=args.followed // 2,
            seed=args.seed + 200 + int(drop),
        )
        for kind in KINDS[1:]
        for drop in (3.0, 5.0)
    ]
    followed = _run(pool, _follow, tasks)
    rows = []
    for kind in KINDS[1:]:
        of_kind = [one for one in followed if one["kind"] == kind]
        rows.append(
            (
                kind,
                f"{median(one['after'] for one in of_kind):g}",
                f"{100 * np.mean([one['is_right'] for one in of_kind]):.0f}",
            )
        )
    print_table(
        "Announced after how many chunks (median; 40 chunks, drops 3 and 5)",
        ("kind", "a decline", "its kind right, %"),
        rows,
    )
    steps = [one["after"] for one in followed if one["kind"] in _STEPS]
    targets.at_most("announced after (median, sudden and skew)", median(steps), 4)
    targets.at_most(
        "announced after (median, all kinds)",
        median(one["after"] for one in followed),
        4,
    )


_STEPS = ("sudden", "training_serving_skew")


def _speed(targets: Targets, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = []
    for n, target in TIMES.items():
        spent = []
        for kind in KINDS:
            series = draw_series(rng, kind, n - 14, 4.0)
            for repetition in range(8):
                begun = perf_counter()
                classify_degradation(
                    series.values,
                    series.standard_errors,
                    n_reference=series.n_reference,
                )
                if repetition:  # the first compiles, and fills the caches
                    spent.append(1e3 * (perf_counter() - begun))
        rows.append((n, f"{median(spent):.1f}", f"{max(spent):.1f}"))
        targets.at_most(f"{n} chunks", median(spent), target, " ms")
    print_table("Time of one verdict, ms", ("chunks", "median", "longest"), rows)


if __name__ == "__main__":
    raise SystemExit(main())
