"""The DataFrame boundary: a frame's named columns → checked arrays, once."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.frames.adapted_soft_labels import AdaptedSoftLabels
from estimator.frames.cell_contents import CellContents
from estimator.frames.datetimes import Moments, TimeZone
from estimator.frames.readers import (
    Scores,
    SegmentCodes,
    Series,
    read_binary,
    read_score,
    read_segment,
    read_timestamp,
)

__all__ = ["Columns", "SegmentCodes", "read_columns"]

Column = TypeVar("Column")

_SHOWN = 10  # column names in an error message


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
    contents: CellContents | None = None

    def take(self, rows: NDArray[np.int64] | slice) -> "Columns":
        """Return some of the rows; the counts of unusable ones stay as they are."""

        def taken(values: NDArray[Any] | None) -> Any:
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
                column: SegmentCodes(codes=segment.codes[rows], values=segment.values)
                for column, segment in self.segments.items()
            },
            labeled_at=taken(self.labeled_at),
            adapted=None if self.adapted is None else self.adapted.take(rows),
            weight=taken(self.weight),
            contents=None if self.contents is None else self.contents.take(rows),
        )

    def __repr__(self) -> str:
        lost = self.missing_score + self.missing_decision
        n = self.n_rows if self.weight is None else int(self.weight.sum())
        counted = "" if self.weight is None else f" counted in {self.n_rows}"
        return f"<Columns: {n} rows{counted}, {lost} unusable>"


def read_columns(
    frame: Any,
    *,
    name: Literal["reference", "production"],
    timestamp: Hashable | None,
    y_pred_proba: Hashable,
    y_pred: Hashable | None,
    y_true: Hashable,
    segments: Sequence[Hashable] = (),
    labeled_at: Hashable | None = None,
    label_required: bool,
) -> Columns:
    """Read and check the named columns; the frame stays as it is, others unseen.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame or pyarrow.Table
    name : {"reference", "production"}
        The argument's name in error messages.

    Raises
    ------
    TypeError
        If `frame` is no supported frame, or a column's type cannot be right.
    ValueError
        If the frame is empty, a column is missing, duplicated or all missing, or a
        value breaks its rule.
    """
    names, column = open_frame(frame, name)
    optional = not label_required and y_true not in names
    wanted = {
        "y_pred_proba": y_pred_proba,
        "y_pred": y_pred,
        "y_true": None if optional else y_true,
        "timestamp": timestamp,
        "labeled_at": labeled_at if labeled_at in names else None,
    }
    roles = {role: key for role, key in wanted.items() if key is not None}
    require_names([*roles.values(), *segments], names, name, frame)

    def what(role: str, key: Hashable) -> str:
        return f"`{name}[{key!r}]` ({role})"

    read = {role: (column(key), what(role, key)) for role, key in roles.items()}
    score = read_score(*read["y_pred_proba"])
    n_rows = score.size
    missing_score = _count_nan(score)
    decision, missing_decision = None, 0
    if "y_pred" in read:
        raw = read_binary(*read["y_pred"])
        decision = raw if raw.dtype == np.bool_ else raw == 1
        if _count_nan(raw):
            score = np.where(np.isnan(raw), score.dtype.type(np.nan), score)
            missing_decision = _count_nan(score) - missing_score
    if missing_score + missing_decision == n_rows:
        msg = f"`{name}` must have a row with both a score and a decision, got none."
        raise ValueError(msg)
    label = None
    if "y_true" in read:
        raw = read_binary(*read["y_true"], may_be_empty=not label_required)
        label = raw.astype(np.float64, copy=False)
    moment, zone = (
        read_timestamp(*read["timestamp"]) if "timestamp" in read else (None, None)
    )
    labeled = None
    if "labeled_at" in read:
        labeled, other = read_timestamp(*read["labeled_at"], may_be_missing=True)
        if moment is not None and (zone is None) != (other is None):
            msg = (
                f"{read['labeled_at'][1]} and {read['timestamp'][1]} must both have a "
                "time zone, or neither. Localize one: "
                'frame[column].dt.tz_localize("UTC").'
            )
            raise ValueError(msg)
    return Columns(
        n_rows=n_rows,
        score=score,
        decision=decision,
        label=label,
        timestamp=moment,
        timezone=zone,
        segments={s: read_segment(column(s), what("segments", s)) for s in segments},
        missing_score=missing_score,
        missing_decision=missing_decision,
        labeled_at=labeled,
    )


def not_none(column: Column | None) -> Column:
    """Return the column itself; the caller has already seen that it is not None."""
    if column is None:
        msg = "A column is absent that should have been read."
        raise AssertionError(msg)
    return column


def open_frame(
    frame: Any, name: str, *, may_be_empty: bool = False
) -> tuple[list[Any], Callable[[Hashable], Series]]:
    """Return the column names and a way to reach one column without the others."""
    native = nw.to_native(frame, pass_through=True)
    # By hand: narwhals refuses a frame for a duplicate that nobody asked for.
    if isinstance(native, pd.DataFrame):
        names = list(native.columns)
    elif nw.dependencies.is_pyarrow_table(native):
        names = native.column_names
    elif nw.dependencies.is_polars_dataframe(native):
        names = native.columns
    else:
        lazy = nw.dependencies.is_polars_lazyframe(native)
        remedy = (
            "Call .collect() on it first."
            if lazy
            else "Wrap arrays in pandas.DataFrame({...}), read files with pandas first."
        )
        msg = (
            f"`{name}` must be a pandas or polars DataFrame or a pyarrow Table, got "
            f"{type(native).__name__}. {remedy}"
        )
        raise TypeError(msg)
    if len(native) == 0 and not may_be_empty:
        msg = f"`{name}` must have at least one row, got an empty frame."
        raise ValueError(msg)
    return names, lambda key: nw.from_native(native[key], series_only=True)


def require_names(wanted: list[Any], names: list[Any], name: str, frame: Any) -> None:
    """Refuse a frame that lacks a wanted column, or has it twice.

    Parameters
    ----------
    wanted, names : list
        Names of the columns that are needed, and of those that are there.
    name : str
        Name of the argument, for the message.
    frame : DataFrame or Table
        Frame that has the names; the message says if its index is what is wanted.

    Raises
    ------
    ValueError
        If a wanted column is absent, or there twice.
    """
    texts = [str(n) for n in names]
    absent = [w for w in dict.fromkeys(wanted) if w not in names]
    if absent:
        near = {w: get_close_matches(str(w), texts, n=3) for w in absent}
        hints = [f" Nearest to {w!r}: {', '.join(c)}." for w, c in near.items() if c]
        shown = ", ".join(repr(n) for n in names[:_SHOWN])
        more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
        msg = (
            f"`{name}` must have the columns named in the estimator, but lacks "
            f"{', '.join(map(repr, absent))}.{''.join(hints)}"
            f"{_index_hint(frame, absent)} It has {shown}{more}. "
            "Rename the columns, or name yours in PerformanceEstimator(...)."
        )
        raise ValueError(msg)
    double = [w for w in dict.fromkeys(wanted) if names.count(w) > 1]
    if double:
        at = [i for i, n in enumerate(names) if n == double[0]]
        msg = (
            f"`{name}` must have column {double[0]!r} once, but it is there {len(at)} "
            f"times (positions {', '.join(map(str, at))}). Drop or rename the others."
        )
        raise ValueError(msg)


def _index_hint(frame: Any, absent: Sequence[Any]) -> str:
    """Say which absent column is the index of a pandas frame, "" if none is."""
    index = getattr(nw.to_native(frame, pass_through=True), "index", None)
    if not isinstance(index, pd.Index):
        return ""
    name = next((w for w in absent if w in index.names), None)
    if name is not None:
        return f" {name!r} is the frame's index: frame.reset_index()."
    if isinstance(index, pd.DatetimeIndex) and index.name is None:
        return (
            " The frame's index holds times: if it is "
            f"{absent[0]!r}, frame.rename_axis({absent[0]!r}).reset_index()."
        )
    return ""


def _count_nan(array: NDArray[Any]) -> int:
    """Count NaN, without a temporary where there is none."""
    if array.dtype.kind != "f" or not np.isnan(array.min()):
        return 0
    return int(np.count_nonzero(np.isnan(array)))
