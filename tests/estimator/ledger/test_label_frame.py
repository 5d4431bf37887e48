import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from estimator.ledger.label_frame import NO_TIME, read_labels

FRAME = pd.DataFrame(
    {
        "id": [3, 1, 2],
        "y": [1.0, np.nan, 0.0],
        "known": pd.to_datetime(["2026-01-05", "2026-01-06", None]),
    }
)


def read(frame, labeled_at="known"):
    return read_labels(frame, row_id="id", y_true="y", labeled_at=labeled_at)


@pytest.mark.parametrize(
    "frame",
    [FRAME, pl.from_pandas(FRAME), pa.Table.from_pandas(FRAME)],
    ids=["pandas", "polars", "pyarrow"],
)
def test_rows_without_a_label_are_left_out_and_counted(frame):
    labels = read(frame)
    assert_array_equal(labels.keys, [3, 2])
    assert_array_equal(labels.value, [1, 0])
    assert_array_equal(labels.arrived_at, [1_767_571_200_000_000, NO_TIME])
    assert (labels.n_missing, labels.show(1)) == (1, "2")


@pytest.mark.parametrize("labeled_at", [None, "another"])
def test_times_may_be_absent(labeled_at):
    labels = read(FRAME, labeled_at)
    assert not labels.has_times
    assert (labels.arrived_at == NO_TIME).all()


def test_no_labels_are_not_an_error():
    for frame in (FRAME[:0], FRAME[1:2]):
        assert read(frame).keys.size == 0


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME.rename(columns={"id": "ident"}), r"`labels` must have .* lacks 'id'"),
        (FRAME.assign(y=[0, 1, 2]), r"`labels\['y'\]` \(y_true\) must hold 0 and 1"),
        (FRAME.assign(id=[1, 2, None]), r"`labels\['id'\]` \(row_id\) must hold row"),
        (FRAME.assign(known=[1, 2, 3]), r"\(labeled_at\) must hold timestamps"),
        ([1, 2], "`labels` must be a pandas or polars DataFrame"),
    ],
)
def test_bad_frames_are_named(frame, message):
    with pytest.raises((TypeError, ValueError), match=message):
        read(frame)
