"""When a model was run, how it ended, and the messages that wait to be posted."""

import json
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from estimator.files.archive import JsonObject
from estimator.operations.exit_codes import WENT_WELL
from estimator.operations.store import schema
from estimator.operations.store.connection import Store, store_errors


def log_run(
    store: Store, model: str, *, started: str, ended: str, exit_code: int, summary: str
) -> None:
    """Write down that there was a run.

    The summary quotes data, and may hold what no database keeps: such letters are
    escaped.

    Parameters
    ----------
    store : Store
        Store to write to.
    model : str
        Name of the model.
    started, ended : str
        Begin and end of the run by this machine's clock, ISO 8601 in UTC.
    exit_code : int
        How the run ended.
    summary : str
        What the run says of itself.
    """
    summary = summary.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    with store_errors(store.where), store.engine.begin() as connection:
        connection.execute(
            sa.insert(schema.run).values(
                model=model,
                started=started,
                ended=ended,
                exit_code=exit_code,
                summary=summary,
            )
        )


def last_success(store: Store, model: str) -> str | None:
    """Return when the last run of a model ended that went well, in ISO 8601."""
    table = schema.run.c
    query = sa.select(sa.func.max(table.ended)).where(
        table.model == model, table.exit_code.in_(WENT_WELL)
    )
    with store_errors(store.where), store.engine.connect() as connection:
        ended: str | None = connection.execute(query).scalar()
    return ended


def last_exit_code(store: Store, model: str) -> int | None:
    """Return how the last run of a model ended, None if there was none."""
    table = schema.run.c
    query = sa.select(table.exit_code).where(table.model == model)
    query = query.order_by(table.id.desc()).limit(1)
    with store_errors(store.where), store.engine.connect() as connection:
        exit_code: int | None = connection.execute(query).scalar()
    return exit_code


def add_message(store: Store, model: str, content: str) -> None:
    """Keep a message that is to be posted, beside those that `save_run` writes."""
    with store_errors(store.where), store.engine.begin() as connection:
        row = {"model": model, "as_of": 0, "content": content, "sent": False}
        connection.execute(sa.insert(schema.message), [row])


def unsent_messages(
    store: Store, models: Collection[str]
) -> list[tuple[int, JsonObject]]:
    """Return what is still to be told of models, oldest first, with its number."""
    table = schema.message
    query = sa.select(table).where(~table.c.sent, table.c.model.in_(models))
    query = query.order_by(table.c.id)
    with store_errors(store.where), store.engine.connect() as connection:
        return [(row.id, json.loads(row.content)) for row in connection.execute(query)]


def mark_sent(store: Store, numbers: Sequence[int]) -> None:
    """Note that messages have been told."""
    table = schema.message
    with store_errors(store.where), store.engine.begin() as connection:
        connection.execute(
            sa.update(table).where(table.c.id.in_(numbers)).values(sent=True)
        )
