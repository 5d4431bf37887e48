"""A chunk as a table of counts: what is kept of its rows once they have been read.

Rows of about the same score, and of the same decision, label, segments and (roughly)
time, are one cell: a row that stands for many. All that is said of a chunk follows from
its cells, by the same kernels as from rows. A cell has one score whatever the label
(:mod:`estimator.delayed_labels.counts.score_cells`), so that its positives and
negatives are tied, and never ranked. Cells hold whole numbers and means of fixed-point
sums, so a table does not depend on the order in which its rows were read.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.threads import for_each
from calibration.maps.logistic import clipped_logit
from estimator.chunking.chunks import Chunks
from estimator.delayed_labels.arrivals import MAX_VALUES, N_AGES, N_BANDS, age_step
from estimator.delayed_labels.counts.score_cells import (
    EXACT,
    EXACT_SCORES,
    WAITING,
    ScoreCells,
    divide_scores,
)
from estimator.frames.columns import Columns, not_none
from estimator.ledger.label_frame import NO_TIME, microseconds
from estimator.ledger.label_hours import count_by_hour
from estimator.metrics.soft_label_sums import LOG_LOSS_CLIP

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Cells = dict[str, NDArray[Any]]

# Soft labels of one score differ by features: they are told apart on a grid of log odds
# from -SOFT_GRID_END to SOFT_GRID_END.
N_SOFT_BINS, SOFT_GRID_END = 128, 12.0
# Rows that wait are told apart by when, within the chunk, they were predicted.
N_SLOTS = 8
UNLABELED = 2
# Losses are kept in units of 2^-30: the mean of rounded ones is off by 5e-10 at most.
LOSS_UNIT = 2.0**-30
SUMMED = ("brier_score", "log_loss")  # the metrics that are sums of losses
LOSSES = tuple(f"{name}/{label}" for name in SUMMED for label in (0, 1))
_MEANS = ("seconds", "calibrated", "inflation", "outside")
_CLIP = 1e-9
# Of a float64, less room for values up to 256. Sums of such numbers know no order.
_EXACT_BITS = 53 - 8
_MEAN_BITS = 32
_MOST_KEYS = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountTable:
    """The rows of one chunk, counted.

    Attributes
    ----------
    label : str
        Of the chunk: ISO start of its period.
    first, last : int
        Earliest and latest time of its rows, in microseconds since 1970.
    latest_label : int or None
        Latest arrival of a label.
    values : dict of tuple of str
        By segment column, what the codes of ``cells`` mean.
    scores : dict of ndarray of shape (n_scores,)
        Cells of the score: ``score``, rising, the last NaN for missing ones;
        ``spread``, whether rows of the cell have several scores.
    cells : dict of ndarray of shape (n_cells,)
        ``count`` of rows; ``score``, place among ``scores``; ``decision``; ``label``,
        2 for none; ``seconds`` from ``first``, mean; ``begins``, whether more than time
        tells the cell from the one before; ``code/<i>`` of segment column ``i``; with
        features ``calibrated``, ``inflation``, ``outside``, means. ``brier_score/<y>``
        and ``log_loss/<y>``, if asked for: sum over the rows of the loss if their label
        is ``y``, less the loss at the score of their cell, in units of LOSS_UNIT; 0 of
        rows whose label is another.
    arrivals : dict of ndarray
        How long labels took: ``place/<i>`` of the cells of `Arrivals.count` that are
        not 0, and ``count/<i>``; 0 is over all rows, ``i + 1`` by segment column ``i``.
        ``hour`` and ``came``: `LabelHours` of all that have a time, also of rows
        without a usable score.
    remark : str
        What there is to say of its features.
    """

    label: str
    first: int
    last: int
    latest_label: int | None
    values: Mapping[Hashable, tuple[str, ...]]
    scores: Mapping[str, NDArray[Any]]
    cells: Mapping[str, NDArray[Any]]
    arrivals: Mapping[str, NDArray[Any]]
    remark: str = ""

    @property
    def n_rows(self) -> int:
        """Rows delivered, usable or not."""
        return int(self.cells["count"].sum())

    @property
    def n_labels(self) -> int:
        """Rows that have a label."""
        labeled = self.cells["label"] != UNLABELED
        return int(self.cells["count"][labeled].sum())

    @property
    def n_missing(self) -> int:
        """Rows without a usable score."""
        missing = np.isnan(self.scores["score"])[self.cells["score"]]
        return int(self.cells["count"][missing].sum())


def count_rows(
    columns: Columns,
    chunks: Chunks,
    *,
    decision: NDArray[np.bool_] | float,
    bands: Floats,
    metrics: Collection[str] = SUMMED,
    remarks: Sequence[str] = (),
) -> list[CountTable]:
    """Count the rows of each chunk that has any.

    Parameters
    ----------
    columns, chunks : Columns, Chunks
        Rows with a time, and with labels (NaN where there is none).
    decision : ndarray of shape (n_rows,), or float
        Decision of each row, or the score from which it is positive.
    bands : ndarray of shape (N_BANDS - 1,)
        Scores between the bands by which delays may differ.
    metrics : collection of str
        Those asked for; sums of losses that none of them needs are left out. Default:
        all.
    remarks : sequence of str
        What there is to say of each chunk's features.
    """
    rows = chunks.row_sets()
    tables: dict[int, CountTable] = {}

    def count(c: int) -> None:
        tables[c] = _count_chunk(
            columns,
            rows[c],
            label=str(chunks.label[c]),
            decision=decision,
            bands=bands,
            metrics=metrics,
            remark=remarks[c] if remarks else "",
        )

    full = np.flatnonzero(np.diff(chunks.offsets)).tolist()
    for_each(full, count)
    return [tables[c] for c in full]


def _count_chunk(
    columns: Columns,
    rows: Integers,
    *,
    label: str,
    decision: NDArray[np.bool_] | float,
    bands: Floats,
    metrics: Collection[str],
    remark: str,
) -> CountTable:
    score = np.asarray(columns.score[rows], dtype=np.float64)
    decided = decision[rows] if isinstance(decision, np.ndarray) else score >= decision
    time = microseconds(not_none(columns.timestamp)[rows])
    first, last = int(time.min()), int(time.max())
    known = not_none(columns.label)[rows]
    outcome = np.where(np.isnan(known), UNLABELED, known).astype(np.int64)
    slot = (time - first) * N_SLOTS // (last - first + 1)
    slot[outcome != UNLABELED] = 0
    codes, values = [], {}
    for column, found in columns.segments.items():
        code, values[column] = _sort_codes(found.codes[rows], found.values)
        codes.append(code)
    # The score comes first: the kernels then need not sort. Slots come last: the cells
    # of one score then lie side by side.
    scores = _divide(score, outcome, codes)
    keys = [(scores.cell, scores.score.size), (outcome, 3), (decided, 2)]
    keys += [(code, len(of)) for code, of in zip(codes, values.values(), strict=True)]
    means = {}
    if columns.adapted is not None:
        means = columns.adapted.take(rows).by_name()
        keys.append((_bin(means["calibrated"], N_SOFT_BINS), N_SOFT_BINS + 1))
    row, cell = _distinct([*keys, (slot, N_SLOTS)])
    count = np.bincount(cell, minlength=row.size)
    cells: Cells = {
        "count": count.astype(np.int64),
        "score": scores.cell[row],
        "decision": decided[row],
        "label": outcome[row].astype(np.int8),
        "begins": _begins(row, keys),
        "seconds": _mean((time - first) // 1_000_000, cell, count, 0).astype(np.int64),
    }
    for name, of_rows in means.items():
        cells[name] = _mean(of_rows, cell, count, _MEAN_BITS)
    summed = [name for name in SUMMED if name in metrics]
    cells |= _sum_losses(summed, score, scores, outcome, cell, row.size)
    for i, code in enumerate(codes):
        cells[f"code/{i}"] = code[row].astype(np.int16)
    latest, arrivals = None, {}
    if columns.labeled_at is not None:
        at = microseconds(columns.labeled_at[rows])
        came = np.flatnonzero((outcome != UNLABELED) & (at != NO_TIME))
        latest = int(at[came].max()) if came.size else None
        hours = count_by_hour(at[came])
        came = came[~np.isnan(score[came])]
        arrivals = {"hour": hours.time, "came": hours.count.astype(np.int64)}
        arrivals |= _count_arrivals(
            outcome[came],
            np.searchsorted(bands, score[came]),
            np.maximum(at[came] - time[came], 0) * 1e-6,
            [code[came] for code in codes],
            [len(of) for of in values.values()],
        )
    return CountTable(
        label=label,
        first=first,
        last=last,
        latest_label=latest,
        values=values,
        scores={"score": scores.score, "spread": scores.spread},
        cells=cells,
        arrivals=arrivals,
        remark=remark,
    )


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
    distinct, place = np.unique(np.concatenate(parts), return_inverse=True)
    first = of_labeled.score.size
    cell = np.full(score.size, distinct.size - 1)
    cell[labeled] = place[of_labeled.cell]
    cell[waiting] = place[first + of_waiting.cell]
    spread = np.zeros(distinct.size, dtype=np.bool_)
    spread[place[:first][of_labeled.spread]] = True
    spread[place[first:-1][of_waiting.spread]] = True
    return ScoreCells(score=distinct, spread=spread, cell=cell)


def _sum_losses(
    names: Sequence[str],
    score: Floats,
    scores: ScoreCells,
    outcome: Integers,
    cell: Integers,
    n_cells: int,
) -> Cells:
    """Sum what rows lose, less what they would at the score of their cell."""
    sums: Cells = {}
    rows = np.flatnonzero(scores.spread[scores.cell])
    for label in (0, 1):
        asked = rows[outcome[rows] != 1 - label]
        at, own = scores.cell[asked], cell[asked]
        for name in names:
            of_rows = _losses(name, score[asked], label)
            of_cells = _losses(name, scores.score, label)
            whole = np.rint((of_rows - of_cells[at]) / LOSS_UNIT)
            # Sums of whole numbers below 2^53: exact, so their order does not matter.
            total = np.bincount(own, whole, n_cells)
            sums[f"{name}/{label}"] = total.astype(np.int64)
    return sums


def _losses(name: str, score: Floats, label: int) -> Floats:
    """Return Brier score or log loss, as scikit-learn has them, of each score."""
    if name == "brier_score":
        squared: Floats = (score - label) ** 2
        return squared
    clipped = np.clip(score, LOG_LOSS_CLIP, 1.0 - LOG_LOSS_CLIP)
    log: Floats = np.log(clipped) if label else np.log1p(-clipped)
    return -log


def _count_arrivals(
    outcome: Integers,
    band: NDArray[np.integer],
    seconds: Floats,
    codes: list[NDArray[np.int64]],
    n_values: list[int],
) -> dict[str, NDArray[Any]]:
    age = age_step(seconds)
    counted: dict[str, NDArray[Any]] = {}
    everyone = np.zeros(outcome.size, dtype=np.int64)
    for i, (code, n) in enumerate(zip([everyone, *codes], [1, *n_values], strict=True)):
        if n > MAX_VALUES:  # too many to tell much about each
            continue
        place = np.ravel_multi_index(
            (outcome, code, band, age), (2, n, N_BANDS, N_AGES)
        )
        counted[f"place/{i}"], counted[f"count/{i}"] = np.unique(
            place, return_counts=True
        )
    return counted


def _sort_codes(
    codes: NDArray[np.integer[Any]], values: Sequence[str]
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
    place = np.floor((x + SOFT_GRID_END) * (n_bins / (2.0 * SOFT_GRID_END)))
    found = np.clip(place, 0, n_bins - 1).astype(np.int64)
    found[missing] = n_bins
    return found


def _distinct(keys: list[tuple[NDArray[Any], int]]) -> tuple[Integers, Integers]:
    """Return a row of each combination of keys that occurs, and each row's place.

    Combinations come in the order of their keys.
    """
    joined, radix = keys[0][0].astype(np.int64), keys[0][1]
    for key, n in keys[1:]:
        if radix * n > _MOST_KEYS:
            found, joined = np.unique(joined, return_inverse=True)
            radix = found.size
        joined, radix = joined * n + key, radix * n
    # Any row of a combination stands for it: to look for the first costs a slower sort.
    distinct, place = np.unique(joined, return_inverse=True)
    row = np.empty(distinct.size, dtype=np.int64)
    row[place] = np.arange(place.size)
    return row, place


def _begins(row: Integers, keys: list[tuple[NDArray[Any], int]]) -> NDArray[np.bool_]:
    """Return which cells differ from the one before in more than their slot."""
    begins = np.zeros(row.size, dtype=np.bool_)
    begins[0] = True
    for key, _ in keys:
        own = key[row]
        begins[1:] |= own[1:] != own[:-1]
    return begins


def without_slots(table: CountTable) -> CountTable:
    """Return a table whose cells no longer tell when their rows were predicted."""
    cells = table.cells
    starts = np.flatnonzero(cells["begins"])
    weight = cells["count"].astype(np.float64)
    count = np.add.reduceat(weight, starts)
    merged: Cells = {"count": count.astype(np.int64)}
    for name, values in cells.items():
        if name in _MEANS:
            total = np.add.reduceat(values * weight, starts)
            merged[name] = (total / count).astype(values.dtype)
        elif name in LOSSES:
            merged[name] = np.add.reduceat(values.astype(np.int64), starts)
        elif name != "count":
            merged[name] = values[starts]
    return replace(table, cells=merged)


def _mean(values: NDArray[Any], cell: Integers, count: Integers, bits: int) -> Floats:
    """Average by cell, through whole numbers: the order of the rows does not matter."""
    bits = max(0, min(bits, _EXACT_BITS - int(count.max()).bit_length()))
    whole = np.rint(values * float(1 << bits))
    mean: Floats = np.bincount(cell, whole, count.size) / (count * float(1 << bits))
    return mean
