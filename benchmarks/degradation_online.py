"""Declines seen chunk by chunk: alarms and announcements, false ones and delays."""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.reporting import Targets, make_parser, print_table
from estimator import anytime_alarm, follow_degradation

Floats = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int], Floats]

N_STABLE = 200  # chunks after the reference
N_DAYS = 84  # of a series with a weekly pattern
NEVER = 99  # chunks of delay of what is not seen
FEW = 3  # chunks of a short reference


def normal(rng: np.random.Generator, n: int) -> Floats:
    return rng.normal(size=n)


def student(rng: np.random.Generator, n: int) -> Floats:
    """Return noise of variance 1 with the tails of Student's t, 3 degrees."""
    return rng.standard_t(3, n) / np.sqrt(3.0)


def student_scale_one(rng: np.random.Generator, n: int) -> Floats:
    """Return the same, whose standard deviation is 1.73 standard errors."""
    return rng.standard_t(3, n)


def outliers(rng: np.random.Generator, n: int) -> Floats:
    """Return normal noise with 2 % thrown off by 4 to 12, to either side."""
    far = rng.choice([-1.0, 1.0], n) * rng.uniform(4.0, 12.0, n)
    return rng.normal(size=n) + (rng.random(n) < 0.02) * far


def outliers_of_eight(rng: np.random.Generator, n: int) -> Floats:
    """Return normal noise with 2 % thrown off by 8, to either side."""
    far = 8.0 * rng.choice([-1.0, 1.0], n)
    return rng.normal(size=n) + (rng.random(n) < 0.02) * far


def understated(rng: np.random.Generator, n: int) -> Floats:
    """Return normal noise of 1.3 standard errors."""
    return 1.3 * rng.normal(size=n)


