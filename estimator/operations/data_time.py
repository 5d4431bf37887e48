"""Moments as users write them, as the data have them, and as the store keeps them.

The store counts microseconds since 1970: in UTC where the data have a time zone, else
in their wall-clock time.
"""

import re
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from estimator.frames.datetimes import TimeZone
from estimator.operations.errors import ConfigurationError

_DAY = pd.Timedelta(days=1)
_DATE = re.compile(r"\d{4}-?\d\d-?\d\d")
_LAST = pd.Timedelta(microseconds=1)


def parse_moment(text: str) -> pd.Timestamp:
    """Read a date, which is its last microsecond, or a time.

    Raises
    ------
    ConfigurationError
        If it is neither.

    Examples
    --------
    >>> parse_moment("2026-03-01"), parse_moment("2026-03-01T06:00")
    (Timestamp('2026-03-01 23:59:59.999999'), Timestamp('2026-03-01 06:00:00'))
    """
    try:
        if not _DATE.match(text.strip()):
            raise ValueError  # noqa: TRY301
        moment = pd.to_datetime([text.strip()], format="ISO8601")[0]
    except (ValueError, TypeError) as error:
        msg = (
            "--as-of must be an ISO date or time, such as 2026-03-01 or "
            f"2026-03-01T06:00, got {text!r}."
        )
        raise ConfigurationError(msg) from error
    if _DATE.fullmatch(text.strip()):
        moment += _DAY - _LAST
    return moment.as_unit("us")


def on_data_clock(moment: pd.Timestamp, timezone: TimeZone) -> pd.Timestamp:
    """Return a moment without zone, as the store and DuckDB compare it.

    Raises
    ------
    ConfigurationError
        If it has a time zone, and the data have none.
    """
    if timezone is None and moment.tzinfo is not None:
        msg = f"--as-of must have no time zone, as the data have none, got {moment}."
        raise ConfigurationError(msg)
    if timezone is None:
        return moment
    if moment.tzinfo is None:
        # An hour that the clock repeats or leaves out: the later moment.
        moment = moment.tz_localize(
            timezone, ambiguous=False, nonexistent="shift_forward"
        )
    return moment.tz_convert("UTC").tz_localize(None)


def is_future(moment: pd.Timestamp) -> bool:
    """Whether a moment of the data lies after today, by this machine's clock.

    By more than a day: the data's wall clock may be of another time zone.
    """
    return moment > clock_now() + _DAY


def clock_now() -> pd.Timestamp:
    """Return what this machine's clock says, in UTC and without zone."""
    return pd.Timestamp(datetime.now(UTC)).tz_localize(None)


def shown(microseconds: int, timezone: TimeZone) -> pd.Timestamp:
    """Return a moment of the store as the data would show it."""
    moment = pd.Timestamp(microseconds, unit="us")
    if timezone is None:
        return moment
    return moment.tz_localize("UTC").tz_convert(timezone)


def ticks(moment: pd.Timestamp) -> int:
    """Return a moment on the data's clock as the store keeps it."""
    return int(moment.to_datetime64().astype("M8[us]").astype(np.int64))


def as_datetime(microseconds: int) -> pd.Timestamp:
    """Return a moment of the store as DuckDB compares it."""
    return pd.Timestamp(microseconds, unit="us")
