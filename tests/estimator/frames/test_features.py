import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from estimator.frames.features import MAX_CATEGORIES, learn_features, read_features

FRAME = pd.DataFrame(
    {
        "age": [30, 41, 25, 58, 33],
        "income": [1.5, np.nan, np.inf, 2.5, -np.inf],
        "member": [True, False, True, True, False],
        "region": ["north", "south", None, "south", "south"],
        "grade": pd.Categorical(["b", "a", "b", "c", "b"], categories=list("abcd")),
        "same": [7, 7, 7, 7, 7],
        "nothing": [None] * 5,
        "same_text": ["x"] * 5,
        "score": [0.1, 0.2, 0.3, 0.4, 0.5],
    }
)
NAMES = ["age", "income", "member", "region", "grade", "same", "nothing", "same_text"]


def as_frames():
    plain = FRAME.astype({"grade": str})
    return {
        "pandas": FRAME,
        "polars": pl.from_pandas(plain),
        "pyarrow": pa.Table.from_pandas(plain),
    }


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_numbers_and_codes(kind):
    table, matrix = learn_features(as_frames()[kind], NAMES)
    assert [f.name for f in table.features] == NAMES[:5]
    assert table.categorical == [3, 4]
    assert table.features[3].categories == ("south", "north")  # by frequency
    assert table.features[4].categories[0] == "b"
    assert_array_equal(matrix[:, 0], FRAME["age"])
    largest = np.finfo(np.float64).max
    assert_array_equal(matrix[:, 1], [1.5, np.nan, largest, 2.5, -largest])
    assert_array_equal(matrix[:, 2], [1, 0, 1, 1, 0])
    assert_array_equal(matrix[:, 3], [1, 0, np.nan, 0, 0])
    assert dict(table.left_out) == {
        "same": "one value only",
        "nothing": "no value",
        "same_text": "one value only",
    }
    assert_array_equal(read_features(table, as_frames()[kind], name="x"), matrix)


def test_all_frames_give_the_same():
    matrices = [learn_features(frame, NAMES)[1] for frame in as_frames().values()]
    # Ties in frequency may fall either way: compare what does not depend on it.
    for matrix in matrices[1:]:
        assert_array_equal(matrix[:, :4], matrices[0][:, :4])


def test_another_order_dtype_and_new_values():
    table, _ = learn_features(FRAME, NAMES)
    later = pd.DataFrame(
        {
            "grade": ["d", "b", None],
            "region": pd.Categorical(["west", "north", "south"]),
            "member": [1, 0, 1],
            "income": pd.array([1, None, 3], dtype="Int64"),
            "age": np.array([20, 30, 40], dtype=np.float32),
            "more": [1, 2, 3],
        }
    )
    features = read_features(table, later, name="production")
    assert_array_equal(features[:, 0], [20, 30, 40])
    assert_array_equal(features[:, 1], [1, np.nan, 3])
    assert_array_equal(features[:, 3], [np.nan, 1, 0])  # unseen is missing
    assert_array_equal(features[:, 4], [np.nan, 0, np.nan])


def test_codes_as_texts_or_numbers_are_the_same():
    table, matrix = learn_features(pd.DataFrame({"code": list("12213")}), ["code"])
    for later in ([1, 2, 2, 1, 3], [1.0, 2.0, 2.0, 1.0, 3.0]):
        frame = pd.DataFrame({"code": later})
        assert_array_equal(read_features(table, frame, name="x"), matrix)


def test_many_texts_count_as_rare():
    rng = np.random.default_rng(0)
    texts = [f"id{i}" for i in range(5_000)] + ["usual"] * 3_000
    frame = pd.DataFrame({"id": rng.permutation(texts)})
    table, matrix = learn_features(frame, ["id"])
    (feature,) = table.features
    assert feature.categories[0] == "usual"
    assert len(feature.categories) == MAX_CATEGORIES
    assert feature.has_rare
    assert np.nanmax(matrix) == MAX_CATEGORIES
    new = read_features(table, pd.DataFrame({"id": ["never seen", None]}), name="x")
    assert_array_equal(new[:, 0], [MAX_CATEGORIES, np.nan])


def test_a_column_that_is_all_missing_later_is_missing():
    table, _ = learn_features(FRAME, NAMES)
    later = FRAME.assign(region=None, age=np.nan)
    features = read_features(table, later, name="production")
    assert np.isnan(features[:, [0, 3]]).all()


def test_a_value_and_missing_ones_tell_rows_apart():
    table, matrix = learn_features(pd.DataFrame({"a": [1.0, np.nan, 1.0]}), ["a"])
    assert len(table.features) == 1
    assert_array_equal(matrix[:, 0], [1.0, np.nan, 1.0])


@pytest.mark.parametrize(
    ("frame", "names", "kind", "message"),
    [
        (FRAME, ["age", "agee"], ValueError, "lacks 'agee'. Nearest to 'agee': age"),
        (FRAME, ["same"], ValueError, "none of .* does: 'same' has one value only"),
        (
            pd.DataFrame({"t": pd.date_range("2026-01-01", periods=3)}),
            ["t"],
            TypeError,
            "must hold numbers or texts, but is of type Datetime",
        ),
        (
            pd.DataFrame({"a": [[1], [2, 3]]}),
            ["a"],
            TypeError,
            "must hold numbers or texts",
        ),
        (FRAME.iloc[:0], ["age"], ValueError, "at least one row"),
    ],
)
def test_what_cannot_be_a_feature_is_refused(frame, names, kind, message):
    with pytest.raises(kind, match=message):
        learn_features(frame, names)


def test_texts_where_numbers_were_are_refused():
    table, _ = learn_features(FRAME, NAMES)
    with pytest.raises(TypeError, match=r"production\['age'\].* must hold numbers"):
        read_features(table, FRAME.assign(age=["old"] * 5), name="production")
    with pytest.raises(ValueError, match=r"`production` must have .* lacks 'region'"):
        read_features(table, FRAME.drop(columns="region"), name="production")
