"""Where results are kept: SQLite by default, PostgreSQL by URL.

What a run has to say of a model is written in one transaction: after a crash the store
is as it was before, or as it should be after.
"""

import json
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from estimator.delayed_labels.overdue import OverdueLabels
from estimator.operations.config.redaction import describe_url
from estimator.operations.errors import (
    ConfigurationError,
    DataError,
    StoreLocked,
    StoreUnavailable,
)
from estimator.operations.exit_codes import WENT_WELL
from estimator.operations.store import schema

BUSY_SECONDS = 30.0
LOCK_SECONDS = 2.0
POSTING_SECONDS = 60.0  # twice what posting takes at most (`post_webhook`)
_ROWS_AT_A_TIME = 500
# Classes of PostgreSQL's SQLSTATE that blame a value, whatever exception carries them:
# data exceptions, and values beyond a limit, such as that of an index's row.
_VALUE_STATES = ("22", "54")
_OVERDUE = fields(OverdueLabels)
# "deadreckon" among the advisory locks of a PostgreSQL database.
_ADVISORY_LOCK = 0x6465_6164_7265_636B
_POSTING_LOCK = _ADVISORY_LOCK + 1
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A database of results.

    Attributes
    ----------
    engine : sqlalchemy.Engine
    where : str
        For messages; without a password.
    """

    engine: sa.Engine
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """What earlier runs have left of a model.

    Attributes
    ----------
    as_of, until : int or None
        Latest time that results know of; ``--as-of`` of the last run. Microseconds.
    pieces : dict of dict of str
        By feed, the files that were read, each with its version.
    estimators : dict of (str, bytes)
        By first chunk, the fingerprint and the file of the estimator.
    chunks : dict of Counted
        By chunk.
    announced : dict
        By segment and metric, announcements as JSON text.
    overdue : OverdueLabels or None
        Labels that are missing since they have stopped.
    """

    as_of: int | None = None
    until: int | None = None
    pieces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    estimators: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    chunks: "Mapping[str, Counted]" = field(default_factory=dict)
    announced: Mapping[tuple[str, str], str] = field(default_factory=dict)
    overdue: OverdueLabels | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A chunk that has been counted: its size, and for which estimator."""

    n_rows: int
    n_labels: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """All that a run changes of a model; rows as the schema has them, without model.

    Attributes
    ----------
    as_of, until, pieces, estimators, announced, overdue
        As in `ModelState`, in full.
    chunks : list of dict
        Chunks whose counts are new.
    results, history : list of dict
        Rows that differ from those stored, and which to keep as what was believed.
    gone : list of (segment, chunk, metric)
        Results that are no more.
    verdicts : list of dict
    messages : list of str
        To be told to whoever listens.
    """

    as_of: int | None
    until: int | None
    pieces: Mapping[str, Mapping[str, str]]
    estimators: Mapping[str, tuple[str, bytes]]
    announced: Mapping[tuple[str, str], str]
    overdue: OverdueLabels | None = None
    chunks: Sequence[dict[str, Any]] = ()
    results: Sequence[dict[str, Any]] = ()
    history: Sequence[dict[str, Any]] = ()
    gone: Sequence[tuple[str, str, str]] = ()
    verdicts: Sequence[dict[str, Any]] = ()
    messages: Sequence[str] = ()


@contextmanager
def open_store(url: str) -> Iterator[Store]:
    """Connect to a store; `prepare` makes or updates its tables.

    Parameters
    ----------
    url : str
        Of SQLite or PostgreSQL, as SQLAlchemy has them.

    Raises
    ------
    ConfigurationError
        If its folder does not exist.
    """
    parsed = sa.make_url(url)
    where = describe_url(parsed)
    if parsed.get_backend_name() == "sqlite":
        where = str(parsed.database)
        if not Path(where).parent.is_dir():
            msg = f"`store`: there is no folder {Path(where).parent}. Create it first."
            raise ConfigurationError(msg)
    engine = _engine(parsed)
    try:
        yield Store(engine=engine, where=where)
    finally:
        engine.dispose()


def prepare(store: Store) -> None:
    """Make the tables, or bring them up to date; under the lease.

    Raises
    ------
    ConfigurationError
        If a later version of deadreckon wrote the store.
    StoreUnavailable
        If it does not answer, or cannot be written.
    """
    try:
        with answering(store.where), store.engine.begin() as connection:
            schema.migrate(connection)
    except schema.NewerStore as error:
        msg = f"{store.where}: {error}"
        raise ConfigurationError(msg) from error


