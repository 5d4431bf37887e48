"""The DataFrame boundary: a frame's named columns → checked arrays, once."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from estimator.frames.adapted_soft_labels import AdaptedSoftLabels
from estimator.frames.categories import SegmentCodes, read_segment
from estimator.frames.cell_contents import CellContents
from estimator.frames.datetimes import Moments, TimeZone
from estimator.frames.frame import open_frame, require_names
from estimator.frames.numbers import Scores, read_binary, read_score
from estimator.frames.series import Series
from estimator.frames.timestamps import read_timestamp

__all__ = ["ColumnNames", "Columns", "SegmentCodes", "not_none", "read_columns"]

Column = TypeVar("Column")
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """What the estimator needs of a frame, by row; treat the arrays as read-only.

    Most arrays are the caller's own memory.

    Attributes
    ----------
    n_rows : int
        Of the arrays, whatever the weights.
    score : ndarray of float64 or float32, shape (n_rows,)
        In [0, 1]; NaN where it, or the decision, is missing: an unusable row.
    decision : ndarray of bool, shape (n_rows,), or None
        None without `y_pred`; False in an unusable row.
    label : ndarray of float64, shape (n_rows,), or None
        0.0, 1.0 or NaN; None where the column is absent and not required.
    timestamp : ndarray of datetime64, shape (n_rows,), or None
        UTC in the column's own unit, in wall-clock time without a zone; no NaT.
    timezone : str, tzinfo or None
    segments : dict of SegmentCodes by column name
    labeled_at : ndarray of datetime64, shape (n_rows,), or None
        When the label came, on the clock of `timestamp`; NaT where nobody knows.
    missing_score, missing_decision : int
        Unusable rows of the frame: without a score; with a score, but without a
        decision.
    adapted : AdaptedSoftLabels, or None
        Soft labels that features gave; None where no features are read.
    weight : ndarray of float64, shape (n_rows,), or None
        How many rows of the frame each stands for, a whole number from 1 on; None: one
        each. A table of counts has them, a frame does not.
    delay_stratum : SegmentCodes, or None
        Learned stratum of each row's delay; None where none were learned.
    contents : CellContents, or None
        What else is known of the rows that each stands for.
    """

    n_rows: int
    score: Scores
    decision: NDArray[np.bool_] | None
    label: NDArray[np.float64] | None
    timestamp: Moments | None
    timezone: TimeZone
    segments: dict[Hashable, SegmentCodes]
    missing_score: int
    missing_decision: int
    labeled_at: Moments | None = None
    adapted: AdaptedSoftLabels | None = None
    weight: NDArray[np.float64] | None = None
    delay_stratum: SegmentCodes | None = None
    contents: CellContents | None = None

    def take(self, rows: NDArray[np.int64] | slice) -> "Columns":
        """Return some of the rows; the counts of unusable ones stay as they are."""

        def taken(values: NDArray[Scalar] | None) -> NDArray[Scalar] | None:
            return None if values is None else values[rows]

        score = self.score[rows]
        return replace(
            self,
            n_rows=score.size,
            score=score,
            decision=taken(self.decision),
            label=taken(self.label),
            timestamp=taken(self.timestamp),
            segments={
                column: segment.take(rows) for column, segment in self.segments.items()
            },
            labeled_at=taken(self.labeled_at),
            adapted=None if self.adapted is None else self.adapted.take(rows),
            weight=taken(self.weight),
            delay_stratum=None
            if self.delay_stratum is None
            else self.delay_stratum.take(rows),
            contents=None if self.contents is None else self.contents.take(rows),
        )

    def __repr__(self) -> str:
        lost = self.missing_score + self.missing_decision
        n = self.n_rows if self.weight is None else int(self.weight.sum())
        counted = "" if self.weight is None else f" counted in {self.n_rows}"
        return f"<Columns: {n} rows{counted}, {lost} unusable>"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnNames:
    """Name of the column of a frame that holds each thing that is read.

    Attributes
    ----------
    y_pred_proba, y_true : hashable
        Names of the columns of scores and of labels.
    timestamp, y_pred, labeled_at : hashable or None
        Names of the columns of times, of decisions and of the times when labels came;
        None: it is not read.
    segments : sequence of hashable
        Names of the segment columns.
    """

    timestamp: Hashable | None
    y_pred_proba: Hashable
    y_pred: Hashable | None
    y_true: Hashable
    segments: Sequence[Hashable] = ()
    labeled_at: Hashable | None = None


def read_columns(
    frame: object,
    column_names: ColumnNames,
    *,
    name: Literal["reference", "production"],
    label_required: bool,
) -> Columns:
    """Read and check the named columns; the frame stays as it is, others unseen.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame or pyarrow.Table
        Frame with at least one row.
    column_names : ColumnNames
        Names of the columns to read.
    name : {"reference", "production"}
        Name of the argument in error messages.
    label_required : bool
        Whether the label's column must be there and hold a label.

    Raises
    ------
    TypeError
        If `frame` is no supported frame, or a column's type cannot be right.
    ValueError
        If the frame is empty, a column is missing, duplicated or all missing, or a
        value breaks its rule.
    """
    names, column = open_frame(frame, name)
    label_is_read = label_required or column_names.y_true in names
    labeled_at = column_names.labeled_at
    by_role = {
        "y_pred_proba": column_names.y_pred_proba,
        "y_pred": column_names.y_pred,
        "y_true": column_names.y_true if label_is_read else None,
        "timestamp": column_names.timestamp,
        "labeled_at": labeled_at if labeled_at in names else None,
    }
    roles = {role: key for role, key in by_role.items() if key is not None}
    segments = column_names.segments
    require_names([*roles.values(), *segments], names, name, frame)

    def what(role: str, key: Hashable) -> str:
        return f"`{name}[{key!r}]` ({role})"

    series = {role: (column(key), what(role, key)) for role, key in roles.items()}
    score = read_score(*series["y_pred_proba"])
    missing_score = _count_nan(score)
    decision, missing_decision = None, 0
    if "y_pred" in series:
        raw = read_binary(*series["y_pred"])
        decision = raw if raw.dtype == np.bool_ else raw == 1
        if _count_nan(raw):
            score = np.where(np.isnan(raw), score.dtype.type(np.nan), score)
            missing_decision = _count_nan(score) - missing_score
    if missing_score + missing_decision == score.size:
        msg = f"`{name}` must have a row with both a score and a decision, got none."
        raise ValueError(msg)
    label = None
    if "y_true" in series:
        raw = read_binary(*series["y_true"], may_be_empty=not label_required)
        label = raw.astype(np.float64, copy=False)
    timestamp, timezone, labeled = _read_times(series)
    return Columns(
        n_rows=score.size,
        score=score,
        decision=decision,
        label=label,
        timestamp=timestamp,
        timezone=timezone,
        segments={s: read_segment(column(s), what("segments", s)) for s in segments},
        missing_score=missing_score,
        missing_decision=missing_decision,
        labeled_at=labeled,
    )


def _read_times(
    series: Mapping[str, tuple[Series, str]],
) -> tuple[Moments | None, TimeZone, Moments | None]:
    """Return the rows' moments, their time zone, and when the labels came."""
    timestamp, timezone, labeled = None, None, None
    if "timestamp" in series:
        timestamp, timezone = read_timestamp(*series["timestamp"])
    if "labeled_at" in series:
        labeled, other = read_timestamp(*series["labeled_at"], may_be_missing=True)
        if timestamp is not None and (timezone is None) != (other is None):
            msg = (
                f"{series['labeled_at'][1]} and {series['timestamp'][1]} must both "
                "have a time zone, or neither. Localize one: "
                'frame[column].dt.tz_localize("UTC").'
            )
            raise ValueError(msg)
    return timestamp, timezone, labeled


def not_none(column: Column | None) -> Column:
    """Return the column itself; the caller has already seen that it is not None."""
    if column is None:
        msg = "A column is absent that should have been read."
        raise AssertionError(msg)
    return column


def _count_nan(array: np.ndarray) -> int:
    """Count NaN, without a temporary where there is none."""
    if array.dtype.kind != "f" or not np.isnan(array.min()):
        return 0
    return int(np.count_nonzero(np.isnan(array)))
