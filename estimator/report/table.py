"""The numbers of the report page: a row per chunk and metric, the newest chunk first.

The page's script reads what it shows of a chunk off this table: nothing is said twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import numpy as np

from estimator.charts.formats import (
    MISSING,
    chunk_label,
    decimals,
    interval_text,
    number_text,
    percentage,
    prose_html,
    threshold_text,
)
from estimator.charts.newest_chunk import newest_chunk, unfinished_chunk
from estimator.frames.datetimes import wall_clock
from estimator.metric_series import MetricSeries, SeriesTable
from estimator.metrics.registry import METRICS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Numbers:
    """What the table says, read off a result once.

    Attributes
    ----------
    performance : Performance
    series : dict of str to MetricSeries
        All rows together, by metric.
    by_segment : dict of str to dict of str to MetricSeries
        By segment, then by metric; "" is all rows.
    digits : dict of str to int
        Decimals, by metric.
    columns : tuple of str
        Heads of the columns that have anything to say.
    notes : dict of str to int
        Number of each distinct note, from 1, the newest first.
    newest : int
        Position of the newest complete analysis chunk among the chunks of all rows; the
        last one where the analysis has no chunk.
    unfinished : int or None
        Position of the chunk whose rows are still coming.
    """

    performance: SeriesTable
    series: dict[str, MetricSeries]
    by_segment: dict[str, dict[str, MetricSeries]]
    digits: dict[str, int]
    columns: tuple[str, ...]
    notes: dict[str, int]
    newest: int
    unfinished: int | None


def read_numbers(performance: SeriesTable) -> Numbers:
    """Read series, columns and notes off a result."""
    by_segment = performance.metric_series()
    overall = by_segment[""]
    every = list(overall.values())
    columns = ["value", interval_head(performance.level)]
    if every[0].reconciled:
        columns.append("estimated")
    if any(np.isfinite(one.realized).any() for one in every):
        columns.append("realized")
    if any(np.isfinite(t).any() for one in every for t in one.thresholds):
        columns += ["thresholds", "breach probability"]
    if any((one.trust != "good").any() for one in every):
        columns.append("trust")
    if any(any(one.note) for one in every):
        columns.append("note")
    labels = np.where(every[0].in_analysis, every[0].chunk, "")
    begun = unfinished_chunk(performance)
    newest = np.flatnonzero(labels == newest_chunk(performance))
    return Numbers(
        performance=performance,
        series=overall,
        by_segment=by_segment,
        digits={
            metric: decimals(
                np.concatenate([s[metric].standard_error for s in by_segment.values()])
            )
            for metric in performance.metrics
        },
        columns=tuple(columns),
        notes=_numbered_notes(by_segment),
        newest=int(newest[-1]) if newest.size else labels.size - 1,
        unfinished=None if begun is None else int(np.flatnonzero(labels == begun)[-1]),
    )


def _numbered_notes(by_segment: dict[str, dict[str, MetricSeries]]) -> dict[str, int]:
    """Return a number for each distinct note, from 1, the newest chunk's first."""
    notes: dict[str, int] = {}
    for by_metric in reversed(by_segment.values()):
        by_chunk = np.stack([series.note for series in by_metric.values()], axis=1)
        for note in by_chunk[::-1].ravel().tolist():
            if note:
                notes.setdefault(note, len(notes) + 1)
    return notes


def interval_head(level: float) -> str:
    """Return the head of the column of intervals that have this coverage."""
    return f"{100 * level:.4g} % interval"


def cells(numbers: Numbers, metric: str, i: int) -> dict[str, tuple[str, str]]:
    """Return HTML and class of a metric on the ``i``-th chunk, by head of column."""
    series, digits = numbers.series[metric], numbers.digits[metric]

    def number(value: float) -> str:
        return number_text(float(value), digits)

    alerted = "alerted" if series.alert[i] else ""
    breach = number_text(float(series.breach_probability[i]), 2)
    realized = number(series.realized[i])
    if np.isfinite(series.partial_realized[i]):
        realized += " so far"
    note = numbers.notes.get(series.note[i])
    by_column = {
        "value": (number(series.value[i]), alerted),
        interval_head(numbers.performance.level): (
            interval_text(float(series.lower[i]), float(series.upper[i]), digits),
            "",
        ),
        "estimated": (number(series.estimated[i]), ""),
        "realized": (realized, ""),
        "thresholds": (threshold_text(series, i, digits), ""),
        "breach probability": (
            f"{breach}, alert" if alerted else f"{breach}{_better(series, i)}",
            alerted,
        ),
        "trust": (series.trust[i], "alerted" if series.trust[i] == "none" else ""),
        "note": (f'<a href="#note-{note}">{note}</a>' if note else "", ""),
    }
    return {column: by_column[column] for column in numbers.columns}


