"""An order of rows that depends on what they hold, not on how the frame happens to lie.

Folds are blocks of time, and trees depend on the order of the rows that they learn
from. Where rows share a time, as in a column of days, the frame's order would decide
who is in which fold. A hash of all columns decides instead: rows of one time then lie
as if shuffled, but always in the same way. An order by value would not do: folds would
become blocks of the score.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.chunking.chunks import Chunks
from estimator.frames.columns import Columns, not_none

Integers = NDArray[np.int64]


def order_by_time(
    columns: Columns, features: NDArray[np.float64] | None = None
) -> Integers | None:
    """Return the rows by time, rows of one time by a hash of what they hold.

    Parameters
    ----------
    columns : Columns
        With a timestamp.
    features : ndarray of shape (n_rows, n_features), optional

    Returns
    -------
    ndarray of shape (n_rows,) or None
        None where the rows already lie by time, no two at the same.
    """
    ticks = not_none(columns.timestamp).view(np.int64)
    if bool((ticks[1:] > ticks[:-1]).all()):
        return None
    parts: list[np.ndarray | None] = [
        columns.score,
        columns.label,
        columns.decision,
        *(segment.codes for segment in columns.segments.values()),
        None if columns.labeled_at is None else columns.labeled_at.view(np.int64),
    ]
    if features is not None:
        parts.extend(features.T)
    by_content = hash_rows([part for part in parts if part is not None])
    return np.lexsort((by_content, ticks))


def hash_rows(columns: Sequence[np.ndarray]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each row, the same wherever it lies.

    Parameters
    ----------
    columns : sequence of ndarray of shape (n_rows,)
        Numbers or booleans; 0.0 and -0.0 are the same, and so are all NaN.
    """
    hashes = np.zeros(columns[0].size, dtype=np.uint64)
    for column in columns:
        if column.dtype.kind == "f":
            number = column.astype(np.float64) + 0.0  # -0.0 becomes 0.0
            values: np.ndarray = np.where(np.isnan(number), np.nan, number)
        else:
            values = column.astype(np.int64)
        hashes = pd.util.hash_array(hashes ^ pd.util.hash_array(values))
    return hashes


def take_chunks(chunks: Chunks, order: Integers) -> Chunks:
    """Return the same chunks of rows that have been reordered, by their new positions.

    Parameters
    ----------
    chunks : Chunks
        Of the rows as they lay before.
    order : ndarray of shape (n_rows,)
        Where each row lay before.
    """
    chunk = np.empty(order.size, dtype=np.int64)
    sizes = np.diff(chunks.offsets)
    chunk[slice(None) if chunks.rows is None else chunks.rows] = np.repeat(
        np.arange(sizes.size), sizes
    )
    chunk = chunk[order]
    in_order = bool((chunk[1:] >= chunk[:-1]).all())
    return replace(chunks, rows=None if in_order else np.argsort(chunk, kind="stable"))