def is_there(store: Store) -> bool:
    """Whether there is something to read, without making anything.

    Raises
    ------
    ConfigurationError
        If another version of deadreckon wrote it.
    StoreUnavailable
        If it does not answer.
    """
    if store.engine.dialect.name == "sqlite" and not Path(store.where).is_file():
        return False
    with answering(store.where), store.engine.connect() as connection:
        if not sa.inspect(connection).has_table(schema.version.name):
            return False
        found = connection.execute(sa.select(schema.version.c.version)).scalar()
    if found != len(schema.STEPS):
        msg = (
            f"The store {store.where} is of version {found}, and this deadreckon wants "
            f"{len(schema.STEPS)}. An older one is brought up to date by "
            "`deadreckon run`; for a newer one upgrade deadreckon."
        )
        raise ConfigurationError(msg)
    return True


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    # The driver would begin transactions late, and not at all for tables.
    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")  # readers do not wait

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


@contextmanager
def answering(where: str, *, writes_a_night: bool = False) -> Iterator[None]:
    """Turn an error of the database into one clear error.

    Parameters
    ----------
    where : str
        The store, for messages.
    writes_a_night : bool, default=False
        Whether the block writes what the data of one model say, in one transaction.
        Only then is a value that the database refuses the fault of that model's data.

    Raises
    ------
    DataError
        If the database works, but refuses a value of a model's night.
    StoreUnavailable
        If it does not answer, or cannot be read or written: nothing works.
    """
    try:
        yield
    except (sa.exc.StatementError, UnicodeError, OverflowError) as error:
        original = getattr(error, "orig", None) or error
        first = (str(original).strip().splitlines() or [type(original).__name__])[0]
        first = first.rstrip(".")
        if writes_a_night and refuses_a_value(error):
            msg = (
                f"The store {where} refuses a value ({first}). Nothing was stored of "
                "this model. Look for it in the sources (a name, a segment's value, a "
                "file's path) and correct it there."
            )
            raise DataError(msg) from error
        msg = (
            f"The store {where} cannot be used ({first}). What it held is "
            "as it was. Mend that and run again."
        )
        raise StoreUnavailable(msg) from error


def refuses_a_value(error: BaseException) -> bool:
    """Whether a database blames a value that it got, and not itself or the network."""
    if not isinstance(error, sa.exc.DBAPIError):
        return True  # found by driver or SQLAlchemy before anything was sent
    if isinstance(error, sa.exc.DataError | sa.exc.IntegrityError):
        return True
    state = getattr(error.orig, "sqlstate", None) or ""
    return state.startswith(_VALUE_STATES)


@contextmanager
def lease(store: Store) -> Iterator[None]:
    """Keep other runs away from the store, until the block, or the process, ends.

    On PostgreSQL an advisory lock, on SQLite a locked file beside the store's: both are
    given back by the system when the process dies.

    Raises
    ------
    StoreLocked
        If another run has it.
    StoreUnavailable
        If nothing can be locked.
    """
    refusal = (
        f"Another run works on the store {store.where}. Try again when it is done."
    )
    with _locked(store, "lock", _ADVISORY_LOCK, LOCK_SECONDS, refusal):
        yield


@contextmanager
def posting_lease(store: Store) -> Iterator[None]:
    """Keep other runs from posting messages; as `lease`, but waits for its turn.

    Raises
    ------
    StoreLocked
        If another run posts for longer than any should.
    StoreUnavailable
        If nothing can be locked.
    """
    refusal = (
        f"Another run has been posting messages of the store {store.where} for more "
        f"than {POSTING_SECONDS:g} s. Those of this run are posted after the next one."
    )
    with _locked(store, "posting.lock", _POSTING_LOCK, POSTING_SECONDS, refusal):
        yield


@contextmanager
def _locked(
    store: Store, ending: str, key: int, seconds: float, refusal: str
) -> Iterator[None]:
    if store.engine.dialect.name == "sqlite":
        path = Path(f"{store.engine.url.database}.{ending}")
        with _locked_file(path, seconds, refusal):
            yield
        return
    with ExitStack() as stack:
        with answering(store.where):
            connection = stack.enter_context(store.engine.connect())
            _wait_for_lock(connection, key, seconds, refusal)
        try:
            yield
        finally:
            unlock = sa.text("SELECT pg_advisory_unlock(:key)")
            try:
                connection.execute(unlock, {"key": key})
            except sa.exc.SQLAlchemyError:
                # The lock is the session's: the end of the session gives it back. An
                # error here must not replace the one that the block ends with.
                connection.invalidate()


