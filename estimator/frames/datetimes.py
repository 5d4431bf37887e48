"""Moments: whatever spells them → UTC `datetime64` in its own unit, and a time zone."""

import re
import warnings
from datetime import date, tzinfo
from decimal import Decimal
from numbers import Real
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Moments = NDArray[np.datetime64]
TimeZone = str | tzinfo | None
TimeLike = str | date | np.datetime64  # of which pandas.Timestamp makes one
Unit = Literal["D", "s", "ms", "us", "ns"]

_END = np.datetime64("10000-01-01")
_NANOSECONDS: Final = {
    "D": 86_400 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "ns": 1,
}
# A number that spells a date: its range, what to divide by for the last two digits (a
# day or a month; 0: none), and its format.
_DATE_NUMBERS = (
    (10_000_101.0, 99_991_232.0, 100.0, "%Y%m%d"),
    (190_001.0, 210_013.0, 100.0, "%Y%m"),
    (1900.0, 2101.0, 0.0, "%Y"),
)
# From this number on it counts these units since 1970: 1973 in seconds is 1e8, and the
# years in which units meet (5138 in seconds, 1973 in milliseconds) are no data.
_EPOCH_UNITS = (
    (1e17, "ns", "nanoseconds"),
    (1e14, "us", "microseconds"),
    (1e11, "ms", "milliseconds"),
    (1e8, "s", "seconds"),
)
_EXCEL_DAYS = (20_000.0, 80_000.0)  # 1954 to 2119
_CLOCK = {"now", "today"}  # pandas reads them as the wall clock
_OFFSET = re.compile(r"(Z|[+-]\d\d:\d\d|[+-]\d{4}|:\d\d[+-]\d\d)$")


def parse_datetimes(values: np.ndarray, what: str) -> tuple[Moments, TimeZone]:
    """Turn ISO 8601 strings, dates and datetimes into UTC moments.

    Parameters
    ----------
    values : ndarray of object, shape (n,)
        None, NaN and NaT stay missing (NaT).
    what : str
        How the user calls the values; it opens every message.

    Raises
    ------
    TypeError
        If a value is neither text nor a date.
    ValueError
        If a text is not ISO 8601, or time zones are mixed.
    """
    missing = pd.isna(values)
    kinds = set(map(type, values[~missing]))
    wrong = tuple(k for k in kinds if not issubclass(k, str | date | np.datetime64))
    if wrong:
        row = next(i for i, value in enumerate(values) if isinstance(value, wrong))
        remedy = number_remedy(values[row])
        msg = (
            f"{what} must hold dates, but row {row} is {values[row]!r}. "
            f"{remedy or 'Convert the column with pd.to_datetime.'}"
        )
        raise TypeError(msg)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # pandas 2: mixed offsets
            parsed = pd.to_datetime(values, format="ISO8601")
    except (ValueError, FutureWarning) as error:
        raise ValueError(_explain(values, missing, what)) from error
    tails = {v[-6:] for v in values[~missing] if isinstance(v, str)}
    if not _CLOCK.isdisjoint(tail.lower() for tail in tails):
        raise ValueError(_explain(values, missing, what))
    # pandas 2 reads a text without offset as if it had its neighbours'.
    if parsed.tz is not None and not all(map(_OFFSET.search, tails)):
        raise ValueError(_mixed(what))
    return moments(parsed)


def read_moment(
    value: TimeLike | None, name: str, timezone: TimeZone, *, has_times: bool
) -> int | None:
    """Return a time argument in microseconds since 1970, in UTC where data have a zone.

    Parameters
    ----------
    value : timestamp or None
        None stays None.
    name : str
        Name of the argument; it opens every message.
    timezone : str, tzinfo or None
        Time zone of the data; a time without one is read as in it.
    has_times : bool
        Whether the data have times: if so, and without a zone, the argument must have
        none either.

    Raises
    ------
    ValueError
        If the value is no time, or has a zone and the data have none.
    """
    if value is None:
        return None
    try:
        moment = pd.Timestamp(value)
    except (ValueError, TypeError) as error:
        msg = f"`{name}` must be a timestamp, got {value!r}."
        raise ValueError(msg) from error
    if pd.isna(moment):
        msg = f"`{name}` must be a timestamp, got {value!r}."
        raise ValueError(msg)
    if moment.tzinfo is not None:
        if has_times and timezone is None:
            msg = f"`{name}` must have no time zone, as the data, got {value!r}."
            raise ValueError(msg)
        moment = moment.tz_convert("UTC").tz_localize(None)
    elif timezone is not None:
        moment = moment.tz_localize(timezone).tz_convert("UTC").tz_localize(None)
    return int(moment.to_datetime64().astype("M8[us]").astype(np.int64))


def moments(index: pd.DatetimeIndex) -> tuple[Moments, TimeZone]:
    """Split an index into its UTC moments and its time zone, without copying."""
    return index.asi8.view(f"M8[{index.unit}]"), index.tz


