"""A verdict in one sentence."""

import re
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from estimator.degradation.verdict import Degradation

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MONTH = pd.Timedelta(days=365.2425 / 12)
_CAUSES = {
    "covariate_shift": "other cases (covariate shift)",
    "concept_drift": "other behaviour of the same cases (concept drift)",
    "both": "covariate shift and concept drift",
}


def sentence(verdict: "Degradation") -> str:
    """Say what happened, since when, by how much, how sure that is, and why."""
    name = verdict.metric or "the metric"
    what = f"{name} {_event(verdict)}"
    cause = _CAUSES.get(verdict.cause)
    because = f"; cause: {cause}" if cause else ""
    return f"{what}; probability {_probability(verdict.probability)}{because}"


def chunk_text(label: Any) -> str:
    """Return a chunk's label, of dates at midnight only the day."""
    if isinstance(label, pd.Timestamp | np.datetime64):
        stamp = pd.Timestamp(label)
        return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else str(stamp)
    return str(label)


def chunk_name(verdict: "Degradation", label: Any) -> str:
    """Return how to speak of a chunk: of weeks and months by their first day."""
    dates = _dates(verdict.chunks)
    if dates is None:
        return f"chunk {label}"
    spacing = dates.to_series().diff().median() / pd.Timedelta(days=1)
    day = chunk_text(label)
    if spacing == 7:
        return f"the week of {day}"
    if 28 <= spacing <= 31:
        return f"the month of {day}"
    if spacing > 1 and _DAY.fullmatch(day):
        return f"the chunk of {day}"
    return day


def _during(verdict: "Degradation", label: Any) -> str:
    """Return when something happened: in a week, on a day, at an hour."""
    name = chunk_name(verdict, label)
    if _DAY.fullmatch(name):
        return f"on {name}"
    return f"at {name}" if _DAY.match(name) else f"in {name}"


def _event(verdict: "Degradation") -> str:
    down = "rose" if not verdict.higher_is_better else "fell"
    worse = "higher" if not verdict.higher_is_better else "lower"
    size = _size(verdict)
    onset = end = in_onset = in_end = ""
    if verdict.onset is not None:
        onset = chunk_name(verdict, verdict.onset)
        in_onset = _during(verdict, verdict.onset)
    if verdict.end is not None:
        end = chunk_name(verdict, verdict.end)
        in_end = _during(verdict, verdict.end)
    if verdict.kind == "sudden":
        return f"{down} suddenly {in_onset}, by {size}"
    if verdict.kind == "training_serving_skew":
        return f"has been {worse} since deployment, by {size}: training-serving skew"
    if verdict.kind == "recovered":
        return f"was {worse} by {size} from {onset}, and recovered {in_end}"
    if verdict.kind == "gradual":
        if verdict.end is not None:
            return f"{down} gradually from {onset} to {end}, by {size}"
        moves = "declines" if verdict.higher_is_better else "rises"
        return f"{moves} gradually since {onset}, {_rate(verdict)}"
    if verdict.kind == "cyclical":
        when = "at irregular intervals"
        if verdict.period_interval is not None:
            low, high = verdict.period_interval
            when = f"with a period of {_duration(verdict.period)} ({_duration(low)} "
            when += f"to {_duration(high)}){_period_unit(verdict)}"
        return f"goes down and up {when}, by {size}"
    if verdict.improved:
        return f"improved {in_onset}, by {size}, and does not degrade"
    return "is stable"


def _size(verdict: "Degradation") -> str:
    digits = _digits(verdict.magnitude)
    low, high = sorted(abs(x) for x in verdict.magnitude_interval)
    if verdict.magnitude_interval.low < 0.0 < verdict.magnitude_interval.high:
        low = 0.0
    return (
        f"{abs(verdict.magnitude):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
    )


def _rate(verdict: "Degradation") -> str:
    """Return the change per month, or per chunk where there are no dates."""
    began = int(np.argmax(verdict.affected))
    n_steps = max(verdict.affected.size - began, 1)
    dates = _dates(verdict.chunks)
    per, unit = verdict.magnitude / n_steps, "chunk"
    if dates is not None and len(dates) > 1:
        elapsed = dates[-1] - dates[max(began - 1, 0)]
        if elapsed > pd.Timedelta(days=45):
            per, unit = verdict.magnitude / (elapsed / _MONTH), "month"
        elif elapsed > pd.Timedelta(days=2):
            per, unit = verdict.magnitude / (elapsed / pd.Timedelta(days=1)), "day"
    sign = "−" if per < 0 else "+"
    return f"{sign}{abs(per):.{_digits(per)}f} a {unit}, by {_size(verdict)} so far"


def _duration(period: Any) -> str:
    if isinstance(period, pd.Timedelta):
        days = period / pd.Timedelta(days=1)
        return f"{days:.0f} days" if days >= 10 else f"{days:.1f} days"
    return f"{period:.1f}"


def _period_unit(verdict: "Degradation") -> str:
    """Return what a period without a unit of its own counts: chunks, or unknown times.

    A caller's numeric times are in units that nobody has told.
    """
    chunks = verdict.chunks
    labelled = chunks.dtype == object
    if isinstance(verdict.period, pd.Timedelta):
        return ""
    counted = labelled or np.array_equal(chunks, np.arange(chunks.size))
    return " chunks" if counted else ""


def _dates(chunks: Any) -> pd.DatetimeIndex | None:
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
    return int(
        max(
            0,
            min(
                6, max(3 if abs(number) < 1 else 1, 1 - np.floor(np.log10(abs(number))))
            ),
        )
    )


def _probability(p: float) -> str:
    return "above 0.99" if p > 0.995 else f"{p:.2f}"
