import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.chunking.chunks import make_chunks
from tests.estimator.chunking.cuts import BERLIN, members, moments, timestamps

EDGES = ["2026-01-10", "2026-02-01", "2026-02-15", "2026-03-01"]


@pytest.mark.parametrize(
    "edges",
    [EDGES, pd.DatetimeIndex(EDGES), np.array(EDGES, "M8[D]"),
     tuple(map(pd.Timestamp, EDGES)), pd.Series(pd.to_datetime(EDGES)),
     [pd.Timestamp(e).date() for e in EDGES]],
    ids=["str", "index", "numpy", "Timestamp", "Series", "date"],
)  # fmt: skip
def test_rows_outside_the_edges_are_not_lost(edges):
    ts = moments("2026-02-20", "2026-01-31T23:59", "2026-01-05T08:30", "2027-01-01")
    chunks = make_chunks(4, edges, ts)
    assert chunks.label.tolist() == ["2026-01-05T08:30:00", *EDGES]
    assert np.diff(chunks.offsets).tolist() == [1, 1, 0, 1, 1]
    assert chunks.rows.tolist() == [2, 1, 0, 3]


def test_empty_chunks_at_the_ends_are_dropped():
    ts = moments("2026-02-01", "2026-02-14T23:59:59")
    assert make_chunks(2, EDGES, ts).label.tolist() == ["2026-02-01"]
    ts = moments("2025-12-01", "2025-12-02")
    assert make_chunks(2, EDGES, ts).label.tolist() == ["2025-12-01"]
    ts = moments("2030-12-01", "2030-12-02")
    assert make_chunks(2, EDGES, ts).label.tolist() == ["2026-03-01"]
    far = moments("0001-01-01", "9999-12-31", unit="s")
    assert len(make_chunks(2, far, ts.astype("M8[ns]"))) == 1


def test_edges_take_the_zone_of_the_rows():
    ts = moments("2026-01-31T22:59:59", "2026-01-31T23:00")
    chunks = make_chunks(2, EDGES, ts, BERLIN)  # midnight in Berlin is 23:00 UTC
    assert chunks.label.tolist() == ["2026-01-10", "2026-02-01"]
    aware = pd.DatetimeIndex(["2026-01-31T22:00", "2026-01-31T23:00"], tz="UTC")
    chunks = make_chunks(2, aware, ts, BERLIN)
    assert chunks.label.tolist() == [
        "2026-01-31T23:00:00+01:00",
        "2026-02-01T00:00:00+01:00",
    ]
    with pytest.raises(
        ValueError, match=r"`chunk` has timestamps in UTC.*no time zone"
    ):
        make_chunks(2, aware, ts)


@given(ts=timestamps(), cuts=st.sets(st.integers(0, 432), min_size=1), data=st.data())
def test_edges_cut_as_half_open_intervals(ts, cuts, data):
    start = ts.min().astype("M8[m]") - data.draw(st.integers(0, 500))
    edges = start + np.array(sorted(cuts)) * 10
    chunks = make_chunks(ts.size, edges, ts)
    truth = np.searchsorted(edges.astype(ts.dtype), ts, side="right")
    got = {tuple(rows) for rows in members(chunks, ts.size).values() if rows.size}
    assert got == {tuple(np.flatnonzero(truth == j)) for j in set(truth.tolist())}
