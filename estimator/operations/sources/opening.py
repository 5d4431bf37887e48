"""Rows opened: their columns looked at, and refused if they cannot be right."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from estimator.operations.errors import DataError
from estimator.operations.sources.files import csv_text
from estimator.operations.sources.files.file_rows import (
    by_format,
    column_types,
    csv_sql,
    literal,
    parquet_sql,
    quoted,
    rows_sql,
    source_errors,
)
from estimator.operations.sources.files.frame_files import check_columns
from estimator.operations.sources.row_source import (
    AT,
    ID,
    LABEL,
    TEXTS,
    TIME,
    TIMES,
    WHOLE,
    ZONED,
    RequestedColumns,
    RowData,
    RowSource,
)

if TYPE_CHECKING:
    import duckdb


def open_row_source(
    engine: "duckdb.DuckDBPyConnection",
    data: RowData,
    columns: RequestedColumns,
    *,
    csv_ids: str = "text",
    csv_zoned: bool = False,
) -> RowSource:
    """Look at the columns of files (at least one) or of a temporary table.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    data : RowData
        Where the rows lie.
    columns : RequestedColumns
        Which columns are read.
    csv_ids : {"text", "whole"}, default="text"
        What row ids of CSV files are; see `id_kind`.
    csv_zoned : bool, default=False
        Whether times of CSV files without any time have a time zone.

    Returns
    -------
    RowSource
        The rows, ready to be scanned.

    Raises
    ------
    DataError
        If a column is missing or of a type that cannot be right.
    """
    parquet, csv = by_format(data.files)
    types: dict[str, str] = {}
    if parquet or data.table is not None:
        types = column_types(engine, data.name, data.where, _typed_relation(data))
    csv_names: list[str] = []
    if csv:
        relation = csv_sql(csv, data.hive)
        csv_names = list(column_types(engine, data.name, data.where, relation))
    names = list(dict.fromkeys([*types, *csv_names]))
    others = tuple(dict.fromkeys(columns.others))
    try:
        check_columns(data.where, names, [*columns.roles.values(), *others], ())
    except ValueError as error:
        msg = f"{data.name}: {error}"
        raise DataError(msg) from error
    available = {r: c for r, c in columns.optional.items() if c in names}
    roles = {**columns.roles, **available}
    kinds: dict[str, str] = {}
    for column in dict.fromkeys([*roles.values(), *others]):
        if column not in csv_names:
            continue
        role = next((r for r, c in roles.items() if c == column), None)
        kinds[column] = _csv_kind(role, column in columns.numbers, csv_ids)
        if role in (TIME, AT):
            first = _first_time(engine, data, csv, column)
            zoned = csv_zoned if first is None else csv_text.is_zoned(first)
            kinds[column] = "zoned time" if zoned else "time"
    if csv:
        relation = rows_sql(data.files, data.table, kinds, hive=data.hive)
        types |= column_types(engine, data.name, data.where, relation)
    source = RowSource(
        name=data.name,
        where=data.where,
        roles=roles,
        others=others,
        files=data.files,
        table=data.table,
        types=types,
        csv_kinds=kinds,
        hive=data.hive,
    )
    for role, column in source.roles.items():
        _check_type(source, role, column)
    return source


def _typed_relation(data: RowData) -> str:
    """Return SQL of the rows whose columns have types: Parquet files, or a table."""
    if data.table is not None:
        return quoted(data.table)
    parquet, _ = by_format(data.files)
    return parquet_sql(parquet, data.hive)


def _csv_kind(role: str | None, is_number: bool, csv_ids: str) -> str:  # noqa: FBT001
    if role == ID:
        return csv_ids
    return "number" if role == LABEL or is_number else "text"


def _first_time(
    engine: "duckdb.DuckDBPyConnection",
    data: RowData,
    files: Collection[str],
    column: str,
) -> str | None:
    """Return some time as CSV files have it; None if they have none."""
    key = quoted(column)
    words = ", ".join(map(literal, csv_text.MISSING))
    with source_errors(data.name, data.where):
        rows = engine.execute(
            f"""SELECT {key} FROM {csv_sql(files, data.hive)} WHERE {key} IS NOT NULL
                AND lower(trim({key})) NOT IN ({words}) LIMIT 1"""
        ).fetchall()
    return rows[0][0] if rows else None


def id_kind(
    engine: "duckdb.DuckDBPyConnection", data: RowData, column: str
) -> str | None:
    """Return what row ids are, where that is written down: "whole" or "text".

    CSV files do not say: their ids are what those are that they are joined with, or
    texts.
    """
    parquet, _ = by_format(data.files)
    if not parquet and data.table is None:
        return None
    relation = _typed_relation(data)
    kind = column_types(engine, data.name, column, relation).get(column)
    if kind is None:
        return None
    return "whole" if kind.removeprefix("U") in WHOLE else "text"


def _check_type(source: RowSource, role: str, column: str) -> None:
    kind = source.types[column]
    if role == ID:
        fits = kind.removeprefix("U") in WHOLE or kind in TEXTS
        rule = "row ids, whole numbers or texts"
    elif role in (TIME, AT):
        fits = kind in ZONED + TIMES
        rule = "times"
    else:
        return
    if not fits:
        msg = (
            f"{source.name} ({source.where}): column `{column}` must hold {rule}, but "
            f"is of type {kind}. Name another column, or convert it."
        )
        raise DataError(msg)
