"""SQL of the rows of files, and DuckDB's errors as ours."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from estimator.operations.errors import DataError
from estimator.operations.sources.files import csv_text
from estimator.operations.sources.files.file_endings import PARQUET

if TYPE_CHECKING:
    import duckdb


@contextmanager
def source_errors(name: str, where: str) -> Iterator[None]:
    """Turn what DuckDB says of data into an error that says which, and what to do."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        msg = (
            f"{name} ({where}) cannot be read: {first.rstrip('.')}. Nothing was "
            "stored. Write the file again, or correct the source."
        )
        raise DataError(msg) from error


def column_types(
    engine: "duckdb.DuckDBPyConnection", name: str, where: str, relation: str
) -> dict[str, str]:
    """Return the types of columns by name, as DuckDB has them.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    name, where : str
        What the rows are and where they come from, for messages.
    relation : str
        SQL of the rows.
    """
    with source_errors(name, where):
        rows = engine.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return {row[0]: row[1] for row in rows}


def by_format(files: Collection[str] | None) -> tuple[list[str], list[str]]:
    """Return which files are Parquet, and which are CSV."""
    names = sorted(files or ())
    parquet = [file for file in names if file.lower().endswith(PARQUET)]
    return parquet, [file for file in names if not file.lower().endswith(PARQUET)]


def parquet_sql(files: Collection[str], hive: bool) -> str:  # noqa: FBT001
    """Return SQL of the rows of Parquet files."""
    return f"read_parquet([{_listed(files)}], union_by_name = true, {_hive(hive)})"


def csv_sql(files: Collection[str], hive: bool) -> str:  # noqa: FBT001
    """Return SQL of the rows of CSV files, every cell a text or missing."""
    return f"read_csv([{_listed(files)}], {csv_text.OPTIONS}, {_hive(hive)})"


def _hive(hive: bool) -> str:  # noqa: FBT001
    return f"hive_partitioning = {str(hive).lower()}, hive_types_autocast = false"


def _listed(files: Collection[str]) -> str:
    return ", ".join(literal(_literally(file)) for file in files)


def _literally(file: str) -> str:
    """Return a file's name so that DuckDB does not take it for a pattern."""
    if file.startswith(("http://", "https://")):
        return file  # no patterns there, and `?` begins the query
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in file)


def rows_sql(
    files: Collection[str] | None,
    table: str | None,
    csv_kinds: Mapping[str, str],
    *,
    hive: bool,
    with_files: bool = False,
) -> str:
    """Return SQL of the rows of files, or of a temporary table.

    Parameters
    ----------
    files : collection of str, or None
        Paths of the files; None for a table.
    table : str or None
        Name of the temporary table.
    csv_kinds : mapping of str to str
        By column of CSV files, as what its texts are read; others are not read.
    with_files : bool, default=False
        Whether a column `filename` says from which file each row is.
    """
    if table is not None:
        return quoted(table)
    parquet, csv = by_format(files)
    parts = []
    closing = ", filename = true)" if with_files else ")"
    if parquet:
        parts.append(f"FROM {parquet_sql(parquet, hive)[:-1]}{closing}")
    if csv:
        read = [_read_as(column, kind) for column, kind in csv_kinds.items()]
        read += ["filename"] if with_files else []
        parts.append(
            f"SELECT {', '.join(read) or '1'} FROM {csv_sql(csv, hive)[:-1]}{closing}"
        )
    return f"({' UNION ALL BY NAME '.join(parts)})"


def _read_as(column: str, kind: str) -> str:
    """Return SQL that reads the texts of a CSV column as what they are used for."""
    key = quoted(column)
    ways: dict[str, Callable[[str], str]] = {
        "as written": str,
        "text": csv_text.text_sql,
        "whole": partial(csv_text.whole_sql, name=column),
        "number": csv_text.number_sql,
        "time": partial(csv_text.time_sql, name=column, zoned=False),
        "zoned time": partial(csv_text.time_sql, name=column, zoned=True),
    }
    return f"{ways[kind](key)} AS {key}"


def quoted(column: str) -> str:
    """Quote an identifier."""
    escaped = column.replace('"', '""')
    return f'"{escaped}"'


def literal(text: str) -> str:
    """Quote a text."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
