import re
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from tests.estimator.frames.libraries import LIBRARIES, NAN, every_library, read

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
