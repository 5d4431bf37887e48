"""The chunks that new rows fall into: read again as a whole, and counted."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calibration._kernels.threads import for_each
from estimator.chunking.chunks import check_chunk, make_chunks
from estimator.chunking.edges import Edges
from estimator.chunking.periods import Period
from estimator.delayed_labels.counts.count_table import CountTable
from estimator.delayed_labels.counts.count_table_bytes import table_to_bytes
from estimator.delayed_labels.counts.counting import count_rows
from estimator.estimation.estimates import adapt_columns, score_map
from estimator.frames.categories import stratum_codes
from estimator.frames.features import read_features
from estimator.monitoring.deployments import Deployment, deployment_of
from estimator.operations.data_time import clock_now, is_future
from estimator.operations.errors import DataError
from estimator.operations.sources.model_sources import ModelSources
from estimator.operations.sources.queries import count_hours, read_rows
from estimator.operations.sources.row_source import RowSource
from estimator.operations.store.model_state import StoredChunk
from estimator.performance_estimator import PerformanceEstimator

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# Rows that are in memory at a time; a chunk with more is read whole.
ROWS_AT_A_TIME = 3_000_000
# The share of a chunk's rows, or labels, that may be erased from its sources; where
# more is gone it is kept as it was.
MAY_BE_ERASED = 0.1
_HOUR = np.timedelta64(3_600_000_000 - 1, "us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A chunk's period: [begin, end), open where ``end`` is None."""

    label: str
    begin: pd.Timestamp
    end: pd.Timestamp | None
    n_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCounts:
    """What is stored of a model's chunks, and still valid.

    Attributes
    ----------
    chunks : mapping of str to StoredChunk
        Size of each chunk that was counted for its estimator, by label.
    counts : mapping of str to bytes
        Table of counts of each of these chunks, by label.
    outdated : set of str
        Labels of the chunks that were counted for another estimator.
    """

    chunks: Mapping[str, StoredChunk]
    counts: Mapping[str, bytes]
    outdated: Set[str]

    @property
    def is_void(self) -> bool:
        """Whether all chunks must be counted anew."""
        return bool(self.outdated) or not self.chunks


def periods_of(estimator: PerformanceEstimator) -> Period | Edges:
    """Return how time is cut into chunks; the configuration allows nothing else."""
    spec = check_chunk(estimator.chunk, has_timestamp=True)
    if not isinstance(spec, Period | Edges):
        msg = f"`chunk` must be periods of time, got {spec!r}."
        raise TypeError(msg)
    return spec


def find_spans(
    engine: "duckdb.DuckDBPyConnection",
    sources: ModelSources,
    deployments: Sequence[Deployment],
    hours: NDArray[np.datetime64] | None,
    since: pd.Timestamp | None,
    until: pd.Timestamp | None,
    stored: Mapping[str, StoredChunk],
) -> list[Span]:
    """Return the chunks that rows of some hours belong to.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    sources : ModelSources
        Predictions and labels of the model.
    deployments : sequence of Deployment
        Deployments of the model, the earliest first.
    hours : ndarray of datetime64[us], or None
        In any order; None: all that have rows.
    since, until : Timestamp, optional
        Only chunks that begin at the first or later, and rows up to the second.
    stored : mapping of str to StoredChunk
        Size of each chunk that is stored and still valid, by label: its rows are not
        counted again.
    """
    predictions = sources.predictions
    every = None
    if hours is None:
        every = count_hours(engine, predictions, until=until)
        hours = every.hour
    if not hours.size:
        return []
    if until is None:
        newest = hours.max() if every is None else every.last
        _check_clock(newest, "predictions", predictions)
    spec = periods_of(deployments[-1].estimator)
    timezone = deployments[-1].estimator.reference_.performance.timezone
    first, last = hours.min(), hours.max() + _HOUR
    if isinstance(spec, Period):
        n_rows = sum(chunk.n_rows for chunk in stored.values())
        n_rows += hours.size if every is None else every.n_rows
        begin, labels = spec.between(first, last, timezone, max(10_000, n_rows))
    else:
        first = first if every is None else every.first
        begin, labels = spec.between(first, last, timezone)
        if first < begin[0]:
            # An hour may begin before the first edge without having rows there.
            edge = begin[0].astype("M8[us]")
            before = every or count_hours(engine, predictions, spans=[(first, edge)])
            if before.n_rows:
                msg = (
                    f"predictions ({predictions.where}): rows must not lie before the "
                    f"first of the edges in `chunk` ({begin[0]}), but some do. Name an "
                    "earlier edge."
                )
                raise DataError(msg)
            begin, labels = begin[1:], labels[1:]
    begin = begin.astype("M8[us]")
    end = [*begin[1:].tolist(), None]
    wanted = np.zeros(begin.size, dtype=np.bool_)
    low = np.searchsorted(begin, hours, side="right") - 1
    high = np.searchsorted(begin, hours + _HOUR, side="right") - 1
    for a, b in zip(low.clip(0).tolist(), high.tolist(), strict=True):
        wanted[a : b + 1] = True
    if since is not None:
        wanted &= begin >= since.to_datetime64()
    if every is None:
        chosen = np.flatnonzero(wanted).tolist()
        spans = [(pd.Timestamp(begin[c]), end[c]) for c in chosen]
        every = count_hours(engine, predictions, spans=spans, until=until)
    total = np.concatenate([[0], np.cumsum(every.count)])
    first_hour = np.append(np.searchsorted(every.hour, begin), every.hour.size)
    return [
        Span(
            label=labels[c],
            begin=pd.Timestamp(begin[c]),
            end=None if end[c] is None else pd.Timestamp(end[c]),
            n_rows=int(total[first_hour[c + 1]] - total[first_hour[c]]),
        )
        for c in np.flatnonzero(wanted).tolist()
    ]


