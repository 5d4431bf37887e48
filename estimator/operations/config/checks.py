"""Rules for the values in the nightly job's file, beyond their types.

What breaks one is a ValueError; its text goes on where the place of the value ends.
Relative paths begin at the folder that is the validation's context.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from calibration._validation import find_nearest
from estimator.files.optional_packages import install_hint
from estimator.performance_estimator import PerformanceEstimator

if TYPE_CHECKING:
    from pydantic import ValidationInfo

    from estimator.estimation.parameters import Parameters


MODEL_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
# Well-known databases that cannot hold the store. (Others are refused as well, but are
# not named: a URL may hold a secret anywhere.)
_NO_STORES = (
    "mysql", "mariadb", "oracle", "mssql", "snowflake", "bigquery", "duckdb",
    "redshift", "cockroachdb", "clickhouse", "mongodb", "databricks", "trino",
)  # fmt: skip
_MEMORY = re.compile(r"(?=.*[1-9])\d+(\.\d+)? ?[KMGT]i?B", re.IGNORECASE)


def check_url(text: str) -> str:
    """Return a database URL that can be read and has its driver; tell no part of it."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is None or "@" in (url.host or ""):  # the end of a password
        msg = (
            'must be a database URL like "postgresql+psycopg://user:${PASSWORD}@host/'
            'name", and SQLAlchemy cannot read it. Within user and password write @ as '
            "%40, : as %3A, / as %2F and % as %25."
        )
        raise ValueError(msg)
    try:
        url.get_dialect().import_dbapi()
    except (NoSuchModuleError, ValueError) as error:
        usual_drivers = ("postgresql+psycopg", "sqlite")
        near = find_nearest(url.drivername, usual_drivers)
        hint = f"; nearest: {near}" if near else ""
        msg = (
            f"must be of a kind of database that SQLAlchemy knows{hint}. Take "
            '"postgresql+psycopg://…", or install the package of its dialect.'
        )
        raise ValueError(msg) from error
    except ImportError as error:
        remedy = "Install the package of the driver."
        if url.get_backend_name() == "postgresql":
            remedy = (
                f'Take "postgresql+psycopg://…" and psycopg. {install_hint("postgres")}'
            )
        msg = f"needs a database driver that is missing. {remedy}"
        raise ValueError(msg) from error
    return text


def check_source(text: str, info: "ValidationInfo") -> str:
    """Return the URL of a database that is read; a file of SQLite is absolute."""
    return _with_absolute_file(make_url(check_url(text)), info)


def _with_absolute_file(url: URL, info: "ValidationInfo") -> str:
    path = url.database
    if url.get_backend_name() == "sqlite" and path and not path.startswith("file:"):
        url = url.set(database=str(_absolute(path, info)))
    return url.render_as_string(hide_password=False)


def check_store(text: str, info: "ValidationInfo") -> str:
    """Return the URL of the store; a path is one of SQLite."""
    if "://" not in text:
        url = URL.create("sqlite", database=str(_absolute(text, info)))
        return url.render_as_string(hide_password=False)
    scheme = text.partition("://")[0].partition("+")[0].lower()
    if scheme in _NO_STORES:  # whether or not there is a driver
        msg = (
            f"must be a database of SQLite or PostgreSQL, got one of {scheme}, which "
            'is not supported. Take a path ("deadreckon.db"), "sqlite:///…" or '
            '"postgresql+psycopg://…".'
        )
        raise ValueError(msg)
    url = make_url(check_url(text))
    kind = url.get_backend_name()
    in_memory = kind == "sqlite" and url.database in (None, "", ":memory:")
    if in_memory or kind not in ("sqlite", "postgresql"):
        msg = (
            "must be a database of SQLite or PostgreSQL that is still there the next "
            f"night, got one {'in memory' if in_memory else f'of {kind}'}. For "
            'example: store = "deadreckon.db".'
        )
        raise ValueError(msg)
    return _with_absolute_file(url, info)


def check_path(text: str, info: "ValidationInfo") -> Path:
    """Return the absolute path of something that the job writes."""
    if "://" in text:
        msg = "must be a path on this machine, got a URL. Name a path."
        raise ValueError(msg)
    return _absolute(text, info)


def resolve_patterns(source: object, info: "ValidationInfo") -> object:
    """Return paths, globs and URLs as absolute texts; a database as it is."""
    if not isinstance(source, str | list):
        return source
    texts = [source] if isinstance(source, str) else source
    return tuple(x if "://" in x else str(_absolute(x, info)) for x in texts)


def _absolute(text: str, info: "ValidationInfo") -> Path:
    folder: Any = info.context
    return Path(folder, text)


def check_memory(text: str) -> str:
    """Return how much memory DuckDB may take, in its own words."""
    if not _MEMORY.fullmatch(text.strip()):
        msg = (
            f"must be a number and KB, MB, GB or TB, got {text!r}. For example: "
            'memory_limit = "1GB".'
        )
        raise ValueError(msg)
    return text


def check_webhook(text: str) -> str:
    """Return a web address; it is a secret, so no part of it is told."""
    if not re.match(r"https?://[^\s/]", text):
        msg = (
            "must be a URL that begins with https:// or http:// and names a host. Copy "
            "it whole from the service that takes the message."
        )
        raise ValueError(msg)
    return text


def check_report_url(text: str) -> str:
    """Return a web address at which people read the pages."""
    if not re.match(r"https?://[^\s/]", text):
        msg = (
            f"must be a URL that begins with https:// or http://, got {text!r}. Give "
            "the address at which the folder of the pages is served."
        )
        raise ValueError(msg)
    return text


def check_span(text: str) -> pd.Timedelta:
    """Return the span of time that a text names.

    Examples
    --------
    >>> check_span("180D")
    Timedelta('180 days 00:00:00')
    """
    try:
        span = pd.Timedelta(text)
    except ValueError:
        span = pd.Timedelta(0)
    # Without a unit pandas reads nanoseconds. "NaT" is not above zero.
    if not re.search(r"[A-Za-z:]", text) or not span > pd.Timedelta(0):
        msg = (
            f"must be a span of time above zero with its unit, got {text!r}. For "
            'example: lookback = "180D".'
        )
        raise ValueError(msg)
    return span


def check_names(models: dict[str, object]) -> dict[str, object]:
    """Return models whose names can be file names, and are free."""
    taken = {"index"}  # the pages' list
    for name in models:
        if not re.fullmatch(MODEL_NAME, name) or name.lower() in taken:
            msg = (
                "must have names of at most 100 letters from a to z, digits, -, _ and "
                ". (not first), not index, that differ by more than case: they become "
                f"file names. Rename {name!r}."
            )
            raise ValueError(msg)
        taken.add(name.lower())
    return models


def check_estimator(arguments: "Parameters") -> None:
    """Refuse what the estimator refuses, in its words: they begin with the argument."""
    try:
        PerformanceEstimator(**arguments).check_parameters()
    except TypeError as error:
        raise ValueError(str(error)) from error
