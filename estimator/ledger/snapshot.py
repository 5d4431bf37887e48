"""The rows and labels known at one moment, as columns and chunks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from estimator.chunking.chunks import Chunks, ChunkSpec, make_chunks
from estimator.chunking.edges import Edges
from estimator.chunking.periods import Period
from estimator.frames.adapted_soft_labels import (
    AdaptedSoftLabels,
    join_soft_labels,
    no_soft_labels,
)
from estimator.frames.categories import stratum_codes
from estimator.frames.columns import Columns, SegmentCodes, not_none
from estimator.ledger.label_events import latest_labels
from estimator.ledger.label_frame import NO_TIME
from estimator.ledger.ledger import ChunkRows, Ledger


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """What was known at one moment.

    Attributes
    ----------
    columns : Columns
        Rows in the order of their chunks; labels are NaN where none had come.
    chunks : Chunks
        Chunks in time order, with the empty periods between.
    serial : ndarray of shape (n_chunks,)
        Serial number of each chunk in the ledger; -1 for an empty period.
    position : ndarray of shape (n_chunks,)
        Position of each chunk among all there are, empty periods included.
    position_by_serial : ndarray of shape (n_serials,)
        Position of each of the ledger's chunks among all.
    labels : sequence of str or int
        Labels of all chunks there are, by position.
    remarks : tuple of str
        What there is to say of each chunk's features.
    """

    columns: Columns
    chunks: Chunks
    serial: NDArray[np.int64]
    position: NDArray[np.int64]
    position_by_serial: NDArray[np.int64]
    labels: Sequence[str | int]
    remarks: tuple[str, ...]


def take_snapshot(
    ledger: Ledger,
    spec: ChunkSpec,
    as_of: int | None = None,
    only: Collection[int] | None = None,
) -> Snapshot:
    """Return the rows predicted, and the labels that had come, by a moment.

    Parameters
    ----------
    ledger : Ledger
        All rows and labels.
    spec : result of `estimator.chunking.chunks.check_chunk`
        Rule by which the rows fell into chunks.
    as_of : int, optional
        Moment, in microseconds since 1970; None is all. Rows without a time count
        always.
    only : collection of int, optional
        Serial numbers of the chunks to look at; default: all.
    """
    by_count = spec is None or isinstance(spec, int)
    wanted = range(len(ledger.chunks)) if only is None else sorted(only)
    kept = {s: _rows_by(ledger.chunks[s], as_of, in_time=not by_count) for s in wanted}
    n_rows = {s: ledger.chunks[s].score[rows].size for s, rows in kept.items()}
    order = [s for s in wanted if n_rows[s]]
    if not by_count:
        order.sort(key=lambda s: not_none(ledger.chunks[s].first))
    sizes = [n_rows[s] for s in order]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    columns = _flatten(ledger, order, kept, offsets, as_of)
    serial = np.array(order, dtype=np.int64)
    position = position_by_serial = np.arange(len(ledger.chunks))
    labels: Sequence[str | int]
    if spec is None or isinstance(spec, int) or not order:
        asked = spec if isinstance(spec, int) else None
        chunks = _as_counted(ledger, columns, serial, offsets, asked)
        position, labels = serial, [chunk.label for chunk in ledger.chunks]
    else:
        chunks = make_chunks(columns.n_rows, spec, columns.timestamp, ledger.timezone)
        full = np.diff(chunks.offsets) > 0
        serial = np.full(len(chunks), -1, dtype=np.int64)
        serial[full] = order
        labels = chunks.label.tolist() if only is None else _all_labels(ledger, spec)
        position_of = {label: i for i, label in enumerate(labels)}
        position = np.array([position_of[label] for label in chunks.label.tolist()])
        position_by_serial = np.array(
            [position_of.get(chunk.label, -1) for chunk in ledger.chunks]
        )
    return Snapshot(
        columns=columns,
        chunks=chunks,
        serial=serial,
        position=position,
        position_by_serial=position_by_serial,
        labels=labels,
        remarks=tuple(
            ledger.chunks[s].remark if s >= 0 else "" for s in serial.tolist()
        ),
    )


def part_of_snapshot(snapshot: Snapshot, which: slice) -> tuple[Columns, Chunks]:
    """Return some of a snapshot's chunks, with their rows."""
    columns, chunks = snapshot.columns, snapshot.chunks
    if which == slice(0, len(chunks)):
        return columns, chunks
    offsets = chunks.offsets[which.start : which.stop + 1]
    rows = slice(offsets[0], offsets[-1])

    taken = columns.take(rows)
    missing, weight = np.isnan(taken.score), taken.weight
    n_missing = missing.sum() if weight is None else weight[missing].sum()
    taken = replace(taken, missing_score=int(n_missing), missing_decision=0)
    return taken, Chunks(
        rows=None,
        offsets=offsets - offsets[0],
        label=chunks.label[which],
        start=chunks.start[which],
        end=chunks.end[which],
        complete=chunks.complete[which],
        asked=chunks.asked,
        timezone=chunks.timezone,
    )


def _all_labels(ledger: Ledger, spec: Period | Edges) -> list[str]:
    """Return the labels of all periods from the first row to the last."""
    # Of a thousand chunks, at every call: without a step of Python for each.
    first = min(map(attrgetter("first"), ledger.chunks))
    last = max(map(attrgetter("last"), ledger.chunks))
    ends = np.array([first, last]).view("M8[us]")
    if isinstance(spec, Period):
        limit = np.iinfo(np.int64).max  # the rows have been cut into them already
        return spec.between(ends[0], ends[1], ledger.timezone, limit)[1]
    return spec.between(ends[0], ends[1], ledger.timezone)[1]


