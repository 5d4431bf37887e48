"""Parts of a snapshot, and snapshots of a few chunks, against the whole."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from estimator.chunking.chunks import check_chunk
from estimator.ledger.ledger import Ledger
from estimator.ledger.snapshot import part_of_snapshot, take_snapshot
from tests.estimator.ledger.test_ledger import START, add, frame_of, label, micro

DAILY = check_chunk("D", has_timestamp=True)


@pytest.fixture(scope="module")
def frame():
    """Rows of eight days, of which three have none; some lack a score."""
    rng = np.random.default_rng(0)
    days = rng.choice([0.2, 1.5, 3.1, 3.9, 6.4, 7.0], 120) + rng.random(120) / 9
    scores = np.where(rng.random(120) < 0.1, np.nan, rng.random(120))
    frame = frame_of(np.arange(120), days, scores)
    return frame.assign(time=frame["time"].dt.floor("s"))


@pytest.fixture(scope="module")
def ledger(frame):
    """The rows, delivered in any order, and some labels."""
    rng = np.random.default_rng(1)
    ledger = Ledger()
    for part in np.array_split(rng.permutation(120), 3):
        ledger, _ = add(ledger, frame.iloc[part])
    rows = rng.choice(120, 70)
    ledger, _ = label(ledger, rows, rng.integers(0, 2, 70), rng.integers(1, 12, 70))
    return ledger


def rows_of(columns, chunks, position):
    """Return all that is known of the rows of a chunk, in their order."""
    rows = slice(chunks.offsets[position], chunks.offsets[position + 1])
    segment = columns.segments["region"]
    return [
        columns.score[rows],
        columns.label[rows],
        columns.timestamp[rows],
        columns.labeled_at[rows],
        np.array(segment.values, dtype=object)[segment.codes[rows]],
    ]


def assert_same_rows(first, second):
    for one, other in zip(first, second, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("as_of", [None, 0.25, 3.5, 3.95, 7.05])
def test_rows_are_those_predicted_by_then_in_time_order(ledger, frame, as_of):
    """Also where a chunk has but begun by then, and its rows came out of order."""
    if as_of is not None:
        frame = frame[frame["time"] <= START + pd.Timedelta(days=as_of)]
    frame = frame.sort_values("time")
    snapshot = take_snapshot(ledger, DAILY, None if as_of is None else micro(as_of))
    assert_array_equal(snapshot.columns.score, frame["y_pred_proba"])
    assert_array_equal(snapshot.columns.timestamp, frame["time"])
    days = frame["time"].dt.strftime("%Y-%m-%d")
    sizes = np.diff(snapshot.chunks.offsets)
    assert_array_equal(np.repeat(snapshot.chunks.label, sizes), days)


@settings(max_examples=25)
@given(
    only=st.sets(st.integers(0, 5), min_size=1),
    as_of=st.sampled_from([None, 2.0, 3.5, 7.05, 20.0]),
)
def test_a_few_chunks_are_as_in_the_whole(ledger, only, as_of):
    moment = None if as_of is None else micro(as_of)
    whole = take_snapshot(ledger, DAILY, moment)
    few = take_snapshot(ledger, DAILY, moment, only=only)
    by_serial = {
        serial: position
        for position, serial in enumerate(whole.serial.tolist())
        if serial >= 0
    }
    assert {s for s in few.serial.tolist() if s >= 0} == only & by_serial.keys()
    for position, serial in enumerate(few.serial.tolist()):
        if serial >= 0:
            there = by_serial[serial]
            assert few.chunks.label[position] == whole.chunks.label[there]
            assert_same_rows(
                rows_of(few.columns, few.chunks, position),
                rows_of(whole.columns, whole.chunks, there),
            )
    if few.chunks.label.size:
        named = [few.labels[position] for position in few.position.tolist()]
        assert named == few.chunks.label.tolist()


@given(cuts=st.lists(st.integers(0, 8), max_size=3).map(sorted))
def test_parts_add_up_to_the_whole(ledger, cuts):
    whole = take_snapshot(ledger, DAILY)
    n_chunks = len(whole.chunks)
    assert n_chunks == 8  # days 2, 4 and 5 are empty
    edges = [0, *cuts, n_chunks]
    n_missing, position = 0, 0
    for begin, stop in itertools.pairwise(edges):
        columns, chunks = part_of_snapshot(whole, slice(begin, stop))
        assert len(chunks) == stop - begin
        assert chunks.offsets[0] == 0
        assert chunks.offsets[-1] == columns.n_rows == columns.score.size
        n_missing += columns.missing_score
        for i in range(stop - begin):
            assert chunks.label[i] == whole.chunks.label[position]
            assert_same_rows(
                rows_of(columns, chunks, i),
                rows_of(whole.columns, whole.chunks, position),
            )
            position += 1
    assert position == n_chunks
    assert n_missing == whole.columns.missing_score > 0
