"""A model's predictions and labels, opened."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from estimator.operations.config.settings import (
    FileLocation,
    ModelSettings,
    SqlLocation,
)
from estimator.operations.errors import DataError
from estimator.operations.sources.file_kinds import check_files, check_join, new_files
from estimator.operations.sources.files.file_search import find_files
from estimator.operations.sources.opening import id_kind, open_row_source
from estimator.operations.sources.row_source import AT, ID, LABEL, TIME, RowSource
from estimator.operations.sources.sql_import import describe_location, import_rows
from estimator.operations.store.model_state import ModelState

if TYPE_CHECKING:
    import duckdb

PREDICTIONS, LABELS = "predictions", "labels"
_KINDS = {ID: "id", TIME: "time", AT: "time", LABEL: "number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSources:
    """Where a model's rows come from.

    Attributes
    ----------
    predictions : RowSource
    labels : RowSource or None
        The predictions themselves, if these have a column of labels; None if there are
        no labels yet.
    missing : str or None
        Where labels should be, and no file is.
    """

    predictions: RowSource
    labels: RowSource | None
    missing: str | None = None

    @property
    def remarks(self) -> list[str]:
        """What is odd about where they are."""
        if self.missing is None:
            return []
        return [f"labels: no file matches {self.missing}, so none is known yet"]

    @property
    def files(self) -> dict[str, dict[str, str]]:
        """By source, the files that there are."""
        sources = {
            source.name: source for source in (self.predictions, self.labels) if source
        }
        return {name: dict(source.files or {}) for name, source in sources.items()}


def open_model_sources(
    engine: "duckdb.DuckDBPyConnection",
    settings: ModelSettings,
    since: pd.Timestamp | None,
    state: ModelState,
    *,
    numeric_features: Collection[str] = (),
    limit: int | None = None,
) -> ModelSources:
    """Look for the files, or copy what is needed out of a database.

    Parameters
    ----------
    since : Timestamp, optional
        Rows before it are not wanted; in UTC, or wall-clock time.
    state : ModelState
        What earlier runs have read: what is new must be of its kind.
    numeric_features : collection of str
        Features that the reference has as numbers.
    limit : int, optional
        Only look at rows, at so many of a database; files are not read for their
        versions.

    Raises
    ------
    DataError
        If a source lacks a column, or holds something else than it should.
    SourceUnavailable
        If a database does not answer.
    """
    parameters = settings.parameters
    names = columns_of(parameters)
    model_columns = columns_of_model(parameters)
    y_true = parameters.get("y_true", "y_true")
    labeled_at = parameters.get("labeled_at")
    came = {} if labeled_at is None else {AT: labeled_at}
    # Labels may come with the predictions, when they are known.
    own = {LABEL: y_true, **came} if settings.labels is None else {}
    segments = set(several(parameters.get("segments")))
    predictions = _Rows(
        name=PREDICTIONS,
        location=settings.predictions,
        roles={ID: settings.row_id, TIME: parameters["timestamp"]},
        others=names,
        numbers=(*model_columns, *(set(numeric_features) - segments)),
        optional=own,
        by=TIME,
    )
    labels = None
    if settings.labels is not None:
        labels = _Rows(
            name=LABELS,
            location=settings.labels,
            roles={ID: settings.row_id, LABEL: y_true, **came},
            by=AT,
        )
    files, tables = {}, {}
    for rows in (predictions, labels):
        if rows is None:
            continue
        if isinstance(rows.location, FileLocation):
            before = state.files.get(rows.name)
            files[rows.name] = find_files(
                engine, rows.location, rows.name, before, by_content=limit is None
            )
        else:
            tables[rows.name] = _import_rows(engine, rows, since, model_columns, limit)
    if files.get(PREDICTIONS) == {}:
        msg = (
            f"predictions: no file matches {_where(settings.predictions)}. Correct the "
            "pattern, or wait for the first file."
        )
        raise DataError(msg)
    there = [
        rows
        for rows in (predictions, labels)
        if rows is not None and files.get(rows.name) != {}
    ]
    kinds = [
        id_kind(
            engine,
            rows.name,
            settings.row_id,
            files=files.get(rows.name),
            table=tables.get(rows.name),
            hive=_is_hive(rows.location),
        )
        for rows in there
    ]
    csv_ids = next((kind for kind in kinds if kind is not None), "text")
    sources: dict[str, RowSource] = {}
    for rows in there:
        source = open_row_source(
            engine,
            rows.name,
            _where(rows.location),
            roles=rows.roles,
            others=rows.others,
            optional=rows.optional,
            files=files.get(rows.name),
            table=tables.get(rows.name),
            numbers=rows.numbers,
            csv_ids=csv_ids,
            csv_zoned=PREDICTIONS in sources and sources[PREDICTIONS].is_zoned,
            hive=_is_hive(rows.location),
        )
        # First of all: which file it is says more than what does not fit together.
        check_files(engine, source, new_files(source, state))
        sources[rows.name] = source
    opened = sources[PREDICTIONS]
    if labels is None:
        joined = opened if LABEL in opened.roles else None
        return ModelSources(predictions=opened, labels=joined)
    if LABELS not in sources:
        return ModelSources(
            predictions=opened, labels=None, missing=_where(labels.location)
        )
    check_join(opened, sources[LABELS])
    return ModelSources(predictions=opened, labels=sources[LABELS])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Rows of one kind as the configuration has them."""

    name: str
    location: FileLocation | SqlLocation
    roles: Mapping[str, str]
    by: str
    others: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    optional: Mapping[str, str] = field(default_factory=dict)


def _import_rows(
    engine: "duckdb.DuckDBPyConnection",
    rows: _Rows,
    since: pd.Timestamp | None,
    numbers: Collection[str],
    limit: int | None,
) -> str:
    """Copy rows of a database into a temporary table; return its name."""
    assert isinstance(rows.location, SqlLocation)  # noqa: S101
    kinds = dict.fromkeys(rows.others, "other")
    kinds |= {column: _KINDS[role] for role, column in rows.roles.items()}
    kinds |= {column: "number" for column in numbers if column in kinds}
    # Not "#labels": so the labels are called that count for the rows at hand.
    table = f"#staged_{rows.name}"
    import_rows(
        engine,
        rows.location,
        table,
        name=rows.name,
        columns=kinds,
        optional={column: _KINDS[role] for role, column in rows.optional.items()},
        since=since,
        by=rows.roles.get(rows.by),
        present=rows.roles[ID] if rows.name == LABELS else None,
        limit=limit,
    )
    return table


def _is_hive(location: FileLocation | SqlLocation) -> bool:
    return isinstance(location, FileLocation) and location.hive


def columns_of(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of predictions beside id and time."""
    named = [*columns_of_model(parameters)]
    named += several(parameters.get("segments"))
    if parameters.get("method", "auto") != "cbpe":
        named += several(parameters.get("features"))
    return tuple(dict.fromkeys(named))


def columns_of_model(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of score and, if there is one, decision."""
    score = parameters.get("y_pred_proba", "y_pred_proba")
    decision = parameters.get("y_pred")
    return (score,) if decision is None else (score, decision)


def several(names: Any) -> list[str]:
    """Return one name or several as a list."""
    return [names] if isinstance(names, str) else list(names or ())


def _where(location: FileLocation | SqlLocation) -> str:
    if isinstance(location, SqlLocation):
        return describe_location(location)
    return ", ".join(location.patterns)
