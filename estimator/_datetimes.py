"""Moments: whatever spells them → UTC `datetime64` in its own unit, and a time zone."""

import re
import warnings
from datetime import date, tzinfo
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Moments = NDArray[np.datetime64]
TimeZone = str | tzinfo | None
Unit = Literal["D", "s", "ms", "us", "ns"]

_CLOCK = {"now", "today"}  # pandas reads them as the wall clock
_OFFSET = re.compile(r"(Z|[+-]\d\d:\d\d|[+-]\d{4}|:\d\d[+-]\d\d)$")


def parse_datetimes(values: NDArray[Any], what: str) -> tuple[Moments, TimeZone]:
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
        msg = (
            f"{what} must hold dates, but row {row} is {values[row]!r}. Convert the "
            'column with pd.to_datetime (numbers: pd.to_datetime(column, unit="s")).'
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


def moments(index: pd.DatetimeIndex) -> tuple[Moments, TimeZone]:
    """Split an index into its UTC moments and its time zone, without copying."""
    return index.asi8.view(f"M8[{index.unit}]"), index.tz


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


def _explain(values: NDArray[Any], missing: NDArray[np.bool_], what: str) -> str:
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
