"""Series that do more than one thing: a season with a step in it, two incidents.

Drops and swings are in units of the standard error. Nothing here is known to the
package.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LENGTHS = (56, 84, 120, 182, 365)
DROPS = (3.0, 5.0, 8.0)
SWINGS = (2.0, 4.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class Composite:
    """One series, and what is true of it.

    Attributes
    ----------
    values, standard_errors : ndarray of shape (n_chunks,)
        The series, better being up.
    times : DatetimeIndex of shape (n_chunks,)
        Days or weeks.
    n_reference : int
        Number of the reference's chunks.
    kind : str
        The kind of decline that a verdict should name.
    period : float or None
        Period of the season, in chunks.
    """

    values: Floats
    standard_errors: Floats
    times: pd.DatetimeIndex
    n_reference: int
    kind: str
    period: float | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table: series of one making, at several sizes."""

    draw: Callable[[np.random.Generator, int, float], Composite]
    sizes: tuple[float, ...]
    lengths: tuple[int, ...] = LENGTHS


def season_alone(period: float, unit: str) -> Callable:
    """Return a generator of series with a season that the reference shows, too."""

    def draw(rng: np.random.Generator, n: int, swing: float) -> Composite:
        return _compose(rng, n, "stable", period, swing, unit, np.zeros)

    return draw


def season_and(kind: str, period: float, unit: str) -> Callable:
    """Return a generator of series with a season that the reference shows, and more."""

    def draw(rng: np.random.Generator, n: int, drop: float) -> Composite:
        def decline(size: int) -> Floats:
            return drop * _shape(rng, kind, size)

        swing = float(rng.uniform(2.0, 8.0))
        return _compose(rng, n, kind, period, swing, unit, decline)

    return draw


def new_season(rng: np.random.Generator, n: int, swing: float) -> Composite:
    """Draw a weekly season that begins with production."""
    n_reference = int(rng.integers(14, 29))
    i = np.arange(n_reference + n)
    wave = swing * _wave(rng, i, 7.0)
    return _finish(rng, -np.where(i < n_reference, 0.0, wave), n_reference, "cyclical")


def growing_season(rng: np.random.Generator, n: int, drop: float) -> Composite:
    """Draw a cycle whose swing grows from nothing at deployment to ``drop``."""
    n_reference = int(rng.integers(10, 29))
    i = np.arange(n_reference + n)
    period = float(np.exp(rng.uniform(np.log(6.0), np.log(n / 4.0))))
    growth = np.clip((i - n_reference) / n, 0.0, None)
    around = rng.choice([0.0, 0.5])  # about the level, or down from it
    wave = drop * growth * (around + 0.5 * np.sin(2 * np.pi * (i / period)))
    return _finish(rng, -wave, n_reference, "cyclical", period=period)


def short_reference(rng: np.random.Generator, n: int, periods: float) -> Composite:
    """Draw an annual season in weeks, of which the reference shows a quarter."""
    size = round(52.18 * periods)
    wave = rng.uniform(5.0, 8.0) * _sine(rng, np.arange(size), 52.18)
    return _finish(rng, wave, 13, "cyclical", period=52.18, unit="W-MON")


def short_incident(rng: np.random.Generator, n: int, drop: float) -> Composite:
    """Draw an incident of two chunks."""
    n_reference = _reference_of(rng, n)
    k = n_reference + int(rng.integers(2, n - 4))
    i = np.arange(n_reference + n)
    return _finish(rng, -drop * ((i >= k) & (i < k + 2)), n_reference, "recovered")


def weekday_dips(rng: np.random.Generator, n: int, drop: float) -> Composite:
    """Draw one bad day in seven since deployment."""
    n_reference = int(rng.integers(14, 29))
    i = np.arange(n_reference + n)
    is_bad = (i % 7 == rng.integers(0, 7)) & (i >= n_reference)
    return _finish(rng, -drop * is_bad, n_reference, "cyclical", period=7.0)


