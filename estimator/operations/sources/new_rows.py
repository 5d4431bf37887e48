"""Which rows and labels of a model are new, and whether their ids are."""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from estimator.operations.data_time import as_datetime
from estimator.operations.sources.consistency import new_files
from estimator.operations.sources.model_sources import ModelSources
from estimator.operations.sources.queries import count_hours, count_labeled_hours
from estimator.operations.sources.row_ids import check_ids, check_new_ids
from estimator.operations.sources.row_source import AT
from estimator.operations.store.model_state import ModelState

if TYPE_CHECKING:
    import duckdb


def check_row_ids(
    engine: "duckdb.DuckDBPyConnection",
    sources: ModelSources,
    state: ModelState,
    until: datetime | None,
    *,
    everything: bool,
) -> None:
    """Refuse ids of new rows that belong to another row as well.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    sources : ModelSources
        Predictions and labels of the model.
    state : ModelState
        What earlier runs have read.
    until : datetime, optional
        Time up to which rows are looked at.
    everything : bool
        Whether all rows are new: no chunk that is stored counts any more.

    Raises
    ------
    DataError
        Naming ids, times and files.
    """
    predictions = sources.predictions
    if everything or predictions.files is None:
        check_ids(engine, predictions, until=until)
        return
    check_new_ids(
        engine,
        predictions,
        files=new_files(predictions, state),
        after=None if state.until is None else as_datetime(state.until),
        until=until,
    )


def changed_hours(
    engine: "duckdb.DuckDBPyConnection",
    sources: ModelSources,
    state: ModelState,
    until: datetime | None,
) -> tuple[NDArray[np.datetime64], list[str]]:
    """Return the hours in which rows, or labels of rows, may be new.

    New are files that are not as they were, rows and labels later than the last run
    looked, and all that a database holds: only files tell what has been read of them.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    sources : ModelSources
        Predictions and labels of the model.
    state : ModelState
        What earlier runs have read.
    until : datetime, optional
        Time up to which rows and labels are looked at.

    Returns
    -------
    hours : ndarray of datetime64[us]
        In any order.
    remarks : list of str
        What is odd about the labels.
    """
    hours, remarks = [], []
    before = None if state.until is None else as_datetime(state.until)
    predictions, labels = sources.predictions, sources.labels
    if predictions.files is None:
        hours.append(count_hours(engine, predictions, until=until).hour)
    else:
        new = new_files(predictions, state)
        if new:
            counted = count_hours(engine, predictions, files=new, until=until)
            hours.append(counted.hour)
        if before is not None:
            counted = count_hours(engine, predictions, after=before, until=until)
            hours.append(counted.hour)
    if labels is not None:
        asked: list[tuple[Collection[str] | None, datetime | None]] = []
        if labels.files is None:
            asked.append((None, None))
        elif labels is not predictions and (new := new_files(labels, state)):
            asked.append((new, None))
        if before is not None and AT in labels.roles:
            asked.append((None, before))
        for files, after in asked:
            counted, n_labels = count_labeled_hours(
                engine, predictions, labels, files=files, after=after, until=until
            )
            hours.append(counted.hour)
            if n_labels and not counted.n_rows:
                remarks.append(
                    f"none of {n_labels:,} labels belongs to a prediction that is there"
                )
    return np.concatenate(hours) if hours else np.empty(0, dtype="M8[us]"), remarks
