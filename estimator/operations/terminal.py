"""What a terminal shows: tables, sentences and lines of the log.

Names and values of the data come along, and do nothing there: a terminal obeys what
follows an ESC, and a line break would forge a line of the log.
"""

import logging
import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from estimator.degradation.verdict import Degradation

WIDTH = 110
# Unicode's categories of characters that are not seen: controls, formats (such as the
# direction of writing), lone surrogates, separators of lines and paragraphs.
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = "\u200c\u200d"  # formats, too, but letters of Persian and emoji need them


def printable(text: str, *, but: str = "") -> str:
    r"""Return text in which characters that are not seen are escaped.

    Parameters
    ----------
    text : str
        Of any origin.
    but : str, default=""
        Characters that stay, such as a line break.

    Examples
    --------
    >>> print(printable("region=\x1b[2J\nnorth"))
    region=\x1b[2J\nnorth
    """
    if text.isprintable():
        return text
    return "".join(
        x.encode("unicode_escape").decode()
        if unicodedata.category(x) in _UNSEEN and x not in _JOINERS + but
        else x
        for x in text
    )


class TextLines(logging.Formatter):
    r"""The message alone; further lines of it are indented, so that none is forged.

    Examples
    --------
    >>> record = logging.makeLogRecord({"msg": "two\nlines, \x1b[31mred"})
    >>> print(TextLines().format(record))
    two
        lines, \x1b[31mred
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        return printable(super().format(record), but="\n").replace("\n", "\n    ")


def format_performance(
    frame: "pd.DataFrame", *, width: int = WIDTH, unfinished: str | int | None = None
) -> str:
    """Lay out a performance frame for reading.

    One line per analysis chunk, one group of columns per metric, under a line with the
    range of the reference. Metrics that do not fit beside one another, and segments,
    get a table of their own.

    Parameters
    ----------
    frame : DataFrame
        As `Performance.to_frame` gives it.
    width : int, default=110
        Columns of the terminal to use at most.
    unfinished : str or int, optional
        Label of the chunk whose rows are still coming; it is marked.

    Returns
    -------
    str
        The tables, and below them what the notes say.
    """
    metrics = list(dict.fromkeys(frame["metric"]))
    segments = list(dict.fromkeys(frame["segment"]))
    blocks = []
    for segment in segments:
        rows = frame[frame["segment"] == segment]
        groups = {name: _printable(_metric_columns(rows, name)) for name in metrics}
        key = _printable(_key_columns(rows, unfinished))
        for names in _fit(groups, width - _table_width(key)):
            columns = key + [column for name in names for column in groups[name]]
            title = [printable(f"segment {segment}")] if segment else []
            blocks.append("\n".join([*title, *_lines(columns)]))
    notes = _notes(frame)
    so_far = (frame["n_labels"] > 0) & (frame["n_labels"] < frame["n_rows"])
    if (so_far & (frame["period"] == "analysis") & frame["realized"].notna()).any():
        blocks.append("realized (43 %): so far, with 43 % of labels; more will move it")
    doubts = set(frame["trust"]) & {"doubtful", "none"}
    if doubts:
        signs = [f"{_DOUBTS[one]} {_DOUBT_NAMES[one]}" for one in sorted(doubts)]
        blocks.append("; ".join(signs))
    return "\n\n".join([*blocks, *([notes] if notes else [])])


def format_verdicts(
    verdicts: Mapping[str, Mapping[str, "Degradation"]], *, width: int = WIDTH
) -> str:
    """Return a sentence per metric and segment, "" if there are no verdicts."""
    lines = []
    for segment, by_metric in verdicts.items():
        where = f"{segment}: " if segment else ""
        lines += [
            fill(
                printable(f"{where}{verdict}."),
                width,
                initial_indent="  ",
                subsequent_indent="    ",
            )
            for verdict in by_metric.values()
        ]
    return "\n".join(["Verdict:", *lines]) if lines else ""


_DOUBTS = {"good": "", "doubtful": "?", "none": "??"}
_DOUBT_NAMES = {
    "doubtful": "the estimate is doubtful",
    "none": "no trust: do not act on the estimate",
}
Column = list[str]  # the heading, then a cell per line


def _printable(columns: Sequence[Column]) -> list[Column]:
    return [[printable(cell) for cell in column] for column in columns]


def _key_columns(rows: "pd.DataFrame", unfinished: str | int | None) -> list[Column]:
    """Return the chunk labels and row counts, the reference summed up in one line."""
    first = rows[rows["metric"] == rows["metric"].iloc[0]]
    reference = first[first["period"] == "reference"]
    analysis = first[first["period"] == "analysis"]
    labels = [
        f"{label} (unfinished)" if label == unfinished else str(label)
        for label in analysis["chunk"]
    ]
    return [
        ["chunk", "reference", *labels],
        [
            "rows",
            f"{reference['n_rows'].sum():,}",
            *(f"{n:,}" for n in analysis["n_rows"]),
        ],
    ]


def _metric_columns(rows: "pd.DataFrame", metric: str) -> list[Column]:
    """Return estimate and interval, realized where there is any, and alerts."""
    rows = rows[rows["metric"] == metric]
    reference = rows[rows["period"] == "reference"]
    analysis = rows[rows["period"] == "analysis"]
    number = _number_format(rows["value"])
    estimates = [
        f"{number(value)} [{number(low)}, {number(high)}]"
        for value, low, high in zip(
            analysis["value"], analysis["lower"], analysis["upper"], strict=True
        )
    ]
    columns = [[metric, _range(reference["value"], number), *estimates]]
    if analysis["realized"].notna().any():
        columns.append(["realized", "", *_realized(analysis, number)])
    if analysis["alert"].any():
        columns.append(["", "", *("!" if x else "" for x in analysis["alert"])])
    if (analysis["trust"] != "good").any():
        columns.append(["", "", *analysis["trust"].map(_DOUBTS)])
    return columns


def _realized(analysis: "pd.DataFrame", number: Callable[[float], str]) -> Column:
    """Return realized values, and how many labels are in where some are not."""
    cells = []
    for value, n_rows, n_labels in zip(
        analysis["realized"], analysis["n_rows"], analysis["n_labels"], strict=True
    ):
        cell = number(value)
        if 0 < n_labels < n_rows and not math.isnan(value):
            share = min(max(round(100 * n_labels / n_rows), 1), 99)
            cell += f" ({share} %)"
        cells.append(cell)
    return cells


def _number_format(values: "pd.Series") -> Callable[[float], str]:
    """Return how to write numbers of this size."""
    largest = values.abs().max()
    digits = 4 if not largest > 10 else 2 if largest < 1_000 else 0

    def number(value: float) -> str:
        return "–" if math.isnan(value) else f"{value:,.{digits}f}"

    return number


def _range(values: "pd.Series", number: Callable[[float], str]) -> str:
    low, high = number(values.min()), number(values.max())  # NaN where all are
    return low if low == high else f"{low} to {high}"


def _fit(groups: dict[str, list[Column]], room: int) -> Iterator[list[str]]:
    """Split the metrics into runs that fit beside one another (one always does)."""
    names: list[str] = []
    used = 0
    for name, columns in groups.items():
        needed = _table_width(columns) + 2
        if names and used + needed > room:
            yield names
            names, used = [], 0
        names.append(name)
        used += needed
    yield names


def _table_width(columns: Sequence[Column]) -> int:
    widths = [max(map(len, column)) for column in columns]
    return sum(widths) + 2 * (len(widths) - 1)


def _lines(columns: Sequence[Column]) -> list[str]:
    """Return the lines of a table, a rule under its heading, text at the left."""
    widths = [max(map(len, column)) for column in columns]
    rows = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in zip(*columns, strict=True)
    ]
    return [rows[0], "─" * _table_width(columns), *rows[1:]]


def _notes(frame: "pd.DataFrame") -> str:
    """Return each remark on the analysis once, with the chunks that it is about."""
    noted = frame[(frame["period"] == "analysis") & (frame["note"] != "")]
    chunks_of: dict[tuple[str, str], dict[str, None]] = {}  # an ordered set
    for segment, chunk, metric, note in zip(
        noted["segment"], noted["chunk"], noted["metric"], noted["note"], strict=True
    ):
        where = f"{chunk} ({segment})" if segment else f"{chunk}"
        for remark in note.split("; "):
            chunks_of.setdefault((remark, metric), {})[where] = None
    metrics_of: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (remark, metric), places in chunks_of.items():
        metrics_of.setdefault((remark, tuple(places)), []).append(metric)
    n_metrics = frame["metric"].nunique()
    lines = []
    for (remark, chunks), metrics in metrics_of.items():
        which = ", ".join(chunks[:3]) + (", …" if len(chunks) > 3 else "")
        count = f"{len(chunks)} chunks: " if len(chunks) > 3 else ""
        which_metrics = "" if len(metrics) == n_metrics else f"{', '.join(metrics)}, "
        lines.append(printable(f"  {remark} ({which_metrics}{count}{which})"))
    return "\n".join(["Notes:", *lines]) if lines else ""
