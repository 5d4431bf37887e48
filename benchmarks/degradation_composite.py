"""Verdicts on simulated series that do more than one thing.

A season with a decline in it, two incidents, an incident and a step, a return in part,
a collapse of two chunks, accuracies near their ceiling. All declines are sizes of the
standard error.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from time import process_time

import numpy as np
import pandas as pd

from benchmarks.reporting import Targets, make_parser, print_table
from estimator import classify_degradation
from trials.composite_series import KINDS_BESIDE, ROWS

# Least share named rightly, by row; by row and size where it depends on that.
BESIDE = {f"{s} + {kind}": 0.90 for s in ("weekly", "annual") for kind in KINDS_BESIDE}
LEAST = {"weekly alone": 0.95, "annual alone": 0.95, "one weekday": 0.95} | BESIDE
LEAST_AT = {
    **{("incident of two chunks", size): 0.95 for size in (8.0, 12.0, 20.0, 40.0)},
    ("two incidents", 5.0): 0.85,
    ("incident, step", 5.0): 0.85,
    ("partial return", 5.0): 0.85,
    ("growing cycle", 5.0): 0.85,
    ("step, ramp", 5.0): 0.85,
    **{("annual, periods", size): 0.80 for size in (1.5, 1.8, 2.2)},
    **{("near the ceiling", size): 0.50 for size in (1000.0, 3000.0)},
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Series of one row, size and length, judged in one go."""

    row: str
    size: float
    n: int
    repetitions: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One series and its verdict."""

    row: str
    size: float
    n: int
    truth: str
    kind: str
    probability: float
    true_period: float | None
    period: float | None
    seconds: float


def main() -> int:
    args = _arguments()
    cells = [
        Cell(row=name, size=size, n=n, repetitions=args.repetitions, seed=args.seed)
        for name, row in ROWS.items()
        for size in row.sizes
        for n in row.lengths
        if (not args.rows or name in args.rows) and (not args.n or n in args.n)
    ]
    with ProcessPoolExecutor(args.workers) as pool:
        judged = [one for cell in pool.map(_judge, cells) for one in cell]
    targets = Targets(source="simulated series that do more than one thing")
    _by_row(judged, targets)
    _calibration(judged, targets)
    _periods(judged, targets)
    return targets.finish(check=args.check)


def _arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--repetitions", type=int, default=40, help="series per row, size and length"
    )
    parser.add_argument("--rows", nargs="*", choices=[*ROWS], help="only these rows")
    parser.add_argument("--n", nargs="*", type=int, help="only these lengths")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    return parser.parse_args()


def _judge(cell: Cell) -> list[Judged]:
    rng = np.random.default_rng(
        [cell.seed, [*ROWS].index(cell.row), cell.n, int(10 * cell.size)]
    )
    judged = []
    for _ in range(cell.repetitions):
        series = ROWS[cell.row].draw(rng, cell.n, cell.size)
        begun = process_time()
        verdict = classify_degradation(
            series.values,
            series.standard_errors,
            n_reference=series.n_reference,
            times=series.times,
        )
        seconds = process_time() - begun
        period = verdict.period if verdict.season is None else verdict.season.period
        if period is not None:
            period = period / pd.Timedelta(series.times[1] - series.times[0])
        judged.append(
            Judged(
                row=cell.row,
                size=cell.size,
                n=cell.n,
                truth=series.kind,
                kind=verdict.kind,
                probability=verdict.probability,
                true_period=series.period,
                period=period,
                seconds=seconds,
            )
        )
    return judged


def _by_row(judged: Sequence[Judged], targets: Targets) -> None:
    rows = []
    for name in ROWS:
        for size in ROWS[name].sizes:
            cell = [one for one in judged if (one.row, one.size) == (name, size)]
            if not cell:
                continue
            right = [one.kind == one.truth for one in cell]
            stated = float(np.mean([one.probability for one in cell]))
            wrong = Counter(one.kind for one in cell if one.kind != one.truth)
            rows.append(
                (
                    name,
                    f"{size:g}",
                    cell[0].truth,
                    len(cell),
                    f"{np.mean(right):.3f}",
                    f"{stated:.3f}",
                    ", ".join(f"{kind} {n}" for kind, n in wrong.most_common(3)),
                    " ".join(_by_length(cell)),
                    f"{1e3 * np.mean([one.seconds for one in cell]):.0f}",
                )
            )
            if (name, size) in LEAST_AT or (name in LEAST and size >= 2.0):
                least = LEAST_AT.get((name, size), LEAST.get(name, 0.0))
                targets.at_least(f"{name}, {size:g}", float(np.mean(right)), least)
    header = ("series", "size", "truth", "n", "right", "stated", "wrong")
    print_table("Named rightly", (*header, "right by length", "ms"), rows)
    right = [one.kind == one.truth for one in judged]
    print(f"All: {np.mean(right):.4f} of {len(judged)} named rightly.")


def _by_length(cell: Sequence[Judged]) -> list[str]:
    lengths = sorted({one.n for one in cell})
    shares = [
        np.mean([one.kind == one.truth for one in cell if one.n == n]) for n in lengths
    ]
    return [f"{share:.2f}" for share in shares]


def _calibration(judged: Sequence[Judged], targets: Targets) -> None:
    stated = np.array([one.probability for one in judged])
    right = np.array([one.kind == one.truth for one in judged])
    edges = np.array([0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0 + 1e-9])
    rows = []
    error = 0.0
    for low, high in pairwise(edges):
        inside = (stated >= low) & (stated < high)
        if not inside.any():
            continue
        gap = float(right[inside].mean() - stated[inside].mean())
        error += abs(gap) * inside.mean()
        rows.append(
            (
                f"{low:.2f} to {high:.2f}",
                int(inside.sum()),
                f"{stated[inside].mean():.3f}",
                f"{right[inside].mean():.3f}",
                f"{gap:+.3f}",
            )
        )
    print_table(
        "Stated probability of the kind that is named",
        ("bin", "series", "stated", "right", "difference"),
        rows,
    )
    targets.at_most("calibration error of the named kind", error, 0.05)
    top = stated >= 0.9
    if top.any():
        targets.at_least("right where 0.9 is stated", float(right[top].mean()), 0.90)


def _periods(judged: Sequence[Judged], targets: Targets) -> None:
    rows, within = [], []
    for name in ROWS:
        seasonal = [
            one for one in judged if one.row == name and one.true_period is not None
        ]
        if not seasonal:
            continue
        near = [
            one.period is not None and abs(one.period / one.true_period - 1.0) <= 0.1
            for one in seasonal
            if one.true_period is not None
        ]
        rows.append((name, len(near), f"{np.mean(near):.3f}"))
        within += near
    print_table("Period within 10 %", ("series", "n", "share"), rows)
    if within:
        targets.at_least("period within 10 %", float(np.mean(within)), 0.95)


if __name__ == "__main__":
    raise SystemExit(main())
