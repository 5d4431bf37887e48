"""A chunk as a table of counts: what is kept of its rows once they have been read.

Rows of about the same score, and of the same decision, label, segments and (roughly)
time, are one cell: a row that stands for many. All that is said of a chunk follows from
its cells, by the same kernels as from rows. Cells hold whole numbers and means of
fixed-point sums, so a table does not depend on the order in which its rows were read.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration._logistic import clipped_logit
from calibration._threads import for_each
from estimator.chunking import Chunks
from estimator.delayed_labels.arrivals import (
    MAX_VALUES,
    N_AGES,
    N_BANDS,
    age_step,
)
from estimator.delayed_labels.label_frame import NO_TIME, microseconds
from estimator.frames import Columns, required

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Cells = dict[str, NDArray[Any]]

# Scores are told apart on a grid of log odds, which no fit moves: 1,024 cells for many
# rows, and more by powers of two for fewer, so that hardly two rows share one where a
# tie of theirs could be seen in ROC AUC.
GRID_END = 12.0
LEAST_BITS, MOST_BITS = 10, 20
MANY_ROWS = 1 << 17
# Soft labels of one score differ by features: they are told apart on a coarser grid.
N_SOFT_BINS = 128
# Rows that wait are told apart by when, within the chunk, they were predicted.
N_SLOTS = 8
UNLABELED = 2
_MEANS = ("score", "seconds", "calibrated", "inflation", "outside")
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
    cells : dict of ndarray of shape (n_cells,)
        ``count`` of rows; ``score``, mean, NaN where it is missing; ``decision``;
        ``label``, 2 for none; ``seconds`` from ``first``, mean; ``begins``, whether
        more than time tells the cell from the one before; ``code/<i>`` of segment
        column ``i``; with features ``calibrated``, ``inflation``, ``outside``, means.
    arrivals : dict of ndarray
        How long labels took: ``place/<i>`` of the cells of `Arrivals.count` that are
        not 0, and ``count/<i>``; 0 is over all rows, ``i + 1`` by segment column ``i``.
    remark : str
        What there is to say of its features.
    """

    label: str
    first: int
    last: int
    latest_label: int | None
    values: Mapping[Hashable, tuple[str, ...]]
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
        return int(self.cells["count"][np.isnan(self.cells["score"])].sum())


def count_rows(
    columns: Columns,
    chunks: Chunks,
    *,
    decision: NDArray[np.bool_] | float,
    bands: Floats,
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
    remark: str,
) -> CountTable:
    score = np.asarray(columns.score[rows], dtype=np.float64)
    decided = decision[rows] if isinstance(decision, np.ndarray) else score >= decision
    time = microseconds(required(columns.timestamp)[rows])
    first, last = int(time.min()), int(time.max())
    known = required(columns.label)[rows]
    outcome = np.where(np.isnan(known), UNLABELED, known).astype(np.int64)
    slot = (time - first) * N_SLOTS // (last - first + 1)
    slot[outcome != UNLABELED] = 0
    codes, values = [], {}
    for column, found in columns.segments.items():
        code, values[column] = _sort_codes(found.codes[rows], found.values)
        codes.append(code)
    keys = [(outcome, 3), (decided, 2)]
    keys += [(code, len(of)) for code, of in zip(codes, values.values(), strict=True)]
    n_bins = grid_size(rows.size)
    keys.append((_bin(score, n_bins), n_bins + 1))
    means = {"score": score}
    if columns.calibrated is not None:
        means["calibrated"] = columns.calibrated[rows]
        means["inflation"] = required(columns.inflation)[rows]
        means["outside"] = required(columns.outside)[rows]
        keys.append((_bin(means["calibrated"], N_SOFT_BINS), N_SOFT_BINS + 1))
    # Slots last: the cells of one score then lie side by side.
    row, cell = _distinct([*keys, (slot, N_SLOTS)])
    count = np.bincount(cell, minlength=row.size)
    cells: Cells = {
        "count": count.astype(np.int64),
        "decision": decided[row],
        "label": outcome[row].astype(np.int8),
        "begins": _begins(row, keys),
        "seconds": _mean((time - first) // 1_000_000, cell, count, 0).astype(np.int64),
    }
    for name, of_rows in means.items():
        cells[name] = _mean(of_rows, cell, count, _MEAN_BITS)
    for i, code in enumerate(codes):
        cells[f"code/{i}"] = code[row].astype(np.int16)
    latest, arrivals = None, {}
    if columns.labeled_at is not None:
        at = microseconds(columns.labeled_at[rows])
        came = np.flatnonzero((outcome != UNLABELED) & (at != NO_TIME))
        latest = int(at[came].max()) if came.size else None
        came = came[~np.isnan(score[came])]
        arrivals = _count_arrivals(
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
        cells=cells,
        arrivals=arrivals,
        remark=remark,
    )


def grid_size(n_rows: int) -> int:
    """Return how many cells the scores of a chunk are told apart by.

    Examples
    --------
    >>> grid_size(1_000_000), grid_size(20_000), grid_size(100)
    (1024, 8192, 1048576)
    """
    bits = LEAST_BITS + math.ceil(math.log2(MANY_ROWS / n_rows))
    return 1 << min(max(bits, LEAST_BITS), MOST_BITS)


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
    place = np.floor((x + GRID_END) * (n_bins / (2.0 * GRID_END)))
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
    _, row, place = np.unique(joined, return_index=True, return_inverse=True)
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
        elif name != "count":
            merged[name] = values[starts]
    return replace(table, cells=merged)


def _mean(values: NDArray[Any], cell: Integers, count: Integers, bits: int) -> Floats:
    """Average by cell, through whole numbers: the order of the rows does not matter."""
    bits = max(0, min(bits, _EXACT_BITS - int(count.max()).bit_length()))
    whole = np.rint(values * float(1 << bits))
    mean: Floats = np.bincount(cell, whole, count.size) / (count * float(1 << bits))
    return mean
