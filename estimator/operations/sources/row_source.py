"""Rows of one kind, predictions or labels, wherever they lie; DuckDB reads them.

Files are read by column and out of core; what lies in another database has first been
copied into a temporary table (:mod:`estimator.operations.sources.sql_import`). Nothing
is written.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from estimator.files.atomic import temporary_folder
from estimator.operations.errors import DataError
from estimator.operations.sources import csv_text
from estimator.operations.sources.file_rows import (
    by_format,
    column_types,
    csv_sql,
    literal,
    parquet_sql,
    quoted,
    readable,
    rows_sql,
)
from estimator.operations.sources.file_versions import marks_of, version_of
from estimator.operations.sources.frame_files import (
    CSV,
    CSV_OF_JOB,
    PARQUET,
    check_columns,
    check_csv_header,
)

if TYPE_CHECKING:
    import duckdb

    from estimator.operations.config.settings import FileLocation

# Names under which the columns that are joined and cut by are known to DuckDB.
ID, TIME, LABEL, AT = "#id", "#time", "#label", "#at"
_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
_TIMES = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
_TEXTS = ("VARCHAR", "UUID")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_WIDE = ("UBIGINT", "HUGEINT", "UHUGEINT")
_SHOWN = 3  # files in an error message


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
    pieces: Mapping[str, str] | None
    table: str | None
    types: Mapping[str, str]
    csv_kinds: Mapping[str, str] = field(default_factory=dict)
    hive: bool = False

    @property
    def ids_are_int64(self) -> bool:
        """Whether its ids are 64-bit whole numbers, as `scan` gives them."""
        kind = self.types[self.roles[ID]]
        return kind not in _WIDE and kind.removeprefix("U") in _WHOLE

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


def find_pieces(
    engine: "duckdb.DuckDBPyConnection",
    location: "FileLocation",
    name: str,
    before: Mapping[str, str] | None = None,
    *,
    by_content: bool = True,
) -> dict[str, str]:
    """Return the files that match, each with what tells its versions apart.

    Parameters
    ----------
    before : dict of str to str, optional
        Versions that were seen before: files that are as they were are not read.
    by_content : bool, default=True
        Whether versions are compared with others; else no file is read for them.

    Raises
    ------
    DataError
        If a file is neither Parquet nor CSV, or cannot be read, or a pattern names a
        folder.
    """
    before = before or {}
    pieces: dict[str, str] = {}
    for pattern in location.patterns:
        with readable(name, pattern):
            if "://" in pattern:
                # As a number: Python needs pytz for DuckDB's zoned times, and a text
                # has a blank, after which `is_same_content` does not look.
                rows = engine.execute(
                    "SELECT filename, size, epoch_us(last_modified) FROM read_blob(?)",
                    [pattern],
                ).fetchall()
                pieces |= {file: f"{size}:{changed}" for file, size, changed in rows}
                continue
            if Path(pattern).is_dir():
                raise DataError(_folder(name, Path(pattern)))
            # A name that is there is no pattern, whatever letters it has.
            files = [pattern]
            if not Path(pattern).is_file():
                rows = engine.execute("SELECT file FROM glob(?)", [pattern]).fetchall()
                files = [file for (file,) in rows]
        for file in files:
            _check_ending(file, name)
            try:
                pieces[file] = (
                    version_of(Path(file), before.get(file))
                    if by_content
                    else marks_of(Path(file))
                )
            except OSError as error:
                msg = (
                    f"{name}: {file} cannot be read ({error.strerror}). Nothing was "
                    "stored. Let the job's user read it, or take it away."
                )
                raise DataError(msg) from error
    for file in pieces:
        _check_ending(file, name)
    return dict(sorted(pieces.items()))


def _check_ending(file: str, name: str) -> None:
    if not file.lower().endswith(PARQUET + CSV_OF_JOB):
        msg = (
            f"{name}: files must end in {', '.join(PARQUET + CSV_OF_JOB)}, got {file}. "
            "Name the ending in the pattern, as in folder/*.parquet."
        )
        raise DataError(msg)


def _folder(name: str, folder: Path) -> str:
    """Say that a folder is no pattern, and which pattern its files suggest."""
    endings: Counter[str] = Counter()
    hive = deep = False
    for file in folder.rglob("*"):
        ending = next(
            (x for x in PARQUET + CSV_OF_JOB if file.name.lower().endswith(x)), None
        )
        if ending is not None and file.is_file():
            endings[ending] += 1
            inner = file.parent.relative_to(folder).parts
            deep |= bool(inner)
            hive |= any("=" in part for part in inner)
    ending = endings.most_common(1)[0][0] if endings else ".parquet"
    pattern = folder / ("**" if deep else "") / f"*{ending}"
    remedy = f'Name its files: "{pattern}".'
    if hive:
        remedy += (
            " If folders such as region=eu are columns, add `hive_partitioning = true` "
            "to the model."
        )
    return f"{name}: {folder} is a folder, and files are read. {remedy}"


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
    numbers: Collection[str] = (),
    csv_ids: str = "text",
    csv_zoned: bool = False,
    hive: bool = False,
) -> Feed:
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
    parquet, csv = by_format(pieces)
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
        read = rows_sql(pieces, table, kinds, hive=hive)
        types = {**types, **column_types(engine, name, where, read)}
    feed = Feed(
        name=name,
        where=where,
        roles=roles,
        others=tuple(dict.fromkeys(others)),
        pieces=pieces,
        table=table,
        types=types,
        csv_kinds=kinds,
        hive=hive,
    )
    for role, column in feed.roles.items():
        _check_type(feed, role, column)
    return feed


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
    with readable(name, where):
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
    pieces: Collection[str] | None = None,
    table: str | None = None,
    hive: bool = False,
) -> str | None:
    """Return what row ids are, where that is written down: "whole" or "text".

    CSV files do not say: their ids are what those are that they are joined with, or
    texts.
    """
    parquet, _ = by_format(pieces)
    if not parquet and table is None:
        return None
    relation = quoted(table) if table is not None else parquet_sql(parquet, hive)
    kind = column_types(engine, name, column, relation).get(column)
    if kind is None:
        return None
    return "whole" if kind.removeprefix("U") in _WHOLE else "text"


def check_pieces(
    engine: "duckdb.DuckDBPyConnection", feed: Feed, pieces: Collection[str]
) -> None:
    """Refuse files that lack a column which others have, or have another kind of it.

    Raises
    ------
    DataError
        Naming the file: of two kinds, the one that fewer files have.
    """
    others = [piece for piece in feed.pieces or () if piece not in pieces]
    # Those that were read before are of one kind: one of them speaks for all.
    looked_at = dict.fromkeys(pieces, 1) | {x: len(others) for x in others[:1]}
    opened = {piece: _open_piece(engine, feed, piece) for piece in pieces}
    for piece in others[:1]:
        opened[piece] = _open_piece(engine, feed, piece, was_read=True)
    for what, kind_of in (
        ("a time zone", lambda one: one.is_zoned),
        ("texts as row ids", _is_text),
    ):
        votes: Counter[bool] = Counter()
        for piece, n_files in looked_at.items():
            votes[kind_of(opened[piece])] += n_files
        if len(votes) < 2:
            continue
        fewer = min(votes, key=lambda kind: votes[kind])
        odd = [piece for piece in looked_at if kind_of(opened[piece]) == fewer]
        has, lacks = ("it has", "others have not")
        if not fewer:
            has, lacks = ("others have", "it has not")
        shown = ", ".join(odd[:_SHOWN]) + (", …" if len(odd) > _SHOWN else "")
        msg = (
            f"{feed.name}: {shown} is of another kind than the other files: {has} "
            f"{what}, {lacks}. Nothing was stored. Write it again as the others."
        )
        raise DataError(msg)


def _open_piece(
    engine: "duckdb.DuckDBPyConnection",
    feed: Feed,
    piece: str,
    *,
    was_read: bool = False,
) -> Feed:
    """Look at one file; one that was read before may lack what came later."""
    if "://" not in piece and piece.lower().endswith(CSV):
        try:
            check_csv_header(Path(piece))
        except ValueError as error:
            msg = f"{feed.name}: {error}"
            raise DataError(msg) from error
    numbers = [c for c, kind in feed.csv_kinds.items() if kind == "number"]
    return open_feed(
        engine,
        feed.name,
        piece,
        roles={ID: feed.roles[ID]} if was_read else feed.roles,
        optional=feed.roles,
        others=() if was_read else feed.others,
        pieces={piece: ""},
        numbers=numbers,
        csv_ids="text" if _is_text(feed) else "whole",
        csv_zoned=feed.is_zoned,
        hive=feed.hive,
    )


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


def scan(
    feed: Feed,
    pieces: Collection[str] | None = None,
    *,
    where: str = "true",
    with_files: bool = False,
) -> str:
    """Return SQL of the feed's rows, or of those in some of its files.

    ``where`` is a condition in SQL on columns as the files have them.
    """
    parts = [f"{_typed(feed, role)} AS {quoted(role)}" for role in feed.roles]
    parts += [_passed_on(feed, column) for column in feed.others]
    files = feed.pieces if pieces is None else pieces
    parts += ["filename"] if with_files else []
    relation = rows_sql(
        files, feed.table, feed.csv_kinds, hive=feed.hive, with_files=with_files
    )
    return f"(SELECT {', '.join(parts)} FROM {relation} WHERE {where})"


def _typed(feed: Feed, role: str) -> str:
    column = feed.roles[role]
    kind, name = feed.types[column], quoted(column)
    if role == ID:
        if kind in _WIDE:
            return f"CAST({name} AS HUGEINT)"
        return f"CAST({name} AS {'BIGINT' if feed.ids_are_int64 else 'VARCHAR'})"
    if role in (TIME, AT) and kind in _ZONED:
        return f"(CAST({name} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
    if role in (TIME, AT):
        return f"CAST({name} AS TIMESTAMP)"
    return name


def _passed_on(feed: Feed, column: str) -> str:
    name = quoted(column)
    if feed.types[column].startswith("DECIMAL"):
        return f"CAST({name} AS DOUBLE) AS {name}"
    if feed.types[column] == "VARCHAR":
        # A file without rows may have the column as another type.
        text = csv_text.shortened_sql(f"CAST({name} AS VARCHAR)")
        return f"{text} AS {name}"
    return name
