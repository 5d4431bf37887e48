import re
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from estimator.chunking.chunks import make_chunks
from estimator.frames.datetimes import (
    elapsed_nanoseconds,
    iso_format,
    localize,
    read_moment,
    wall_clock,
)
from tests.estimator.frames.libraries import arrow, every_library, read

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_time_zone_costs_no_copy():
    frame = pd.DataFrame(
        {"score": [0.5], "t": pd.to_datetime(["2026-01-01"], utc=True)}
    )
    frame["t"] = frame["t"].dt.tz_convert(BERLIN)
    got, again = read(frame, timestamp="t"), read(frame, timestamp="t")
    assert np.shares_memory(got.timestamp, again.timestamp)
    assert got.timezone == BERLIN
    assert got.timestamp[0] == np.datetime64("2026-01-01")


def times(column, frame=pd.DataFrame):
    return read(frame({"score": [0.5] * len(column), "t": column}), timestamp="t")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("frame", [pd.DataFrame, arrow])
def test_timestamps_keep_their_unit(unit, frame):
    column = np.array(["2026-01-01", "2026-01-02T03"], dtype=f"M8[{unit}]")
    got = times(column, frame)
    assert got.timestamp.dtype == column.dtype
    assert_array_equal(got.timestamp, column)


@pytest.mark.parametrize(
    "column",
    [
        ["2026-01-01", "2026-01-02T03:00:00"],
        ["2026-01-01 00:00", "2026-01-02 03:00:00.000"],
        [date(2026, 1, 1), datetime(2026, 1, 2, 3)],
        [np.datetime64("2026-01-01"), pd.Timestamp("2026-01-02T03")],
        pd.Categorical(["2026-01-01", "2026-01-02T03"]),
    ],
)
def test_timestamps_in_other_spellings(column):
    got = times(pd.Series(column, dtype=None if hasattr(column, "codes") else object))
    assert_array_equal(
        got.timestamp, np.array(["2026-01-01", "2026-01-02T03"], "M8[us]")
    )
    assert got.timezone is None


@every_library
def test_dates_and_iso_text(frame):
    for column in ([date(2026, 1, 1)] * 3, ["2026-01-01"] * 3):
        expected = np.array(["2026-01-01"] * 3, "M8[s]")
        assert_array_equal(times(column, frame).timestamp, expected)


@every_library
def test_time_zones_are_kept_and_moments_are_utc(frame):
    if frame is pl.DataFrame:  # polars turns a list of aware datetimes into UTC
        frame = lambda data: pl.DataFrame(data).with_columns(  # noqa: E731
            pl.col("t").dt.convert_time_zone("Europe/Berlin")
        )
    column = [datetime(2026, 1, 1, tzinfo=BERLIN), datetime(2026, 7, 1, tzinfo=BERLIN)]
    got = times(column, frame)
    assert_array_equal(
        got.timestamp, np.array(["2025-12-31T23", "2026-06-30T22"], "M8[us]")
    )
    assert str(got.timezone) == "Europe/Berlin"


def test_fixed_offsets():
    zone = timezone(timedelta(hours=1))
    for column in (
        pd.Series(["2026-01-01T00:00+01:00"] * 2),
        pd.Series([datetime(2026, 1, 1, tzinfo=zone)] * 2, dtype=object),
        pd.Series([pd.Timestamp("2026-01-01", tz=zone)] * 2),
    ):
        got = times(column)
        assert make_chunks(2, "D", got.timestamp, got.timezone).label == ["2026-01-01"]
        assert got.timestamp[0] == np.datetime64("2025-12-31T23")
        assert got.timezone.utcoffset(datetime(2026, 1, 1)) == timedelta(hours=1)


def test_arrow_offsets():
    kind = pa.timestamp("ms", "+01:00")
    column = pa.array([datetime(2025, 12, 31, 23)] * 2).cast(pa.timestamp("ms"))
    for frame in (
        pa.table,
        lambda d: pa.table(d).to_pandas(types_mapper=pd.ArrowDtype),
    ):
        got = times(column.cast(kind), frame)
        assert make_chunks(2, "D", got.timestamp, got.timezone).label == ["2026-01-01"]