def _better(series: MetricSeries, i: int) -> str:
    """Say so where a value is beyond the threshold on the good side.

    A breach is on the bad side: without a word its probability of 0.00 would
    contradict what the chart shows.
    """
    registered = METRICS.get(series.metric)
    higher = None if registered is None else registered.higher_is_better
    if higher is None:
        return ""
    low, high = (float(threshold[i]) for threshold in series.thresholds)
    value = float(series.value[i])
    return ", better" if (value > high if higher else value < low) else ""


def about_chunk(numbers: Numbers, i: int) -> tuple[str, str]:
    """Return a chunk's label, and how many rows and labels it has; both escaped.

    A chunk whose rows are still coming is marked so.
    """
    series = next(iter(numbers.series.values()))
    n_rows, n_labels = int(series.n_rows[i]), int(series.n_labels[i])
    about = f"{n_rows:,} rows"
    if not series.in_analysis[i]:
        about = f"reference, {about}"
    elif n_labels or series.partly_labeled:
        about += f", {percentage(n_labels / max(n_rows, 1))} labelled"
    if i == numbers.unfinished:
        about += ", unfinished"
    day = _first_day(series, i)
    label = escape(chunk_label(series.chunk[i]))
    return label, about + (f", from {day}" if day else "")


def _first_day(series: MetricSeries, i: int) -> str:
    """Return the day on which a chunk begins, unless its label says so."""
    chunk: object = series.chunk[i]
    if isinstance(chunk, str) or series.start.dtype.kind != "M":
        return ""
    start = wall_clock(series.start[i : i + 1], series.timezone)
    return "" if np.isnat(start[0]) else str(start[0].astype("M8[D]"))


def table_html(numbers: Numbers) -> str:
    """Return the table, in a region that scrolls and that a keyboard can reach."""
    head = "".join(
        f'<th scope="col">{column}</th>'
        for column in ("chunk", "metric", *numbers.columns)
    )
    metrics = numbers.performance.metrics
    n = len(next(iter(numbers.series.values())))
    body = []
    for i in reversed(range(n)):
        label, about = about_chunk(numbers, i)
        first = f'<th scope="rowgroup" rowspan="{len(metrics)}">{label}'
        first += f"<small>{about}</small></th>"
        rows = []
        for metric in metrics:
            by_column = cells(numbers, metric, i)
            cells_html = "".join(_cell(*cell) for cell in by_column.values())
            rows.append(
                f'<tr>{first}<th scope="row">{escape(metric)}</th>{cells_html}</tr>'
            )
            first = ""
        body.append(f"<tbody>{''.join(rows)}</tbody>")
    return (
        '<h2 id="all">All numbers</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="caption">'
        f'<table id="numbers" data-newest="{numbers.newest}">'
        f'<caption id="caption">{n:,} chunks, the newest first</caption>'
        f"<thead><tr>{head}</tr></thead>{''.join(body)}</table></div>"
    )


def _cell(html: str, name: str) -> str:
    return f'<td class="{name}">{html}</td>' if name else f"<td>{html}</td>"


def notes_html(numbers: Numbers) -> str:
    """Return each distinct note once, with where it applies; "" if there is none."""
    if not numbers.notes:
        return ""
    chunks_of: dict[str, dict[tuple[str, str], list[str]]] = {}
    for segment, by_metric in numbers.by_segment.items():
        for i, label in enumerate(next(iter(by_metric.values())).chunk.tolist()):
            for metric, series in by_metric.items():
                if series.note[i]:
                    chunks = chunks_of.setdefault(series.note[i], {})
                    key = (segment, chunk_label(label))
                    chunks.setdefault(key, []).append(metric)
    n_metrics = len(numbers.series)
    items = "".join(
        f'<li id="note-{i}">{escape(note)}'
        f" <small>{prose_html(_where(chunks_of[note], n_metrics))}</small></li>"
        for note, i in numbers.notes.items()
    )
    return f'<h2 id="notes">Notes</h2><ol class="notes">{items}</ol>'


def _where(places: Mapping[tuple[str, str], list[str]], n_metrics: int) -> str:
    """Name segments and metrics once, and the chunks of each, shortened."""
    chunks: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (segment, chunk), metrics in places.items():
        named = () if len(metrics) == n_metrics else tuple(metrics)
        chunks.setdefault((segment, named), []).append(chunk)
    parts = []
    for (segment, named), labels in chunks.items():
        text = labels[0]
        if len(labels) > 1:
            text = f"{len(labels)} chunks, {labels[0]} to {labels[-1]}"
        parts.append(", ".join(filter(None, (segment, *named, text))))
    return "; ".join(parts)


def newest_text(numbers: Numbers, metric: str) -> tuple[str, str]:
    """Return value and interval of the newest complete chunk; blank if there is none.

    Where it has no value, "–" and nothing.
    """
    series = numbers.series[metric]
    if len(series) == series.n_reference:
        return "", ""
    by_column = cells(numbers, metric, numbers.newest)
    value, _ = by_column["value"]
    interval, _ = by_column[interval_head(numbers.performance.level)]
    return value, "" if interval == MISSING else interval
