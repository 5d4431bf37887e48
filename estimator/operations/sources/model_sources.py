"""A model's predictions and labels, opened."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from estimator.estimation.parameters import Parameters
from estimator.operations.config.settings import (
    FileLocation,
    ModelSettings,
    SqlLocation,
)
from estimator.operations.errors import DataError
from estimator.operations.sources.consistency import check_files, check_join, new_files
from estimator.operations.sources.files.file_search import find_files
from estimator.operations.sources.opening import id_kind, open_row_source
from estimator.operations.sources.row_source import (
    AT,
    ID,
    LABEL,
    TIME,
    RequestedColumns,
    RowData,
    RowSource,
)
from estimator.operations.sources.sql_import import (
    ImportedRows,
    describe_location,
    import_rows,
)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """Rows of one kind as the configuration has them."""

    name: str
    location: FileLocation | SqlLocation
    columns: RequestedColumns
    time_role: str  # of the time that is looked back to


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
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    settings : ModelSettings
        Where the rows are, and which of their columns are needed.
    since : Timestamp, optional
        Time before which rows are not wanted; in UTC, or wall-clock time.
    state : ModelState
        What earlier runs have read: what is new must be of its kind.
    numeric_features : collection of str
        Features that the reference has as numbers.
    limit : int, optional
        Number of rows of a database to look at; files are then not read for their
        versions.

    Returns
    -------
    ModelSources
        Predictions and labels, opened.

    Raises
    ------
    DataError
        If a source lacks a column, or holds something else than it should.
    SourceUnavailable
        If a database does not answer.
    """
    scores = columns_of_model(settings.parameters)
    requests = _requests(settings, scores, numeric_features)
    data: dict[str, RowData] = {}
    for request in requests:
        name, location = request.name, request.location
        if isinstance(location, SqlLocation):
            rows = _imported_rows(request, since, scores, limit)
            data[name] = _import(engine, location, rows)
        else:
            before = state.files.get(name)
            data[name] = _find(engine, location, name, before, limit is None)
    if data[PREDICTIONS].files == {}:
        msg = (
            f"predictions: no file matches {data[PREDICTIONS].where}. Correct the "
            "pattern, or wait for the first file."
        )
        raise DataError(msg)
    available = [request for request in requests if data[request.name].files != {}]
    kinds = [id_kind(engine, data[x.name], settings.row_id) for x in available]
    csv_ids = next((kind for kind in kinds if kind is not None), "text")
    sources: dict[str, RowSource] = {}
    for request in available:
        source = open_row_source(
            engine,
            data[request.name],
            request.columns,
            csv_ids=csv_ids,
            csv_zoned=PREDICTIONS in sources and sources[PREDICTIONS].is_zoned,
        )
        # First of all: which file it is says more than what does not fit together.
        check_files(engine, source, new_files(source, state))
        sources[request.name] = source
    predictions = sources[PREDICTIONS]
    if settings.labels is None:
        labels = predictions if LABEL in predictions.roles else None
        return ModelSources(predictions=predictions, labels=labels)
    if LABELS not in sources:
        missing = data[LABELS].where
        return ModelSources(predictions=predictions, labels=None, missing=missing)
    check_join(predictions, sources[LABELS])
    return ModelSources(predictions=predictions, labels=sources[LABELS])


def _requests(
    settings: ModelSettings,
    scores: tuple[str, ...],
    numeric_features: Collection[str],
) -> list[_Request]:
    """Return what is wanted of predictions and, if they have a source, of labels."""
    parameters = settings.parameters
    y_true = parameters.get("y_true", "y_true")
    labeled_at = parameters.get("labeled_at")
    arrival = {} if labeled_at is None else {AT: labeled_at}
    segments = set(several(parameters.get("segments")))
    predictions = _Request(
        name=PREDICTIONS,
        location=settings.predictions,
        columns=RequestedColumns(
            roles={ID: settings.row_id, TIME: parameters["timestamp"]},
            others=columns_of(parameters),
            numbers=(*scores, *(set(numeric_features) - segments)),
            # Labels may come with the predictions, when they are known.
            optional={LABEL: y_true, **arrival} if settings.labels is None else {},
        ),
        time_role=TIME,
    )
    if settings.labels is None:
        return [predictions]
    roles = {ID: settings.row_id, LABEL: y_true, **arrival}
    labels = _Request(
        name=LABELS,
        location=settings.labels,
        columns=RequestedColumns(roles=roles),
        time_role=AT,
    )
    return [predictions, labels]


def _find(
    engine: "duckdb.DuckDBPyConnection",
    location: FileLocation,
    name: str,
    before: Mapping[str, str] | None,
    by_content: bool,  # noqa: FBT001
) -> RowData:
    """Look for the files of rows."""
    files = find_files(engine, location, name, before, by_content=by_content)
    where = ", ".join(location.patterns)
    return RowData(name=name, where=where, files=files, hive=location.hive)


def _imported_rows(
    request: _Request,
    since: pd.Timestamp | None,
    scores: Collection[str],
    limit: int | None,
) -> ImportedRows:
    """Return which rows and columns of a database are needed."""
    columns = request.columns
    kinds = dict.fromkeys(columns.others, "other")
    kinds |= {column: _KINDS[role] for role, column in columns.roles.items()}
    kinds |= {column: "number" for column in scores if column in kinds}
    return ImportedRows(
        name=request.name,
        columns=kinds,
        optional={column: _KINDS[role] for role, column in columns.optional.items()},
        since=since,
        time_column=columns.roles.get(request.time_role),
        present=columns.roles[ID] if request.name == LABELS else None,
        limit=limit,
    )


def _import(
    engine: "duckdb.DuckDBPyConnection", location: SqlLocation, rows: ImportedRows
) -> RowData:
    """Copy rows of a database into a temporary table."""
    # Not "#labels": so the labels are called that count for the rows at hand.
    table = f"#staged_{rows.name}"
    import_rows(engine, location, table, rows)
    return RowData(name=rows.name, where=describe_location(location), table=table)


def columns_of(parameters: Parameters) -> tuple[str, ...]:
    """Return the columns of predictions beside id and time."""
    named = [*columns_of_model(parameters)]
    named += several(parameters.get("segments"))
    # By features soft labels adapt, and delays may differ.
    if parameters.get("method", "auto") != "cbpe" or parameters.get("labeled_at"):
        named += several(parameters.get("features"))
    return tuple(dict.fromkeys(named))


def columns_of_model(parameters: Parameters) -> tuple[str, ...]:
    """Return the columns of score and, if there is one, decision."""
    score = parameters.get("y_pred_proba", "y_pred_proba")
    decision = parameters.get("y_pred")
    return (score,) if decision is None else (score, decision)


def several(names: str | Iterable[str] | None) -> list[str]:
    """Return one name or several as a list."""
    return [names] if isinstance(names, str) else list(names or ())
