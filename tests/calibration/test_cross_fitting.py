import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.isotonic import IsotonicRegression

from calibration import PlattCalibrator, blocked_folds, cross_fit


def rows(n_rows=500, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.random(n_rows)
    return score, rng.random(n_rows) < score


@given(n_splits=st.integers(2, 12), extra=st.integers(0, 100))
def test_folds_are_even_blocks_of_all_rows(n_splits, extra):
    folds = blocked_folds(n_splits + extra, n_splits)
    sizes = [stop - start for start, stop in folds]
    assert len(folds) == n_splits
    assert_array_equal(
        np.concatenate([np.arange(*fold) for fold in folds]),
        np.arange(n_splits + extra),
    )
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("weighted", [False, True])
def test_each_fold_is_predicted_by_the_others(weighted):
    score, y = rows()
    weight = np.random.default_rng(1).exponential(size=500) if weighted else None
    fit = cross_fit("platt", score, y, n_splits=4, sample_weight=weight)
    for (start, stop), calibrator in zip(fit.folds, fit.calibrators, strict=True):
        others = np.delete(np.arange(500), np.arange(start, stop))
        expected = PlattCalibrator().fit(
            score[others],
            y[others],
            sample_weight=None if weight is None else weight[others],
        )
        p = expected.predict(score[start:stop])
        assert_array_equal(fit.probabilities[start:stop], p)
        assert_array_equal(calibrator.coefficients_, expected.coefficients_)


def test_takes_an_estimator_and_leaves_it_unfitted():
    mine = IsotonicRegression(out_of_bounds="clip")
    assert cross_fit(mine, *rows()).probabilities.shape == (500,)
    assert not hasattr(mine, "X_thresholds_")


def test_result_is_frozen_and_pickles():
    fit = cross_fit("platt", *rows())
    with pytest.raises(ValueError, match="read-only"):
        fit.probabilities[0] = 1.0
    copy = pickle.loads(pickle.dumps(fit))  # noqa: S301
    assert_array_equal(copy.probabilities, fit.probabilities)
    assert repr(copy) == "<CrossFit PlattCalibrator: 500 rows, 5 folds>"


def test_one_class_outside_a_fold_is_refused():
    score, y = rows()
    y[100:] = False  # the only positives are in the first fold
    y[0] = True
    with pytest.raises(ValueError, match=r"rows 0 to 99 hold only label 0. Use more"):
        cross_fit("spline", score, y)


@pytest.mark.parametrize(
    ("n_splits", "text"), [(1, "must be >= 2, got 1"), (501, "501 folds for 500 rows")]
)
def test_impossible_folds_are_refused(n_splits, text):
    with pytest.raises(ValueError, match=text):
        cross_fit("spline", *rows(), n_splits=n_splits)
