"""A model's predictions and labels, opened; and which hours of them are new."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.operations.config import FileLocation, ModelSettings, SqlLocation
from estimator.operations.estimation import DataError
from estimator.operations.feed import (
    AT,
    ID,
    LABEL,
    TIME,
    Feed,
    check_join,
    check_pieces,
    find_pieces,
    open_feed,
)
from estimator.operations.intake import count_hours, count_labeled_hours
from estimator.operations.staging import describe_location, stage
from estimator.operations.store import ModelState

if TYPE_CHECKING:
    import duckdb

PREDICTIONS, LABELS = "predictions", "labels"
_KINDS = {ID: "id", TIME: "time", AT: "time", LABEL: "number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeds:
    """Where a model's rows come from.

    Attributes
    ----------
    predictions : Feed
    labels : Feed or None
        The predictions themselves, if these have a column of labels; None if there are
        no labels yet.
    missing : str or None
        Where labels should be, and no file is.
    """

    predictions: Feed
    labels: Feed | None
    missing: str | None = None

    @property
    def remarks(self) -> list[str]:
        """What is odd about where they are."""
        if self.missing is None:
            return []
        return [f"labels: no file matches {self.missing}, so none is known yet"]

    @property
    def pieces(self) -> dict[str, dict[str, str]]:
        """By feed, the files that there are."""
        feeds = {feed.name: feed for feed in (self.predictions, self.labels) if feed}
        return {name: dict(feed.pieces or {}) for name, feed in feeds.items()}


def open_feeds(
    engine: "duckdb.DuckDBPyConnection",
    settings: ModelSettings,
    since: pd.Timestamp | None,
) -> Feeds:
    """Look for the files, or copy what is needed out of a database.

    Parameters
    ----------
    since : Timestamp, optional
        Rows before it are not wanted; in UTC, or wall-clock time.

    Raises
    ------
    DataError
        If a source lacks a column, or holds something else than it should.
    SourceUnavailable
        If a database does not answer.
    """
    parameters = settings.parameters
    names = columns_of(parameters)
    y_true = parameters.get("y_true", "y_true")
    labeled_at = parameters.get("labeled_at")
    came = {} if labeled_at is None else {AT: labeled_at}
    # Labels may come with the predictions, when they are known.
    own = {LABEL: y_true, **came} if settings.labels is None else {}
    predictions = _open(
        engine,
        PREDICTIONS,
        settings.predictions,
        roles={ID: settings.row_id, TIME: parameters["timestamp"]},
        others=names,
        numbers=_columns_of_model(parameters),
        optional=own,
        since=since,
        by=TIME,
    )
    if predictions is None:
        msg = (
            f"predictions: no file matches {_where(settings.predictions)}. Correct the "
            "pattern, or wait for the first file."
        )
        raise DataError(msg)
    if settings.labels is None:
        joined = predictions if LABEL in predictions.roles else None
        return Feeds(predictions=predictions, labels=joined)
    labels = _open(
        engine,
        LABELS,
        settings.labels,
        roles={ID: settings.row_id, LABEL: y_true, **came},
        since=since,
        by=AT,
    )
    if labels is None:
        where = _where(settings.labels)
        return Feeds(predictions=predictions, labels=None, missing=where)
    check_join(predictions, labels)
    return Feeds(predictions=predictions, labels=labels)


def columns_of(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of predictions beside id and time."""
    named = [*_columns_of_model(parameters)]
    named += _several(parameters.get("segments"))
    if parameters.get("method", "auto") != "cbpe":
        named += _several(parameters.get("features"))
    return tuple(dict.fromkeys(named))


def _columns_of_model(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of score and, if there is one, decision."""
    score = parameters.get("y_pred_proba", "y_pred_proba")
    decision = parameters.get("y_pred")
    return (score,) if decision is None else (score, decision)


def _several(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def _where(location: FileLocation | SqlLocation) -> str:
    if isinstance(location, SqlLocation):
        return describe_location(location)
    return ", ".join(location.patterns)


def _open(
    engine: "duckdb.DuckDBPyConnection",
    name: str,
    location: FileLocation | SqlLocation,
    *,
    roles: Mapping[str, str],
    others: tuple[str, ...] = (),
    optional: Mapping[str, str] | None = None,
    numbers: tuple[str, ...] = (),
    since: pd.Timestamp | None = None,
    by: str,
) -> Feed | None:
    optional = optional or {}
    pieces, table = None, None
    if isinstance(location, FileLocation):
        pieces = find_pieces(engine, location, name)
        if not pieces:
            return None
    else:
        table = f"#{name}"
        kinds = dict.fromkeys(others, "other")
        extra: dict[str, str] = {}
        for named, found in ((roles, kinds), (optional, extra)):
            found |= {column: _KINDS[role] for role, column in named.items()}
        for column in numbers:
            kinds[column] = "number"
        stage(
            engine,
            location,
            table,
            name=name,
            columns=kinds,
            optional=extra,
            since=since,
            by=roles.get(by),
            present=roles[ID] if name == LABELS else None,
        )
    return open_feed(
        engine,
        name,
        _where(location),
        roles=roles,
        others=others,
        optional=optional,
        pieces=pieces,
        table=table,
    )


def check_new_pieces(
    engine: "duckdb.DuckDBPyConnection", feeds: Feeds, state: ModelState
) -> None:
    """Refuse new files that are of another kind than the others."""
    for feed in (feeds.predictions, feeds.labels):
        if feed is not None:
            check_pieces(engine, feed, _new_pieces(feed, state))


def touched_hours(
    engine: "duckdb.DuckDBPyConnection",
    feeds: Feeds,
    state: ModelState,
    until: Any,
) -> tuple[NDArray[np.datetime64], list[str]]:
    """Return the hours in which rows, or labels of rows, may be new.

    New are files that are not as they were, rows and labels later than the last run
    looked, and all that a database holds: only files tell what has been read of them.

    Returns
    -------
    hours : ndarray of datetime64[us]
        In any order.
    remarks : list of str
        What is odd about the labels.
    """
    hours, remarks = [], []
    before = None if state.until is None else as_datetime(state.until)
    predictions, labels = feeds.predictions, feeds.labels
    if predictions.pieces is None:
        hours.append(count_hours(engine, predictions, until=until).hour)
    else:
        new = _new_pieces(predictions, state)
        if new:
            found = count_hours(engine, predictions, pieces=new, until=until)
            hours.append(found.hour)
        if before is not None:
            found = count_hours(engine, predictions, after=before, until=until)
            hours.append(found.hour)
    if labels is not None:
        asked: list[dict[str, Any]] = []
        if labels.pieces is None:
            asked.append({})
        elif labels is not predictions and (new := _new_pieces(labels, state)):
            asked.append({"pieces": new})
        if before is not None and AT in labels.roles:
            asked.append({"after": before})
        for which in asked:
            found, n_labels = count_labeled_hours(
                engine, predictions, labels, until=until, **which
            )
            hours.append(found.hour)
            if n_labels and not found.n_rows:
                remarks.append(
                    f"none of {n_labels:,} labels belongs to a prediction that is there"
                )
    return np.concatenate(hours) if hours else np.empty(0, dtype="M8[us]"), remarks


def _new_pieces(feed: Feed, state: ModelState) -> list[str]:
    before = state.pieces.get(feed.name, {})
    pieces = feed.pieces or {}
    return [path for path, version in pieces.items() if before.get(path) != version]


def as_datetime(microseconds: int) -> pd.Timestamp:
    """Return a moment of the store as DuckDB compares it."""
    return pd.Timestamp(microseconds, unit="us")