@pytest.mark.parametrize(
    "column",
    [
        ["2026-01-01T00:00+01:00", "2026-07-01T00:00+02:00"],
        ["2026-01-01T00:00+01:00", "2026-07-01T00:00"],
        ["2026-01-01T00:00Z", "2026-07-01"],
        [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1)],
        [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=BERLIN)],
    ],
)
def test_mixed_time_zones(column):
    with pytest.raises(
        ValueError, match=r"\['t'\]` \(timestamp\) must have one time zone"
    ):
        times(pd.Series(column, dtype=object))


@pytest.mark.parametrize("word", ["now", "Today"])
def test_the_wall_clock_is_no_timestamp(word):
    with pytest.raises(ValueError, match=rf"must hold timestamps.*row 1 is '{word}'"):
        times(["2026-03-09", word])


def test_placeholders_out_of_reach():
    try:
        pd.to_datetime(["9999-12-31"], format="ISO8601")
    except ValueError:  # pandas 2 knows nanoseconds only
        with pytest.raises(ValueError, match=r"row 1 is '9999-12-31'\. Drop"):
            times(["2026-03-09", "9999-12-31"])
    else:
        got = times(["2026-03-09", "9999-12-31"]).timestamp
        assert got[1] == np.datetime64("9999-12-31")


@every_library
def test_unreadable_timestamps(frame):
    with pytest.raises(
        ValueError, match=r"must hold timestamps.*row 1 is '09\.03\.2026'"
    ):
        times(["2026-03-09", "09.03.2026", "x"], frame)


@pytest.mark.parametrize(
    "column",
    [["2026-03-09", None, None], [None, None, "2026-03-09"],
     [datetime(2026, 1, 1), None, None], [date(2026, 1, 1), None, None]],
)  # fmt: skip
@every_library
def test_missing_timestamps(frame, column):
    first = column.index(None)
    match = rf"2 of 3 are missing \(first: row {first}\)\. Drop these rows"
    with pytest.raises(ValueError, match=match):
        times(column, frame)


@pytest.mark.parametrize(
    ("first", "remedy"),
    [
        (1_735_689_600, 'pd.to_datetime(column, unit="s")'),
        (1.7356896e9, 'pd.to_datetime(column, unit="s")'),
        (1_735_689_600_000, 'pd.to_datetime(column, unit="ms")'),
        (1_735_689_600_000_000, 'pd.to_datetime(column, unit="us")'),
        (1_735_689_600_000_000_000, 'pd.to_datetime(column, unit="ns")'),
        (20250101, 'pd.to_datetime(column.astype(str), format="%Y%m%d")'),
        (202501, 'pd.to_datetime(column.astype(str), format="%Y%m")'),
        (45658, 'pd.to_datetime(column, unit="D", origin="1899-12-30")'),
        (7, "Name another column."),
        (True, "Name another column."),
    ],
)
@every_library
def test_numeric_timestamps(frame, first, remedy):
    with pytest.raises(TypeError, match=rf"\(timestamp\).*{re.escape(remedy)}"):
        times([first, first], frame)
    if not isinstance(first, bool):
        if remedy.startswith("pd."):  # it gives the day that is meant
            names = {"pd": pd, "column": pd.Series([first])}
            moment = eval(remedy, names).iloc[0]  # noqa: S307
            assert moment == pd.Timestamp("2025-01-01")
        objects = pd.Series(["2026-01-01", first], dtype=object)
        with pytest.raises(TypeError, match="row 1 is"):
            times(objects)


