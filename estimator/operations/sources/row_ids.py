"""Whether an id belongs to one row only, wherever its rows lie.

Rows of one chunk are compared when the chunk is read. Here it is about rows of other
times, which may lie in chunks that are read on different nights: each would count its
row. Only new rows are looked at, and no id is kept from night to night.
"""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from estimator.operations.errors import DataError
from estimator.operations.sources.files.file_rows import literal, quoted, source_errors
from estimator.operations.sources.row_source import ID, TIME, RowSource, scan
from estimator.operations.sources.time_conditions import between

if TYPE_CHECKING:
    import duckdb

_SHOWN = 5  # ids in an error message
# Ids of which the times are compared at once, if they can be told apart by their range:
# some 200 MB of memory, and few queries.
_ROWS_AT_A_TIME = 3_000_000
_ID, _TIME = quoted(ID), quoted(TIME)
_HASH = f"hash({_ID})"
_SEVERAL_TIMES = f"GROUP BY 1 HAVING min({_TIME}) < max({_TIME})"


def check_ids(
    engine: "duckdb.DuckDBPyConnection",
    predictions: RowSource,
    *,
    until: datetime | None = None,
) -> None:
    """Refuse ids of which there are rows of different times.

    Parameters
    ----------
    until : datetime, optional
        Only rows up to this time.

    Raises
    ------
    DataError
        Naming ids, times and files.
    """
    inside = between(TIME, None, until)
    with source_errors(predictions.name, predictions.where):
        for files in _overlapping(engine, predictions):
            where = f"FROM {scan(predictions, files)} WHERE {inside} {_SEVERAL_TIMES}"
            # 64 bits of each id take less time and, of texts, half the memory. Two ids
            # rarely share them: then the ids themselves are looked at.
            if engine.execute(f"SELECT {_HASH} {where} LIMIT 1").fetchall():
                rows = engine.execute(
                    f"SELECT {_ID} {where} ORDER BY 1 LIMIT {_SHOWN + 1}"
                ).fetchall()
                _refuse(engine, predictions, [row[0] for row in rows], until)


def check_new_ids(
    engine: "duckdb.DuckDBPyConnection",
    predictions: RowSource,
    *,
    files: Collection[str] = (),
    after: datetime | None = None,
    until: datetime | None = None,
) -> None:
    """Refuse ids of new rows of which there is a row of another time.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    predictions : RowSource
        Predictions of the model.
    files : collection of str
        Files that are new.
    after : datetime, optional
        Rows of later times are new, too.
    until : datetime, optional
        Only rows up to this time.

    Raises
    ------
    DataError
        Naming ids, times and files.
    """
    new = []
    if files:
        inside = between(TIME, None, until)
        new.append(f"SELECT {_ID} FROM {scan(predictions, files)} WHERE {inside}")
    if after is not None:
        inside = between(TIME, after, until)
        new.append(f"SELECT {_ID} FROM {scan(predictions)} WHERE {inside}")
    if not new:
        return
    with source_errors(predictions.name, predictions.where):
        # DuckDB opens those parts of files only whose range of ids has new ones.
        rows = engine.execute(
            f"""SELECT {_ID} FROM {scan(predictions)}
                WHERE {between(TIME, None, until)}
                AND {_ID} IN ({" UNION ALL ".join(new)}) {_SEVERAL_TIMES}
                ORDER BY 1 LIMIT {_SHOWN + 1}"""
        ).fetchall()
        _refuse(engine, predictions, [row[0] for row in rows], until)


def _overlapping(
    engine: "duckdb.DuckDBPyConnection", predictions: RowSource
) -> list[list[str] | None]:
    """Return groups of files such that no id is in two of them.

    Files whose ranges of ids overlap are in one group. Where ids rise from file to file
    the ids of all files need never be in memory together.
    """
    if predictions.files is None or "filename" in predictions.types:
        return [None]  # DuckDB has no other name for the column of files
    rows = engine.execute(
        f"""SELECT filename, count(*), min({_ID}), max({_ID})
            FROM {scan(predictions, with_files=True)}
            GROUP BY 1 HAVING max({_ID}) IS NOT NULL ORDER BY 3, 4, 1"""
    ).fetchall()
    groups: list[list[str] | None] = []
    group: list[str] = []
    n_rows, highest = 0, None
    for file, n_here, low, high in rows:
        if group and low > highest and n_rows + n_here > _ROWS_AT_A_TIME:
            groups.append(group)
            group, n_rows = [], 0
        highest = high if not group else max(high, highest)
        n_rows += n_here
        group.append(file)
    return [*groups, group] if group else groups


def _refuse(
    engine: "duckdb.DuckDBPyConnection",
    predictions: RowSource,
    ids: list[object],
    until: datetime | None,
) -> None:
    if not ids:
        return
    first = literal(ids[0]) if isinstance(ids[0], str) else str(ids[0])
    occurrences = []
    for file in predictions.files or [None]:
        rows = engine.execute(
            f"""SELECT DISTINCT {_TIME} FROM
                {scan(predictions, None if file is None else [file])}
                WHERE {_ID} = {first} AND {between(TIME, None, until)}
                ORDER BY 1 LIMIT 2"""
        ).fetchall()
        where = "" if file is None else f" in {file}"
        occurrences += [f"at {time:%Y-%m-%d %H:%M:%S}{where}" for (time,) in rows]
    several = f"{len(ids):,} ids have" if len(ids) > 1 else "one has"
    if len(ids) > _SHOWN:
        several = f"more than {_SHOWN} have"
    shown = ", ".join(map(repr, ids[:_SHOWN]))
    msg = (
        f"predictions ({predictions.where}): an id (`{predictions.roles[ID]}`) must "
        f"belong to one row, but {several} rows of different times (ids: {shown}; "
        f"{ids[0]!r} is {' and '.join(occurrences[:2])}). Nothing was stored. A row "
        "delivered again must be the same; give new predictions new ids."
    )
    raise DataError(msg)
