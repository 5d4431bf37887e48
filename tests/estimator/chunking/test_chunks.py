from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from estimator.chunking.chunks import (
    Chunks,
    ascending_order,
    by_segment,
    check_chunk,
    is_ascending,
    keep_rows,
    make_chunks,
)
from tests.estimator.chunking.cuts import (
    ALIASES,
    BERLIN,
    ZONES,
    label_by_row,
    members,
    moments,
    order_of,
    timestamps,
)

ALIASES += ["2MS", "QS", "QE", "QS-FEB", "QE-FEB", "YS", "YE", "YE-MAR", "2YS"]


@pytest.mark.parametrize("zone", ZONES)
@given(
    ts=timestamps(),
    chunk=st.one_of(st.sampled_from(ALIASES), st.integers(1, 50), st.none()),
)
def test_every_row_is_in_exactly_one_chunk(ts, chunk, zone):
    chunks = make_chunks(ts.size, chunk, ts, zone)
    assert_array_equal(np.sort(order_of(chunks, ts.size)), np.arange(ts.size))
    assert chunks.offsets[0] == 0
    assert chunks.offsets[-1] == ts.size
    assert np.all(np.diff(chunks.offsets) >= 0)
    assert len(set(chunks.label.tolist())) == len(chunks) == chunks.offsets.size - 1
    for rows, start, end in zip(
        members(chunks, ts.size).values(), chunks.start, chunks.end, strict=True
    ):
        if rows.size:
            assert (start, end) == (ts[rows].min(), ts[rows].max())
        else:
            assert np.isnat(start)
            assert np.isnat(end)
    filled = np.flatnonzero(np.diff(chunks.offsets))
    assert filled[0] == 0
    assert filled[-1] == len(chunks) - 1
    assert np.all(chunks.end[filled][:-1] <= chunks.start[filled][1:])


@pytest.mark.parametrize("zone", ZONES)
@given(ts=timestamps(), alias=st.sampled_from(ALIASES), data=st.data())
def test_row_order_changes_no_membership(ts, alias, zone, data):
    shuffle = np.array(data.draw(st.permutations(range(ts.size))))
    plain = label_by_row(make_chunks(ts.size, alias, ts, zone), ts.size)
    shuffled = make_chunks(ts.size, alias, ts[shuffle], zone)
    assert_array_equal(label_by_row(shuffled, ts.size), plain[shuffle])
    assert (
        shuffled.label.tolist() == make_chunks(ts.size, alias, ts, zone).label.tolist()
    )


@given(ts=timestamps(), alias=st.sampled_from(ALIASES), data=st.data())
def test_a_rows_label_does_not_depend_on_the_other_rows(ts, alias, data):
    """Reference and production, and two nights' batches, agree about the periods."""
    zone = data.draw(st.sampled_from(ZONES))
    whole = label_by_row(make_chunks(ts.size, alias, ts, zone), ts.size)
    row = data.draw(st.integers(0, ts.size - 1))
    alone = make_chunks(1, alias, ts[[row]], zone)
    assert alone.label.tolist() == [whole[row]]


def test_rows_in_time_order_with_ties_as_in_the_frame():
    ts = moments("2026-01-02", "2026-01-01", "2026-01-02", "2026-01-01", "2026-01-03")
    chunks = make_chunks(5, 2, ts)
    assert chunks.rows.tolist() == [1, 3, 0, 2, 4]
    assert chunks.offsets.tolist() == [0, 2, 4, 5]
    assert chunks.label.tolist() == [0, 1, 2]
    assert chunks.complete.tolist() == [True, True, False]
    assert_array_equal(chunks.start, ts[[1, 0, 4]])
    assert_array_equal(chunks.end, ts[[1, 0, 4]])


def test_rows_as_they_lie_without_timestamps():
    chunks = make_chunks(5, np.int64(2))
    assert chunks.rows is None
    assert chunks.start.tolist() == [0, 2, 4]
    assert chunks.end.tolist() == [1, 3, 4]
    assert chunks.complete.tolist() == [True, True, False]
    assert make_chunks(2, 5).complete.tolist() == [False]


@pytest.mark.parametrize("ts", [None, moments("2026-01-02", "2026-01-01")])
def test_none_is_one_chunk(ts):
    chunks = make_chunks(2, None, ts)
    assert (chunks.rows, chunks.label.tolist()) == (None, [0])
    assert chunks.complete.all()
    if ts is not None:
        assert (chunks.start[0], chunks.end[0]) == (ts[1], ts[0])


