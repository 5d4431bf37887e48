"""Rows counted: the cells of a chunk, and how long its labels took."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.threads import for_each
from calibration.maps.logistic import clipped_logit
from estimator.chunking.chunks import Chunks
from estimator.delayed_labels.counts.cell_losses import sum_losses
from estimator.delayed_labels.counts.count_table import (
    SUMMED,
    UNLABELED,
    Cells,
    CountTable,
)
from estimator.delayed_labels.counts.score_cells import (
    EXACT,
    EXACT_SCORES,
    WAITING,
    ScoreCells,
    divide_scores,
)
from estimator.delayed_labels.strata.delay_cells import (
    MAX_VALUES,
    N_AGES,
    N_BANDS,
    age_step,
    delay_columns,
)
from estimator.frames.columns import Columns, not_none
from estimator.ledger.label_frame import NO_TIME, microseconds
from estimator.ledger.label_hours import count_by_hour
from estimator.metrics.rows import Decisions

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Soft labels of one score differ by features: they are told apart on a grid of log odds
# from -SOFT_GRID_END to SOFT_GRID_END.
N_SOFT_BINS, SOFT_GRID_END = 128, 12.0
# Rows that wait are told apart by when, within the chunk, they were predicted.
N_SLOTS = 8
_CLIP = 1e-9
# Of a float64, less room for values up to 256. Sums of such numbers know no order.
_EXACT_BITS = 53 - 8
_MEAN_BITS = 32
_MOST_KEYS = 1 << 62


def count_rows(
    columns: Columns,
    chunks: Chunks,
    *,
    decision: Decisions,
    bands: Floats,
    metrics: Collection[str] = SUMMED,
    remarks: Sequence[str] = (),
) -> list[CountTable]:
    """Count the rows of each chunk that has any.

    Parameters
    ----------
    columns, chunks : Columns, Chunks
        Rows with a time, and with labels (NaN where there is none).
    decision : Decisions
        How each row is decided.
    bands : ndarray of shape (N_BANDS - 1,)
        Scores between the bands by which delays may differ.
    metrics : collection of str
        Those asked for; sums of losses that none of them needs are left out. Default:
        all.
    remarks : sequence of str
        What there is to say of each chunk's features.
    """
    row_sets = chunks.row_sets()
    tables: dict[int, CountTable] = {}
    summed = [name for name in SUMMED if name in metrics]

    def count(c: int) -> None:
        rows = _read_rows(columns, row_sets[c], decision)
        tables[c] = _count_chunk(
            rows,
            bands,
            summed,
            label=str(chunks.label[c]),
            remark=remarks[c] if remarks else "",
        )

    full = np.flatnonzero(np.diff(chunks.offsets)).tolist()
    for_each(full, count)
    return [tables[c] for c in full]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """The rows of one chunk.

    Attributes
    ----------
    score : ndarray of shape (n_rows,)
        Score, NaN if it is missing.
    time : ndarray of int64, shape (n_rows,)
        Time of the prediction, in microseconds since 1970.
    outcome : ndarray of int64, shape (n_rows,)
        Label, UNLABELED where there is none.
    decision : ndarray of bool, shape (n_rows,)
        Decision of the model.
    codes : list of ndarray of int64, shape (n_rows,)
        By segment column and, last, learned stratum: codes into its values.
    values : dict of tuple of str
        By segment column and learned stratum, the values that occur, sorted.
    n_segments : int
        Number of the segment columns.
    means : dict of ndarray of shape (n_rows,)
        Soft labels by features, by name; empty without features.
    labeled_at : ndarray of int64, shape (n_rows,), or None
        Arrival of the label, in microseconds since 1970; None if that is not known.
    """

    score: Floats
    time: Integers
    outcome: Integers
    decision: NDArray[np.bool_]
    codes: list[Integers]
    values: Mapping[Hashable, tuple[str, ...]]
    n_segments: int
    means: Mapping[str, Floats]
    labeled_at: Integers | None


def _read_rows(columns: Columns, rows: Integers, decision: Decisions) -> _Rows:
    score = np.asarray(columns.score[rows], dtype=np.float64)
    label = not_none(columns.label)[rows]
    codes, values = [], {}
    for column, segment in delay_columns(columns).items():
        code, values[column] = _sort_codes(segment.codes[rows], segment.values)
        codes.append(code)
    adapted, labeled_at = columns.adapted, columns.labeled_at
    return _Rows(
        score=score,
        time=microseconds(not_none(columns.timestamp)[rows]),
        outcome=np.where(np.isnan(label), UNLABELED, label).astype(np.int64),
        decision=decision.take(rows, score),
        codes=codes,
        values=values,
        n_segments=len(columns.segments),
        means={} if adapted is None else adapted.take(rows).by_name(),
        labeled_at=None if labeled_at is None else microseconds(labeled_at[rows]),
    )


def _count_chunk(
    rows: _Rows, bands: Floats, summed: Sequence[str], *, label: str, remark: str
) -> CountTable:
    """Count the rows of one chunk.

    Parameters
    ----------
    rows : _Rows
    bands : ndarray of shape (N_BANDS - 1,)
        Scores between the bands by which delays may differ.
    summed : sequence of str
        Metrics whose losses are summed.
    label, remark : str
        Label of the chunk, and what there is to say of its features.
    """
    # Metrics are of segments, not of strata: these need no finer cells.
    segments = rows.codes[: rows.n_segments]
    scores = _divide(rows.score, rows.outcome, segments)
    latest, arrivals = _count_labels(rows, bands)
    return CountTable(
        label=label,
        first=int(rows.time.min()),
        last=int(rows.time.max()),
        latest_label=latest,
        values=rows.values,
        scores={"score": scores.score, "spread": scores.spread},
        cells=_count_cells(rows, scores, summed),
        arrivals=arrivals,
        remark=remark,
    )


def _count_cells(rows: _Rows, scores: ScoreCells, summed: Sequence[str]) -> Cells:
    """Count rows that differ in nothing that matters; columns as of `CountTable`."""
    first, last = int(rows.time.min()), int(rows.time.max())
    slot = (rows.time - first) * N_SLOTS // (last - first + 1)
    slot[rows.outcome != UNLABELED] = 0
    # The score comes first: the kernels then need not sort. Slots come last: the cells
    # of one score then lie side by side.
    keys: list[tuple[np.ndarray, int]] = [
        (scores.cell, scores.score.size),
        (rows.outcome, 3),
        (rows.decision, 2),
    ]
    n_values = [len(names) for names in rows.values.values()]
    keys += zip(rows.codes, n_values, strict=True)
    if rows.means:
        keys.append((_bin(rows.means["calibrated"], N_SOFT_BINS), N_SOFT_BINS + 1))
    row, cell = _distinct([*keys, (slot, N_SLOTS)])
    count = np.bincount(cell, minlength=row.size)
    seconds = (rows.time - first) // 1_000_000
    cells: Cells = {
        "count": count.astype(np.int64),
        "score": scores.cell[row],
        "decision": rows.decision[row],
        "label": rows.outcome[row].astype(np.int8),
        "begins": _begins(row, keys),
        "seconds": _mean(seconds, cell, count, 0).astype(np.int64),
    }
    for name, of_rows in rows.means.items():
        cells[name] = _mean(of_rows, cell, count, _MEAN_BITS)
    cells |= sum_losses(summed, rows.score, scores, rows.outcome, cell, row.size)
    for i, code in enumerate(rows.codes):
        cells[f"code/{i}"] = code[row].astype(np.int16)
    return cells


def _count_labels(
    rows: _Rows, bands: Floats
) -> tuple[int | None, dict[str, np.ndarray]]:
    """Return when the latest label came, and how long labels took.

    None and empty if it is not known when labels came.
    """
    arrived_at = rows.labeled_at
    if arrived_at is None:
        return None, {}
    came = np.flatnonzero((rows.outcome != UNLABELED) & (arrived_at != NO_TIME))
    latest = int(arrived_at[came].max()) if came.size else None
    hours = count_by_hour(arrived_at[came])
    came = came[~np.isnan(rows.score[came])]
    return latest, {
        "hour": hours.time,
        "came": hours.count.astype(np.int64),
        **_count_arrivals(
            rows.outcome[came],
            np.searchsorted(bands, rows.score[came]),
            np.maximum(arrived_at[came] - rows.time[came], 0) * 1e-6,
            [code[came] for code in rows.codes],
            [len(names) for names in rows.values.values()],
        ),
    }


def _divide(score: Floats, outcome: Integers, codes: Sequence[Integers]) -> ScoreCells:
    """Divide the scores of a chunk into cells; those that are missing are the last.

    Rows without a label have cells of their own, and wider ones: where each of them
    ranks is not asked before its label is known, and by when it came they are many.
    """
    usable = ~np.isnan(score)
    labeled = np.flatnonzero((outcome != UNLABELED) & usable)
    waiting = np.flatnonzero((outcome == UNLABELED) & usable)
    of_labeled = divide_scores(score[labeled], [code[labeled] for code in codes])
    few = score.size <= EXACT_SCORES
    of_waiting = divide_scores(score[waiting], fineness=EXACT if few else WAITING)
    parts = of_labeled.score, of_waiting.score, [np.nan]
    distinct, position = np.unique(np.concatenate(parts), return_inverse=True)
    first = of_labeled.score.size
    cell = np.full(score.size, distinct.size - 1)
    cell[labeled] = position[of_labeled.cell]
    cell[waiting] = position[first + of_waiting.cell]
    spread = np.zeros(distinct.size, dtype=np.bool_)
    spread[position[:first][of_labeled.spread]] = True
    spread[position[first:-1][of_waiting.spread]] = True
    return ScoreCells(score=distinct, spread=spread, cell=cell)


def _count_arrivals(
    outcome: Integers,
    band: NDArray[np.integer],
    seconds: Floats,
    codes: list[NDArray[np.int64]],
    n_values: list[int],
) -> dict[str, np.ndarray]:
    age = age_step(seconds)
    counted: dict[str, np.ndarray] = {}
    no_code = np.zeros(outcome.size, dtype=np.int64)
    for i, (code, n) in enumerate(zip([no_code, *codes], [1, *n_values], strict=True)):
        if n > MAX_VALUES:  # too many to tell much about each
            continue
        cell = np.ravel_multi_index((outcome, code, band, age), (2, n, N_BANDS, N_AGES))
        counted[f"place/{i}"], counted[f"count/{i}"] = np.unique(
            cell, return_counts=True
        )
    return counted


def _sort_codes(
    codes: NDArray[np.integer], values: Sequence[str]
) -> tuple[Integers, tuple[str, ...]]:
    """Return codes into the values that occur, in order of their text."""
    seen = np.flatnonzero(np.bincount(codes, minlength=len(values))).tolist()
    names = sorted(values[i] for i in seen)
    table = np.zeros(len(values), dtype=np.int64)
    for i in seen:
        table[i] = names.index(values[i])
    return table[codes], tuple(names)


def _bin(probability: Floats, n_bins: int) -> Integers:
    """Return the cell of each probability on a grid of log odds; the last for NaN."""
    missing = np.isnan(probability)
    x = clipped_logit(np.where(missing, 0.5, probability), _CLIP)
    position = np.floor((x + SOFT_GRID_END) * (n_bins / (2.0 * SOFT_GRID_END)))
    cell = np.clip(position, 0, n_bins - 1).astype(np.int64)
    cell[missing] = n_bins
    return cell


def _distinct(keys: list[tuple[np.ndarray, int]]) -> tuple[Integers, Integers]:
    """Return a row of each combination of keys that occurs, and each row's position.

    Combinations come in the order of their keys.
    """
    joined, radix = keys[0][0].astype(np.int64), keys[0][1]
    for key, n in keys[1:]:
        if radix * n > _MOST_KEYS:
            distinct, joined = np.unique(joined, return_inverse=True)
            radix = distinct.size
        joined, radix = joined * n + key, radix * n
    # Any row of a combination stands for it: to look for the first costs a slower sort.
    distinct, position = np.unique(joined, return_inverse=True)
    row = np.empty(distinct.size, dtype=np.int64)
    row[position] = np.arange(position.size)
    return row, position


def _begins(row: Integers, keys: list[tuple[np.ndarray, int]]) -> NDArray[np.bool_]:
    """Return which cells differ from the one before in more than their slot."""
    begins = np.zeros(row.size, dtype=np.bool_)
    begins[0] = True
    for key, _ in keys:
        of_cells = key[row]
        begins[1:] |= of_cells[1:] != of_cells[:-1]
    return begins


def _mean(values: np.ndarray, cell: Integers, count: Integers, bits: int) -> Floats:
    """Average by cell, through whole numbers: the order of the rows does not matter."""
    bits = max(0, min(bits, _EXACT_BITS - int(count.max()).bit_length()))
    whole = np.rint(values * float(1 << bits))
    mean: Floats = np.bincount(cell, whole, count.size) / (count * float(1 << bits))
    return mean