def number_remedy(value: object) -> str:
    """Say how to read a number as a time, "" if it is not clear how.

    Examples
    --------
    >>> number_remedy(1_735_689_600_000)
    'It looks like milliseconds since 1970: pd.to_datetime(column, unit="ms").'
    >>> number_remedy(20250101)
    'It looks like a date: pd.to_datetime(column.astype(str), format="%Y%m%d").'
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real | Decimal):
        return ""
    number = float(value)
    for low, high, size, format_ in _DATE_NUMBERS:
        part = number % size if size else 1.0
        if low <= number < high and number.is_integer() and 1.0 <= part < 32.0:
            text = "column.astype(str)"
            return f'It looks like a date: pd.to_datetime({text}, format="{format_}").'
    for low, unit, name in _EPOCH_UNITS:
        if abs(number) >= low:
            return (
                f"It looks like {name} since 1970: "
                f'pd.to_datetime(column, unit="{unit}").'
            )
    if _EXCEL_DAYS[0] <= number < _EXCEL_DAYS[1]:
        return (
            "It looks like days of a spreadsheet: "
            'pd.to_datetime(column, unit="D", origin="1899-12-30").'
        )
    return ""


def check_years(
    moment: Moments, zone: TimeZone, what: str, *, first: int = 1000
) -> None:
    """Refuse times whose year has not four digits: ISO 8601 cannot write them.

    Parameters
    ----------
    moment : ndarray of datetime64
        UTC moments; NaT is in any year.
    zone : str, tzinfo or None
        Time zone of the wall clock, whose years count.
    what : str
        How the user calls the moments; it opens the message.
    first : int, default=1000
        First year that is allowed: periods begin up to some years before a row.

    Raises
    ------
    ValueError
        If a moment lies before the first year, or after 9999.
    """
    # A time zone moves the wall clock by less than a day.
    day = np.timedelta64(0 if zone is None else 1, "D")
    unit = np.datetime_data(moment.dtype)[0]
    low, high = np.datetime64(f"{first:04}-01-01") + day, _END - day
    if unit == "ns" or not moment.size:  # nanoseconds end in 2262
        return
    outside = np.fmin.reduce(moment) < low or np.fmax.reduce(moment) >= high
    if not outside:
        return
    wrong = np.flatnonzero((moment < low) | (moment >= high))
    year = int(moment[wrong[0]].astype("M8[Y]").astype(np.int64)) + 1970
    msg = (
        f"{what} must lie in the years {first} to 9999, but {wrong.size} of "
        f"{moment.size} do not (first: row {wrong[0]} lies in the year {year}). Drop "
        "such placeholders, or check the unit: milliseconds read as seconds give such "
        "years."
    )
    raise ValueError(msg)


def elapsed_nanoseconds(first: np.datetime64, last: np.datetime64) -> int:
    """Return the time from one moment to another of the same unit, without overflow."""
    unit, count = np.datetime_data(first.dtype)
    ticks = int(last.astype(np.int64)) - int(first.astype(np.int64))
    return ticks * count * _NANOSECONDS[unit]


def localize(wall: Moments, timezone: TimeZone) -> Moments:
    """Wall-clock times → UTC: ambiguous ones the first, skipped ones after the gap."""
    if timezone is None:
        return wall
    first = np.ones(wall.size, dtype=np.bool_)
    index = pd.DatetimeIndex(wall).tz_localize(
        timezone, ambiguous=first, nonexistent="shift_forward"
    )
    return moments(index)[0]


def wall_clock(utc: Moments, timezone: TimeZone) -> Moments:
    """UTC → wall-clock times."""
    if timezone is None:
        return utc
    index = pd.DatetimeIndex(utc).tz_localize("UTC").tz_convert(timezone)
    return moments(index.tz_localize(None))[0]


def iso_format(utc: Moments, timezone: TimeZone, unit: Unit) -> list[str]:
    """ISO 8601 in wall-clock time, with the UTC offset where there is a zone."""
    wall = wall_clock(utc, timezone)
    text: list[str] = np.datetime_as_string(wall, unit=unit).tolist()
    if timezone is None:
        return text
    seconds = (wall - utc).astype("m8[s]").astype(np.int64).tolist()
    suffixes = {s: _suffix(s) for s in set(seconds)}
    return [t + suffixes[s] for t, s in zip(text, seconds, strict=True)]


def _suffix(seconds: int) -> str:
    minutes, rest = divmod(abs(seconds), 60)
    clock = f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
    return f"{clock}:{rest:02}" if rest else clock  # local mean time, before zones


def _explain(values: np.ndarray, missing: NDArray[np.bool_], what: str) -> str:
    for row in np.flatnonzero(~missing):
        text = values[row]
        try:
            if isinstance(text, str) and text.lower() in _CLOCK:
                raise ValueError  # noqa: TRY301
            pd.to_datetime(values[row : row + 1], format="ISO8601")
        except pd.errors.OutOfBoundsDatetime:
            return (
                f"{what} must lie in the years that pandas {pd.__version__} can parse, "
                f"but row {row} is {values[row]!r}. Drop such placeholders."
            )
        except ValueError:
            return (
                f"{what} must hold timestamps such as '2026-03-09' or "
                f"'2026-03-09T14:00:00', but row {row} is {values[row]!r}. Convert "
                'the column first: pd.to_datetime(column, format="…").'
            )
    return _mixed(what)


def _mixed(what: str) -> str:
    return (
        f"{what} must have one time zone, but several are mixed (or some rows have "
        "none). Convert the column first: "
        'pd.to_datetime(column, utc=True).dt.tz_convert("Europe/Berlin").'
    )
