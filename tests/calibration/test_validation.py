import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from calibration._validation import (
    check_labels,
    check_probabilities,
    check_sample_weight,
)


@pytest.mark.parametrize(
    "values",
    [[0.0, 1.0], (0.0, 1.0), pd.Series([0.0, 1.0]), np.float32([0, 1]), [False, True]],
)
def test_probabilities_become_float64(values):
    checked = check_probabilities(values, "score")
    assert checked.dtype == np.float64
    assert_array_equal(checked, [0.0, 1.0])


def test_a_float64_array_is_not_copied():
    values = np.array([0.2, 0.4])
    assert check_probabilities(values, "score") is values


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        (
            [0.1, -0.5, 2.0],
            ValueError,
            r"2 of 3 values do not \(first: x\[1\] = -0.5\)",
        ),
        ([0.1, np.inf], ValueError, r"x\[1\] = inf"),
        ([np.nan, 3.0], ValueError, r"1 of 2 values are NaN \(first: x\[0\]\)"),
        ([[0.1, 0.9]], ValueError, r"got \(1, 2\)"),
        (0.5, ValueError, r"must have shape \(n_rows,\)"),
        ([], ValueError, r"got \(0,\)"),
        (["a", "b"], TypeError, r"x\[0\] = 'a'"),
    ],
)
def test_other_scores_are_refused(values, error, text):
    with pytest.raises(error, match=text):
        check_probabilities(values, "x")


@pytest.mark.parametrize("values", [[0, 1], [False, True], [0.0, 1.0], np.int8([0, 1])])
def test_labels_become_float64(values):
    assert_array_equal(check_labels(values, "y"), [0.0, 1.0])


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        ([1, -1], ValueError, r"y\[1\] = -1. .* `\(y \+ 1\) // 2`"),
        ([0, 1, 2], ValueError, r"y\[2\] = 2. Binarize"),
        ([0, np.nan], ValueError, r"y\[1\] is missing. Drop the rows"),
        (["yes", "no"], TypeError, r"y\[0\] = 'yes'"),
    ],
)
def test_other_labels_are_refused(values, error, text):
    with pytest.raises(error, match=text):
        check_labels(values, "y")


def test_no_weights_are_ones():
    assert_array_equal(check_sample_weight(None, 3), np.ones(3))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, np.inf], r"\[1\] = inf"),
        ([np.nan, 1], r"\[0\] = nan"),
        ([0, 0], "every weight is 0"),
    ],
)
def test_other_weights_are_refused(values, text):
    with pytest.raises(ValueError, match=text):
        check_sample_weight(values, 2)
