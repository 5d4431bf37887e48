import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from estimator.chunking.chunks import make_chunks
from estimator.frames.columns import ColumnNames, read_columns

BERLIN = ZoneInfo("Europe/Berlin")
NAN = float("nan")
DECIMAL = pd.ArrowDtype(pa.decimal128(5, 2))
NAMES = {"timestamp": None, "y_pred_proba": "score", "y_pred": None, "y_true": "y"}


def read(frame, *, name="production", label_required=False, **names):
    column_names = ColumnNames(**(NAMES | names))
    return read_columns(frame, column_names, name=name, label_required=label_required)


def arrow(data):
    """Three chunks where there are rows enough, as a file's row groups give."""
    table = pa.table(data)
    return pa.concat_tables([table[:1], table[1:2], table[2:]])


def nullable(data):
    with np.errstate(invalid="ignore"):  # pandas 2 tries infinity as an integer
        return pd.DataFrame(data).convert_dtypes()


def arrow_backed(data):
    return pa.table(data).to_pandas(types_mapper=pd.ArrowDtype)


LIBRARIES = [pd.DataFrame, nullable, arrow_backed, pl.DataFrame, arrow]
every_library = pytest.mark.parametrize("frame", LIBRARIES)


# ------------------------------------------------------------- the same in any library

rows = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(0, 1)),
        st.one_of(st.none(), st.booleans()),
        st.one_of(st.none(), st.integers(0, 1)),
        st.datetimes(datetime(1999, 1, 1), datetime(2040, 1, 1)),
        st.sampled_from(["b", "a", "", None]),
        st.sampled_from([3, 20, -1]),
    ),
    min_size=1,
)
ANCHOR = (0.5, True, 1, datetime(2026, 1, 1, tzinfo=None), "b", 3)


@given(rows=rows, utc=st.booleans())
def test_every_library_gives_the_same_columns(rows, utc):
    score, decision, label, ts, text, number = map(
        list, zip(*[*rows, ANCHOR], strict=True)
    )
    if utc:
        ts = [t.replace(tzinfo=UTC) for t in ts]
    data = {"score": score, "d": decision, "y": label, "t": ts, "s": text, "n": number}
    usable = [
        s is not None and d is not None for s, d in zip(score, decision, strict=True)
    ]
    for frame in LIBRARIES:
        got = read(
            frame(data), y_pred="d", timestamp="t", segments=["s", "n", "d"],
            label_required=True,
        )  # fmt: skip
        assert got.n_rows == len(score)
        assert_array_equal(~np.isnan(got.score), usable)
        assert_array_equal(
            got.score[usable], [s for s, u in zip(score, usable, strict=True) if u]
        )
        assert got.missing_score == score.count(None)
        assert got.missing_score + got.missing_decision == usable.count(False)
        assert got.decision.dtype == np.bool_
        assert_array_equal(got.decision, [d is True for d in decision])
        assert got.label.dtype == np.float64
        assert_array_equal(got.label, [NAN if y is None else y for y in label])
        naive = [t.replace(tzinfo=None) for t in ts]
        assert_array_equal(got.timestamp, np.array(naive, dtype="M8[us]"))
        assert (got.timezone is not None) == utc
        for name, column in (("s", text), ("n", number), ("d", decision)):
            segment = got.segments[name]
            names = ["(missing)" if v is None else str(v) for v in column]
            assert [segment.values[c] for c in segment.codes] == names
            present = sorted({v for v in column if v is not None})
            assert segment.values[: len(present)] == list(map(str, present))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_columns_are_the_callers_memory(frame):
    n = 1000
    data = {
        "score": np.linspace(0, 1, n),
        "y": np.arange(n) % 2.0,
        "t": np.datetime64("2026-01-01", "us") + np.arange(n),
    }
    native = frame(data)
    got = read(native, timestamp="t", label_required=True)
    again = read(native, timestamp="t", label_required=True)
    for name in ("score", "label", "timestamp"):
        assert np.shares_memory(getattr(got, name), getattr(again, name)), name


def test_a_time_zone_costs_no_copy():
    frame = pd.DataFrame(
        {"score": [0.5], "t": pd.to_datetime(["2026-01-01"], utc=True)}
    )
    frame["t"] = frame["t"].dt.tz_convert(BERLIN)
    got, again = read(frame, timestamp="t"), read(frame, timestamp="t")
    assert np.shares_memory(got.timestamp, again.timestamp)
    assert got.timezone == BERLIN
    assert got.timestamp[0] == np.datetime64("2026-01-01")


