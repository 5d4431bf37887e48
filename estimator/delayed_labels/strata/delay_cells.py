"""What delays are counted and modelled by: segment or stratum, score band and age.

Ages are steps of equal ratio from a second on, so that hours, days and months are told
apart alike, whatever the data.
"""

from collections.abc import Hashable, Mapping
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator._kernels.late_labels import find_delay_cells
from estimator.frames.columns import Columns, SegmentCodes, not_none

Floats = NDArray[np.float64]

# Ages are counted in steps of 1.1 %: days stay apart up to three months.
STEPS_PER_DOUBLING = 64
N_AGES = 30 * STEPS_PER_DOUBLING + 2  # up to 34 years
N_BANDS = 3  # of the score: a class's delay may depend on it
MAX_VALUES = 64  # a segment column with more tells too little about each


class _Learned(Enum):
    """What stands for the learned strata where delays are counted by column."""

    STRATA = "strata of the delay, learned from features"


# No frame has a column of this name.
LEARNED: Final = _Learned.STRATA


def delay_columns(columns: Columns) -> Mapping[Hashable, SegmentCodes]:
    """Return by what delays may differ: segment columns and, last, learned strata."""
    if columns.delay_stratum is None:
        return columns.segments
    return {**columns.segments, LEARNED: columns.delay_stratum}


def age_step(seconds: Floats) -> NDArray[np.int64]:
    """Return the step of each age: 0 if negative, 1 below a second, then by ratio."""
    step = 2.0 + np.floor(STEPS_PER_DOUBLING * np.log2(np.maximum(seconds, 1.0)) + 1e-9)
    step = np.where(seconds >= 1.0, step, np.where(seconds >= 0.0, 1.0, 0.0))
    return np.minimum(step, N_AGES - 1).astype(np.int64)


def end_of_step(step: int) -> float:
    """Return the age in seconds at which a step ends."""
    return float(2.0 ** ((step - 1) / STEPS_PER_DOUBLING)) if step else 0.0


def strata_of(
    columns: Columns,
    bands: Floats,
    column: Hashable | None,
    values: tuple[str, ...],
    rows: NDArray[np.int64] | slice = slice(None),
) -> NDArray[np.int16]:
    """Return rows' strata: the column's value (after ``values``: any other), band."""
    stratum = np.searchsorted(bands, columns.score[rows]).astype(np.int16)
    segment = delay_columns(columns).get(column)
    if segment is not None:
        index = {value: i for i, value in enumerate(values)}
        code = [index.get(value, len(values)) for value in segment.values]
        stratum += N_BANDS * np.array(code, dtype=np.int16)[segment.codes[rows]]
    elif column is not None:  # nobody has read these rows' features
        stratum += N_BANDS * len(values)
    return stratum


def delay_cells_of(
    columns: Columns,
    bands: Floats,
    column: Hashable | None,
    values: tuple[str, ...],
    now: np.datetime64,
    rows: NDArray[np.int64] | slice = slice(None),
) -> NDArray[np.int32]:
    """Return rows' flat indices (stratum, age now) in the delay model's tables.

    Parameters
    ----------
    columns : Columns
        With times.
    bands, column, values
        As the delay model has them.
    now : datetime64
    rows : ndarray of int64 or slice, default=slice(None)
        Of which rows.
    """
    stratum = strata_of(columns, bands, column, values, rows)
    cell = np.empty(stratum.size, dtype=np.int32)
    start = not_none(columns.timestamp)[rows].astype("M8[us]").view(np.int64)
    moment = int(now.astype("M8[us]").astype(np.int64))
    find_delay_cells(start, moment, stratum, STEPS_PER_DOUBLING, N_AGES, cell)
    return cell
