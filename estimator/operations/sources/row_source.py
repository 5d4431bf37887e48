"""Rows of one kind, predictions or labels, wherever they lie; DuckDB reads them.

Files are read by column and out of core; what lies in another database has first been
copied into a temporary table (:mod:`estimator.operations.sources.sql_import`). Nothing
is written.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from estimator.files.atomic import temporary_folder
from estimator.operations.sources.files import csv_text
from estimator.operations.sources.files.file_rows import quoted, rows_sql

if TYPE_CHECKING:
    import duckdb


# Names under which the columns that are joined and cut by are known to DuckDB.
ID, TIME, LABEL, AT = "#id", "#time", "#label", "#at"
ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
TIMES = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
TEXTS = ("VARCHAR", "UUID")
WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
WIDE = ("UBIGINT", "HUGEINT", "UHUGEINT")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowData:
    """Where rows of one kind lie: in files, or in a temporary table.

    Attributes
    ----------
    name : str
        What the rows are, for messages: "predictions", "labels" or "reference".
    where : str
        Where they come from, for messages: patterns, or a database without password.
    files : mapping of str to str, or None
        Version of each file, by path; None for a table.
    table : str or None
        Name of the temporary table.
    hive : bool
        Whether folders such as ``region=eu`` are columns.
    """

    name: str
    where: str
    files: Mapping[str, str] | None = None
    table: str | None = None
    hive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedColumns:
    """Which columns of some rows are read, and what for.

    Attributes
    ----------
    roles : mapping of str to str
        Columns that are joined and cut by: ``ID``, ``TIME``, ``LABEL``, ``AT``.
    others : tuple of str
        Columns that are passed on as they are.
    optional : mapping of str to str
        Further roles, whose columns may be absent.
    numbers : collection of str
        Columns of ``others`` that hold numbers; the others of CSV files hold texts.
    """

    roles: Mapping[str, str]
    others: tuple[str, ...] = ()
    optional: Mapping[str, str] = field(default_factory=dict)
    numbers: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSource:
    """Rows of one kind, and how to read them.

    Attributes
    ----------
    name : str
        "predictions" or "labels", as in the configuration.
    where : str
        For messages: patterns, or a database without its password.
    roles : dict of str to str
        Columns that are joined and cut by: ``ID``, ``TIME``, ``LABEL``, ``AT``.
    others : tuple of str
        Columns that are passed on as they are.
    files : dict of str to str, or None
        Files, each with what tells its versions apart; None for a database.
    table : str or None
        Temporary table that holds the rows of a database.
    types : dict of str to str
        DuckDB's type of each column.
    csv_kinds : dict of str to str
        By column of CSV files, as what its texts are read: "whole", "text", "number",
        "time" or "zoned time".
    hive : bool
        Whether folders such as ``region=eu`` are columns.
    """

    name: str
    where: str
    roles: Mapping[str, str]
    others: tuple[str, ...]
    files: Mapping[str, str] | None
    table: str | None
    types: Mapping[str, str]
    csv_kinds: Mapping[str, str] = field(default_factory=dict)
    hive: bool = False

    @property
    def ids_are_int64(self) -> bool:
        """Whether its ids are 64-bit whole numbers, as `scan` gives them."""
        kind = self.types[self.roles[ID]]
        return kind not in WIDE and kind.removeprefix("U") in WHOLE

    @property
    def is_zoned(self) -> bool:
        """Whether its times have a time zone."""
        times = [
            self.types[self.roles[role]] for role in (TIME, AT) if role in self.roles
        ]
        return any(kind in ZONED for kind in times)


@contextmanager
def open_engine(
    memory_limit: str, threads: int | None = None
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Start DuckDB with a limit to its memory and a folder to spill into."""
    import duckdb

    with temporary_folder() as folder:
        options: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            "temp_directory": str(folder),
            "preserve_insertion_order": False,
            "threads": threads or len(os.sched_getaffinity(0)),
        }
        with duckdb.connect(config=options) as engine:
            engine.execute("SET TimeZone = 'UTC'")
            yield engine


def scan(
    source: RowSource,
    files: Collection[str] | None = None,
    *,
    where: str = "true",
    with_files: bool = False,
) -> str:
    """Return SQL of the source's rows, or of those in some of its files.

    Parameters
    ----------
    source : RowSource
        The rows.
    files : collection of str, optional
        Files to read; default: all.
    where : str, default="true"
        Condition in SQL on columns as the files have them.
    with_files : bool, default=False
        Whether a column ``filename`` says from which file each row is.
    """
    parts = [f"{_typed(source, role)} AS {quoted(role)}" for role in source.roles]
    parts += [_passed_on(source, column) for column in source.others]
    read = source.files if files is None else files
    parts += ["filename"] if with_files else []
    relation = rows_sql(
        read, source.table, source.csv_kinds, hive=source.hive, with_files=with_files
    )
    return f"(SELECT {', '.join(parts)} FROM {relation} WHERE {where})"


def _typed(source: RowSource, role: str) -> str:
    column = source.roles[role]
    kind, name = source.types[column], quoted(column)
    if role == ID:
        if kind in WIDE:
            return f"CAST({name} AS HUGEINT)"
        return f"CAST({name} AS {'BIGINT' if source.ids_are_int64 else 'VARCHAR'})"
    if role in (TIME, AT) and kind in ZONED:
        return f"(CAST({name} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
    if role in (TIME, AT):
        return f"CAST({name} AS TIMESTAMP)"
    return name


def _passed_on(source: RowSource, column: str) -> str:
    name = quoted(column)
    if source.types[column].startswith("DECIMAL"):
        return f"CAST({name} AS DOUBLE) AS {name}"
    if source.types[column] == "VARCHAR":
        # A file without rows may have the column as another type.
        text = csv_text.shortened_sql(f"CAST({name} AS VARCHAR)")
        return f"{text} AS {name}"
    return name
