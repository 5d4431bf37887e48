"""The store's tables, and the numbered steps that brought them to where they are.

Steps only go forward, and a published one is never edited: a change is a further step,
and the tables below say what is true after the last.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

PREFIX = "deadreckon_"  # a database may be shared with others
metadata = sa.MetaData()
# Value by column; what type it has, the tables below say.
Row = dict[str, Any]


def _table(name: str, *columns: sa.Column[object]) -> sa.Table:
    return sa.Table(PREFIX + name, metadata, *columns)


def _key(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.String, primary_key=True)


def _text(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Text, nullable=False)


def _whole(name: str, *, optional: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.BigInteger, nullable=optional)


NUMBERS = (
    "value",
    "lower",
    "upper",
    "expected_lower",
    "expected_upper",
    "standard_error",
    "calibration_error",
    "estimated",
    "realized",
    "lower_threshold",
    "upper_threshold",
    "breach_probability",
)
RESULT_KEY = ("model", "segment", "chunk", "metric")
# Numbers as they were when last remembered in the history.
REMEMBERED = ("value", "lower", "upper")


def _result_columns(*, with_trust: bool) -> "list[sa.Column[object]]":
    return [
        *_first_result_columns(),
        # Results of before it was judged are judged with the next run.
        *([_trust_column()] if with_trust else []),
    ]


def _trust_column() -> "sa.Column[object]":
    return sa.Column("trust", sa.Text, nullable=False, server_default="good")


def _first_result_columns() -> "list[sa.Column[object]]":
    return [
        _whole("as_of"),
        # First and last row; missing for a period without rows.
        _whole("start", optional=True),
        _whole("end", optional=True),
        _whole("n_rows"),
        _whole("n_labels"),
        *(sa.Column(name, sa.Double) for name in NUMBERS),  # NaN is stored as NULL
        sa.Column("alert", sa.Boolean, nullable=False),
        _text("note"),
    ]


version = _table("schema", sa.Column("version", sa.Integer, primary_key=True))

# Times are microseconds since 1970, in UTC or in the data's own wall-clock time.
model = _table(
    "model",
    _key("model"),
    _whole("as_of", optional=True),  # the latest time that results know of
    _whole("until", optional=True),  # --as-of of the last run, if it had one
)
estimator = _table(
    "estimator",
    _key("model"),
    _key("from_chunk"),  # "" is the beginning
    _text("fingerprint"),  # of parameters and reference
    sa.Column("data", sa.LargeBinary, nullable=False),
)
piece = _table(  # files that have been read, and in which version
    "piece", _key("model"), _key("feed"), _key("path"), _text("version")
)
chunk = _table(  # what is kept of the rows: counts, no row
    "chunk",
    _key("model"),
    _key("chunk"),
    _text("fingerprint"),  # of the estimator for which they were counted
    _whole("n_rows"),
    _whole("n_labels"),
    sa.Column("counts", sa.LargeBinary, nullable=False),
)


def _result_tables(
    into: sa.MetaData, *, with_trust: bool = True
) -> tuple[sa.Table, sa.Table]:
    """Return the tables of results and of their history."""
    now = sa.Table(
        PREFIX + "result",
        into,
        *(_key(name) for name in RESULT_KEY),
        _whole("revision"),
        *_result_columns(with_trust=with_trust),
        *(sa.Column(f"remembered_{name}", sa.Double) for name in REMEMBERED),
    )
    history = sa.Table(
        PREFIX + "result_history",
        into,
        *(_key(name) for name in RESULT_KEY),
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        *_result_columns(with_trust=with_trust),
        sa.Column("gone", sa.Boolean, nullable=False),  # from then on there was none
    )
    return now, history


result, result_history = _result_tables(metadata)
verdict = _table(  # a revision a kind or onset; the newest moves with the data
    "verdict",
    _key("model"),
    _key("segment"),
    _key("metric"),
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    _whole("as_of"),  # since when this is said
    _text("kind"),
    sa.Column("probability", sa.Double, nullable=False),
    _text("sentence"),
    _text("detail"),  # the whole verdict as JSON
)
announced = _table(
    "announced", _key("model"), _key("segment"), _key("metric"), _text("state")
)
message = _table(  # what is to be told; what has been told stays as the record of it
    "message",
    sa.Column("id", sa.Integer, primary_key=True),
    _text("model"),
    _whole("as_of"),
    _text("content"),
    sa.Column("sent", sa.Boolean, nullable=False),
)
label_feed = _table(  # a row for a model whose labels have stopped
    "label_feed",
    _key("model"),
    _whole("since", optional=True),  # until when they came; missing: never
    _whole("n_since"),  # stray ones after it
    _whole("expected"),
    _whole("missing"),
)
run = _table(
    "run",
    sa.Column("id", sa.Integer, primary_key=True),
    _text("model"),
    _text("started"),  # by this machine's clock, ISO 8601 in UTC
    _text("ended"),
    sa.Column("exit_code", sa.Integer, nullable=False),
    _text("summary"),
)


def _create_tables(connection: sa.Connection) -> None:
    later = {label_feed.name, result.name, result_history.name}
    tables = [table for name, table in metadata.tables.items() if name not in later]
    metadata.create_all(connection, tables)
    first = sa.MetaData()
    _result_tables(first, with_trust=False)
    first.create_all(connection)


def _add_label_feed(connection: sa.Connection) -> None:
    label_feed.create(connection)


def _add_trust(connection: sa.Connection) -> None:
    for table in (result, result_history):
        column = sa.schema.CreateColumn(table.c.trust).compile(connection)
        connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {column}"))


# Step n brings a store from version n to n + 1. The first creates the tables as they
# were then: a step that changes one of them must freeze its columns there.
STEPS: tuple[Callable[[sa.Connection], None], ...] = (
    _create_tables,
    _add_label_feed,
    _add_trust,
)


class NewerStore(ValueError):
    """The store was written by a later version of deadreckon."""


def migrate(connection: sa.Connection) -> None:
    """Bring the store to the newest version, in the transaction of the connection.

    Raises
    ------
    NewerStore
        If a later version of deadreckon wrote it.
    """
    version.create(connection, checkfirst=True)
    stored_version = connection.execute(sa.select(version.c.version)).scalar()
    current = 0 if stored_version is None else int(stored_version)
    if current > len(STEPS):
        msg = (
            f"The store is of version {current}, written by a later version of "
            f"deadreckon; this one knows versions up to {len(STEPS)}. Upgrade "
            "deadreckon."
        )
        raise NewerStore(msg)
    if current == len(STEPS):
        return
    for step in STEPS[current:]:
        step(connection)
    connection.execute(sa.delete(version))
    connection.execute(sa.insert(version).values(version=len(STEPS)))