def _wait_for_lock(
    connection: sa.Connection, key: int, seconds: float, refusal: str
) -> None:
    query = sa.text("SELECT pg_try_advisory_lock(:key)")
    end = time.monotonic() + seconds
    while not connection.execute(query, {"key": key}).scalar():
        connection.commit()
        if time.monotonic() >= end:
            raise StoreLocked(refusal)
        time.sleep(_POLL_SECONDS)
    connection.commit()  # the lock is the session's: no transaction stays open


@contextmanager
def _locked_file(path: Path, seconds: float, refusal: str) -> Iterator[None]:
    # SQLite's own locks: they work wherever its databases do.
    with ExitStack() as stack:
        try:
            # Two that ask at the same instant refuse each other: so ask again.
            connection = sqlite3.connect(path, timeout=seconds, isolation_level=None)
            stack.enter_context(closing(connection))
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StoreLocked(refusal) from error
            msg = f"{path} cannot be locked ({error}). Is the folder writable?"
            raise StoreUnavailable(msg) from error
        except sqlite3.DatabaseError as error:
            msg = (
                f"{path} cannot be locked ({error}): deadreckon did not write it. "
                "Remove it, or name another store."
            )
            raise StoreUnavailable(msg) from error
        yield


def load_state(store: Store, model: str) -> ModelState:
    """Return what earlier runs have left of a model; of a new one, nothing."""
    with answering(store.where), store.engine.connect() as connection:
        found = connection.execute(
            sa.select(schema.model).where(schema.model.c.model == model)
        ).one_or_none()
        if found is None:
            return ModelState()
        pieces: dict[str, dict[str, str]] = {}
        for row in _rows(connection, schema.piece, model):
            pieces.setdefault(row.feed, {})[row.path] = row.version
        but_counts = [c for c in schema.chunk.c if c.name not in ("model", "counts")]
        chunks = sa.select(*but_counts).where(schema.chunk.c.model == model)
        return ModelState(
            as_of=found.as_of,
            until=found.until,
            pieces=pieces,
            estimators={
                row.from_chunk: (row.fingerprint, row.data)
                for row in _rows(connection, schema.estimator, model)
            },
            chunks={
                row.chunk: Counted(
                    n_rows=row.n_rows,
                    n_labels=row.n_labels,
                    fingerprint=row.fingerprint,
                )
                for row in connection.execute(chunks)
            },
            announced={
                (row.segment, row.metric): row.state
                for row in _rows(connection, schema.announced, model)
            },
            overdue=next(
                (
                    OverdueLabels(**{f.name: getattr(row, f.name) for f in _OVERDUE})
                    for row in _rows(connection, schema.label_feed, model)
                ),
                None,
            ),
        )


def load_counts(store: Store, model: str) -> dict[str, bytes]:
    """Return the counts of all chunks of a model."""
    table = schema.chunk.c
    query = sa.select(table.chunk, table.counts).where(table.model == model)
    with answering(store.where), store.engine.connect() as connection:
        return {row.chunk: row.counts for row in connection.execute(query)}


def load_results(
    store: Store, model: str, as_of: int | None = None
) -> list[dict[str, Any]]:
    """Return the results of a model, or what was believed at some time."""
    with answering(store.where), store.engine.connect() as connection:
        if as_of is None:
            return [row._asdict() for row in _rows(connection, schema.result, model)]
        history = schema.result_history
        query = (
            sa.select(history)
            .where(history.c.model == model, history.c.as_of <= as_of)
            .order_by(history.c.revision)
        )
        newest = {
            tuple(getattr(row, name) for name in schema.RESULT_KEY): row._asdict()
            for row in connection.execute(query)
        }
        return [row for row in newest.values() if not row["gone"]]


