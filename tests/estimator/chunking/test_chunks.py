from itertools import pairwise

import hypothesis.extra.numpy as hnp
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

BERLIN = "Europe/Berlin"
ALIASES = ["h", "15min", "6h", "7h", "90s", "D", "3D", "W", "2W", "W-WED", "MS", "ME"]
ALIASES += ["2MS", "QS", "QE", "QS-FEB", "QE-FEB", "YS", "YE", "YE-MAR", "2YS"]
ZONES = [None, "UTC", BERLIN, "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana"]

# Hours around both clock changes of 2026, on a grid of 10 minutes: ties are common.
HOURS = st.sampled_from(["2026-03-28", "2026-10-24", "1969-12-30", "2026-04-04"])


@st.composite
def timestamps(draw, max_hours=72):
    minutes = hnp.arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 432))
    unit = draw(st.sampled_from(["s", "ms", "us", "ns"]))
    start = np.datetime64(draw(HOURS)).astype("M8[m]")
    return (start + draw(minutes) * 10).astype(f"M8[{unit}]")


def moments(*texts, unit="us"):
    return np.array(texts, dtype=f"M8[{unit}]")


def order_of(chunks, n):
    return np.arange(n) if chunks.rows is None else chunks.rows


def members(chunks, n):
    """Label → positions of its rows."""
    parts = np.split(order_of(chunks, n), chunks.offsets[1:-1])
    return dict(zip(chunks.label.tolist(), map(np.sort, parts), strict=True))


def label_by_row(chunks, n):
    out = np.empty(n, dtype=object)
    for label, rows in members(chunks, n).items():
        out[rows] = label
    return out


# ---------------------------------------------------------------- every form of chunk


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


# ----------------------------------------------------------------------- offset alias

PERIODS = {
    "D": "D", "W": "W-SUN", "W-WED": "W-WED", "MS": "M", "ME": "M", "QS": "Q-DEC",
    "QE": "Q-DEC", "QS-FEB": "Q-JAN", "QE-FEB": "Q-FEB", "YS": "Y-DEC", "YE": "Y-DEC",
    "YE-MAR": "Y-MAR", "YS-APR": "Y-MAR",
}  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("alias", PERIODS)
def test_calendar_labels_are_those_of_to_period(alias, zone):
    rng = np.random.default_rng(0)
    ts = moments("2023-01-01") + np.sort(rng.integers(0, 3 * 365 * 86_400_000_000, 500))
    local = pd.Series(ts)
    if zone is not None:
        local = local.dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
    truth = local.dt.to_period(PERIODS[alias]).dt.start_time.dt.strftime("%Y-%m-%d")
    chunks = make_chunks(ts.size, alias, ts, zone)
    assert label_by_row(chunks, ts.size).tolist() == truth.tolist()


@pytest.mark.parametrize("alias", ["h", "D", "3D", "W", "6h", "MS", "QS", "YS", "7h"])
def test_counts_are_those_of_resample(alias):
    rng = np.random.default_rng(1)
    ts = moments("2025-11-20") + rng.integers(0, 90 * 86_400_000_000, 300)
    # resample's weeks end on their anchor: from Monday to Monday is W-MON, closed left.
    rule, options = alias, {"origin": "epoch"} if alias[-1] in "hD" else {}
    if alias == "W":
        rule, options = "W-MON", {"closed": "left", "label": "left"}
    n = pd.Series(1, index=pd.DatetimeIndex(ts)).resample(rule, **options)
    truth = n.sum()
    chunks = make_chunks(ts.size, alias, ts)
    assert_array_equal(np.diff(chunks.offsets), truth.to_numpy())  # gaps included
    sub_daily = "%Y-%m-%dT%H:%M:%S" if "h" in alias else "%Y-%m-%d"
    assert chunks.label.tolist() == truth.index.strftime(sub_daily).tolist()


def test_days_of_berlin_last_23_and_25_hours():
    hours = pd.date_range("2026-03-28", "2026-03-31", freq="h", tz=BERLIN)[:-1]
    ts = hours.tz_localize(None) if hours.tz is None else hours.tz_convert(None)
    spring = make_chunks(len(ts), "D", ts.to_numpy(), BERLIN)
    assert spring.label.tolist() == ["2026-03-28", "2026-03-29", "2026-03-30"]
    assert np.diff(spring.offsets).tolist() == [24, 23, 24]
    hours = pd.date_range("2026-10-24", "2026-10-27", freq="h", tz=BERLIN)[:-1]
    autumn = make_chunks(len(hours), "D", hours.tz_convert(None).to_numpy(), BERLIN)
    assert np.diff(autumn.offsets).tolist() == [24, 25, 24]


def test_hours_of_berlin_skip_one_in_spring_and_repeat_one_in_autumn():
    spring = make_chunks(
        2, "h", moments("2026-03-29T00:30", "2026-03-29T01:30"), BERLIN
    )
    assert spring.label.tolist() == [
        "2026-03-29T01:00:00+01:00",
        "2026-03-29T03:00:00+02:00",
    ]
    ts = moments("2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30")
    autumn = make_chunks(3, "h", ts, BERLIN)
    assert autumn.label.tolist() == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T03:00:00+01:00",
    ]
    assert np.diff(autumn.offsets).tolist() == [1, 1, 1]


