"""One run at a time works on a store, and one at a time posts its messages."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from estimator.operations.errors import StoreLocked, StoreUnavailable
from estimator.operations.store.connection import Store, store_errors

LOCK_SECONDS = 2.0
POSTING_SECONDS = 60.0  # twice what posting takes at most (`post_webhook`)
# "deadreckon" among the advisory locks of a PostgreSQL database.
_ADVISORY_LOCK = 0x6465_6164_7265_636B
_POSTING_LOCK = _ADVISORY_LOCK + 1
_POLL_SECONDS = 0.1


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
        with store_errors(store.where):
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