def test_the_frame_stays_as_it_is():
    frame = pd.DataFrame(
        {"score": [0.1, None, 0.3], "d": pd.array([True, True, None]), "y": [1, 0, 1]},
        index=[7, 7, 8],
    )
    before = frame.copy(deep=True)
    got = read(frame, y_pred="d")
    assert (got.missing_score, got.missing_decision) == (1, 1)
    assert repr(got) == "<Columns: 3 rows, 2 unusable>"
    pd.testing.assert_frame_equal(frame, before)


def test_names_need_not_be_strings_and_other_columns_are_unseen():
    frame = pd.DataFrame([[0.5, 1, 2], [0.6, 3, 4]], columns=[0, "twice", "twice"])
    got = read(frame, y_pred_proba=0, y_true=None)
    assert_array_equal(got.score, [0.5, 0.6])
    assert got.label is None


# ------------------------------------------------------------------------------- score


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([0.25, 1], np.float32), [0.25, 1]),
        (np.array([0.25, 1], np.float16), [0.25, 1]),
        (np.array([0.25, 1], ">f8"), [0.25, 1]),
        ([Decimal("0.25"), None], [0.25, NAN]),
        (pd.array([0.25, None], dtype="Float64"), [0.25, NAN]),
        (pd.array([Decimal("0.25"), None], dtype=DECIMAL), [0.25, NAN]),
        (pd.Series([0.25, None], dtype=object), [0.25, NAN]),
        (pd.Categorical([0.25, None]), [0.25, NAN]),
        ([0, 1], [0, 1]),
    ],
)  # fmt: skip
def test_scores_of_any_numeric_type(column, expected):
    score = read(pd.DataFrame({"score": column})).score
    assert_array_equal(score, expected)
    assert score.dtype == (np.float32 if getattr(column, "dtype", 0) == "f4" else float)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ([0.5, None, -2.3, 4.0], r"`production\['score'\]` \(y_pred_proba\) must lie "
         r"in \[0, 1\], but 2 of 4 values do not \(first: row 2 is -2.3\)\. .*margins"),
        ([0.5, 1.0000001], "row 1 is 1"),
        ([0.5, float("inf")], "row 1 is inf.*division by zero"),
        ([0.5, float("-inf")], "row 1 is -inf"),
        ([12.0, 99.5, 0.4], "row 0 is 12.*percentages: divide them by 100"),
        ([87, 12], "percentages"),
        ([700.0, 2.0], "margins"),
    ],
)  # fmt: skip
@every_library
def test_score_outside_0_1(frame, values, match):
    with pytest.raises(ValueError, match=match):
        read(frame({"score": values}))


@pytest.mark.parametrize(
    "values", [["0.5", "x"], [True, False], [date(2026, 1, 1)] * 2]
)
@every_library
def test_score_must_be_a_number(frame, values):
    with pytest.raises(
        TypeError, match=r"`production\['score'\]`.*must hold probab.*type"
    ):
        read(frame({"score": values}))


def test_score_of_objects_must_be_numbers():
    with pytest.raises(TypeError, match="must hold probabilities"):
        read(pd.DataFrame({"score": pd.Series([0.5, "x"], dtype=object)}))


@pytest.mark.parametrize("column", ["score", "d", "y", "t"])
@every_library
def test_all_missing(frame, column):
    data = {"score": [0.5, 0.5], "d": [0, 1], "y": [0, 1], "t": ["2026-01-01"] * 2}
    with pytest.raises(
        (ValueError, TypeError), match=rf"production\['{column}'\].*missing"
    ):
        read(
            frame(data | {column: [None, None]}),
            y_pred="d", timestamp="t", label_required=True,
        )  # fmt: skip


def test_no_usable_row():
    frame = pd.DataFrame({"score": [0.5, None], "d": [None, 1.0]})
    with pytest.raises(ValueError, match="must have a row with both"):
        read(frame, y_pred="d")


# ------------------------------------------------------------------ labels, decisions