def load_verdicts(
    store: Store, model: str, as_of: int | None = None
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the newest verdict by segment and metric, or that of some time."""
    table = schema.verdict
    query = sa.select(table).where(table.c.model == model).order_by(table.c.revision)
    if as_of is not None:
        query = query.where(table.c.as_of <= as_of)
    with answering(store.where), store.engine.connect() as connection:
        return {
            (row.segment, row.metric): row._asdict()
            for row in connection.execute(query)
        }


def save_night(store: Store, model: str, night: Night) -> None:
    """Write all that a run changes of a model, or nothing.

    Raises
    ------
    DataError
        If the database refuses a value: the data of this model are bad.
    StoreUnavailable
        If the store does not answer, or cannot be written.
    """
    with (
        answering(store.where, writes_a_night=True),
        store.engine.begin() as connection,
    ):
        own = {"model": model}
        head = {**own, "as_of": night.as_of, "until": night.until}
        _upsert(connection, schema.model, [head])
        pieces = [
            {"feed": feed, "path": path, "version": version}
            for feed, found in night.pieces.items()
            for path, version in found.items()
        ]
        estimators = [
            {"from_chunk": first, "fingerprint": fingerprint, "data": data}
            for first, (fingerprint, data) in night.estimators.items()
        ]
        _replace(connection, schema.piece, model, pieces)
        _replace(connection, schema.estimator, model, estimators)
        overdue = [] if night.overdue is None else [asdict(night.overdue)]
        _replace(connection, schema.label_feed, model, overdue)
        states = [
            {"segment": segment, "metric": metric, "state": state}
            for (segment, metric), state in night.announced.items()
        ]
        result = schema.result.c
        for key in night.gone:
            mine = sa.tuple_(result.segment, result.chunk, result.metric) == key
            connection.execute(
                sa.delete(schema.result).where(result.model == model, mine)
            )
        changed: dict[sa.Table, Sequence[dict[str, Any]]] = {
            schema.announced: states,
            schema.chunk: night.chunks,
            schema.result: night.results,
            schema.result_history: night.history,
            schema.verdict: night.verdicts,
        }
        for table, rows in changed.items():
            _upsert(connection, table, [{**own, **row} for row in rows])
        _insert(
            connection,
            schema.message,
            [
                {**own, "as_of": night.as_of or 0, "content": text, "sent": False}
                for text in night.messages
            ],
        )


def log_run(
    store: Store, model: str, *, started: str, ended: str, exit_code: int, summary: str
) -> None:
    """Write down that there was a run.

    The summary quotes data, and may hold what no database keeps: such letters are
    escaped.
    """
    summary = summary.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    with answering(store.where), store.engine.begin() as connection:
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
    with answering(store.where), store.engine.connect() as connection:
        found: str | None = connection.execute(query).scalar()
    return found


def last_exit_code(store: Store, model: str) -> int | None:
    """Return how the last run of a model ended, None if there was none."""
    table = schema.run.c
    query = sa.select(table.exit_code).where(table.model == model)
    query = query.order_by(table.id.desc()).limit(1)
    with answering(store.where), store.engine.connect() as connection:
        found: int | None = connection.execute(query).scalar()
    return found


def add_message(store: Store, model: str, content: str) -> None:
    """Keep a message that is to be told, beside those of a night that is saved."""
    with answering(store.where), store.engine.begin() as connection:
        row = {"model": model, "as_of": 0, "content": content, "sent": False}
        connection.execute(sa.insert(schema.message), [row])


def unsent_messages(
    store: Store, models: Collection[str]
) -> list[tuple[int, dict[str, Any]]]:
    """Return what is still to be told of models, oldest first, with its number."""
    table = schema.message
    query = sa.select(table).where(~table.c.sent, table.c.model.in_(models))
    query = query.order_by(table.c.id)
    with answering(store.where), store.engine.connect() as connection:
        return [(row.id, json.loads(row.content)) for row in connection.execute(query)]


def mark_sent(store: Store, numbers: Sequence[int]) -> None:
    """Note that messages have been told."""
    table = schema.message
    with answering(store.where), store.engine.begin() as connection:
        connection.execute(
            sa.update(table).where(table.c.id.in_(numbers)).values(sent=True)
        )


def _rows(connection: sa.Connection, table: sa.Table, model: str) -> sa.Result[Any]:
    return connection.execute(sa.select(table).where(table.c.model == model))


def _replace(
    connection: sa.Connection,
    table: sa.Table,
    model: str,
    rows: Sequence[dict[str, Any]],
) -> None:
    """Put these rows in the place of all that there are of a model."""
    connection.execute(sa.delete(table).where(table.c.model == model))
    _insert(connection, table, [{"model": model, **row} for row in rows])


def _insert(
    connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]
) -> None:
    if rows:
        connection.execute(sa.insert(table), list(rows))


def _upsert(
    connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]
) -> None:
    """Insert rows, or replace those that have the same key."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement: Any = dialect.insert(table)
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