@pytest.mark.parametrize(
    ("chunk", "error", "match"),
    [
        (True, TypeError, "`chunk` must not be a bool, got True. Pass a row count"),
        (0, ValueError, "`chunk` must be at least 1 row, got 0"),
        (-3, ValueError, "`chunk` must be at least 1 row, got -3"),
        (2.5, TypeError, "`chunk` must be a whole number of rows, got 2.5"),
        (float("nan"), TypeError, "`chunk` must be a whole number of rows, got nan"),
        (float("inf"), TypeError, "`chunk` must be a whole number of rows, got inf"),
        (pd.Timedelta("1D"), TypeError, "`chunk` must not be a Timedelta"),
        (b"W", TypeError, "`chunk` must not be a bytes"),
        ({"2026-01-01"}, TypeError, "`chunk` must not be a set"),
        (moments("2026-01-01")[None], ValueError, r"got shape \(1, 1\)"),
        ([], ValueError, "`chunk` must hold timestamps, got an empty sequence"),
        ([1, 2], TypeError, "`chunk` must hold dates, but row 0 is 1"),
        (["2026-01-01", None], ValueError, "got none at position 1"),
        (["2026-01-01", "x"], ValueError, "`chunk` must hold timestamps.*row 1 is 'x'"),
        (["2026-01-02", "2026-01-01"], ValueError, "strictly increasing.*position 1"),
        (["2026-01-01", "2026-01-01"], ValueError, "strictly increasing.*position 1"),
    ],
)  # fmt: skip
def test_bad_chunk(chunk, error, match):
    with pytest.raises(error, match=match):
        check_chunk(chunk, has_timestamp=True)


@pytest.mark.parametrize("chunk", ["W", ["2026-01-01"]])
def test_periods_need_timestamps(chunk):
    with pytest.raises(ValueError, match=r"`chunk` = .* `timestamp` is None\. Name"):
        check_chunk(chunk, has_timestamp=False)


def test_a_checked_chunk_passes_through():
    for chunk in (3, None, "W", ["2026-01-01"]):
        spec = check_chunk(chunk, has_timestamp=True)
        assert check_chunk(spec, has_timestamp=True) is spec
    assert check_chunk(1e4, has_timestamp=False) == 10_000  # as JSON and YAML may give


@given(ts=timestamps(), seed=st.integers(0, 99), n_values=st.integers(1, 4))
def test_segments_split_every_chunk(ts, seed, n_values):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n_values, ts.size).astype(np.int16)
    keep = rng.random(ts.size) < rng.random()
    chunks = make_chunks(ts.size, "6h", ts, BERLIN)
    rows, offsets = keep_rows(chunks.rows, chunks.offsets, keep)
    kept = Chunks(
        rows=rows, offsets=offsets, label=chunks.label, start=chunks.start,
        end=chunks.end, complete=chunks.complete,
    )  # fmt: skip
    grouped, bounds = by_segment(kept, codes, n_values)
    assert bounds.size == n_values * len(chunks) + 1
    order = order_of(chunks, ts.size)
    for v in range(n_values):
        for c in range(len(chunks)):
            part = order[chunks.offsets[c] : chunks.offsets[c + 1]]
            truth = part[keep[part] & (codes[part] == v)]  # stable, by the definition
            g = v * len(chunks) + c
            assert grouped[bounds[g] : bounds[g + 1]].tolist() == truth.tolist()


@pytest.mark.parametrize("n_values", [3, 1 << 16, 1 << 17])
def test_segments_of_any_number_are_grouped_alike(n_values):
    """Few values are sorted in another way than many."""
    codes = np.random.default_rng(0).integers(0, n_values, 500)
    codes[::50] = n_values - 1
    rows, offsets = by_segment(make_chunks(500, 200), codes, n_values)
    expected = np.lexsort((np.arange(500) // 200, codes))
    assert_array_equal(rows, expected)
    key = 3 * codes + np.arange(500) // 200
    assert_array_equal(np.diff(offsets), np.bincount(key, minlength=3 * n_values))


def test_each_chunk_is_sorted_by_itself():
    values = np.random.default_rng(0).integers(0, 50, 100) / 50.0
    offsets = np.array([0, 0, 30, 60, 60, 61, 100])
    order = ascending_order(values, offsets)
    for start, stop in pairwise(offsets):
        assert_array_equal(np.sort(order[start:stop]), np.arange(start, stop))
        assert (np.diff(values[order[start:stop]]) >= 0.0).all()
    assert not is_ascending(values, offsets)
    assert is_ascending(values[order], offsets)


def test_keeping_all_rows_copies_nothing():
    offsets = np.array([0, 2, 3])
    assert keep_rows(None, offsets, np.ones(3, dtype=bool)) == (None, offsets)
    rows, left = keep_rows(None, offsets, np.array([False, False, True]))
    assert (rows.tolist(), left.tolist()) == ([2], [0, 0, 1])
