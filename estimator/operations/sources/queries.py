"""What DuckDB is asked: rows by hour, labelled rows by hour, whole chunks of rows."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from estimator.frames.numbers import read_binary
from estimator.operations.errors import DataError
from estimator.operations.sources.files.file_rows import literal, quoted, source_errors
from estimator.operations.sources.row_source import AT, ID, LABEL, TIME, RowSource, scan
from estimator.operations.sources.time_conditions import (
    Spans,
    about_spans,
    between,
    inside_spans,
)

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


_SHOWN = 5  # ids in an error message


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hours:
    """Rows by hour.

    Attributes
    ----------
    hour : ndarray of datetime64[us], shape (n_hours,)
        Rising; in UTC, or wall-clock time.
    count : ndarray of int64, shape (n_hours,)
    first, last : datetime64[us]
        Earliest and latest time; NaT without rows.
    """

    hour: NDArray[np.datetime64]
    count: NDArray[np.int64]
    first: np.datetime64 = np.datetime64("NaT", "us")  # noqa: RUF009
    last: np.datetime64 = np.datetime64("NaT", "us")  # noqa: RUF009

    @property
    def n_rows(self) -> int:
        """Rows of all hours."""
        return int(self.count.sum())


def count_hours(
    engine: "duckdb.DuckDBPyConnection",
    predictions: RowSource,
    *,
    files: Collection[str] | None = None,
    spans: Spans | None = None,
    after: datetime | None = None,
    until: datetime | None = None,
) -> Hours:
    """Count predictions by the hour of their time.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    predictions : RowSource
        Predictions of the model.
    files : collection of str, optional
        Only of these files.
    spans : sequence of (datetime, datetime or None), optional
        Only of these times: [begin, end), or open.
    after, until : datetime, optional
        Only of times in (after, until].

    Raises
    ------
    DataError
        If a row has no time or no id, or cannot be read.
    """
    time, identity = quoted(TIME), quoted(ID)
    condition = between(TIME, after, until, or_missing=True)
    if spans is not None:
        condition += f" AND {inside_spans(quoted(TIME), spans)}"
    columns = _numpy(
        engine,
        predictions,
        f"""SELECT date_trunc('hour', {time}) AS "hour", count(*) AS "rows",
            count(*) - count({identity}) AS "without id",
            min({time}) AS "first", max({time}) AS "last"
            FROM {scan(predictions, files, where=about_spans(predictions, spans))}
            WHERE {condition}
            GROUP BY 1 ORDER BY 1""",
    )
    hour = _filled(columns["hour"])
    for what, role, n_missing in (
        ("time", TIME, _total(columns["rows"][np.isnat(hour)])),
        ("id", ID, _total(columns["without id"])),
    ):
        if n_missing:
            msg = (
                f"predictions ({predictions.where}): every row must have a {what} "
                f"(`{predictions.roles[role]}`), but {n_missing:,} have none. Write "
                "them with it, or leave them out."
            )
            raise DataError(msg)
    hours = Hours(hour=hour, count=columns["rows"].astype("i8"))
    if not hour.size:
        return hours
    first, last = _filled(columns["first"]).min(), _filled(columns["last"]).max()
    return replace(hours, first=first, last=last)


def count_labeled_hours(
    engine: "duckdb.DuckDBPyConnection",
    predictions: RowSource,
    labels: RowSource,
    *,
    files: Collection[str] | None = None,
    after: datetime | None = None,
    until: datetime | None = None,
) -> tuple[Hours, int]:
    """Count predictions that have labels in some files, or from some time, by hour.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    predictions : RowSource
        Predictions of the model.
    labels : RowSource
        Labels of the model.
    files : collection of str, optional
        Files of labels to look at; default: all.
    after, until : datetime, optional
        Times in (after, until] in which labels arrived.

    Returns
    -------
    hours : Hours
        Of the predictions, which are of any time up to ``until``.
    n_labels : int
        How many such labels there are, whether or not a prediction is known.
    """
    came = (
        between(AT, after, until, or_missing=after is None)
        if AT in labels.roles
        else "true"
    )
    chosen = f"""(SELECT {quoted(ID)} FROM {scan(labels, files)}
        WHERE {quoted(LABEL)} IS NOT NULL AND {came})"""
    n_labels = _numpy(engine, labels, f'SELECT count(*) AS "n" FROM {chosen}')["n"]
    columns = _numpy(
        engine,
        labels,
        f"""SELECT date_trunc('hour', {quoted(TIME)}) AS "hour", count(*) AS "rows"
            FROM {scan(predictions)} WHERE {between(TIME, None, until)}
            AND {quoted(ID)} IN {chosen} GROUP BY 1 ORDER BY 1""",
    )
    hours = Hours(hour=_filled(columns["hour"]), count=columns["rows"].astype("i8"))
    return hours, int(n_labels[0])


def read_rows(
    engine: "duckdb.DuckDBPyConnection",
    predictions: RowSource,
    labels: RowSource | None,
    *,
    spans: Spans,
    until: datetime | None = None,
) -> "pa.Table":
    """Read the predictions of some times, each with its label.

    A row delivered twice counts once. Of two labels of a row the later arrival counts,
    at equal times the larger; one that nobody knows the time of is the earliest.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    predictions : RowSource
        Predictions of the model.
    labels : RowSource or None
        Labels of the model; None without any.
    spans : sequence of (datetime, datetime or None)
        Of predictions: [begin, end), or open.
    until : datetime, optional
        Only predictions and labels up to this time.

    Returns
    -------
    pyarrow.Table
        Columns under the user's names; times in UTC, without a zone. In any order.

    Raises
    ------
    DataError
        If the rows of an id differ within a span, or something cannot be read.
    """
    identity, time = quoted(ID), quoted(TIME)
    others = [quoted(column) for column in predictions.others]
    with source_errors(predictions.name, predictions.where):
        # Without labels of their own: a row delivered again may bring one.
        engine.execute(
            f"""CREATE OR REPLACE TEMP TABLE "#rows" AS
                SELECT {", ".join([identity, time, *others])}
                FROM {scan(predictions, where=about_spans(predictions, spans))}
                WHERE {inside_spans(time, spans)} AND {between(TIME, None, until)}"""
        )
        if _is_repeated(engine, predictions, "#rows"):
            _drop_repeats(engine, predictions, spans)
    columns = [f"r.{time} AS {quoted(predictions.roles[TIME])}"]
    columns += [f"r.{column}" for column in others]
    joined = '"#rows" r'
    if labels is not None:
        _pick_labels(engine, labels, until)
        joined += f' LEFT JOIN "#labels" l ON r.{identity} = l.{identity}'
        columns += [
            f"l.{quoted(role)} AS {quoted(labels.roles[role])}"
            for role in (LABEL, AT)
            if role in labels.roles
        ]
    with source_errors(predictions.name, predictions.where):
        query = f"SELECT {', '.join(columns)} FROM {joined}"
        return engine.sql(query).to_arrow_table()


def _is_repeated(
    engine: "duckdb.DuckDBPyConnection", source: RowSource, table: str
) -> bool:
    """Return whether rows of a temporary table have the same id."""
    identity = quoted(ID)
    if source.ids_are_int64:  # sorting them takes a tenth of the time
        ids = engine.execute(f"SELECT {identity} FROM {quoted(table)}").fetchnumpy()
        ids_in_order = np.sort(ids[ID])
        return bool((ids_in_order[1:] == ids_in_order[:-1]).any())
    n_rows, n_ids = engine.execute(
        f"SELECT count(*), count(DISTINCT {identity}) FROM {quoted(table)}"
    ).fetchall()[0]
    return bool(n_ids < n_rows)


def _drop_repeats(
    engine: "duckdb.DuckDBPyConnection",
    predictions: RowSource,
    spans: Spans,
) -> None:
    """Keep one of rows that are the same; refuse those that differ within a span.

    Only within: what lies in other spans may be read on other nights.
    """
    identity, time = quoted(ID), quoted(TIME)
    engine.execute(
        'CREATE OR REPLACE TEMP TABLE "#once" AS SELECT DISTINCT * FROM "#rows"'
    )
    repeated = engine.execute(
        f"""SELECT {identity} AS "id", {time} AS "time" FROM "#once"
            WHERE {identity} IN (SELECT {identity} FROM "#once" GROUP BY 1
            HAVING count(*) > 1) ORDER BY 1, 2"""
    ).fetchnumpy()
    begin = np.array([span[0] for span in spans], dtype="M8[us]")
    span_number = np.searchsorted(
        begin, _filled(repeated["time"]), side="right"
    ).tolist()
    rows = list(zip(np.asarray(repeated["id"]).tolist(), span_number, strict=True))
    differing = dict.fromkeys(a[0] for a, b in pairwise(rows) if a == b)
    if differing:
        shown = ", ".join(repr(identity) for identity in list(differing)[:_SHOWN])
        msg = (
            f"predictions ({predictions.where}): a row delivered again must be the "
            f"same, but rows of one `{predictions.roles[ID]}` differ (ids: {shown}). "
            "Nothing was stored. Give new predictions new ids."
        )
        raise DataError(msg)
    engine.execute('DROP TABLE "#rows"; ALTER TABLE "#once" RENAME TO "#rows"')


def _pick_labels(
    engine: "duckdb.DuckDBPyConnection", labels: RowSource, until: datetime | None
) -> None:
    """Make a table of the label that counts for each of the rows."""
    identity, label, arrival = quoted(ID), quoted(LABEL), quoted(AT)
    timed = AT in labels.roles
    came = between(AT, None, until, or_missing=True) if timed else "true"
    with source_errors(labels.name, labels.where):
        # Files tell the range of ids in their parts: most need not be opened.
        ends = engine.execute(
            f'SELECT min({identity}), max({identity}) FROM "#rows"'
        ).fetchall()[0]
        if None not in ends:
            low, high = map(_constant, ends)
            came += f" AND {identity} BETWEEN {low} AND {high}"
        engine.execute(
            f"""CREATE OR REPLACE TEMP TABLE "#labels" AS SELECT *
                FROM {scan(labels)} WHERE {label} IS NOT NULL AND {came}
                AND {identity} IN (SELECT {identity} FROM "#rows")"""
        )
        values = engine.sql(
            f'SELECT {label} AS {quoted(labels.roles[LABEL])} FROM "#labels"'
        ).to_arrow_table()
        _check_labels(labels, values)
        if _is_repeated(engine, labels, "#labels"):
            order = f"{arrival} DESC NULLS LAST, " if timed else ""
            engine.execute(
                f"""CREATE OR REPLACE TEMP TABLE "#once" AS
                    SELECT DISTINCT ON ({identity}) * FROM "#labels"
                    ORDER BY {identity}, {order}{label} DESC"""
            )
            engine.execute(
                'DROP TABLE "#labels"; ALTER TABLE "#once" RENAME TO "#labels"'
            )


def _check_labels(labels: RowSource, values: "pa.Table") -> None:
    """Refuse labels as such: among the rows they would be bad predictions."""
    column = labels.roles[LABEL]
    if not values.num_rows:
        return
    try:
        read_binary(nw.from_native(values)[column], f"`{column}`", may_be_empty=True)
    except (ValueError, TypeError) as error:
        msg = f"{labels.name} ({labels.where}): {error} Nothing was stored."
        raise DataError(msg) from error


def _numpy(
    engine: "duckdb.DuckDBPyConnection", source: RowSource, query: str
) -> dict[str, Any]:
    with source_errors(source.name, source.where):
        return engine.execute(query).fetchnumpy()


def _filled(values: object) -> NDArray[np.datetime64]:
    """Return times with NaT where DuckDB has masked them."""
    times: NDArray[np.datetime64] = (
        values.filled(np.datetime64("NaT"))
        if isinstance(values, np.ma.MaskedArray)
        else np.asarray(values)
    )
    return times.astype("M8[us]")


def _total(values: NDArray[np.int64]) -> int:
    return int(values.sum()) if len(values) else 0


def _constant(value: int | str) -> str:
    return literal(value) if isinstance(value, str) else str(value)
