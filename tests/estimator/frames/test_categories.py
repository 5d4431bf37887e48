from contextlib import suppress
from decimal import Decimal

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.estimator.frames.libraries import (
    NAN,
    arrow,
    arrow_backed,
    every_library,
    read,
)


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
