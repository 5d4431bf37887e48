"""Where results are kept: SQLite by default, PostgreSQL by URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from estimator.operations.config.redaction import describe_url
from estimator.operations.errors import ConfigurationError, DataError, StoreUnavailable
from estimator.operations.store import schema

if TYPE_CHECKING:
    import sqlite3

BUSY_SECONDS = 30.0
# Classes of PostgreSQL's SQLSTATE that blame a value, whatever exception carries them:
# data exceptions, and values beyond a limit, such as that of an index's row.
_VALUE_STATES = ("22", "54")


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
        with store_errors(store.where), store.engine.begin() as connection:
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
    with store_errors(store.where), store.engine.connect() as connection:
        if not sa.inspect(connection).has_table(schema.version.name):
            return False
        version = connection.execute(sa.select(schema.version.c.version)).scalar()
    if version != len(schema.STEPS):
        msg = (
            f"The store {store.where} is of version {version}, and this deadreckon "
            f"wants {len(schema.STEPS)}. An older one is brought up to date by "
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
    def configure(connection: "sqlite3.Connection", _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")  # readers do not wait

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


@contextmanager
def store_errors(where: str, *, writes_a_run: bool = False) -> Iterator[None]:
    """Turn an error of the database into one clear error.

    Parameters
    ----------
    where : str
        The store, for messages.
    writes_a_run : bool, default=False
        Whether the block writes what the data of one model say, in one transaction.
        Only then is a value that the database refuses the fault of that model's data.

    Raises
    ------
    DataError
        If the database works, but refuses a value of what is written of a model.
    StoreUnavailable
        If it does not answer, or cannot be read or written: nothing works.
    """
    try:
        yield
    except (sa.exc.StatementError, UnicodeError, OverflowError) as error:
        original = getattr(error, "orig", None) or error
        first = (str(original).strip().splitlines() or [type(original).__name__])[0]
        first = first.rstrip(".")
        if writes_a_run and refuses_a_value(error):
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
