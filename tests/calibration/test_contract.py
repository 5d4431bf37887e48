"""What every calibrator promises, tested by being listed in ``CALIBRATORS``."""

import io

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from calibration import CALIBRATORS, Calibrator, UncertainCalibrator
from calibration.base import SavableCalibrator

GRID = np.linspace(0.0, 1.0, 1001)


@pytest.fixture(params=CALIBRATORS)
def calibrator(request):
    return CALIBRATORS[request.param]()


@pytest.fixture
def uncertain(calibrator):
    if not isinstance(calibrator, UncertainCalibrator):
        pytest.skip("has no error_factor")
    return calibrator


def rows(n_rows=2000, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.beta(0.8, 1.5, n_rows).round(3)  # ties, and exact 0 and 1
    return score, rng.random(n_rows) < 0.1 + 0.8 * score**1.5


def test_is_a_calibrator(calibrator):
    assert isinstance(calibrator, Calibrator)
    assert isinstance(calibrator, SavableCalibrator)


def test_predicts_one_probability_per_score(calibrator):
    p = calibrator.fit(*rows()).predict(GRID)
    assert p.shape == GRID.shape
    assert p.dtype == np.float64
    assert p.min() >= 0
    assert p.max() <= 1


def test_rises_with_the_score_where_the_truth_does(calibrator):
    score, y = rows(20_000)
    low, high = np.quantile(score, [0.02, 0.98])
    p = calibrator.fit(score, y).predict(np.linspace(low, high, 200))
    assert np.diff(p).min() > -0.002


def test_weight_2_is_a_row_taken_twice(calibrator):
    score, y = rows()
    twice = np.arange(score.size) % 3 == 0
    weighted = clone(calibrator).fit(score, y, sample_weight=1 + twice)
    repeated = calibrator.fit(
        np.concatenate([score, score[twice]]), np.concatenate([y, y[twice]])
    )
    assert_allclose(weighted.predict(GRID), repeated.predict(GRID), atol=1e-7)


def test_weight_0_is_a_row_left_out(calibrator):
    score, y = rows()
    kept = score < 0.7
    weighted = clone(calibrator).fit(score, y, sample_weight=kept)
    assert_array_equal(
        weighted.predict(GRID), calibrator.fit(score[kept], y[kept]).predict(GRID)
    )


def test_row_order_does_not_matter(calibrator):
    score, y = rows()
    order = np.random.default_rng(1).permutation(score.size)
    shuffled = clone(calibrator).fit(score[order], y[order])
    p = calibrator.fit(score, y).predict(GRID)
    assert_allclose(shuffled.predict(GRID), p, atol=1e-7)
    mixed = np.random.default_rng(1).permutation(GRID.size)
    assert_array_equal(calibrator.predict(GRID[mixed]), p[mixed])


def test_clone_keeps_parameters_and_forgets_the_fit(calibrator):
    for name, value in calibrator.get_params().items():
        calibrator.set_params(**{name: 0.5 if value is None else value * 2})
    fresh = clone(calibrator.fit(*rows()))
    assert fresh.get_params() == calibrator.get_params()
    assert not [name for name in vars(fresh) if name.endswith("_")]


def test_unfitted_says_so(calibrator):
    if type(calibrator).__name__ == "IdentityCalibrator":
        pytest.skip("has nothing to learn")
    for method in ("predict", "error_factor"):
        if hasattr(calibrator, method):
            with pytest.raises(NotFittedError, match="not fitted yet"):
                getattr(calibrator, method)(GRID)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        calibrator.to_arrays()


def test_survives_a_file_without_pickle_bit_for_bit(calibrator):
    file = io.BytesIO()
    np.savez(file, **calibrator.fit(*rows()).to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        loaded = type(calibrator).from_arrays(dict(arrays))
    assert loaded.get_params() == calibrator.get_params()
    assert_array_equal(loaded.predict(GRID), calibrator.predict(GRID))
    if isinstance(calibrator, UncertainCalibrator):
        assert_array_equal(loaded.error_factor(GRID), calibrator.error_factor(GRID))


def test_refuses_arrays_of_another_class(calibrator):
    arrays = calibrator.fit(*rows()).to_arrays() | {"intruder_": np.zeros(1)}
    with pytest.raises(ValueError, match="has also 'intruder_'"):
        type(calibrator).from_arrays(arrays)


@pytest.mark.parametrize("scores", [[0.3] * 40, [0.2, 0.7] * 20, [0.0, 1.0] * 20])
def test_few_distinct_scores_recover_shares(calibrator, scores):
    if type(calibrator).__name__ in ("TemperatureCalibrator", "IdentityCalibrator"):
        pytest.skip("has too few parameters")
    score = np.array(scores)
    y = np.arange(40) % 4 == 0  # every second row of the lower score is positive
    p = calibrator.fit(score, y).predict(score)
    assert np.isfinite(p).all()
    assert_allclose(p.mean(), y.mean(), atol=1e-6)  # the intercept's score equation


@pytest.mark.parametrize(
    ("score", "y"),
    [
        (np.linspace(0, 1, 200), np.linspace(0, 1, 200) > 0.5),  # separable
        (np.r_[np.zeros(990), np.linspace(0, 1, 10)], np.arange(1000) > 995),
        (np.random.default_rng(0).random(3000), np.arange(3000) == 7),
        (np.geomspace(1e-300, 1e-9, 100), np.arange(100) % 2),
        (np.array([0.5, np.nextafter(0.5, 1)] * 10), np.arange(20) // 2 % 2),
        (np.array([0.1, 0.9]), np.array([0, 1])),
    ],
    ids=["separable", "mass at 0", "one positive", "tiny", "one ulp", "two rows"],
)
def test_extremes_stay_finite_and_silent(calibrator, score, y):
    calibrator.fit(score, y)
    p = calibrator.predict(GRID)
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    assert (p <= 1).all()
    if isinstance(calibrator, UncertainCalibrator):
        assert np.isfinite(calibrator.error_factor(GRID)).all()


def test_error_factor_has_one_row_per_score(uncertain):
    factor = uncertain.fit(*rows()).error_factor(GRID[::100])
    assert factor.shape[0] == 11
    assert factor.dtype == np.float64


def test_error_factor_is_the_spread_of_refits(uncertain):
    # Same scores, labels redrawn from the fitted map: what the delta method describes.
    score, y = rows()
    weight = np.random.default_rng(2).exponential(size=score.size)
    grid = np.quantile(score, [0.1, 0.3, 0.5, 0.7, 0.9])
    p = uncertain.fit(score, y, sample_weight=weight).predict(score)
    claimed = np.sqrt((uncertain.error_factor(grid) ** 2).sum(axis=1))
    rng = np.random.default_rng(3)
    refits = [
        clone(uncertain)
        .fit(score, rng.random(score.size) < p, sample_weight=weight)
        .predict(grid)
        for _ in range(200)
    ]
    # A standard deviation from 200 draws is itself off by 5 %.
    assert_allclose(np.std(refits, axis=0), claimed, rtol=0.2, atol=1e-12)


@pytest.mark.parametrize(
    ("score", "y", "weight", "text"),
    [
        ([0.1, 1.5], [0, 1], None, r"score\[1\] = 1.5.*margins"),
        ([0.1, np.nan], [0, 1], None, r"NaN \(first: score\[1\]\)"),
        ([0.1, 0.5], [-1, 1], None, r"`\(y \+ 1\) // 2`"),
        ([0.1, 0.5], [1, 1], None, "`y` must hold both classes"),
        ([0.1, 0.5], [0, 1], [1, 0], "rows with positive weight have label 0"),
        ([0.1, 0.5], [0, 1], [1, -2], r"sample_weight\[1\] = -2"),
        ([0.1, 0.5], [0, 1], [1], "got 1 weights for 2 rows"),
        ([0.1, 0.5], [0, 1, 1], None, "got 3 and 2 rows"),
    ],
)
def test_bad_rows_are_refused_with_the_remedy(calibrator, score, y, weight, text):
    with pytest.raises(ValueError, match=text):
        calibrator.fit(score, y, sample_weight=weight)
