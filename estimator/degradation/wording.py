"""Chunks, sizes, rates and durations in the words of a verdict's sentence."""

import re
from datetime import date

import numpy as np
import pandas as pd

from estimator.degradation.shapes.findings import Event, Season

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ONE_DAY = pd.Timedelta(days=1)
_MONTH = pd.Timedelta(days=365.2425 / 12)
# Least durations of a change whose rate is given per month and per day; the rate of a
# shorter one is per chunk.
_RATE_PER_MONTH_AFTER = pd.Timedelta(days=45)
_RATE_PER_DAY_AFTER = pd.Timedelta(days=2)
_HOURS_BELOW = pd.Timedelta(days=2)  # periods shorter than this are in hours


def chunk_text(label: object) -> str:
    """Return a chunk's label, of dates at midnight only the day."""
    if isinstance(label, pd.Timestamp | np.datetime64):
        stamp = pd.Timestamp(label)
        return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else str(stamp)
    return str(label)


def chunk_name(chunks: np.ndarray, label: object) -> str:
    """Return how to speak of one of the chunks: weeks and months by their first day."""
    dates = _dates(chunks)
    if dates is None:
        return f"chunk {label}"
    spacing = dates.to_series().diff().median() / _ONE_DAY
    day = chunk_text(label)
    if spacing == 7:
        return f"the week of {day}"
    if 28 <= spacing <= 31:
        return f"the month of {day}"
    if spacing > 1 and _DAY.fullmatch(day):
        return f"the chunk of {day}"
    return day


def during_chunk(chunks: np.ndarray, label: object) -> str:
    """Return when something happened: in a week, on a day, at an hour."""
    name = chunk_name(chunks, label)
    if _DAY.fullmatch(name):
        return f"on {name}"
    return f"at {name}" if _DAY.match(name) else f"in {name}"


def size_text(magnitude: float, interval: tuple[float, float]) -> str:
    """Return a change and its interval, without their signs."""
    digits = _digits(magnitude)
    least, greatest = interval
    low, high = sorted((abs(least), abs(greatest)))
    if least < 0.0 < greatest:
        low = 0.0
    return f"{abs(magnitude):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def amount_text(amount: float) -> str:
    """Return a size without sign and interval."""
    return f"{abs(amount):.{_digits(amount)}f}"


def season_text(season: Season, chunks: np.ndarray, *, is_possible: bool) -> str:
    """Return how a sentence goes on about a season that is not what it is about.

    Parameters
    ----------
    season : Season
        Season of the series.
    chunks : ndarray of shape (n_chunks,)
        Labels or times of all chunks.
    is_possible : bool
        Whether there is too little of it to be sure.
    """
    period = duration_text(season.period) + period_unit(chunks, season.period)
    if is_possible:
        shown = f"the series is {season.n_periods:.1f} periods long"
        return f"; it could be a season of {period}: {shown}"
    shown = "shows, too" if season.in_reference else "does not show"
    swing = f"{amount_text(season.swing)} from top to bottom"
    return f", beside a season of {period} ({swing}) that the reference {shown}"


def clause_of(event: Event, chunks: np.ndarray) -> str:
    """Return a clause about an event that is not what the sentence is about."""
    is_down = event.size < 0
    size, verb = amount_text(event.size), "fell" if is_down else "rose"
    state = "lower" if is_down else "higher"
    onset = chunk_name(chunks, event.onset)
    if event.kind == "recovered":
        return f"was {state} by {size} from {onset} to {chunk_name(chunks, event.end)}"
    if event.kind == "gradual":
        return f"{verb} gradually by {size} since {onset}"
    if event.kind == "training_serving_skew":
        return f"{verb} by {size} at deployment"
    return f"{verb} by {size} {during_chunk(chunks, event.onset)}"


def change_rate(magnitude: float, onset: int, chunks: np.ndarray) -> str:
    """Return a change per month, or per chunk where there are no dates.

    Parameters
    ----------
    magnitude : float
        Change so far, in units of the metric.
    onset : int
        Position of the chunk in which the change began.
    chunks : ndarray of shape (n_chunks,)
        Labels or times of all chunks.
    """
    n_steps = max(chunks.size - onset, 1)
    dates = _dates(chunks)
    rate, unit = magnitude / n_steps, "chunk"
    if dates is not None and len(dates) > 1:
        elapsed = dates[-1] - dates[max(onset - 1, 0)]
        if elapsed > _RATE_PER_MONTH_AFTER:
            rate, unit = magnitude / (elapsed / _MONTH), "month"
        elif elapsed > _RATE_PER_DAY_AFTER:
            rate, unit = magnitude / (elapsed / _ONE_DAY), "day"
    sign = "−" if rate < 0 else "+"
    return f"{sign}{abs(rate):.{_digits(rate)}f} a {unit}"


def duration_text(period: pd.Timedelta | float) -> str:
    """Return a period in days or hours, or as a number if it is no duration."""
    if isinstance(period, pd.Timedelta):
        days = period / _ONE_DAY
        if period < _HOURS_BELOW:
            return f"{24.0 * days:.1f} hours"
        return f"{days:.0f} days" if days >= 10 else f"{days:.1f} days"
    return f"{period:.1f}"


def period_unit(chunks: np.ndarray, period: object) -> str:
    """Return what a period without a unit of its own counts: chunks, or unknown times.

    The unit of a caller's numeric times is not known.
    """
    if isinstance(period, pd.Timedelta):
        return ""
    has_labels = chunks.dtype == object
    counts_chunks = has_labels or np.array_equal(chunks, np.arange(chunks.size))
    return " chunks" if counts_chunks else ""


def _dates(chunks: np.ndarray) -> pd.DatetimeIndex | None:
    """Return the chunks as dates, if that is what they are."""
    if all(isinstance(label, str) for label in chunks):
        try:
            return pd.DatetimeIndex(pd.to_datetime(list(chunks), format="ISO8601"))
        except ValueError:
            return None
    if isinstance(chunks[0], date | np.datetime64):
        return pd.DatetimeIndex(chunks)
    return None


def _digits(number: float) -> int:
    """Return the decimals that show two digits, at least three below 1."""
    if not np.isfinite(number) or number == 0.0:
        return 3
    least = 3 if abs(number) < 1 else 1
    two_digits = 1 - int(np.floor(np.log10(abs(number))))
    return min(6, max(least, two_digits))


def probability_text(probability: float) -> str:
    """Return a probability with two digits, "above 0.99" where these would say 1."""
    return "above 0.99" if probability > 0.995 else f"{probability:.2f}"
