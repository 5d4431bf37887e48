from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from tests.estimator.frames.libraries import NAN, every_library, read

DECIMAL = pd.ArrowDtype(pa.decimal128(5, 2))


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
