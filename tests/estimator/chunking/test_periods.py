import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from estimator.chunking.chunks import check_chunk, make_chunks
from tests.estimator.chunking.cuts import BERLIN, ZONES, label_by_row, moments

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
