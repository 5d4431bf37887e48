"""How long labels took, counted: by class, score band, segment or stratum, and age.

Counts add up over chunks and machines.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from estimator.delayed_labels.strata.delay_cells import (
    MAX_VALUES,
    N_AGES,
    N_BANDS,
    age_step,
    delay_columns,
)
from estimator.delayed_labels.strata.partition import (
    delay_groups,
    dependence_evidence,
)
from estimator.frames.columns import Columns, not_none

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrivals:
    """Labels by how long they took; these counts add up over chunks and machines.

    Attributes
    ----------
    values : tuple of str
        The column's values; one empty string without a column.
    count : ndarray of shape (2, n_values, N_BANDS, N_AGES)
        By label, the column's value, score band and age at arrival.
    """

    values: tuple[str, ...]
    count: Floats


def count_arrivals(
    values: tuple[str, ...],
    *,
    label: Floats,
    code: NDArray[np.integer],
    band: NDArray[np.integer],
    seconds: Floats,
    weight: Floats | None = None,
) -> Arrivals:
    """Count labels by what they are and how long they took (0 if before the row).

    Each counts as many times as its ``weight`` says; None: once.
    """
    shape = 2, len(values), N_BANDS, N_AGES
    cell = np.ravel_multi_index(
        (label.astype(np.int64), code, band, age_step(seconds.clip(0.0))), shape
    )
    count = np.bincount(cell, weight, int(np.prod(shape))).astype(np.float64)
    return Arrivals(values=values, count=count.reshape(shape))


def merge_arrivals(first: Arrivals, second: Arrivals | None) -> Arrivals:
    """Add up counts, whatever values either has seen; the order does not matter."""
    if second is None:
        return first
    values = tuple(sorted({*first.values, *second.values}))
    count = np.zeros((2, len(values), N_BANDS, N_AGES))
    for part in (first, second):
        count[:, [values.index(value) for value in part.values]] += part.count
    return Arrivals(values=values, count=count)


def choose_column(arrivals: Mapping[Hashable | None, Arrivals]) -> Hashable | None:
    """Return the column whose values differ most in their delays, or None.

    Candidates are segment columns and the learned strata. Evidence is a
    likelihood-ratio test of independence of value and (grouped) delay, by class and
    score band, less Akaike's price of its parameters.
    """
    best: tuple[float, Hashable | None] = (0.0, None)
    for column, counts in arrivals.items():
        if column is None or len(counts.values) > MAX_VALUES:
            continue
        total = counts.count.sum(axis=(0, 1, 2))
        if not total.any():
            continue
        group = delay_groups(total)
        starts = np.searchsorted(group, np.unique(group))
        table = np.add.reduceat(counts.count, starts, axis=3)
        evidence = float(dependence_evidence(np.swapaxes(table, 1, 2)).sum())
        best = max(best, (evidence, column), key=lambda pair: pair[0])
    return best[1]


def arrivals_by_column(
    columns: Columns,
    bands: NDArray[np.floating],
    usable: NDArray[np.bool_],
) -> dict[Hashable | None, Arrivals]:
    """Count how long labels took, over all rows, by segment and by learned stratum.

    Columns of more than MAX_VALUES values are left out: they tell too little of each.
    """
    came = np.flatnonzero(usable & ~np.isnat(not_none(columns.labeled_at)))
    count = partial(
        count_arrivals,
        label=not_none(columns.label)[came],
        band=np.searchsorted(bands, columns.score[came]),
        seconds=seconds_waited(columns, came),
        weight=None if columns.weight is None else columns.weight[came],
    )
    none = np.zeros(came.size, dtype=np.int64)
    by_column: dict[Hashable | None, Arrivals] = {None: count(("",), code=none)}
    for column, segment in delay_columns(columns).items():
        if len(segment.values) > MAX_VALUES:
            continue
        by_column[column] = count(
            tuple(segment.values), code=segment.codes[came].astype(np.int64)
        )
    return by_column


def seconds_waited(columns: Columns, came: np.ndarray) -> Floats:
    """Return how long labels took, in seconds; 0 if they came before their rows."""
    came_at, since = not_none(columns.labeled_at), not_none(columns.timestamp)
    took = (came_at[came] - since[came]).astype("m8[us]").astype(np.float64)
    seconds: Floats = np.maximum(took * 1e-6, 0.0)
    return seconds


def arrivals_of_chunks(
    columns: Columns,
    offsets: NDArray[np.int64],
    bands: Floats,
    chunks: NDArray[np.int64],
) -> dict[Hashable | None, Arrivals]:
    """Count how long the labels of some chunks took; empty without times."""
    if columns.timestamp is None or columns.labeled_at is None:
        return {}
    inside = np.zeros(columns.n_rows, dtype=np.bool_)
    for c in chunks.tolist():
        inside[offsets[c] : offsets[c + 1]] = True
    return arrivals_by_column(columns, bands, inside & ~np.isnan(columns.score))
