"""Estimators of a model: fitted once on each reference, then kept in the store."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pandas.api.types import is_object_dtype, is_string_dtype

from estimator.chunking.chunks import check_chunk
from estimator.chunking.edges import Edges
from estimator.chunking.periods import Period
from estimator.delayed_labels.counts.count_table_bytes import VERSION as TABLE_VERSION
from estimator.files.atomic import temporary_folder
from estimator.frames.datetimes import Moments, TimeZone
from estimator.monitoring.deployments import Deployment
from estimator.operations.config.settings import (
    FileLocation,
    ModelSettings,
    SqlLocation,
)
from estimator.operations.data_time import on_data_clock
from estimator.operations.errors import ConfigurationError, DataError
from estimator.operations.sources.files.csv_text import shortened
from estimator.operations.sources.files.file_endings import CSV_OF_JOB
from estimator.operations.sources.files.file_search import find_files
from estimator.operations.sources.files.reference_rows import (
    read_reference,
    rows_in_order,
)
from estimator.operations.sources.model_sources import columns_of, several
from estimator.operations.sources.sql_import import (
    ImportedRows,
    describe_location,
    import_rows,
)
from estimator.performance_estimator import VERSION, PerformanceEstimator

if TYPE_CHECKING:
    import duckdb

REFERENCE = "reference"
# Raised when the texts of CSV files come to mean something else: what was fitted and
# counted before is then fitted and counted anew.
CSV_MEANING = 2


def fit_deployments(
    engine: "duckdb.DuckDBPyConnection",
    settings: ModelSettings,
    stored: Mapping[str, tuple[str, bytes]],
    before: Mapping[str, str] | None = None,
) -> tuple[tuple[Deployment, ...], dict[str, tuple[str, bytes]], dict[str, str]]:
    """Return the estimators, fitted where the stored ones are of something else.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    settings : ModelSettings
        References of the model, and how its performance is estimated.
    stored : dict of (str, bytes)
        By first chunk, the fingerprint and the file of each estimator.
    before : dict of str to str, optional
        Versions of the references' files that were seen before.

    Returns
    -------
    deployments : tuple of Deployment
    fitted : dict
        What is to be stored, in the form of ``stored``.
    versions : dict of str to str
        Versions of the references' files, in the form of ``before``.

    Raises
    ------
    DataError
        If a reference cannot be read, or not learned from.
    """
    sources = [("", settings.reference)]
    sources += [(one.from_chunk, one.reference) for one in settings.retrained]
    fitted: dict[str, tuple[str, bytes]] = {}
    versions: dict[str, str] = {}
    timezone: TimeZone = None
    for moment, location in sources:
        first = _chunk_from(moment, settings, timezone) if moment else ""
        files = _find_files(engine, location, {**(before or {}), **versions})
        versions |= files
        fingerprint = _fingerprint(settings, location, files)
        saved = stored.get(first)
        if saved is None or saved[0] != fingerprint:
            estimator = _fit(engine, settings, location, list(files))
            saved = fingerprint, _to_bytes(estimator)
        fitted[first] = saved
        if not first and len(sources) > 1:
            timezone = _from_bytes(saved[1]).reference_.performance.timezone
    # What was fitted now is read back as well: so every run has the same.
    return load_deployments(fitted), fitted, versions


def load_deployments(stored: Mapping[str, tuple[str, bytes]]) -> tuple[Deployment, ...]:
    """Return the estimators as they were stored, the earliest first."""
    return tuple(
        Deployment(estimator=_from_bytes(data), from_chunk=first or None)
        for first, (_, data) in sorted(stored.items())
    )


def _chunk_from(moment: str, settings: ModelSettings, timezone: TimeZone) -> str:
    """Return the label of the chunk that begins at a moment."""
    spec = check_chunk(settings.parameters["chunk"], has_timestamp=True)
    begin = on_data_clock(pd.Timestamp(moment), timezone).to_datetime64()
    begin = begin.astype("M8[us]")
    chunks: tuple[Moments, list[str]] = (np.empty(0, dtype="M8[us]"), [])
    if isinstance(spec, Period):
        chunks = spec.between(begin, begin, timezone, 1)
    elif isinstance(spec, Edges):
        chunks = spec.between(begin, begin, timezone)
    starts, labels = chunks
    if not len(starts) or starts[-1] != begin:
        msg = (
            f"`retrained.from_chunk` must be where a chunk begins, got {moment!r}; the "
            f"chunk that it lies in is {labels[-1] if labels else 'none'}."
        )
        raise ConfigurationError(msg)
    return labels[-1]


def _find_files(
    engine: "duckdb.DuckDBPyConnection",
    location: FileLocation | SqlLocation,
    before: Mapping[str, str],
) -> dict[str, str]:
    """Return the files of a reference, with their versions; none of a database."""
    if not isinstance(location, FileLocation):
        return {}
    files = find_files(engine, location, REFERENCE, before)
    if not files:
        patterns = ", ".join(location.patterns)
        msg = (
            f"reference: no file matches {patterns}. It is the labelled period "
            "that is learned from; correct the pattern."
        )
        raise ConfigurationError(msg)
    return files


def _fingerprint(
    settings: ModelSettings,
    location: FileLocation | SqlLocation,
    files: Mapping[str, str],
) -> str:
    """Return a text that differs if the estimator would."""
    where: list[str | None]
    if isinstance(location, FileLocation):
        # By content: a copy, or another checkout, is the same reference.
        where = [version.partition(" ")[0] for version in files.values()]
        where += [path for path in files if "://" in path]
        where += _reading(settings, location, files)
    else:
        where = [describe_location(location), location.query]
    # What an earlier version of deadreckon has written is fitted and counted anew.
    written = [VERSION, TABLE_VERSION, settings.parameters, settings.row_id, where]
    text = json.dumps(written, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _reading(
    settings: ModelSettings, location: FileLocation, files: Collection[str]
) -> list[str]:
    """Return what tells ways of reading apart that give other values."""
    sources = (settings.predictions, settings.labels)
    patterns = [
        x for one in sources if isinstance(one, FileLocation) for x in one.patterns
    ]
    texts = any(path.lower().endswith(CSV_OF_JOB) for path in (*files, *patterns))
    ways = [f"CSV {CSV_MEANING}"] if texts else []
    return ways + (["hive"] if location.hive else [])


def _fit(
    engine: "duckdb.DuckDBPyConnection",
    settings: ModelSettings,
    location: FileLocation | SqlLocation,
    files: Sequence[str],
) -> PerformanceEstimator:
    parameters = settings.parameters
    columns = [*columns_of(parameters), parameters["timestamp"]]
    columns.append(parameters.get("y_true", "y_true"))
    labeled_at = parameters.get("labeled_at")
    optional = [] if labeled_at is None else [labeled_at]
    try:
        frame = _read(engine, settings, location, files, columns, optional)
        estimator = PerformanceEstimator(**parameters)
        estimator.fit(frame, counted=True)  # as production is
    except FileNotFoundError as error:
        raise ConfigurationError(str(error)) from error
    except (ValueError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        msg = f"reference: {error}"
        raise DataError(msg) from error
    return estimator


def _read(
    engine: "duckdb.DuckDBPyConnection",
    settings: ModelSettings,
    location: FileLocation | SqlLocation,
    files: Sequence[str],
    columns: list[str],
    optional: list[str],
) -> pd.DataFrame:
    times = {settings.parameters["timestamp"], *optional}
    with rows_in_order(engine):
        if isinstance(location, SqlLocation):
            import_rows(
                engine,
                location,
                "#reference",
                ImportedRows(
                    name=REFERENCE,
                    columns={
                        name: "time" if name in times else "other" for name in columns
                    },
                    optional=dict.fromkeys(optional, "time"),
                ),
            )
            frame: pd.DataFrame = engine.sql('FROM "#reference"').df()
        else:
            texts, features = _meaning(settings, times)
            frame = read_reference(
                engine,
                files,
                columns,
                optional=optional,
                times=times,
                texts=texts,
                unknown=features,
                hive=location.hive,
            )
    # As `scan` does with the rows of production.
    for name in frame.columns.difference(list(times)):
        if is_object_dtype(frame[name]) or is_string_dtype(frame[name]):
            frame[name] = frame[name].map(
                lambda cell: shortened(cell) if isinstance(cell, str) else cell
            )
    return frame


def _meaning(settings: ModelSettings, times: set[str]) -> tuple[set[str], set[str]]:
    """Return the columns that hold texts, and those that the reference decides on."""
    parameters = settings.parameters
    texts = set(several(parameters.get("segments"))) - times
    features = set(several(parameters.get("features")))
    return texts, features - texts - times


def numeric_features(deployments: Sequence[Deployment]) -> set[str]:
    """Return the features that all references have as numbers."""
    numeric: list[set[str]] = []
    for deployment in deployments:
        table = deployment.estimator.reference_.features_on_arrival
        if table is not None:
            columns = table.features
            numeric.append({str(c.name) for c in columns if c.categories is None})
    return set.intersection(*numeric) if numeric else set()


def _to_bytes(estimator: PerformanceEstimator) -> bytes:
    with temporary_folder() as folder:
        path = folder / "estimator.npz"
        estimator.save(path)
        return path.read_bytes()


def _from_bytes(data: bytes) -> PerformanceEstimator:
    with temporary_folder() as folder:
        path = folder / "estimator.npz"
        path.write_bytes(data)
        return PerformanceEstimator.load(path)
