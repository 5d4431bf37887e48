"""A labelled period in files, read as production is read."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from estimator.operations.sources.files import csv_text
from estimator.operations.sources.files.csv_header import check_csv_header
from estimator.operations.sources.files.file_endings import CSV, CSV_OF_JOB
from estimator.operations.sources.files.file_rows import (
    column_types,
    csv_sql,
    parquet_sql,
    quoted,
    rows_sql,
    source_errors,
)
from estimator.operations.sources.files.frame_files import check_columns, read_frame

if TYPE_CHECKING:
    import duckdb
    import pandas as pd


@contextmanager
def rows_in_order(engine: "duckdb.DuckDBPyConnection") -> Iterator[None]:
    """Let rows come as the files have them: what is learned depends on the order."""
    engine.execute("SET preserve_insertion_order = true")
    try:
        yield
    finally:
        engine.execute("SET preserve_insertion_order = false")


def read_reference(
    engine: "duckdb.DuckDBPyConnection",
    files: Sequence[str],
    columns: Sequence[str],
    *,
    optional: Sequence[str],
    times: Collection[str],
    texts: Collection[str],
    unknown: Collection[str],
    hive: bool,
) -> "pd.DataFrame":
    """Read a labelled period as production is read.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    files : sequence of str
        Paths of the files, in the order of their rows.
    columns, optional : sequence of str
        Columns that must be there, and that are read where they are.
    times, texts : collection of str
        Columns of times and of texts; the others hold numbers.
    unknown : collection of str
        Columns that hold numbers if all their cells are numbers, else texts.

    Raises
    ------
    ValueError
        If a file cannot be read, or lacks a column.
    """
    import pandas as pd

    parts = []
    csv_names: dict[str, list[str]] = {}
    for file in files:
        if file.lower().endswith(CSV) and "://" not in file:
            check_csv_header(Path(file))
        if file.lower().endswith(CSV_OF_JOB):
            csv_names[file] = list(
                column_types(engine, "reference", file, csv_sql([file], hive))
            )
    numbers = {
        column
        for column in unknown
        if all(
            _holds_numbers(engine, file, column, hive=hive)
            for file, names in csv_names.items()
            if column in names
        )
    }
    for file in files:
        if file not in csv_names:
            parts.append(_read_parquet(engine, file, columns, optional, hive=hive))
            continue
        wanted = check_columns(file, csv_names[file], columns, optional)
        kinds = {}
        for column in wanted:
            kinds[column] = "number"
            if column in times:
                kinds[column] = "as written"  # the estimator reads ISO times
            elif column in texts or (column in unknown and column not in numbers):
                kinds[column] = "text"
        relation = rows_sql([file], None, kinds, hive=hive)
        with source_errors("reference", file):
            parts.append(engine.sql(f"FROM {relation}").df())
    return pd.concat(parts, ignore_index=True)


def _holds_numbers(
    engine: "duckdb.DuckDBPyConnection", file: str, column: str, *, hive: bool
) -> bool:
    key = quoted(column)
    with source_errors("reference", file):
        is_number = csv_text.is_number_sql(key)
        rows = engine.execute(
            f"SELECT bool_and({is_number}) FROM {csv_sql([file], hive)}"
        ).fetchall()
    return rows[0][0] is not False


def _read_parquet(
    engine: "duckdb.DuckDBPyConnection",
    file: str,
    columns: Sequence[str],
    optional: Sequence[str],
    *,
    hive: bool,
) -> "pd.DataFrame":
    if "://" in file:
        relation = parquet_sql([file], hive)
        names = list(column_types(engine, "reference", file, relation))
        wanted = check_columns(file, names, columns, optional)
        chosen = ", ".join(map(quoted, wanted))
        with source_errors("reference", file):
            remote: pd.DataFrame = engine.sql(f"SELECT {chosen} FROM {relation}").df()
        return remote
    # pyarrow keeps the time zone, whose days the chunks are; DuckDB knows moments only.
    folders = _columns_of_folders(file) if hive else {}
    frame = read_frame(
        file,
        [column for column in columns if column not in folders],
        optional=[column for column in optional if column not in folders],
    )
    return frame.assign(
        **{name: folders[name] for name in (*columns, *optional) if name in folders}
    )


def _columns_of_folders(file: str) -> dict[str, str | None]:
    """Return the columns that a path has in folders such as ``region=eu``, as Hive."""
    folders = [part.partition("=") for part in Path(file).parent.parts]
    return {
        name: None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
        for name, equals, value in folders
        if equals
    }
