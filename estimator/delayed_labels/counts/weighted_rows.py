"""Tables of counts as columns and chunks: rows that each stand for many."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.threads import for_each
from estimator.chunking.chunks import Chunks
from estimator.chunking.edges import Edges
from estimator.chunking.periods import Period
from estimator.chunking.segments import Groups, group_rows
from estimator.delayed_labels.arrivals import Arrivals
from estimator.delayed_labels.counts.count_table import (
    LOSS_UNIT,
    SUMMED,
    UNLABELED,
    CountTable,
    without_slots,
)
from estimator.delayed_labels.counts.counting import count_rows
from estimator.delayed_labels.evidence import Evidence
from estimator.delayed_labels.strata.delay_cells import (
    LEARNED,
    MAX_VALUES,
    N_AGES,
    N_BANDS,
)
from estimator.frames.adapted_soft_labels import AdaptedSoftLabels
from estimator.frames.cell_contents import CellContents
from estimator.frames.columns import Columns, SegmentCodes, not_none
from estimator.frames.datetimes import TimeZone
from estimator.ledger.label_hours import LabelHours, count_by_hour, no_hours
from estimator.metrics.measurement import Measurement, measure
from estimator.metrics.registry import Metric
from estimator.metrics.rows import Decisions, rows_of_columns

# Lengths of a chunk after which the ages of all its rows are taken to be the same.
OLD = 25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightedRows:
    """Chunks that were counted, laid out for evaluation.

    Attributes
    ----------
    columns : Columns
        A row per cell, in the order of the chunks, each of some weight.
    chunks : Chunks
        In time order, with the empty periods between.
    remarks : tuple of str
        Of each chunk.
    evidence : Evidence
        How long labels took; nothing of the shift, which the cells tell.
    """

    columns: Columns
    chunks: Chunks
    remarks: tuple[str, ...]
    evidence: Evidence


def rows_from_counts(
    tables: Sequence[CountTable],
    spec: Period | Edges,
    timezone: TimeZone,
    now: int | None = None,
    metrics: Collection[str] = SUMMED,
) -> WeightedRows:
    """Lay out at least one table; none of them may be of the same chunk.

    Parameters
    ----------
    tables : sequence of CountTable
        In any order.
    spec : Period or Edges
        By which rows fell into chunks.
    timezone : str, tzinfo or None
        Of the data.
    now : int, optional
        Until when labels have been looked for, in microseconds since 1970.
    metrics : collection of str, optional
        Those asked for, as when the rows were counted; of others nothing is laid out.
        Default: all.
    """
    tables = sorted(tables, key=lambda table: table.first)
    tables = _without_slots(tables, now)
    chunks = _chunks(tables, spec, timezone)

    def cells(name: str) -> np.ndarray:
        return np.concatenate([table.cells[name] for table in tables])

    label = cells("label").astype(np.float64)
    label[label == UNLABELED] = np.nan
    size = [table.cells["count"].size for table in tables]
    first = np.repeat([table.first for table in tables], size)
    time = first + cells("seconds").astype(np.int64) * 1_000_000
    score = np.concatenate([t.scores["score"][t.cells["score"]] for t in tables])
    adapted = all("calibrated" in table.cells for table in tables)
    weight = cells("count").astype(np.float64)
    segments, strata = _coded_columns(tables)
    columns = Columns(
        n_rows=score.size,
        score=score,
        decision=cells("decision"),
        label=label,
        timestamp=time.view("M8[us]"),
        timezone=timezone,
        segments=segments,
        delay_stratum=strata,
        missing_score=int(weight[np.isnan(score)].sum()),
        missing_decision=0,
        weight=weight,
        adapted=AdaptedSoftLabels(
            calibrated=cells("calibrated").astype(np.float64),
            inflation=cells("inflation"),
            unknown_shift=cells("outside"),
        )
        if adapted
        else None,
        contents=CellContents(
            spread=np.concatenate(
                [t.scores["spread"][t.cells["score"]] for t in tables]
            ),
            brier=_mean_losses("brier_score", tables, weight)
            if "brier_score" in metrics
            else None,
            log_loss=_mean_losses("log_loss", tables, weight)
            if "log_loss" in metrics
            else None,
        ),
    )
    remark = {table.label: table.remark for table in tables}
    n = len(chunks)
    return WeightedRows(
        columns=columns,
        chunks=chunks,
        remarks=tuple(remark.get(label, "") for label in chunks.label.tolist()),
        evidence=Evidence(
            information=np.zeros((n, 2, 2)),
            vector=np.zeros((n, 2)),
            arrivals=_arrivals(tables),
        ),
    )


def measure_counted(
    metrics: tuple[Metric, ...],
    columns: Columns,
    chunks: Chunks,
    spec: Period | Edges,
    groups: Groups,
    decision: Decisions,
) -> Measurement:
    """Measure labelled rows as their tables of counts say, group by group.

    Parameters
    ----------
    metrics : tuple of Metric
    columns, chunks : Columns, Chunks
        Rows with a time; those without score or label are left out.
    spec : Period or Edges
        By which the rows fell into chunks.
    groups : Groups
        The groups to measure, in their order.
    decision : Decisions
        How each row is decided.
    """
    names = [metric.name for metric in metrics]
    no_arrivals = replace(columns, labeled_at=None)
    tables = count_rows(
        no_arrivals,
        chunks,
        decision=decision,
        bands=np.empty(0, dtype=np.float64),
        metrics=names,
    )
    laid = rows_from_counts(tables, spec, columns.timezone, metrics=names)
    counted, label = laid.columns, not_none(laid.columns.label)
    segments = list(dict.fromkeys(groups.segment.tolist()))
    return measure(
        metrics,
        group_rows(counted, laid.chunks, segments).keep(
            ~np.isnan(counted.score) & ~np.isnan(label)
        ),
        rows_of_columns(counted, label, Decisions(by_row=not_none(counted.decision))),
    )


def add_up_hours(tables: Sequence[CountTable]) -> LabelHours:
    """Return the hours in which labels of any of the chunks came."""
    timed = [table.arrivals for table in tables if "hour" in table.arrivals]
    if not timed:
        return no_hours()
    return count_by_hour(
        np.concatenate([arrivals["hour"] for arrivals in timed]).astype(np.int64),
        np.concatenate([arrivals["came"] for arrivals in timed]).astype(np.float64),
    )


def _mean_losses(
    name: str, tables: Sequence[CountTable], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    mean = np.empty((2, weight.size))
    for label in (0, 1):
        sums = [table.cells[f"{name}/{label}"] for table in tables]
        np.multiply(np.concatenate(sums), LOSS_UNIT, out=mean[label])
    mean /= weight
    return mean


def _without_slots(tables: Sequence[CountTable], now: int | None) -> list[CountTable]:
    """Forget when, within their chunk, the rows of old ones were predicted."""
    laid = list(tables)

    def forget(i: int) -> None:
        laid[i] = without_slots(laid[i])

    for_each([i for i, table in enumerate(laid) if _is_old(table, now)], forget)
    return laid


def _is_old(table: CountTable, now: int | None) -> bool:
    """Whether it hardly matters when, within its chunk, a row was predicted."""
    return now is None or now - table.last > OLD * (table.last - table.first)


def _chunks(
    tables: Sequence[CountTable], spec: Period | Edges, timezone: TimeZone
) -> Chunks:
    ends = np.array([tables[0].first, tables[-1].last]).view("M8[us]")
    if isinstance(spec, Period):
        limit = np.iinfo(np.int64).max  # the rows have been cut into them already
        labels = spec.between(ends[0], ends[1], timezone, limit)[1]
    else:
        labels = spec.between(ends[0], ends[1], timezone)[1]
    position_of = {label: i for i, label in enumerate(labels)}
    position = np.array([position_of[table.label] for table in tables])
    size = np.zeros(len(labels), dtype=np.int64)
    size[position] = [table.cells["count"].size for table in tables]
    start = np.full(len(labels), "NaT", dtype="M8[us]")
    end = start.copy()
    start[position] = np.array([table.first for table in tables]).view("M8[us]")
    end[position] = np.array([table.last for table in tables]).view("M8[us]")
    label = np.empty(len(labels), dtype=object)
    label[:] = labels
    return Chunks(
        rows=None,
        offsets=np.concatenate([[0], np.cumsum(size)]),
        label=label,
        start=start,
        end=end,
        complete=np.ones(len(labels), dtype=np.bool_),
        timezone=timezone,
    )


def _coded_columns(
    tables: Sequence[CountTable],
) -> tuple[dict[Hashable, SegmentCodes], SegmentCodes | None]:
    """Return the segment columns of all cells, and the learned strata if any."""
    coded = {
        column: _segment(tables, i, column) for i, column in enumerate(tables[0].values)
    }
    strata = coded.pop(LEARNED, None)
    return coded, strata


def _segment(
    tables: Sequence[CountTable], position: int, column: Hashable
) -> SegmentCodes:
    names = sorted({value for table in tables for value in table.values[column]})
    index = {name: i for i, name in enumerate(names)}
    codes = [
        np.array([index[name] for name in table.values[column]], dtype=np.int16)[
            table.cells[f"code/{position}"]
        ]
        for table in tables
    ]
    return SegmentCodes(codes=np.concatenate(codes), values=names)


def _arrivals(tables: Sequence[CountTable]) -> dict[Hashable | None, Arrivals]:
    """Add up how long labels took, over all chunks, by segment and learned stratum.

    Left out are columns of more values than can tell much about each.
    """
    columns: list[Hashable | None] = [None, *tables[0].values]
    by_column: dict[Hashable | None, Arrivals] = {}
    for i, column in enumerate(columns):
        counted = [table for table in tables if f"place/{i}" in table.arrivals]
        values: tuple[str, ...] = ("",)
        if column is not None:
            values = tuple(sorted({v for t in counted for v in t.values[column]}))
            is_telling = all(len(t.values[column]) <= MAX_VALUES for t in tables)
            if not is_telling or len(values) > MAX_VALUES:
                continue
        if not counted:
            continue
        index = {value: k for k, value in enumerate(values)}
        count = np.zeros((2, len(values), N_BANDS, N_AGES))
        for table in counted:
            names = ("",) if column is None else table.values[column]
            shape = 2, len(names), N_BANDS, N_AGES
            outcome, value, band, age = np.unravel_index(
                table.arrivals[f"place/{i}"], shape
            )
            code = np.array([index[name] for name in names])[value]
            count[outcome, code, band, age] += table.arrivals[f"count/{i}"]
        by_column[column] = Arrivals(values=values, count=count)
    return by_column