def test_ticks_longer_than_an_hour_follow_the_wall_clock():
    ts = moments("2026-03-28T23:00", "2026-03-29T03:59", "2026-03-29T04:00")
    chunks = make_chunks(3, "6h", ts, BERLIN)  # the first six hours last five
    assert chunks.label.tolist() == [
        "2026-03-29T00:00:00+01:00",
        "2026-03-29T06:00:00+02:00",
    ]
    assert chunks.offsets.tolist() == [0, 2, 3]


def test_starts_inside_the_spring_gap_become_one():
    ts = moments("2026-03-29T00:30", "2026-03-29T01:15")  # 01:30+01:00, 03:15+02:00
    chunks = make_chunks(2, "40min", ts, BERLIN)
    assert chunks.label.tolist() == [
        "2026-03-29T01:20:00+01:00",
        "2026-03-29T03:00:00+02:00",
    ]


def test_half_hour_zones_have_their_own_full_hours():
    chunks = make_chunks(
        2, "h", moments("2026-01-01T00:29", "2026-01-01T00:30"), "Asia/Kolkata"
    )
    assert chunks.label.tolist() == [
        "2026-01-01T05:00:00+05:30",
        "2026-01-01T06:00:00+05:30",
    ]


def test_half_hour_clock_change_starts_a_period():
    # Lord Howe, 2026-04-05: at 02:00+11:00 the clock goes back to 01:30+10:30.
    ts = moments("2026-04-04T14:59", "2026-04-04T15:00", "2026-04-04T15:30")
    chunks = make_chunks(3, "h", ts, "Australia/Lord_Howe")
    assert chunks.label.tolist() == [
        "2026-04-05T01:00:00+11:00",
        "2026-04-05T01:30:00+10:30",
        "2026-04-05T02:00:00+10:30",
    ]


def test_a_day_without_midnight_keeps_its_date():
    # São Paulo, 2018-11-04: the clock went from 00:00 to 01:00.
    ts = moments("2018-11-04T02:59", "2018-11-04T03:00")
    chunks = make_chunks(2, "D", ts, "America/Sao_Paulo")
    assert chunks.label.tolist() == ["2018-11-03", "2018-11-04"]


@pytest.mark.parametrize(
    ("alias", "label"),
    [("s", "2026-03-09T14:00:01"), ("100ms", "2026-03-09T14:00:01.200"),
     ("24h", "2026-03-09"), ("1D12h", "2026-03-09T12:00:00")],
)  # fmt: skip
def test_label_is_as_fine_as_its_period(alias, label):
    chunks = make_chunks(1, alias, moments("2026-03-09T14:00:01.234567"))
    if alias == "1D12h":  # 36 h from 1970: 13 693 times 36 h before the row
        ticks = np.datetime64("1970-01-01T00") + np.arange(20_000) * 36
        label = str(ticks[ticks <= np.datetime64("2026-03-09T14")][-1]) + ":00:00"
    assert chunks.label.tolist() == [label]


def test_empty_periods_in_between_are_chunks():
    chunks = make_chunks(2, "D", moments("2026-01-01T10", "2026-01-04T10"))
    assert np.diff(chunks.offsets).tolist() == [1, 0, 0, 1]
    assert np.isnat(chunks.start).tolist() == [False, True, True, False]
    assert chunks.complete.all()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_coarse_timestamps_and_fine_periods(unit):
    ts = moments("2026-01-01T00:00:00", "2026-01-01T00:00:01", unit=unit)
    chunks = make_chunks(2, "300ms", ts)
    assert np.diff(chunks.offsets)[[0, -1]].tolist() == [1, 1]
    assert chunks.start.dtype == ts.dtype


def test_far_away_timestamps_do_not_overflow():
    ts = moments("1677-09-22", "2262-04-11", unit="ns")
    assert make_chunks(2, "YS", ts).label[[0, -1]].tolist() == [
        "1677-01-01",
        "2262-01-01",
    ]
    ts = moments("0900-01-01", "3000-01-01", unit="s")
    assert len(make_chunks(2, "YE", ts)) == 2101


def test_too_many_periods_are_an_error():
    ts = moments("1970-01-01", "2026-01-01")
    with pytest.raises(
        ValueError, match=r"'h' makes 490,\d{3} periods from 1970-01-01.*10,000"
    ):
        make_chunks(2, "h", ts)
    with pytest.raises(ValueError, match=r"`chunk` 'D' .* stray timestamp"):
        make_chunks(2, "D", ts)
    assert len(make_chunks(2, "W", ts)) == 2923


@pytest.mark.parametrize("alias", ["B", "SME", "BME", "WOM-1MON", "bh", "BQS", "C"])
def test_alias_without_a_period_is_an_error(alias):
    with pytest.raises(
        ValueError, match=rf"`chunk` .*'{alias}' .*has none\. Valid are"
    ):
        check_chunk(alias, has_timestamp=True)


@pytest.mark.parametrize("alias", ["fortnight", "", "2026-01-01", "W-FOO"])
def test_unknown_alias_is_an_error(alias):
    with pytest.raises(ValueError, match=rf"`chunk` .*got '{alias}'\. Valid are \"h\""):
        check_chunk(alias, has_timestamp=True)


@pytest.mark.parametrize("alias", ["-1D", "0h"])
def test_period_must_be_positive(alias):
    with pytest.raises(ValueError, match="`chunk` must be a positive period"):
        check_chunk(alias, has_timestamp=True)


# -------------------------------------------------------------------------- row counts


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


# ------------------------------------------------------------------------------- edges

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


# ---------------------------------------------------------------------------- grouping


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
