"""The map of the score of a reference: fitted, cross-fitted, with its error."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration import Calibrator, cross_fit, make_calibrator
from calibration.cross_fitting import CrossFit
from calibration.selection import select_calibrator
from estimator.frames.columns import Columns
from estimator.label_free.segment_calibration import (
    SegmentCalibration,
    cross_fit_segments,
    learn_segment_calibration,
    segment_rows,
    shift_rows,
    shifted_soft_label,
    with_segment_errors,
)
from estimator.metrics.error_cells import ErrorCells, measure_error_cells
from estimator.metrics.soft_labels import ShiftedSoftLabel, SoftLabel
from estimator.progress import Advance

Floats = NDArray[np.float64]

MIN_ROWS = 100
MIN_ROWS_PER_CLASS = 10
N_FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledRows:
    """Rows of the reference with a score and a label.

    Attributes
    ----------
    usable : ndarray of bool of shape (n_frame,)
        Whether a row of the frame is one of them.
    in_time : ndarray of int64 of shape (n_rows,)
        Their rows of the frame in time order: folds are blocks of time.
    score, label : ndarray of float64 of shape (n_rows,)
        Their scores and labels, in this order.
    """

    usable: NDArray[np.bool_]
    in_time: NDArray[np.int64]
    score: Floats
    label: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedMap:
    """The map of the score, with shifts of segments, and its error.

    Attributes
    ----------
    calibrator : Calibrator
        Map fitted to all labelled rows.
    calibrator_name : str
        Its registered name; "" for the caller's own object.
    map_error : ErrorCells
        Its error.
    segments : SegmentCalibration or None
        Shifts of the segments.
    error_cells, error_cells_in_time : ErrorCells
        Error with that of the shifts: for the rows of the frame, and for the labelled
        rows in time order.
    soft : callable or ShiftedSoftLabel
        What gives the rows of the frame their soft labels.
    out_of_fold : ndarray of shape (n_frame,)
        Soft labels by maps that have not seen the row; NaN without a label.
    """

    calibrator: Calibrator
    calibrator_name: str
    map_error: ErrorCells
    segments: SegmentCalibration | None
    error_cells: ErrorCells
    error_cells_in_time: ErrorCells
    soft: SoftLabel | ShiftedSoftLabel
    out_of_fold: Floats


def labelled_rows(columns: Columns) -> LabelledRows:
    """Return the rows that can be learned from; refuse too few."""
    if columns.label is None:
        msg = "`y_true` must be a column of the reference: it is what is learned from."
        raise ValueError(msg)
    usable = ~(np.isnan(columns.score) | np.isnan(columns.label))
    in_time = np.flatnonzero(usable)
    if columns.timestamp is not None:
        in_time = in_time[np.argsort(columns.timestamp[in_time], kind="stable")]
    label = columns.label[in_time]
    _check_size(label)
    score = np.asarray(columns.score[in_time], dtype=np.float64)
    return LabelledRows(usable=usable, in_time=in_time, score=score, label=label)


def fit_map(
    columns: Columns,
    labelled: LabelledRows,
    calibrator: str | Calibrator,
    advance: Advance,
) -> FittedMap:
    """Fit the map of the score and the shifts of segments, cross-fitted as well.

    Parameters
    ----------
    columns : Columns
        Rows of the frame.
    labelled : LabelledRows
        Those to learn from.
    calibrator : str or Calibrator
        As of `ReferenceOptions`.
    advance : callable
        Called with the number of maps fitted.
    """
    score, label, in_time = labelled.score, labelled.label, labelled.in_time
    name, fitted = _choose_calibrator(calibrator, score, label)
    fitted.fit(score, label)
    advance(1)
    out_of_fold = np.full(columns.n_rows, np.nan)
    crossed = cross_fit(fitted, score, label, n_splits=N_FOLDS)
    out_of_fold[in_time] = crossed.probabilities
    advance(N_FOLDS)
    map_error = measure_error_cells(fitted, score, fitted.predict(score))
    soft: SoftLabel | ShiftedSoftLabel = fitted.predict
    cells = cells_in_time = map_error
    by_segment = segment_rows(columns.segments, in_time)
    segments = learn_segment_calibration(fitted, score, label, by_segment)
    if segments is not None:
        out_of_fold[in_time] = cross_fit_segments(crossed, score, label, by_segment)
        shifts = shift_rows(segments, columns.segments)
        soft = shifted_soft_label(fitted, segments, shifts.slots)
        cells = with_segment_errors(map_error, segments, shifts)
        shifts = replace(shifts, slots=shifts.slots[in_time])
        cells_in_time = with_segment_errors(map_error, segments, shifts)
    return FittedMap(
        calibrator=fitted,
        calibrator_name=name,
        map_error=map_error,
        segments=segments,
        error_cells=cells,
        error_cells_in_time=cells_in_time,
        soft=soft,
        out_of_fold=out_of_fold,
    )


def predict_second_half(
    columns: Columns, labelled: LabelledRows, fitted: FittedMap
) -> Floats:
    """Return soft labels of the second half of the rows by a map of the first half.

    Parameters
    ----------
    columns : Columns
        Rows of the frame.
    labelled : LabelledRows
        Those to learn from.
    fitted : FittedMap
        What was fitted to all of them.

    Returns
    -------
    ndarray of shape (n_frame,)
        NaN but in the second half of the labelled rows in time order, and everywhere if
        the first half is too small for a map.
    """
    score, label, in_time = labelled.score, labelled.label, labelled.in_time
    ahead = np.full(columns.n_rows, np.nan)
    half = label.size // 2
    positives = int(label[:half].sum())
    if half < MIN_ROWS or min(positives, half - positives) < MIN_ROWS_PER_CLASS:
        return ahead
    first = make_calibrator(fitted.calibrator)
    first.fit(score[:half], label[:half])
    probabilities = np.full(label.size, np.nan)
    probabilities[half:] = first.predict(score[half:])
    if fitted.segments is not None:
        one_fold = CrossFit(
            probabilities=probabilities,
            folds=((half, label.size),),
            calibrators=(first,),
        )
        by_segment = segment_rows(columns.segments, in_time)
        probabilities = cross_fit_segments(one_fold, score, label, by_segment)
    ahead[in_time] = probabilities
    return ahead


def _choose_calibrator(
    spec: str | Calibrator, score: Floats, label: Floats
) -> tuple[str, Calibrator]:
    if spec == "select":
        name = select_calibrator(score, label, n_splits=N_FOLDS).best
        return name, make_calibrator(name)
    return spec if isinstance(spec, str) else "", make_calibrator(spec)


def _check_size(label: Floats) -> None:
    n, positives = label.size, int(label.sum())
    fewest = min(positives, n - positives)
    if fewest == 0:
        only = "1" if positives else "0"
        msg = (
            f"The reference must hold both classes, but all of its {n} labels are "
            f"{only}. Take a longer period, or check `y_true`."
        )
        raise ValueError(msg)
    if n < MIN_ROWS or fewest < MIN_ROWS_PER_CLASS:
        share = fewest / n
        needed = max(MIN_ROWS, int(np.ceil(MIN_ROWS_PER_CLASS / share)))
        msg = (
            f"The reference is too small: it has {n} labelled rows, {fewest} of the "
            f"rarer class, and needs at least {MIN_ROWS} rows with "
            f"{MIN_ROWS_PER_CLASS} of each class. With these shares about {needed} "
            "rows are needed; take a longer period."
        )
        raise ValueError(msg)
