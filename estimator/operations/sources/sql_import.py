"""Rows of another database, copied into a temporary table of DuckDB's.

Only the columns that are needed, and only the time that is looked back to.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from estimator.operations.config.redaction import describe_url
from estimator.operations.errors import DataError, SourceUnavailable

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import sqlalchemy as sa

    from estimator.operations.config.settings import SqlLocation

ROWS_AT_A_TIME = 100_000


def describe_location(location: "SqlLocation") -> str:
    """Return where rows come from, without a password."""
    import sqlalchemy as sa

    url = describe_url(sa.make_url(location.url))
    return f"{url}, {location.table or 'query'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRows:
    """Which rows and columns of a database are copied.

    Attributes
    ----------
    name : str
        What the rows are, for messages: "predictions", "labels" or "reference".
    columns : mapping of str to str
        What each column is, by name: "id", "time", "number" or "other".
    optional : mapping of str to str
        Further columns, which may be absent.
    since : Timestamp or None
        Time in UTC: only rows whose ``time_column`` is at least this, or missing.
    time_column : str or None
        Column that ``since`` is about.
    present : str or None
        Column that must not be missing in a row.
    limit : int or None
        Largest number of rows.
    """

    name: str
    columns: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)
    since: "pd.Timestamp | None" = None
    time_column: str | None = None
    present: str | None = None
    limit: int | None = None


def import_rows(
    engine: "duckdb.DuckDBPyConnection",
    location: "SqlLocation",
    table: str,
    rows: ImportedRows,
) -> None:
    """Copy rows into a temporary table.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that the table belongs to.
    location : SqlLocation
        Database, and its table or query.
    table : str
        Name of the table to make, or to replace.
    rows : ImportedRows
        Which rows and columns to copy.

    Raises
    ------
    SourceUnavailable
        If the database does not answer.
    DataError
        If it answers that there is no such table or column, or the query is wrong.
    """
    import sqlalchemy as sa

    where = describe_location(location)
    with _database_errors(rows.name, where):
        source = sa.create_engine(_read_only(location.url, rows.name))
        try:
            with source.connect() as connection:
                relation = _relation(connection, location)
                kinds = dict(rows.columns)
                names = {column.name for column in relation.columns}
                if rows.optional and location.table is not None:
                    kinds |= {c: k for c, k in rows.optional.items() if c in names}
                query = _query(connection, relation, kinds, rows)
                _copy(engine, connection, query, table, kinds)
        finally:
            source.dispose()


def _relation(connection: "sa.Connection", location: "SqlLocation") -> "sa.FromClause":
    import sqlalchemy as sa

    if location.table is not None:
        schema, _, table = location.table.rpartition(".")
        return sa.Table(
            table, sa.MetaData(), schema=schema or None, autoload_with=connection
        )
    asked = (location.query or "").strip().rstrip(";")
    statement = sa.text(asked)
    probe = sa.text(f"SELECT * FROM ({asked}) AS q WHERE 1 = 0")
    names = connection.execute(probe).keys()
    return statement.columns(*(sa.column(name) for name in names)).subquery("q")


def _read_only(text: str, name: str) -> "sa.URL":
    """Return a URL by which nothing is made: SQLite would make an empty file."""
    import sqlalchemy as sa

    url = sa.make_url(text)
    path = str(url.database)
    if url.get_backend_name() != "sqlite" or path.startswith("file:"):
        return url
    if not Path(path).is_file():
        msg = f"{name}: there is no database file {path}. Correct the URL."
        raise DataError(msg)
    query = {**url.query, "mode": "ro", "uri": "true"}
    return url.set(database=f"file:{quote(path)}", query=query)


def _query(
    connection: "sa.Connection",
    relation: "sa.FromClause",
    kinds: Mapping[str, str],
    rows: ImportedRows,
) -> "sa.SelectBase":
    """Return the query of the columns that are there, of the rows that are wanted."""
    import sqlalchemy as sa

    # What is not there is refused by whoever looks at the columns of the table.
    available = [name for name in kinds if name in relation.columns]
    query = sa.select(*(relation.columns[name] for name in available))
    if rows.since is not None and rows.time_column in available:
        column = relation.columns[rows.time_column]
        least = _bound(connection, column, rows.since)
        query = query.where(sa.or_(column >= least, column.is_(None)))
    if rows.present in available:
        query = query.where(relation.columns[rows.present].is_not(None))
    return query.limit(rows.limit)


def _copy(
    engine: "duckdb.DuckDBPyConnection",
    connection: "sa.Connection",
    query: "sa.SelectBase",
    table: str,
    kinds: Mapping[str, str],
) -> None:
    import pandas as pd

    wanted = [column.name for column in query.selected_columns]
    streamed = connection.execution_options(
        stream_results=True, max_row_buffer=ROWS_AT_A_TIME
    )
    made = False
    frames = pd.read_sql_query(query, streamed, chunksize=ROWS_AT_A_TIME)
    types: dict[str, Any] = {}
    for frame in frames:
        typed = _typed(frame, kinds, types)
        engine.register("#staged", typed)
        if made:
            engine.execute(f'INSERT INTO "{table}" SELECT * FROM "#staged"')
        else:
            engine.execute(f'CREATE OR REPLACE TABLE "{table}" AS FROM "#staged"')
        engine.unregister("#staged")
        made = True
    if not made:
        empty = _typed(pd.DataFrame({name: [] for name in wanted}), kinds, types)
        engine.register("#staged", empty)
        engine.execute(f'CREATE OR REPLACE TABLE "{table}" AS FROM "#staged"')
        engine.unregister("#staged")


def _bound(
    connection: "sa.Connection",
    column: "sa.ColumnElement[object]",
    since: "pd.Timestamp",
) -> object:
    """Return a moment as the database compares it, a day early to be sure."""
    import sqlalchemy as sa

    early = since - _day()
    if connection.dialect.name == "sqlite":  # has no times: they are texts
        return sa.literal(early.strftime("%Y-%m-%d"), sa.String)
    zoned = getattr(column.type, "timezone", False)
    return (early.tz_localize("UTC") if zoned else early).to_pydatetime()


def _day() -> "pd.Timedelta":
    import pandas as pd

    return pd.Timedelta(days=1)


def _typed(
    frame: "pd.DataFrame", kinds: Mapping[str, str], types: dict[str, Any]
) -> "pd.DataFrame":
    """Give columns the types of the first rows, which the table will have."""
    import pandas as pd

    typed = {}
    for name in map(str, frame):
        values = frame[name]
        if kinds[name] == "time":
            typed[name] = _times(values)
            continue
        if name not in types:
            types[name] = _type_of(values, kinds[name])
        typed[name] = values.astype(types[name])
    return pd.DataFrame(typed)


def _type_of(values: "pd.Series", kind: str) -> Any:
    from pandas.api.types import is_integer_dtype, is_object_dtype, is_string_dtype

    if kind == "id":
        return "Int64" if is_integer_dtype(values) else "string"
    if kind == "number":  # also of whole numbers, of which some are missing later
        return "float64"
    if not (is_object_dtype(values) or is_string_dtype(values)):
        return values.dtype
    present = values.dropna()
    # Decimals come as objects.
    return (
        "float64" if present.size and not isinstance(present.iloc[0], str) else "string"
    )


def _times(values: "pd.Series") -> "pd.Series":
    import pandas as pd

    if not pd.api.types.is_datetime64_any_dtype(values):
        values = pd.to_datetime(values, format="ISO8601")
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        in_utc: pd.Series = values.dt.tz_convert("UTC")
        return in_utc.astype("datetime64[us, UTC]")
    return values.astype("datetime64[us]")


@contextmanager
def _database_errors(name: str, where: str) -> Iterator[None]:
    """Turn what a database says into an error that says which."""
    import pandas.errors
    import sqlalchemy.exc

    try:
        yield
    except pandas.errors.DatabaseError as error:  # has the real one as its cause
        raise _as_ours(name, where, error.__cause__ or error) from error
    except (sqlalchemy.exc.SQLAlchemyError, ValueError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise _as_ours(name, where, error) from error


def _as_ours(name: str, where: str, error: BaseException) -> Exception:
    import sqlalchemy.exc

    from estimator.operations.store.connection import refuses_a_value

    silent = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError)
    first = _first_line(error)
    # SQLite's words for a missing table or column, a wrong query, and bytes that are no
    # text.
    wrong = first.startswith(("no such", "Could not decode")) or "syntax error" in first
    if not isinstance(error, silent) or wrong or refuses_a_value(error):
        return DataError(_unreadable(name, where, first))
    msg = (
        f"{name}: the database {where} does not answer ({first}). Nothing was "
        "stored; the next run takes up from here."
    )
    return SourceUnavailable(msg)


def _unreadable(name: str, where: str, reason: str) -> str:
    return (
        f"{name} ({where}) cannot be read: {reason}. Nothing was stored. Correct the "
        "source, or what the configuration names."
    )


def _first_line(error: BaseException) -> str:
    original = getattr(error, "orig", None) or error
    return (str(original).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
