"""The statements by which rows of one model are read, inserted and replaced."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

_ROWS_AT_A_TIME = 500


def rows_of_model(
    connection: sa.Connection, table: sa.Table, model: str
) -> sa.Result[Any]:
    """Return all rows of a table that are of one model."""
    return connection.execute(sa.select(table).where(table.c.model == model))


def replace_rows(
    connection: sa.Connection,
    table: sa.Table,
    model: str,
    rows: Sequence[Mapping[str, object]],
) -> None:
    """Put these rows in the place of all that there are of a model.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        Connection within a transaction.
    table : sqlalchemy.Table
        Table to write to.
    model : str
        Name of the model.
    rows : sequence of dict
        Values by column, without the model.
    """
    connection.execute(sa.delete(table).where(table.c.model == model))
    insert_rows(connection, table, [{"model": model, **row} for row in rows])


def insert_rows(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]
) -> None:
    """Insert rows, if there are any."""
    if rows:
        connection.execute(sa.insert(table), list(rows))


def upsert_rows(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]
) -> None:
    """Insert rows, or replace those that have the same key."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    key = [column.name for column in table.primary_key]
    statement = statement.on_conflict_do_update(
        index_elements=key,
        set_={
            column.name: statement.excluded[column.name]
            for column in table.columns
            if column.name not in key
        },
    )
    for begin in range(0, len(rows), _ROWS_AT_A_TIME):
        connection.execute(statement, list(rows[begin : begin + _ROWS_AT_A_TIME]))