@pytest.mark.parametrize(
    "column",
    [
        [True, False, None],
        pd.Series([True, False, None], dtype=object),
        pd.array([True, False, None], dtype="boolean"),
        pd.array([1, 0, None], dtype="Int8"),
        pd.array([True, False, None], dtype=pd.ArrowDtype(pa.bool_())),
        [1.0, 0.0, NAN],
        pd.Series([Decimal(1), 0, pd.NA], dtype=object),
        pd.Categorical([1, 0, None]),
        pd.arrays.SparseArray([1.0, 0.0, NAN]),
    ],
)
def test_labels_of_any_binary_type(column):
    frame = pd.DataFrame({"score": [0.5, 0.5, 0.5], "y": column})
    assert_array_equal(read(frame, label_required=True).label, [1.0, 0.0, NAN])
    assert_array_equal(read(frame, y_pred="y").decision, [True, False, False])


def test_labels_that_are_not_required_may_be_absent_or_unknown():
    assert read(pd.DataFrame({"score": [0.5]})).label is None
    frame = pd.DataFrame({"score": [0.5], "y": [None]})
    assert_array_equal(read(frame).label, [NAN])


@pytest.mark.parametrize("role", ["y_true", "y_pred"])
@pytest.mark.parametrize(
    ("values", "error", "match"),
    [
        ([-1, 1, 1], ValueError, r"but 1 of 3 values are others \(first: row 0 is -1\)"
         r".*\(y \+ 1\) // 2"),
        ([2, 1, 1], ValueError, "row 0 is 2.*`y - 1`"),
        ([0, 1, 2], ValueError, "row 2 is 2.*Map your classes"),
        ([0.0, None, 0.5], ValueError, "row 2 is 0.5"),
        (["no", "yes", None], TypeError, "first value: 'no'.*== \"yes\""),
        (["good", "bad", None], TypeError, "first value: 'good'.*== \"bad\""),
        (["0", "1", "1"], TypeError, r"Turn the texts.*column\.astype\(int\)"),
        (["0.0", "1.0", None], TypeError, r"the texts.*column\.astype\(float\)"),
    ],
)  # fmt: skip
@every_library
def test_not_binary(frame, role, values, error, match):
    data = frame({"score": [0.5] * 3, "column": values})
    with pytest.raises(error, match=rf"`production\['column'\]` \({role}\).*{match}"):
        read(data, **{role: "column"})


# -------------------------------------------------------------------------- timestamps


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


# ---------------------------------------------------------------------------- segments


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ([True, False, None], ["False", "True", "(missing)"]),
        ([10, 9, None], ["9", "10", "(missing)"]),
        ([1.5, 1.0, NAN], ["1", "1.5", "(missing)"]),
        (pd.Categorical(["b", "a", None], categories=["z", "b", "a"]),
         ["a", "b", "(missing)"]),
        (pd.Series([1, "1", "b"], dtype=object), ["1", "b"]),
        (["a", "(missing)", None], ["(missing)", "a"]),
        ([None, None, None], ["(missing)"]),
        (pd.to_datetime(["2026-01-01"] * 3), ["2026-01-01 00:00:00"]),
    ],
)  # fmt: skip
def test_segment_values(column, values):
    frame = pd.DataFrame({"score": [0.5] * 3, "s": column})
    assert read(frame, segments=["s"]).segments["s"].values == values


def test_categorical_segments_of_any_library():
    text = ["b", "a", None, "b"]
    score = [0.5] * 4
    chunks = [pa.array(part).dictionary_encode() for part in (text[:2], text[2:])]
    data = {"score": score, "s": text}
    for frame in (
        pl.DataFrame(data, schema_overrides={"s": pl.Categorical}),
        pl.DataFrame(data, schema_overrides={"s": pl.Enum(["b", "a"])}),
        pa.table({"score": pa.chunked_array([score]), "s": pa.chunked_array(chunks)}),
    ):  # fmt: skip
        segment = read(frame, segments=["s"]).segments["s"]
        assert segment.values == ["a", "b", "(missing)"]
        assert segment.codes.tolist() == [1, 0, 2, 1]


@pytest.mark.parametrize("frame", [pd.DataFrame, arrow_backed, pl.DataFrame, arrow])
def test_segments_of_lists(frame):
    with pytest.raises(TypeError, match=r"\(segments\) must hold plain values"):
        read(frame({"score": [0.5] * 2, "s": [[1], [2]]}), segments=["s"])


