"""Conditions in SQL on the times of rows."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from estimator.operations.sources.files.file_rows import literal, quoted
from estimator.operations.sources.row_source import TIME, RowSource

# Nanoseconds become microseconds; years that nanoseconds can count.
_ROUNDED, _NS_YEARS = pd.Timedelta(1, "us"), range(1700, 2200)
Time = datetime | np.datetime64
Spans = Sequence[tuple[Time, Time | None]]


def between(
    role: str,
    after: datetime | None,
    until: datetime | None,
    *,
    or_missing: bool = False,
) -> str:
    """Return SQL of whether a time lies in (after, until].

    Parameters
    ----------
    role : str
        Role of the column of times.
    after, until : datetime or None
        Ends of the span; None: open.
    or_missing : bool, default=False
        Whether a missing time counts as inside.
    """
    name = quoted(role)
    parts = []
    if after is not None:
        parts.append(f"{name} > {_moment(after)}")
    if until is not None:
        parts.append(f"{name} <= {_moment(until)}")
    inside = " AND ".join(parts) or "true"
    return f"({inside} OR {name} IS NULL)" if or_missing else f"({inside})"


def inside_spans(name: str, spans: Spans) -> str:
    """Return SQL of whether a time lies in one of some spans, of which some adjoin."""
    joined: list[tuple[Time, Time | None]] = []
    for begin, end in spans:
        if joined and joined[-1][1] == begin:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((begin, end))
    parts = []
    for begin, end in joined:
        after = f"{name} >= {_moment(begin)}"
        before = "" if end is None else f" AND {name} < {_moment(end)}"
        parts.append(f"({after}{before})")
    return f"({' OR '.join(parts)})"


def about_spans(predictions: RowSource, spans: Spans | None) -> str:
    """Return SQL that is true of all rows in some spans, and of few others.

    Files say between which times the rows of their parts lie. DuckDB looks there if
    the column itself is asked for, but not if it is first rounded from nanoseconds.
    """
    column = predictions.roles[TIME]
    if spans is None or predictions.types[column] != "TIMESTAMP_NS":
        return "true"
    wider = [
        (pd.Timestamp(a) - _ROUNDED, None if b is None else pd.Timestamp(b) + _ROUNDED)
        for a, b in spans
    ]
    if any(t is not None and t.year not in _NS_YEARS for span in wider for t in span):
        return "true"
    return inside_spans(quoted(column), wider)


def _moment(value: object) -> str:
    return f"TIMESTAMP {literal(str(value))}"