def _check_clock(newest: np.datetime64, what: str, source: RowSource) -> None:
    if is_future(pd.Timestamp(newest)):
        msg = (
            f"{what} ({source.where}): times must not lie in the future, but the "
            f"newest is {pd.Timestamp(newest):%Y-%m-%d %H:%M} and this machine's "
            f"clock says {clock_now():%Y-%m-%d %H:%M} UTC. Nothing was stored. Mend "
            "the clock or the data, or say --as-of."
        )
        raise DataError(msg)


def count_changed(
    engine: "duckdb.DuckDBPyConnection",
    sources: ModelSources,
    deployments: Sequence[Deployment],
    spans: Sequence[Span],
    until: pd.Timestamp | None,
    stored: StoredCounts,
) -> tuple[dict[str, bytes], list[str]]:
    """Count the rows of some chunks.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    sources : ModelSources
        Predictions and labels of the model.
    deployments : sequence of Deployment
        Deployments of the model, the earliest first.
    spans : sequence of Span
        Periods of the chunks to read, rising.
    until : Timestamp, optional
        Time up to which rows and labels are counted.
    stored : StoredCounts
        What is stored of the chunks.

    Returns
    -------
    changed : dict of bytes
        Tables of the chunks that are not as they were.
    remarks : list of str
        What sources have lost.
    """
    changed: dict[str, bytes] = {}
    remarks = []
    for block in _blocks(spans):
        rows = read_rows(
            engine,
            sources.predictions,
            sources.labels,
            spans=[(span.begin, span.end) for span in block],
            until=until,
        )
        if not rows.num_rows:
            continue
        tables = _count(rows, deployments, sources)
        content = _as_bytes(tables)
        for table in tables:
            data = content[table.label]
            if stored.counts.get(table.label) == data:
                continue
            if until is None and table.latest_label is not None:
                latest = np.datetime64(table.latest_label, "us")
                _check_clock(latest, "labels", sources.labels or sources.predictions)
            before = stored.chunks.get(table.label)
            lost = _what_is_lost(table, before)
            if lost:
                remarks.append(lost)
            if before is None or not _is_much_lost(table, before):
                changed[table.label] = data
    return changed, remarks


def _as_bytes(tables: Sequence[CountTable]) -> dict[str, bytes]:
    content: dict[str, bytes] = {}

    def write(table: CountTable) -> None:
        content[table.label] = table_to_bytes(table)

    for_each(tables, write)
    return content


def _what_is_lost(table: CountTable, before: StoredChunk | None) -> str:
    if before is None or (
        table.n_rows >= before.n_rows and table.n_labels >= before.n_labels
    ):
        return ""
    kept = "is left as it was" if _is_much_lost(table, before) else "is counted anew"
    return (
        f"chunk {table.label} {kept}: its sources now hold {table.n_rows:,} rows with "
        f"{table.n_labels:,} labels, and held {before.n_rows:,} with "
        f"{before.n_labels:,}"
    )


def _is_much_lost(table: CountTable, before: StoredChunk) -> bool:
    """Whether files seem to be gone, and not a few rows erased or labels withdrawn."""
    least = 1.0 - MAY_BE_ERASED
    return (
        table.n_rows < least * before.n_rows or table.n_labels < least * before.n_labels
    )


def _blocks(spans: Sequence[Span]) -> list[list[Span]]:
    blocks: list[list[Span]] = []
    room = 0
    for span in spans:
        if span.n_rows > room or not blocks:
            blocks.append([])
            room = ROWS_AT_A_TIME
        blocks[-1].append(span)
        room -= span.n_rows
    return blocks


def _count(
    rows: "pa.Table",
    deployments: Sequence[Deployment],
    sources: ModelSources,
) -> list[CountTable]:
    estimator = deployments[-1].estimator
    try:
        columns = estimator.read_production(
            rows, with_arrivals=True, in_utc=sources.predictions.is_zoned
        )
    except (ValueError, TypeError) as error:
        msg = f"predictions ({sources.predictions.where}): {error}"
        raise DataError(msg) from error
    if columns.label is None:
        columns = replace(columns, label=np.full(columns.n_rows, np.nan))
    chunks = make_chunks(
        columns.n_rows, estimator.chunk, columns.timestamp, columns.timezone
    )
    owner = np.array(
        [deployment_of(deployments, label) for label in chunks.label.tolist()]
    )
    tables = []
    for i in np.unique(owner).tolist():
        fitted = deployments[i].estimator.reference_
        of_deployment = chunks.select(np.flatnonzero(owner == i))
        table, strata = fitted.features_on_arrival, fitted.delays.strata
        features = np.empty((0, 0))
        if table is not None:
            features = read_features(table, rows, name="production")
        plain = score_map(fitted, columns.segments)
        adapted, remarks = adapt_columns(
            fitted, columns, plain, features, of_deployment.row_sets()
        )
        if strata is not None:
            stratum = stratum_codes(strata.assign(features))
            adapted = replace(adapted, delay_stratum=stratum)
        tables += count_rows(
            adapted,
            of_deployment,
            decision=estimator.decisions(columns),
            bands=fitted.delays.bands,
            metrics=fitted.performance.metrics,
            remarks=remarks,
        )
    for table in tables:
        if table.n_missing == table.n_rows:
            msg = (
                f"predictions ({sources.predictions.where}): all {table.n_rows:,} "
                f"scores of chunk {table.label} are missing. Nothing was stored. Write "
                "them again, with their scores."
            )
            raise DataError(msg)
    return tables
