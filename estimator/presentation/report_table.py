"""The numbers of the report page: a row per chunk and metric, the newest chunk first.

The page's script reads what it shows of a chunk off this table: nothing is said twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from estimator._datetimes import wall_clock
from estimator.metrics import METRICS
from estimator.newest import newest_chunk, unfinished_chunk
from estimator.presentation.formats import (
    MISSING,
    chunk_label,
    decimals,
    interval_text,
    number_text,
    percentage,
    prose_html,
    threshold_text,
)
from estimator.presentation.panel import Panel, read_panel
from estimator.presentation.stages import has_partial_labels, is_reconciled
from estimator.results import Performance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Numbers:
    """What the table says, read off a result once.

    Attributes
    ----------
    performance : Performance
    panels : dict of str to Panel
        All rows together, by metric.
    digits : dict of str to int
        Decimals, by metric.
    columns : tuple of str
        Heads of the columns that have anything to say.
    notes : dict of str to int
        Number of each distinct note, from 1, the newest first.
    newest : int
        Place of the newest complete analysis chunk among the panels' chunks; the last
        place where the analysis has no chunk.
    unfinished : int or None
        Place of the chunk whose rows are still coming.
    """

    performance: Performance
    panels: dict[str, Panel]
    digits: dict[str, int]
    columns: tuple[str, ...]
    notes: dict[str, int]
    newest: int
    unfinished: int | None


def read_numbers(performance: Performance) -> Numbers:
    """Read panels, columns and notes off a result."""
    panels = {metric: read_panel(performance, metric) for metric in performance.metrics}
    of = performance.segment == ""
    columns = ["value", f"{100 * performance.level:.4g} % interval"]
    if is_reconciled(performance):
        columns.append("estimated")
    if np.isfinite(performance.realized[of]).any():
        columns.append("realized")
    if any(np.isfinite(t).any() for p in panels.values() for t in p.thresholds):
        columns += ["thresholds", "breach probability"]
    newest_first = performance.note[::-1].ravel()
    notes = {note: 0 for note in newest_first.tolist() if note}
    if any(performance.note[of].ravel()):
        columns.append("note")
    analysis = np.where(performance.period[of] == "analysis", performance.chunk[of], "")
    begun = unfinished_chunk(performance)
    newest = np.flatnonzero(analysis == newest_chunk(performance))
    return Numbers(
        performance=performance,
        panels=panels,
        digits={
            metric: decimals(performance.standard_error[:, k])
            for k, metric in enumerate(performance.metrics)
        },
        columns=tuple(columns),
        notes={note: i for i, note in enumerate(notes, start=1)},
        newest=int(newest[-1]) if newest.size else int(of.sum()) - 1,
        unfinished=None
        if begun is None
        else int(np.flatnonzero(analysis == begun)[-1]),
    )


def cells(numbers: Numbers, metric: str, i: int) -> list[tuple[str, str]]:
    """Return what is said of a metric on the ``i``-th chunk: HTML and class."""
    performance, panel = numbers.performance, numbers.panels[metric]
    row, k = panel.rows[i], performance.metrics.index(metric)
    digits = numbers.digits[metric]

    def number(value: float) -> str:
        return number_text(float(value), digits)

    alerted = "alerted" if panel.alert[i] else ""
    breach = number_text(float(performance.breach_probability[row, k]), 2)
    realized = number(panel.realized[i])
    if np.isfinite(panel.so_far[i]):
        realized += " so far"
    note = numbers.notes.get(performance.note[row, k])
    said = {
        "value": (number(panel.value[i]), alerted),
        numbers.columns[1]: (
            interval_text(float(panel.lower[i]), float(panel.upper[i]), digits),
            "",
        ),
        "estimated": (number(panel.estimated[i]), ""),
        "realized": (realized, ""),
        "thresholds": (threshold_text(panel, i, digits), ""),
        "breach probability": (
            f"{breach}, alert" if alerted else f"{breach}{_better(panel, metric, i)}",
            alerted,
        ),
        "note": (f'<a href="#note-{note}">{note}</a>' if note else "", ""),
    }
    return [said[column] for column in numbers.columns]


def _better(panel: Panel, metric: str, i: int) -> str:
    """Say so where a value is beyond the threshold on the good side.

    A breach is on the bad side: without a word its probability of 0.00 would
    contradict what the chart shows.
    """
    registered = METRICS.get(metric)
    higher = None if registered is None else registered.higher_is_better
    if higher is None:
        return ""
    low, high = (float(threshold[i]) for threshold in panel.thresholds)
    value = float(panel.value[i])
    return ", better" if (value > high if higher else value < low) else ""


def about_chunk(numbers: Numbers, i: int) -> tuple[str, str]:
    """Return a chunk's label, and how many rows and labels it has; both escaped.

    A chunk whose rows are still coming is marked so.
    """
    performance = numbers.performance
    row = next(iter(numbers.panels.values())).rows[i]
    label = chunk_label(performance.chunk[row])
    n_rows, n_labels = int(performance.n_rows[row]), int(performance.n_labels[row])
    about = f"{n_rows:,} rows"
    if performance.period[row] == "reference":
        about = f"reference, {about}"
    elif n_labels or has_partial_labels(performance):
        about += f", {percentage(n_labels / max(n_rows, 1))} labelled"
    if i == numbers.unfinished:
        about += ", unfinished"
    day = _first_day(performance, int(row))
    return escape(label), about + (f", from {day}" if day else "")


def _first_day(performance: Performance, row: int) -> str:
    """Return the day on which a chunk begins, unless its label says so."""
    chunk: Any = performance.chunk[row]
    if isinstance(chunk, str) or performance.start.dtype.kind != "M":
        return ""
    start = wall_clock(performance.start[row : row + 1], performance.timezone)
    return "" if np.isnat(start[0]) else str(start[0].astype("M8[D]"))


def table_html(numbers: Numbers) -> str:
    """Return the table, in a region that scrolls and that a keyboard can reach."""
    head = "".join(
        f'<th scope="col">{column}</th>'
        for column in ("chunk", "metric", *numbers.columns)
    )
    metrics = numbers.performance.metrics
    n = next(iter(numbers.panels.values())).rows.size
    body = []
    for i in reversed(range(n)):
        label, about = about_chunk(numbers, i)
        first = f'<th scope="rowgroup" rowspan="{len(metrics)}">{label}'
        first += f"<small>{about}</small></th>"
        rows = []
        for metric in metrics:
            said = "".join(_cell(*cell) for cell in cells(numbers, metric, i))
            rows.append(f'<tr>{first}<th scope="row">{escape(metric)}</th>{said}</tr>')
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
    performance = numbers.performance
    found: dict[str, dict[tuple[str, str], list[str]]] = {}
    for row, notes in enumerate(performance.note.tolist()):
        for k, note in enumerate(notes):
            if note:
                place = (performance.segment[row], chunk_label(performance.chunk[row]))
                metrics = found.setdefault(note, {}).setdefault(place, [])
                metrics.append(performance.metrics[k])
    n_metrics = len(performance.metrics)
    items = "".join(
        f'<li id="note-{i}">{escape(note)}'
        f" <small>{prose_html(_where(found[note], n_metrics))}</small></li>"
        for note, i in numbers.notes.items()
    )
    return f'<h2 id="notes">Notes</h2><ol class="notes">{items}</ol>'


def _where(places: Mapping[tuple[str, str], list[str]], n_metrics: int) -> str:
    """Name segments and metrics once, and the chunks of each, shortened."""
    chunks: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (segment, chunk), metrics in places.items():
        said = () if len(metrics) == n_metrics else tuple(metrics)
        chunks.setdefault((segment, said), []).append(chunk)
    parts = []
    for (segment, said), labels in chunks.items():
        text = labels[0]
        if len(labels) > 1:
            text = f"{len(labels)} chunks, {labels[0]} to {labels[-1]}"
        parts.append(", ".join(filter(None, (segment, *said, text))))
    return "; ".join(parts)


def newest_text(numbers: Numbers, metric: str) -> tuple[str, str]:
    """Return value and interval of the newest complete chunk; blank if there is none.

    Where it has no value, "–" and nothing.
    """
    panel = numbers.panels[metric]
    if panel.rows.size == panel.n_reference:
        return "", ""
    (value, _), (interval, _) = cells(numbers, metric, numbers.newest)[:2]
    return value, "" if interval == MISSING else interval