@pytest.mark.parametrize("year", ["22012-01-01", "-0001-01-01", "0999-12-31"])
@every_library
def test_years_that_iso_cannot_write(frame, year):
    column = np.array(["2026-01-01", year], dtype="M8[ms]")
    match = r"years 1000 to 9999, but 1 of 2 .*first: row 1 lies in the year"
    with pytest.raises(ValueError, match=match):
        times(column, frame)


def test_timestamps_of_other_types():
    with pytest.raises(TypeError, match=r"row 1 is 5\. Convert"):
        times(pd.Series(["2026-01-01", 5], dtype=object))
    with pytest.raises(TypeError, match="must hold timestamps, but is of type"):
        times(pd.Series(pd.period_range("2026", periods=2, freq="D")))
    with pytest.raises(TypeError, match="must hold timestamps, but is of type"):
        times([timedelta(1)], arrow)


# --------------------------------------------------------- moments, against `datetime`

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = [None, UTC, BERLIN, ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/St_Johns")]
WALL = st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1))


def microseconds(moment):
    return (moment - EPOCH) // timedelta(microseconds=1)


def exists_once(wall, zone):
    """Whether clocks show a time once: neither skipped nor repeated."""
    first, second = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    return first.utcoffset() == second.utcoffset()


@given(wall=WALL, zone=st.sampled_from(ZONES), data=st.sampled_from(ZONES))
def test_a_moment_is_that_of_its_zone_or_else_of_the_data(wall, zone, data):
    assume(all(exists_once(wall, one or UTC) for one in (zone, data)))
    value = wall.replace(tzinfo=zone)
    spellings = [value, value.isoformat(), pd.Timestamp(value)]
    if zone is not None and data is None:
        for spelling in spellings:
            with pytest.raises(ValueError, match="`as_of` must have no time zone"):
                read_moment(spelling, "as_of", timezone=data, has_times=True)
    expected = microseconds(wall.replace(tzinfo=zone or data or UTC))
    for spelling in spellings:
        moment = read_moment(spelling, "as_of", timezone=data, has_times=False)
        assert moment == expected


@pytest.mark.parametrize("value", ["soon", "", pd.NaT, "NaT", "2026-13-01", [1, 2]])
def test_what_is_no_moment(value):
    with pytest.raises(ValueError, match="`as_of` must be a timestamp, got"):
        read_moment(value, "as_of", timezone=None, has_times=True)


def test_no_moment_is_none():
    assert read_moment(None, "as_of", timezone=BERLIN, has_times=True) is None


@given(wall=st.lists(WALL, max_size=4), zone=st.sampled_from(ZONES))
@example([datetime(2026, 3, 29, 2, 30), datetime(2026, 10, 25, 2, 30)], BERLIN)
def test_wall_clocks_go_to_utc_and_back(wall, zone):
    """Of a repeated hour the first counts; a skipped one ends with the gap."""
    utc = localize(np.array(wall, dtype="M8[us]"), zone)
    back = wall_clock(utc, zone).tolist()
    texts = iso_format(utc, zone, "us")
    for time, moment, shown, text in zip(wall, utc.tolist(), back, texts, strict=True):
        aware = time.replace(tzinfo=zone or UTC)
        is_skipped = aware.astimezone(UTC).astimezone(zone or UTC) != aware
        if not is_skipped:
            assert microseconds(aware) == microseconds(moment.replace(tzinfo=UTC))
            assert shown == time
        else:
            assert shown >= time
        read = datetime.fromisoformat(text)
        assert read.replace(tzinfo=read.tzinfo or UTC) == moment.replace(tzinfo=UTC)
        assert (read.tzinfo is None) == (zone is None)


@given(WALL, WALL, st.sampled_from(["D", "s", "ms", "us", "ns"]))
def test_time_elapsed_in_any_unit(first, last, unit):
    moments = np.array([first, last], dtype="M8[us]").astype(f"M8[{unit}]")
    days = moments.astype("M8[us]").tolist()
    nanoseconds = (days[1] - days[0]) // timedelta(microseconds=1) * 1_000
    assert elapsed_nanoseconds(*moments) == nanoseconds
