"""A frame of labels → keys, labels and times, checked."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.frames.datetimes import TimeZone
from estimator.frames.frame import open_frame, require_names
from estimator.frames.numbers import read_binary
from estimator.frames.timestamps import read_timestamp
from estimator.ledger.row_ids import Keys, read_ids

NO_TIME = np.iinfo(np.int64).min  # NumPy's NaT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelColumns:
    """Labels by row id; rows without a label are left out.

    Attributes
    ----------
    keys : ndarray of shape (n_labels,)
    value : ndarray of int8, shape (n_labels,)
    arrived_at : ndarray of int64, shape (n_labels,)
        Arrival in microseconds since 1970; ``NO_TIME`` where it is not told.
    timezone : str, tzinfo or None
    has_times : bool
        Whether there was a column of arrival times.
    n_missing : int
        Rows that had no label.
    show : callable
        Text of the id of a label.
    """

    keys: Keys
    value: NDArray[np.int8]
    arrived_at: NDArray[np.int64]
    timezone: TimeZone
    has_times: bool
    n_missing: int
    show: Callable[[int], str]


def read_labels(
    frame: object, *, row_id: Hashable, y_true: Hashable, labeled_at: Hashable | None
) -> LabelColumns:
    """Read and check a frame of labels.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame or pyarrow.Table
    row_id, y_true, labeled_at : column names
        ``labeled_at`` may be None, or absent from the frame.

    Raises
    ------
    TypeError, ValueError
        If the frame or a column breaks its rule.
    """
    names, column = open_frame(frame, "labels", may_be_empty=True)
    require_names([row_id, y_true], names, "labels", frame)
    with_times = labeled_at is not None and labeled_at in names

    def what(role: str, key: Hashable | None) -> str:
        return f"`labels[{key!r}]` ({role})"

    if len(column(row_id)) == 0:
        return LabelColumns(
            keys=np.empty(0, dtype=np.int64),
            value=np.empty(0, dtype=np.int8),
            arrived_at=np.empty(0, dtype=np.int64),
            timezone=None,
            has_times=with_times,
            n_missing=0,
            show=str,
        )
    keys, show = read_ids(column(row_id), what("row_id", row_id))
    label = read_binary(column(y_true), what("y_true", y_true), may_be_empty=True)
    arrived_at, zone = np.full(label.size, NO_TIME), None
    if with_times:
        moment, zone = read_timestamp(
            column(labeled_at), what("labeled_at", labeled_at), may_be_missing=True
        )
        arrived_at = microseconds(moment)
    labeled = np.flatnonzero(~pd.isna(label))
    whole = labeled.size == label.size
    return LabelColumns(
        keys=keys if whole else keys[labeled],
        value=(label if whole else label[labeled]).astype(np.int8),
        arrived_at=arrived_at if whole else arrived_at[labeled],
        timezone=zone,
        has_times=with_times,
        n_missing=label.size - labeled.size,
        show=lambda i: show(int(labeled[i])),
    )


def microseconds(moment: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return moments in microseconds since 1970, NaT as ``NO_TIME``."""
    return moment.astype("M8[us]").view(np.int64)


def ids_of(frame: object, row_id: Hashable) -> tuple[Keys, Callable[[int], str]]:
    """Return the keys of a frame of predictions, and how to show them."""
    names, column = open_frame(frame, "production")
    require_names([row_id], names, "production", frame)
    return read_ids(column(row_id), f"`production[{row_id!r}]` (row_id)")