def _rows_by(
    chunk: ChunkRows, as_of: int | None, *, in_time: bool
) -> NDArray[np.int64] | slice:
    """Return which rows there were, in which order."""
    time = chunk.time
    if time is None:
        return slice(None)
    is_known: NDArray[np.bool_] | slice = slice(None)
    if as_of is not None and not_none(chunk.last) > as_of:
        is_known = time <= as_of
    ordered = not in_time or bool((time[1:] >= time[:-1]).all())
    if ordered:
        return is_known if isinstance(is_known, slice) else np.flatnonzero(is_known)
    rows = np.argsort(time, kind="stable")
    return rows if isinstance(is_known, slice) else rows[is_known[rows]]


def _flatten(
    ledger: Ledger,
    order: Sequence[int],
    kept: Mapping[int, NDArray[np.int64] | slice],
    offsets: NDArray[np.int64],
    as_of: int | None,
) -> Columns:
    n = int(offsets[-1])
    chunks = [ledger.chunks[s] for s in order]
    first = ledger.chunks[0] if ledger.chunks else None
    score = np.empty(n)
    label = np.full(n, np.nan)
    decision = time = None
    if first is not None and first.decision is not None:
        decision = np.empty(n, dtype=np.bool_)
    arrived_at = np.full(n, NO_TIME)
    if first is not None and first.time is not None:
        time = np.empty(n, dtype=np.int64)
    codes = {column: np.empty(n, dtype=np.int16) for column in ledger.values}
    for i, (s, chunk) in enumerate(zip(order, chunks, strict=True)):
        part, rows = slice(offsets[i], offsets[i + 1]), kept[s]
        score[part] = chunk.score[rows]
        if decision is not None:
            decision[part] = not_none(chunk.decision)[rows]
        if time is not None:
            time[part] = not_none(chunk.time)[rows]
        for column, code in codes.items():
            code[part] = chunk.codes[column][rows]
        if chunk.events.location.size:
            last = latest_labels(chunk.events, as_of)
            if isinstance(rows, slice):
                row_labeled = offsets[i] + last.location
                label[row_labeled] = last.value
                arrived_at[row_labeled] = last.arrived_at
            else:
                labels = np.full(chunk.score.size, np.nan)
                labels[last.location] = last.value
                label[part] = labels[rows]
                arrivals = np.full(chunk.score.size, NO_TIME)
                arrivals[last.location] = last.arrived_at
                arrived_at[part] = arrivals[rows]
    # Always known: nobody knows since when.
    arrived_at[arrived_at == NO_TIME + 1] = NO_TIME
    missing = int(np.isnan(score).sum())
    return Columns(
        n_rows=n,
        score=score,
        decision=decision,
        label=label,
        timestamp=None
        if time is None
        else time.view("M8[us]").astype(f"M8[{ledger.unit}]", copy=False),
        timezone=ledger.timezone,
        segments={
            column: SegmentCodes(codes=code, values=list(ledger.values[column]))
            for column, code in codes.items()
        },
        # A missing decision has made the score missing.
        missing_score=missing,
        missing_decision=0,
        labeled_at=arrived_at.view("M8[us]"),
        adapted=_flatten_adapted(chunks, [kept[s] for s in order], offsets),
        delay_stratum=_flatten_strata(chunks, [kept[s] for s in order], offsets),
    )


def _flatten_strata(
    chunks: Sequence[ChunkRows],
    kept: Sequence[NDArray[np.int64] | slice],
    offsets: NDArray[np.int64],
) -> SegmentCodes | None:
    """Return the strata of the delay of all kept rows, or None if none has any."""
    if all(chunk.stratum is None for chunk in chunks):
        return None
    stratum = np.full(int(offsets[-1]), -1, dtype=np.int8)
    for i, (chunk, rows) in enumerate(zip(chunks, kept, strict=True)):
        if chunk.stratum is not None:
            stratum[offsets[i] : offsets[i + 1]] = chunk.stratum[rows]
    return stratum_codes(stratum)


def _flatten_adapted(
    chunks: Sequence[ChunkRows],
    kept: Sequence[NDArray[np.int64] | slice],
    offsets: NDArray[np.int64],
) -> AdaptedSoftLabels | None:
    """Return the soft labels by features of all kept rows, or None if none has any."""
    if all(chunk.adapted is None for chunk in chunks):
        return None
    return join_soft_labels(
        [
            no_soft_labels(size) if chunk.adapted is None else chunk.adapted.take(rows)
            for chunk, rows, size in zip(
                chunks, kept, np.diff(offsets).tolist(), strict=True
            )
        ]
    )


def _as_counted(
    ledger: Ledger,
    columns: Columns,
    serial: NDArray[np.int64],
    offsets: NDArray[np.int64],
    spec: int | None,
) -> Chunks:
    """Return chunks of a number of rows, as they were filled."""
    label = np.empty(serial.size, dtype=object)
    label[:] = [ledger.chunks[s].label for s in serial]
    moment = columns.timestamp
    start: np.ndarray
    end: np.ndarray
    if moment is None:
        start, end = offsets[:-1], offsets[1:] - 1
    elif serial.size:
        start = np.minimum.reduceat(moment, offsets[:-1])
        end = np.maximum.reduceat(moment, offsets[:-1])
    else:
        start = end = moment
    sizes = np.diff(offsets)
    return Chunks(
        rows=None,
        offsets=offsets,
        label=label,
        start=start,
        end=end,
        complete=np.ones(serial.size, dtype=np.bool_)
        if spec is None
        else sizes == spec,
        asked=spec,
        timezone=ledger.timezone,
    )