def two_incidents(rng: np.random.Generator, n: int, drop: float) -> Composite:
    """Draw two incidents of different lengths, with good chunks between and after."""
    n_reference = _reference_of(rng, n)
    size = n_reference + n
    lengths = rng.integers(3, max(5, n // 6), size=2)
    room = n - int(lengths.sum())
    before = int(rng.integers(2, room // 3))
    between = int(rng.integers(5, room // 2))
    first = n_reference + before
    second = first + int(lengths[0]) + between
    i = np.arange(size)
    bad = (i >= first) & (i < first + lengths[0])
    bad |= (i >= second) & (i < second + lengths[1])
    return _finish(rng, -drop * bad, n_reference, "recovered")


def incident_then_step(rng: np.random.Generator, n: int, drop: float) -> Composite:
    """Draw an incident that ends, and a step that stays."""
    n_reference = _reference_of(rng, n)
    length = int(rng.integers(3, max(5, n // 6)))
    first = n_reference + int(rng.integers(2, n // 4))
    step = first + length + int(rng.integers(5, n // 4))
    i = np.arange(n_reference + n)
    bad = (i >= first) & (i < first + length)
    return _finish(rng, -drop * (bad | (i >= step)), n_reference, "sudden")


def partial_return(rng: np.random.Generator, n: int, drop: float) -> Composite:
    """Draw a step of which three quarters come back: a quarter stays away."""
    n_reference = _reference_of(rng, n)
    first = n_reference + int(rng.integers(n // 8, n // 3))
    back = first + int(rng.integers(max(4, n // 8), n // 3))
    i = np.arange(n_reference + n)
    lost = 1.0 * (i >= first) - 0.75 * (i >= back)
    return _finish(rng, -drop * lost, n_reference, "sudden")


def step_then_ramp(rng: np.random.Generator, n: int, drop: float) -> Composite:
    """Draw a step, and later a gradual decline of the same size."""
    n_reference = _reference_of(rng, n)
    step = n_reference + int(rng.integers(n // 8, n // 3))
    begin = step + int(rng.integers(n // 8, n // 3))
    size = n_reference + n
    i = np.arange(size)
    ramp = np.clip((i - begin) / (size - 1 - begin), 0.0, 1.0)
    return _finish(rng, -drop * ((i >= step) + ramp), n_reference, "sudden")


def trend_and_cycle(rng: np.random.Generator, n: int, drop: float) -> Composite:
    """Draw a gradual decline of the size of a season that the reference shows."""
    period = float(rng.choice([7.0, 12.0]))
    n_reference = int(rng.integers(2 * period, 4 * period))
    i = np.arange(n_reference + n)
    ramp = np.clip((i - n_reference) / n, 0.0, 1.0)
    values = drop * (_sine(rng, i, period) - ramp)
    return _finish(rng, values, n_reference, "gradual", period=period)


def one_reference_chunk(rng: np.random.Generator, n: int, drop: float) -> Composite:
    """Draw a decline at deployment after a reference of one chunk."""
    i = np.arange(1 + n)
    return _finish(rng, -drop * (i >= 1), 1, "training_serving_skew")


def near_the_ceiling(rng: np.random.Generator, n: int, size: float) -> Composite:
    """Draw accuracies that go from 0.999 to 0.993 and back, with binomial errors."""
    n_reference = int(rng.integers(10, 21))
    i = np.arange(n_reference + n)
    period = float(np.exp(rng.uniform(np.log(6.0), np.log(n / 3.0))))
    down = np.where(i < n_reference, 0.0, _sine(rng, i, period) + 0.5)
    share = 0.999 - 0.006 * down
    values = rng.binomial(int(size), share) / size
    smoothed = (values * size + 1.0) / (size + 2.0)
    return Composite(
        values=values,
        standard_errors=np.sqrt(smoothed * (1.0 - smoothed) / size),
        times=pd.date_range("2025-01-06", periods=i.size, freq="D"),
        n_reference=n_reference,
        kind="cyclical",
        period=period,
    )


def nothing(rng: np.random.Generator, n: int, drop: float) -> Composite:
    """Draw noise."""
    n_reference = _reference_of(rng, n)
    return _finish(rng, np.zeros(n_reference + n), n_reference, "stable")


def _shape(rng: np.random.Generator, kind: str, n: int) -> Floats:
    """Return how far down each analysis chunk is, from 0 to 1."""
    i, edge = np.arange(n), max(4, n // 8)
    if kind == "training_serving_skew":
        return np.ones(n)
    if kind == "sudden":
        return 1.0 * (i >= rng.integers(edge, n - edge))
    if kind == "recovered":
        length = int(rng.integers(edge, n // 2))
        first = int(rng.integers(3, n - length - 3))
        return 1.0 * ((i >= first) & (i < first + length))
    length = int(rng.integers(n // 3, n))
    first = int(rng.integers(0, max(1, n - round(0.7 * length))))
    ramp = np.clip((i - first) / length, 0.0, 1.0)
    return ramp / ramp[-1]


def _compose(
    rng: np.random.Generator,
    n: int,
    kind: str,
    period: float,
    swing: float,
    unit: str,
    decline: Callable[[int], Floats],
) -> Composite:
    least = int(np.ceil(period))
    n_reference = int(rng.integers(max(14, least), max(29, least + 27)))
    i = np.arange(n_reference + n)
    values = swing * _wave(rng, i, period)
    values[n_reference:] -= decline(n)
    return _finish(rng, values, n_reference, kind, period=period, unit=unit)


def _wave(rng: np.random.Generator, i: NDArray, period: float) -> Floats:
    """Return a season from bottom to top 1: a sine, weekends, or any day by itself."""
    form = rng.choice(["sine", "weekend", "any"]) if period == 7.0 else "sine"
    if form == "sine":
        return _sine(rng, i, period)
    by_day = np.array([0.0] * 5 + [-1.0] * 2) if form == "weekend" else rng.random(7)
    by_day = by_day / np.ptp(by_day)
    return by_day[(i + rng.integers(0, 7)) % 7]


def _sine(rng: np.random.Generator, i: NDArray, period: float) -> Floats:
    wave: Floats = 0.5 * np.sin(2.0 * np.pi * (i / period + rng.random()))
    return wave


def _reference_of(rng: np.random.Generator, n: int) -> int:
    return int(rng.integers(10, max(21, n // 4)))


def _finish(
    rng: np.random.Generator,
    shape: Floats,
    n_reference: int,
    kind: str,
    *,
    period: float | None = None,
    unit: str = "D",
) -> Composite:
    """Return the series of a shape in standard errors, with noise and a level."""
    typical, n = 0.01, shape.size
    errors = typical * np.exp(rng.normal(0.0, rng.uniform(0.0, 0.2), n))
    return Composite(
        values=0.8 + typical * shape + errors * rng.normal(size=n),
        standard_errors=errors,
        times=pd.date_range("2025-01-06", periods=n, freq=unit),
        n_reference=n_reference,
        kind=kind,
        period=period,
    )


KINDS_BESIDE = {
    "step": "sudden",
    "ramp": "gradual",
    "incident": "recovered",
    "skew": "training_serving_skew",
}
ROWS = {
    "noise": Row(draw=nothing, sizes=(0.0,)),
    "weekly alone": Row(draw=season_alone(7.0, "D"), sizes=SWINGS),
    "annual alone": Row(
        draw=season_alone(52.18, "W-MON"), sizes=SWINGS, lengths=(56, 120)
    ),
    **{
        f"weekly + {name}": Row(draw=season_and(kind, 7.0, "D"), sizes=DROPS)
        for name, kind in KINDS_BESIDE.items()
    },
    **{
        f"annual + {name}": Row(
            draw=season_and(kind, 52.18, "W-MON"), sizes=DROPS, lengths=(56, 120, 182)
        )
        for name, kind in KINDS_BESIDE.items()
    },
    "new weekly": Row(draw=new_season, sizes=(3.0, 5.0)),
    "trend + cycle": Row(draw=trend_and_cycle, sizes=DROPS),
    "growing cycle": Row(draw=growing_season, sizes=(5.0, 8.0)),
    "annual, periods": Row(draw=short_reference, sizes=(1.5, 1.8, 2.2), lengths=(78,)),
    "incident of two chunks": Row(
        draw=short_incident, sizes=(5.0, 8.0, 12.0, 20.0, 40.0)
    ),
    "one weekday": Row(draw=weekday_dips, sizes=(5.0, 12.0)),
    "two incidents": Row(draw=two_incidents, sizes=(3.0, 5.0)),
    "incident, step": Row(draw=incident_then_step, sizes=(3.0, 5.0)),
    "partial return": Row(draw=partial_return, sizes=(5.0, 8.0)),
    "step, ramp": Row(draw=step_then_ramp, sizes=(3.0, 5.0)),
    "reference of one": Row(draw=one_reference_chunk, sizes=(5.0,)),
    "near the ceiling": Row(
        draw=near_the_ceiling, sizes=(1000.0, 3000.0), lengths=(56, 120)
    ),
}