def test_binned_segments_are_the_same_in_any_library():
    binned = pd.cut(pd.Series([0.1, 0.4, None, 0.9]), 3)
    data = pd.DataFrame({"score": [0.5] * 4, "s": binned})
    whole = data.assign(s=data["s"].astype(object)).dropna()
    expected = read(data, segments=["s"]).segments["s"]
    frames = [data, pa.Table.from_pandas(data)]
    with suppress(pl.exceptions.ComputeError):  # polars 1.5 makes no such column
        frames.append(pl.from_pandas(data))
    for frame in frames:
        segment = read(frame, segments=["s"]).segments["s"]
        assert segment.values == expected.values
        assert segment.codes.tolist() == expected.codes.tolist()
    assert expected.values[:-1] == [str(value) for value in whole["s"]]


def test_decimal_segments_of_any_library():
    cells = [Decimal("0.50"), Decimal("0.25"), None, Decimal("0.50")]
    data = {"score": [0.5] * 4, "s": cells}
    objects = pd.DataFrame(data).astype({"s": object})
    for frame in (objects, pl.DataFrame(data), pa.table(data)):
        segment = read(frame, segments=["s"]).segments["s"]
        assert segment.values == ["0.25", "0.50", "(missing)"]
        assert segment.codes.tolist() == [1, 0, 2, 1]


def test_half_a_surrogate_pair_is_no_text():
    column = pd.Series(["a", "\ud800"], dtype=object)
    frame = pd.DataFrame({"score": [0.5] * 2}).assign(s=column)
    with pytest.raises(ValueError, match=r"\(segments\) must hold texts that UTF-8"):
        read(frame, segments=["s"])


@every_library
def test_too_many_segment_values(frame):
    data = {"score": [0.5] * 1001, "s": [f"v{i}" for i in range(1001)]}
    with pytest.raises(ValueError, match=r"\['s'\]` \(segments\).*1,000.*got 1,001"):
        read(frame(data), segments=["s"])
    values = read(frame(data)[:1000], segments=["s"]).segments["s"].values
    assert len(values) == 1000


# ------------------------------------------------------------------------------ frames


@pytest.mark.parametrize("frame", [{"score": [0.5]}, np.zeros((2, 2)), [0.5], None])
def test_not_a_frame(frame):
    with pytest.raises(
        TypeError, match=r"`reference` must be a pandas.*Wrap arrays in"
    ):
        read(frame, name="reference")


def test_lazy_frames_are_not_collected_behind_the_back():
    with pytest.raises(TypeError, match=r"got LazyFrame\. Call \.collect\(\)"):
        read(pl.LazyFrame({"score": [0.5]}))


@every_library
def test_empty_frame(frame):
    with pytest.raises(ValueError, match="`production` must have at least one row"):
        read(frame({"score": [0.5]})[:0])


@every_library
def test_missing_columns(frame):
    data = frame({"scores": [0.5], "label": [1]} | {f"x{i}": [0] for i in range(12)})
    match = (
        r"`reference` must have the columns.*lacks 'score', 'y'\. Nearest to 'score': "
        r"scores\. It has 'scores', 'label', 'x0'.*, … \(14 in all\)\."
    )
    with pytest.raises(ValueError, match=match):
        read(data, name="reference", label_required=True)


@pytest.mark.parametrize(
    ("index", "hint"),
    [
        (pd.DatetimeIndex(["2026-01-01"], name="time"), "frame.reset_index()"),
        (pd.DatetimeIndex(["2026-01-01"]), "frame.rename_axis('time').reset_index()"),
    ],
)
def test_a_column_that_is_the_index(index, hint):
    frame = pd.DataFrame({"score": [0.5], "y": [1]}, index=index)
    with pytest.raises(ValueError, match=re.escape(hint)):
        read(frame, timestamp="time")
    assert "time" in eval(hint).columns  # noqa: S307


@pytest.mark.parametrize(
    "frame",
    [pd.DataFrame([[0.5, 0.6, 1]], columns=["score", "score", "y"]),
     pa.table([[0.5], [0.6], [1]], names=["score", "score", "y"])],
)  # fmt: skip
def test_duplicate_columns(frame):
    with pytest.raises(ValueError, match=r"column 'score' once.*positions 0, 1"):
        read(frame)
