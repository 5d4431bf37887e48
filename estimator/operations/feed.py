"""Rows of one kind, predictions or labels, wherever they lie; DuckDB reads them.

Files are read by column and out of core; what lies in another database has first been
copied into a temporary table (:mod:`estimator.operations.staging`). Nothing is written.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from estimator.files import temporary_folder
from estimator.operations.estimation import DataError
from estimator.operations.sources import check_columns

if TYPE_CHECKING:
    import duckdb

    from estimator.operations.config import FileLocation

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz", ".csv.zst")
# Names under which the columns that are joined and cut by are known to DuckDB.
ID, TIME, LABEL, AT = "#id", "#time", "#label", "#at"
_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
_TIMES = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
_TEXTS = ("VARCHAR", "UUID")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
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
    pieces : dict of str to str, or None
        Files, each with what tells its versions apart; None for a database.
    table : str or None
        Temporary table that holds the rows of a database.
    types : dict of str to str
        DuckDB's type of each column.
    """

    name: str
    where: str
    roles: Mapping[str, str]
    others: tuple[str, ...]
    pieces: Mapping[str, str] | None
    table: str | None
    types: Mapping[str, str]

    @property
    def is_zoned(self) -> bool:
        """Whether its times have a time zone."""
        times = [
            self.types[self.roles[role]] for role in (TIME, AT) if role in self.roles
        ]
        return any(kind in _ZONED for kind in times)


