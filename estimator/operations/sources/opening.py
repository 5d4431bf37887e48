"""Rows opened: their columns looked at, and refused if they cannot be right."""

from collections.abc import Collection, Mapping
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
    RowSource,
)

if TYPE_CHECKING:
    import duckdb


def open_row_source(
    engine: "duckdb.DuckDBPyConnection",
    name: str,
    where: str,
    *,
    roles: Mapping[str, str],
    others: tuple[str, ...] = (),
    optional: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    table: str | None = None,
    numbers: Collection[str] = (),
    csv_ids: str = "text",
    csv_zoned: bool = False,
    hive: bool = False,
) -> RowSource:
    """Look at the columns of files (at least one) or of a temporary table.

    Parameters
    ----------
    numbers : collection of str
        Columns of ``others`` that hold numbers; the others of CSV files hold texts.
    csv_ids : {"text", "whole"}
        What row ids of CSV files are; see `id_kind`.
    csv_zoned : bool
        Whether times of CSV files without any time have a time zone.

    Raises
    ------
    DataError
        If a column is missing or of a type that cannot be right.
    """
    parquet, csv = by_format(files)
    types: dict[str, str] = {}
    if parquet or table is not None:
        relation = quoted(table) if table is not None else parquet_sql(parquet, hive)
        types = column_types(engine, name, where, relation)
    csv_names: list[str] = []
    if csv:
        csv_names = list(column_types(engine, name, where, csv_sql(csv, hive)))
    names = list(dict.fromkeys([*types, *csv_names]))
    try:
        check_columns(where, names, [*roles.values(), *others], ())
    except ValueError as error:
        msg = f"{name}: {error}"
        raise DataError(msg) from error
    asked = {r: column for r, column in (optional or {}).items() if column in names}
    roles = {**roles, **asked}
    kinds = {}
    for column in dict.fromkeys([*roles.values(), *others]):
        if column in csv_names:
            role = next((r for r, c in roles.items() if c == column), None)
            kinds[column] = _csv_kind(role, column in numbers, csv_ids)
            if role in (TIME, AT):
                first = _first_time(engine, name, where, csv, column, hive=hive)
                zoned = csv_zoned if first is None else csv_text.is_zoned(first)
                kinds[column] = "zoned time" if zoned else "time"
    if csv:
        read = rows_sql(files, table, kinds, hive=hive)
        types = {**types, **column_types(engine, name, where, read)}
    source = RowSource(
        name=name,
        where=where,
        roles=roles,
        others=tuple(dict.fromkeys(others)),
        files=files,
        table=table,
        types=types,
        csv_kinds=kinds,
        hive=hive,
    )
    for role, column in source.roles.items():
        _check_type(source, role, column)
    return source


def _csv_kind(role: str | None, is_number: bool, csv_ids: str) -> str:  # noqa: FBT001
    if role == ID:
        return csv_ids
    return "number" if role == LABEL or is_number else "text"


def _first_time(
    engine: "duckdb.DuckDBPyConnection",
    name: str,
    where: str,
    files: Collection[str],
    column: str,
    *,
    hive: bool,
) -> str | None:
    """Return some time as CSV files have it; None if they have none."""
    key = quoted(column)
    words = ", ".join(map(literal, csv_text.MISSING))
    with source_errors(name, where):
        rows = engine.execute(
            f"""SELECT {key} FROM {csv_sql(files, hive)} WHERE {key} IS NOT NULL
                AND lower(trim({key})) NOT IN ({words}) LIMIT 1"""
        ).fetchall()
    return rows[0][0] if rows else None


def id_kind(
    engine: "duckdb.DuckDBPyConnection",
    name: str,
    column: str,
    *,
    files: Collection[str] | None = None,
    table: str | None = None,
    hive: bool = False,
) -> str | None:
    """Return what row ids are, where that is written down: "whole" or "text".

    CSV files do not say: their ids are what those are that they are joined with, or
    texts.
    """
    parquet, _ = by_format(files)
    if not parquet and table is None:
        return None
    relation = quoted(table) if table is not None else parquet_sql(parquet, hive)
    kind = column_types(engine, name, column, relation).get(column)
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
