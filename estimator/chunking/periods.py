"""Calendar periods of a pandas offset alias, in the wall-clock time of the data."""

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BaseOffset

from estimator.frames.datetimes import (
    Moments,
    TimeZone,
    Unit,
    elapsed_nanoseconds,
    iso_format,
    localize,
    wall_clock,
)

PeriodUnit = Literal["M", "D", "ns"]

_DAY = 86_400 * 10**9
_HOUR = 3_600 * 10**9
_UNITS: tuple[tuple[Unit, int], ...] = (
    ("s", 10**9),
    ("ms", 10**6),
    ("us", 10**3),
    ("ns", 1),
)
_MONDAY = 4  # days from 1970-01-01, a Thursday, to the first Monday
_VALID = (
    '"h", "15min", "6h", "D", "W" (Monday to Sunday), "W-SAT", "MS", "QS", "YS" '
    'or a multiple such as "2W"'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Periods `anchor + k * step`, counted in `unit` from 1970-01-01T00:00.

    The origin is fixed, never the first row, so that the reference and every
    production batch agree about where a period starts.
    """

    alias: str
    unit: PeriodUnit
    step: int
    anchor: int = 0

    @classmethod
    def parse(cls, alias: str) -> Self:
        """Read a pandas offset alias; ValueError if it has no period."""
        try:
            with warnings.catch_warnings():
                # An alias on its way out still says which period is meant.
                warnings.simplefilter("ignore")
                offset = to_offset(alias)
        except (ValueError, TypeError) as error:
            msg = (
                f"`chunk` must be an offset alias that pandas {pd.__version__} knows, "
                f"got {alias!r}. Valid are {_VALID}; see `pandas.tseries.offsets`."
            )
            raise ValueError(msg) from error
        if offset.n < 1:
            msg = (
                f"`chunk` must be a positive period, got {alias!r}. Valid are {_VALID}."
            )
            raise ValueError(msg)
        steps = _fixed_steps(offset) or _steps_in_months(offset)
        if steps is not None:
            unit, step, anchor = steps
            return cls(alias=alias, unit=unit, step=step, anchor=anchor)
        msg = (
            f"`chunk` must be an alias of consecutive periods, but {alias!r} "
            f"({type(offset).__name__}) has none. Valid are {_VALID}."
        )
        raise ValueError(msg)

    def between(
        self, first: np.datetime64, last: np.datetime64, timezone: TimeZone, limit: int
    ) -> tuple[Moments, list[str]]:
        """Return start (UTC) and label of each period from `first` to `last`.

        Raises
        ------
        ValueError
            If there are more than `limit` periods.
        """
        count = self._count(first, last)
        if count > limit:
            msg = (
                f"`chunk` {self.alias!r} makes {count:,} periods from {first} to {last}"
                f", but at most {limit:,} are allowed. Take a longer alias, or look "
                "for a stray timestamp."
            )
            raise ValueError(msg)
        if self.unit == "ns":
            return self._ticks(first, last, timezone)
        ends = wall_clock(np.array([first, last]).astype("M8[s]"), timezone)
        days = self._starts(ends.astype(f"M8[{self.unit}]"), self.step).astype("M8[D]")
        starts = localize(days.astype("M8[s]"), timezone)
        here = _reach(starts, first, last)
        # The nominal date, even where that day has no midnight.
        return starts[here], np.datetime_as_string(days[here], unit="D").tolist()

    def _count(self, first: np.datetime64, last: np.datetime64) -> int:
        length = {"M": 30 * _DAY, "D": _DAY, "ns": 1}[self.unit] * self.step
        return elapsed_nanoseconds(first, last) // length + 1

    def _starts(self, ends: Moments, step: int) -> Moments:
        """Wall-clock starts around two wall-clock `ends`, in the unit of `ends`."""
        low, high = np.floor_divide(ends.astype(np.int64) - self.anchor, step)
        # One more at either end: around a clock change wall time is not monotone.
        counts = self.anchor + np.arange(low - 1, high + 2) * step
        return counts.astype(ends.dtype)

    def _ticks(
        self, first: np.datetime64, last: np.datetime64, timezone: TimeZone
    ) -> tuple[Moments, list[str]]:
        unit, size = next(u for u in _UNITS if self.step % u[1] == 0)
        step = self.step // size
        ends = np.array([first, last]).astype(f"M8[{unit}]")
        if timezone is not None and _HOUR % self.step == 0:
            starts = _absolute_starts(ends, step, _HOUR // size, timezone)
        else:
            wall = self._starts(wall_clock(ends, timezone), step)
            # Two starts inside a spring gap become one.
            starts = np.unique(localize(wall, timezone))
        starts = starts[_reach(starts, first, last)]
        return starts, iso_format(starts, timezone, unit)


def _fixed_steps(offset: BaseOffset) -> tuple[PeriodUnit, int, int] | None:
    """Return unit, step and anchor of an offset of fixed length, None of others."""
    match offset:
        case pd.offsets.Day():
            return "D", offset.n, 0
        case pd.offsets.Tick() if offset.nanos % _DAY == 0:
            return "D", offset.nanos // _DAY, 0
        case pd.offsets.Tick():
            return "ns", offset.nanos, 0
        case pd.offsets.Week():
            return "D", 7 * offset.n, _MONDAY + (offset.kwds["weekday"] + 1) % 7
    return None


def _steps_in_months(
    offset: BaseOffset,
) -> tuple[PeriodUnit, int, int] | None:
    """Return unit, step and anchor of an offset of whole months, None of others."""
    n = offset.n
    month = offset.kwds.get("month", offset.kwds.get("startingMonth", 1))
    match offset:
        case pd.offsets.MonthBegin() | pd.offsets.MonthEnd():
            return "M", n, 0
        case pd.offsets.QuarterBegin():
            return "M", 3 * n, (month - 1) % 3
        case pd.offsets.QuarterEnd():
            return "M", 3 * n, month % 3
        case pd.offsets.YearBegin():
            return "M", 12 * n, month - 1
        case pd.offsets.YearEnd():
            return "M", 12 * n, month % 12
    return None


def _absolute_starts(
    ends: Moments, step: int, hour: int, timezone: TimeZone
) -> Moments:
    """Step through absolute time between clock changes, aligned to the wall clock.

    So the hour that autumn repeats makes two periods, and India's hours start on the
    half hour of UTC.
    """
    begin, stop = (ends.astype(np.int64) + np.array([-hour, 1])).tolist()
    changes = _clock_changes(ends, timezone).astype(np.int64)
    inside = changes[(changes > begin) & (changes < stop)]
    pieces = []
    for a, b in pairwise([begin, *inside.tolist(), stop]):
        moment = np.array([a]).astype(ends.dtype)
        offset = int((wall_clock(moment, timezone) - moment).astype(np.int64)[0])
        aligned = -((-a - offset) // step) * step - offset
        if a != begin and aligned != a:  # a change off the grid starts a period too
            pieces.append(np.array([a]))
        pieces.append(np.arange(aligned, b, step))
    return np.concatenate(pieces).astype(ends.dtype)


def _reach(starts: Moments, first: np.datetime64, last: np.datetime64) -> slice:
    """Select the periods from the one with `first` to the one with `last`."""
    # Rounded down to the unit of the starts: the other way might overflow.
    ends = np.array([first, last]).astype(starts.dtype)
    low, high = np.searchsorted(starts, ends, side="right")
    return slice(low - 1, high)


def _clock_changes(ends: Moments, timezone: TimeZone) -> Moments:
    """UTC moments, to the second, at which the UTC offset changes around `ends`."""
    first, last = ends.astype("M8[D]").astype(np.int64)
    days = np.arange(first - 1, last + 3).astype("M8[D]").astype("M8[s]")
    offset = wall_clock(days, timezone) - days
    before = np.flatnonzero(offset[1:] != offset[:-1])
    low, high = days[before], days[before + 1]
    for _ in range(17):  # bisection: 2**17 s are more than a day
        middle = low + (high - low) // 2
        same = wall_clock(middle, timezone) - middle == offset[before]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return high.astype(ends.dtype)
