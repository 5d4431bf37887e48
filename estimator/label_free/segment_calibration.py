"""Calibration by segment: which shift of the map each row of a frame has.

The map of the score is fitted to all rows; each value of a segment column has a shift
of it, shrunk by its own evidence (:mod:`calibration.shifts.segment_shifts`).
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from calibration import IdentityCalibrator
from calibration.base import Calibrator
from calibration.cross_fitting import CrossFit
from calibration.shifts.segment_fit import fit_segment_shifts
from calibration.shifts.segment_shifts import (
    SegmentShifts,
    ShiftTables,
    apply_segment_shifts,
    tabulate_shifts,
)
from estimator.frames.columns import SegmentCodes
from estimator.metrics.calibration_shift import shift_frame
from estimator.metrics.error_cells import ErrorCells, SegmentErrors
from estimator.metrics.soft_labels import ShiftedSoftLabel, Slots

Floats = NDArray[np.float64]
Segments = Mapping[Hashable, SegmentCodes]

# Values of a column that can have a shift, the most frequent first: the cost of the fit
# grows with the cube of their number, and those beyond have few rows each.
MAX_VALUES = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentCalibration:
    """What the reference says of the calibration of each segment.

    Attributes
    ----------
    values : dict of tuple of str by column name
        Values that have a shift, in the order of the shifts.
    shifts : SegmentShifts
    """

    values: Mapping[Hashable, tuple[str, ...]]
    shifts: SegmentShifts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowShifts:
    """Which shift each row of a frame has.

    Attributes
    ----------
    slots : ndarray of int32 of shape (n_rows, n_columns)
        Number of the shift; from the number of shifts on, of values that have none.
    new_variance : ndarray of shape (n_new, 2)
        Variance of intercept and slope of each value that has none.
    """

    slots: Slots
    new_variance: Floats


def learn_segment_calibration(
    calibrator: Calibrator,
    score: Floats,
    label: Floats,
    segments: Segments,
) -> SegmentCalibration | None:
    """Learn how far the calibration of each segment is from that of all rows.

    Parameters
    ----------
    calibrator : Calibrator
        Map of the score, fitted to these rows.
    score, label : ndarray of shape (n_rows,)
    segments : dict of SegmentCodes by column name
        Of these rows.

    Returns
    -------
    SegmentCalibration or None
        None if all segments have the calibration of all rows, and with the calibrator
        "identity": whoever takes scores for probabilities does so in every segment.
    """
    if not segments or isinstance(calibrator, IdentityCalibrator):
        return None
    values = {column: _frequent(segment) for column, segment in segments.items()}
    slots = find_slots(values, segments)
    n_values = [len(of_column) for of_column in values.values()]
    capped_slots = np.minimum(slots, sum(n_values))
    shifts = fit_segment_shifts(
        calibrator.predict(score), label, capped_slots, n_values
    )
    if shifts is None:
        return None
    return SegmentCalibration(values=values, shifts=shifts)


def cross_fit_segments(
    crossed: CrossFit, score: Floats, label: Floats, segments: Segments
) -> Floats:
    """Return probabilities from maps, and shifts, that have not seen the row.

    Parameters
    ----------
    crossed : CrossFit
        Maps of the score, each fitted to all folds but one.
    score, label : ndarray of shape (n_rows,)
        In the order of the folds.
    segments : dict of SegmentCodes by column name
        Of these rows.
    """
    out = crossed.probabilities.copy()
    for (start, stop), calibrator in zip(
        crossed.folds, crossed.calibrators, strict=True
    ):
        others = np.r_[0:start, stop : score.size]
        calibration = learn_segment_calibration(
            calibrator, score[others], label[others], segment_rows(segments, others)
        )
        if calibration is not None:
            left_out = segment_rows(segments, np.arange(start, stop))
            slots = find_slots(calibration.values, left_out)
            out[start:stop] = apply_segment_shifts(
                calibration.shifts, out[start:stop], slots
            )
    return out


def segment_rows(
    segments: Segments, rows: NDArray[np.int64]
) -> dict[Hashable, SegmentCodes]:
    """Return the segments of some rows."""
    return {
        column: SegmentCodes(codes=segment.codes[rows], values=segment.values)
        for column, segment in segments.items()
    }


def find_slots(values: Mapping[Hashable, tuple[str, ...]], segments: Segments) -> Slots:
    """Return the number of each row's shift, by segment column.

    Values without a shift are numbered after those with one.
    """
    return _number_rows(values, segments)[0]


def shift_rows(calibration: SegmentCalibration, segments: Segments) -> RowShifts:
    """Find the shift of each row of a frame, and the variance of those not known."""
    slots, n_new = _number_rows(calibration.values, segments)
    return RowShifts(
        slots=slots,
        new_variance=np.repeat(calibration.shifts.variance, n_new, axis=0),
    )


def _number_rows(
    values: Mapping[Hashable, tuple[str, ...]], segments: Segments
) -> tuple[Slots, list[int]]:
    """Return the number of each row's shift, and how many new values columns have.

    A frame can have as many values as rows: nothing loops over them in Python.
    """
    begin, new = 0, sum(len(of_column) for of_column in values.values())
    n_rows = next(iter(segments.values())).codes.size
    slots = np.empty((n_rows, len(values)), dtype=np.int32, order="F")
    n_new = []
    for i, (column, of_column) in enumerate(values.items()):
        segment = segments[column]
        n_values = len(segment.values)
        code = dict(zip(segment.values, range(n_values), strict=True))
        table = np.full(n_values, -1, dtype=np.int32)
        for k, value in enumerate(of_column):
            if value in code:
                table[code[value]] = begin + k
        is_new = table < 0
        n_new.append(int(np.count_nonzero(is_new)))
        table[is_new] = new + np.arange(n_new[-1])
        slots[:, i] = table.take(segment.codes)
        begin += len(of_column)
        new += n_new[-1]
    return slots, n_new


def shifted_soft_label(
    calibrator: Calibrator, calibration: SegmentCalibration, slots: Slots
) -> ShiftedSoftLabel:
    """Return what gives the rows of a frame their soft labels."""
    return ShiftedSoftLabel(
        of_rows=partial(_soften, calibrator, tabulate_shifts(calibration.shifts)),
        slots=slots,
    )


def with_segment_errors(
    cells: ErrorCells, calibration: SegmentCalibration, rows: RowShifts
) -> ErrorCells:
    """Return the map's error with that of the shifts, for the rows of a frame.

    A constant and a line were estimated along with the shifts, and their error stands
    there; of the map's own error what is beyond these remains.
    """
    shifts = calibration.shifts
    u = shifts.standardize(cells.log_odds)
    return replace(
        cells,
        factor=np.ascontiguousarray(shift_frame(cells).cells.factor[2:]),
        segments=SegmentErrors(
            slots=rows.slots,
            u=u,
            common=np.ascontiguousarray(shifts.common_basis(u).T),
            covariance=shifts.covariance,
            new_variance=rows.new_variance,
            along=shifts.along,
            centre=shifts.centre,
            scale=shifts.scale,
        ),
    )


def _soften(
    calibrator: Calibrator, tables: ShiftTables, score: Floats, slots: Slots
) -> Floats:
    if not score.size:  # a map wants at least one row
        return np.empty(0)
    return tables.apply(calibrator.predict(score), slots)


def _frequent(segment: SegmentCodes) -> tuple[str, ...]:
    """Return the values that occur, of many the most frequent, in their order."""
    count = np.bincount(segment.codes, minlength=len(segment.values))
    kept = np.argsort(-count, kind="stable")[:MAX_VALUES]
    return tuple(segment.values[k] for k in sorted(kept.tolist()) if count[k])