# Noise, and whether its share of false alarms has a target.
NOISES: dict[str, tuple[Noise, bool]] = {
    "normal": (normal, True),
    "Student's t, 3 degrees, variance 1": (student, True),
    "2 % outliers of 4 to 12": (outliers, True),
    "2 % outliers of 8": (outliers_of_eight, True),
    "Student's t, 3 degrees, scale 1": (student_scale_one, False),
    "standard errors understated by 1.3": (understated, False),
}


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Where series step down: numbers of chunks before."""

    name: str
    n_reference: tuple[int, int]  # from, below
    n_before: tuple[int, int]


STEPS = (
    Steps(name="at deployment", n_reference=(8, 21), n_before=(0, 1)),
    Steps(name="after 5 to 35 chunks", n_reference=(8, 21), n_before=(5, 36)),
    Steps(name="after 100 chunks", n_reference=(8, 21), n_before=(100, 101)),
)


def main() -> int:
    args = _arguments()
    targets = Targets(source="declines seen chunk by chunk")
    with ProcessPoolExecutor(2) as pool:
        _false_alarms(pool, targets, args)
        _alarm_delays(pool, targets, args)
        _false_announcements(pool, targets, args)
        _announcement_delays(pool, targets, args)
        _weekly_patterns(pool, targets, args)
    return targets.finish(check=args.check)


def _arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--stable", type=int, default=500, help="stable series per noise and reference"
    )
    parser.add_argument(
        "--stepped", type=int, default=300, help="series with a step per position"
    )
    parser.add_argument(
        "--followed", type=int, default=100, help="series followed by verdicts per kind"
    )
    return parser.parse_args()


def _alarms_ever(seed: int, noise: str, n_reference: int, n_series: int) -> int:
    """Return how many of the stable series alarm."""
    rng = np.random.default_rng([seed, n_reference, list(NOISES).index(noise)])
    ever = 0
    for _ in range(n_series):
        values = NOISES[noise][0](rng, n_reference + N_STABLE)
        alarm = anytime_alarm(values, np.ones(values.size), n_reference=n_reference)
        ever += alarm.chunk is not None
    return ever


def _false_alarms(pool: ProcessPoolExecutor, targets: Targets, args) -> None:
    rows = []
    for noise, (_, has_target) in NOISES.items():
        shares = []
        for n_reference in (FEW, 12):
            half = partial(
                _alarms_ever,
                noise=noise,
                n_reference=n_reference,
                n_series=args.stable // 2,
            )
            ever = sum(pool.map(half, (args.seed, args.seed + 1)))
            shares.append(100.0 * ever / (2 * (args.stable // 2)))
        rows.append((noise, *(f"{share:.1f}" for share in shares)))
        if has_target:
            targets.at_most(f"false alarms ever: {noise}", max(shares), 1.0, " %")
    print_table(
        f"Anytime alarm: false ones ever in {N_STABLE} stable chunks, %",
        ("noise", f"reference of {FEW}", "reference of 12"),
        rows,
    )


def _alarm_delay(seed: int, steps: Steps, n_series: int) -> list[int]:
    """Return after how many chunks a step of 3 standard errors alarms."""
    rng = np.random.default_rng([seed, *steps.n_before])
    delays = []
    for _ in range(n_series):
        n_reference = int(rng.integers(*steps.n_reference))
        onset = n_reference + int(rng.integers(*steps.n_before))
        values = rng.normal(size=onset + 25)
        values[onset:] -= 3.0
        alarm = anytime_alarm(values, np.ones(values.size), n_reference=n_reference)
        delays.append(NEVER if alarm.chunk is None else alarm.chunk - onset + 1)
    return delays


def _alarm_delays(pool: ProcessPoolExecutor, targets: Targets, args) -> None:
    rows = []
    for steps in STEPS:
        half = partial(_alarm_delay, steps=steps, n_series=args.stepped // 2)
        delays = np.concatenate(list(pool.map(half, (args.seed, args.seed + 1))))
        delay, early = float(np.median(delays)), 100.0 * np.mean(delays < 1)
        within = 100.0 * np.mean((delays >= 1) & (delays <= 4))
        rows.append((steps.name, f"{delay:g}", f"{within:.0f}", f"{early:.1f}"))
        targets.at_most(f"alarm after a step, {steps.name} (median)", delay, 4)
    print_table(
        "Anytime alarm: a step of 3 standard errors is seen after how many chunks",
        ("step", "median", "within 4, %", "before it, %"),
        rows,
    )


def _announced_ever(seed: int, n_series: int) -> int:
    """Return in how many stable series anything is announced."""
    rng = np.random.default_rng([seed, 1])
    ever = 0
    for _ in range(n_series):
        n_reference = int(rng.integers(8, 21))
        values = rng.normal(size=n_reference + N_STABLE)
        announced = follow_degradation(
            values, np.ones(values.size), n_reference=n_reference
        )
        ever += bool(announced.history)
    return ever


def _false_announcements(pool: ProcessPoolExecutor, targets: Targets, args) -> None:
    half = partial(_announced_ever, n_series=args.followed // 2)
    ever = sum(pool.map(half, (args.seed, args.seed + 1)))
    share = 100.0 * ever / (2 * (args.followed // 2))
    targets.at_most(f"announced ever in {N_STABLE} stable chunks", share, 1.0, " %")


def _announcement_delay(seed: int, steps: Steps, n_series: int) -> list[int]:
    """Return after how many chunks a step of 3 standard errors is announced."""
    rng = np.random.default_rng([seed, *steps.n_before, 2])
    delays = []
    for _ in range(n_series):
        n_reference = int(rng.integers(*steps.n_reference))
        onset = n_reference + int(rng.integers(*steps.n_before))
        values = rng.normal(size=onset + 15)
        values[onset:] -= 3.0
        announced = follow_degradation(
            values, np.ones(values.size), n_reference=n_reference
        )
        after = [one.chunk - onset + 1 for one in announced.history]
        delays.append(next((late for late in after if late > 0), NEVER))
    return delays


def _announcement_delays(pool: ProcessPoolExecutor, targets: Targets, args) -> None:
    rows = []
    for steps in STEPS[:2]:
        half = partial(_announcement_delay, steps=steps, n_series=args.followed // 2)
        delays = np.concatenate(list(pool.map(half, (args.seed, args.seed + 1))))
        delay, within = float(np.median(delays)), 100.0 * np.mean(delays <= 4)
        rows.append((steps.name, f"{delay:g}", f"{within:.0f}"))
        targets.at_most(f"announced after a step, {steps.name} (median)", delay, 4)
    print_table(
        "A step of 3 standard errors is announced after how many chunks",
        ("step", "median", "within 4, %"),
        rows,
    )


def _wrong_announcements(seed: int, n_series: int) -> list[int]:
    """Return how many announcements of series with a week and a step are wrong."""
    rng = np.random.default_rng([seed, 3])
    wrong = []
    for _ in range(n_series):
        day = np.arange(N_DAYS)
        swing, drop = rng.uniform(2.0, 8.0), rng.uniform(3.0, 8.0)
        pattern = np.cos(2.0 * np.pi * (day / 7.0 + rng.random()))
        pattern -= 0.5 * (day % 7 == rng.integers(7))
        onset = int(rng.integers(35, 63))
        values = rng.normal(size=N_DAYS) + 0.5 * swing * pattern
        values[onset:] -= drop
        announced = follow_degradation(values, np.ones(N_DAYS), n_reference=28)
        wrong.append(
            sum(one.kind != "sudden" or one.chunk < onset for one in announced.history)
        )
    return wrong


def _weekly_patterns(pool: ProcessPoolExecutor, targets: Targets, args) -> None:
    half = partial(_wrong_announcements, n_series=args.followed // 2)
    wrong = np.concatenate(list(pool.map(half, (args.seed, args.seed + 1))))
    print_table(
        "A weekly pattern and a step: announcements that are wrong",
        ("number", "series, %"),
        [
            (n, f"{100.0 * np.mean(wrong == n):.0f}")
            for n in range(int(wrong.max()) + 1)
        ],
    )
    targets.at_least(
        "weekly pattern and step: at most one announcement wrong",
        100.0 * float(np.mean(wrong <= 1)),
        95.0,
        " %",
    )


if __name__ == "__main__":
    raise SystemExit(main())