@contextmanager
def open_engine(
    memory_limit: str, threads: int | None = None
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Start DuckDB with a limit to its memory and a folder to spill into."""
    import duckdb

    with temporary_folder() as folder:
        options: dict[str, Any] = {
            "memory_limit": memory_limit,
            "temp_directory": str(folder),
            "preserve_insertion_order": False,
            "threads": threads or len(os.sched_getaffinity(0)),
        }
        with duckdb.connect(config=options) as engine:
            engine.execute("SET TimeZone = 'UTC'")
            yield engine


@contextmanager
def readable(name: str, where: str) -> Iterator[None]:
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


def find_pieces(
    engine: "duckdb.DuckDBPyConnection", location: "FileLocation", name: str
) -> dict[str, str]:
    """Return the files that match, each with its size and time of change."""
    found: dict[str, str] = {}
    for pattern in location.patterns:
        with readable(name, pattern):
            if "://" in pattern:
                rows = engine.execute(
                    "SELECT filename, size, last_modified FROM read_blob(?)", [pattern]
                ).fetchall()
                found |= {file: f"{size}:{changed}" for file, size, changed in rows}
                continue
            files = engine.execute("SELECT file FROM glob(?)", [pattern]).fetchall()
        for (file,) in files:
            status = Path(file).stat()
            found[file] = f"{status.st_size}:{status.st_mtime_ns}"
    unknown = [file for file in found if not file.lower().endswith(PARQUET + CSV)]
    if unknown:
        msg = (
            f"{name}: files must end in {', '.join(PARQUET + CSV)}, got {unknown[0]}. "
            "Name the ending in the pattern, as in folder/*.parquet."
        )
        raise DataError(msg)
    return dict(sorted(found.items()))


def open_feed(
    engine: "duckdb.DuckDBPyConnection",
    name: str,
    where: str,
    *,
    roles: Mapping[str, str],
    others: tuple[str, ...] = (),
    optional: Mapping[str, str] | None = None,
    pieces: Mapping[str, str] | None = None,
    table: str | None = None,
) -> Feed:
    """Look at the columns of files (at least one) or of a temporary table.

    Raises
    ------
    DataError
        If a column is missing or of a type that cannot be right.
    """
    asked = dict(optional or {})
    relation = _relation(pieces, table)
    with readable(name, where):
        found = engine.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    types = {row[0]: row[1] for row in found}
    try:
        check_columns(where, list(types), [*roles.values(), *others], ())
    except ValueError as error:
        msg = f"{name}: {error}"
        raise DataError(msg) from error
    asked = {role: column for role, column in asked.items() if column in types}
    feed = Feed(
        name=name,
        where=where,
        roles={**roles, **asked},
        others=tuple(dict.fromkeys(others)),
        pieces=pieces,
        table=table,
        types=types,
    )
    for role, column in feed.roles.items():
        _check_type(feed, role, column)
    return feed


def check_pieces(
    engine: "duckdb.DuckDBPyConnection", feed: Feed, pieces: Collection[str]
) -> None:
    """Refuse files that lack a column which others have, or have another kind of it.

    Raises
    ------
    DataError
        Naming the file.
    """
    for piece in pieces:
        own = open_feed(
            engine,
            feed.name,
            piece,
            roles=feed.roles,
            others=feed.others,
            pieces={piece: ""},
        )
        differs = own.is_zoned != feed.is_zoned
        if differs or _is_text(own) != _is_text(feed):
            what = "a time zone" if differs else "texts as row ids"
            has, lacks = ("it has", "others have not")
            if feed.is_zoned if differs else _is_text(feed):
                has, lacks = ("others have", "it has not")
            msg = (
                f"{feed.name}: {piece} is of another kind than the other files: {has} "
                f"{what}, {lacks}. Nothing was stored. Write it again as the others."
            )
            raise DataError(msg)


def _is_text(feed: Feed) -> bool:
    return feed.types[feed.roles[ID]] in _TEXTS


def _check_type(feed: Feed, role: str, column: str) -> None:
    kind = feed.types[column]
    if role == ID:
        fits = kind.removeprefix("U") in _WHOLE or kind in _TEXTS
        rule = "row ids, whole numbers or texts"
    elif role in (TIME, AT):
        fits = kind in _ZONED + _TIMES
        rule = "times"
    else:
        return
    if not fits:
        msg = (
            f"{feed.name} ({feed.where}): column `{column}` must hold {rule}, but is "
            f"of type {kind}. Name another column, or convert it."
        )
        raise DataError(msg)


def check_join(predictions: Feed, labels: Feed) -> None:
    """Refuse labels whose ids or times are of another kind than the predictions'."""
    ours, theirs = (feed.types[feed.roles[ID]] for feed in (predictions, labels))
    if (ours in _TEXTS) != (theirs in _TEXTS):
        msg = (
            f"`{predictions.roles[ID]}` must be of one type, but it is {ours} in the "
            f"predictions ({predictions.where}) and {theirs} in the labels "
            f"({labels.where}). Write both as numbers or both as text."
        )
        raise DataError(msg)
    if AT in labels.roles and labels.is_zoned != predictions.is_zoned:
        has, lacks = "predictions", "labels"
        if labels.is_zoned:
            has, lacks = lacks, has
        msg = (
            f"Times must have a time zone everywhere or nowhere, but those of the "
            f"{has} have one and those of the {lacks} have none. Write both in UTC."
        )
        raise DataError(msg)


def _relation(pieces: Collection[str] | None, table: str | None) -> str:
    if table is not None:
        return quoted(table)
    parts = []
    for reader, endings in (("read_parquet", PARQUET), ("read_csv", CSV)):
        own = sorted(file for file in pieces or () if file.lower().endswith(endings))
        if own:
            files = ", ".join(map(literal, own))
            parts.append(f"FROM {reader}([{files}], union_by_name = true)")
    return f"({' UNION ALL BY NAME '.join(parts)})"


def scan(feed: Feed, pieces: Collection[str] | None = None) -> str:
    """Return SQL of the feed's rows, or of those in some of its files."""
    parts = [f"{_typed(feed, role)} AS {quoted(role)}" for role in feed.roles]
    parts += [_passed_on(feed, column) for column in feed.others]
    files = feed.pieces if pieces is None else pieces
    return f"(SELECT {', '.join(parts)} FROM {_relation(files, feed.table)})"


def _typed(feed: Feed, role: str) -> str:
    column = feed.roles[role]
    kind, name = feed.types[column], quoted(column)
    if role == ID:
        whole = kind.removeprefix("U") in _WHOLE
        return f"CAST({name} AS {'BIGINT' if whole else 'VARCHAR'})"
    if role in (TIME, AT) and kind in _ZONED:
        return f"(CAST({name} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
    if role in (TIME, AT):
        return f"CAST({name} AS TIMESTAMP)"
    return name


def _passed_on(feed: Feed, column: str) -> str:
    decimal = feed.types[column].startswith("DECIMAL")
    name = quoted(column)
    return f"CAST({name} AS DOUBLE) AS {name}" if decimal else name


def quoted(column: str) -> str:
    """Quote an identifier."""
    escaped = column.replace('"', '""')
    return f'"{escaped}"'


def literal(text: str) -> str:
    """Quote a text."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
