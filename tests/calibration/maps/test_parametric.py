import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from calibration import (
    BetaCalibrator,
    IdentityCalibrator,
    IsotonicCalibrator,
    PlattCalibrator,
    TemperatureCalibrator,
)


def rows(truth, n_rows=20_000, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.001, 0.999, n_rows)
    return score, rng.random(n_rows) < truth(score)


def test_platt_is_unpenalized_logistic_regression_on_the_logit():
    score, y = rows(lambda s: s**2, 2000)
    weight = np.random.default_rng(1).exponential(size=score.size)
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(logit(score)[:, np.newaxis], y, sample_weight=weight)
    fitted = PlattCalibrator().fit(score, y, sample_weight=weight).coefficients_
    expected = [model.intercept_[0], model.coef_[0, 0]]
    assert_allclose(fitted, expected, rtol=1e-4)


def test_platt_covariance_is_the_inverse_information():
    score, y = rows(lambda s: s**2, 2000)
    calibrator = PlattCalibrator().fit(score, y)
    p = calibrator.predict(score)
    x = np.column_stack([np.ones(score.size), logit(score)])
    information = (x.T * (p * (1 - p))) @ x
    assert_allclose(calibrator.covariance_, np.linalg.inv(information), rtol=1e-4)


def test_platt_covariance_does_not_count_weights_as_rows():
    score, y = rows(lambda s: s**2, 2000)
    once = PlattCalibrator().fit(score, y)
    twice = PlattCalibrator().fit(score, y, sample_weight=np.full(score.size, 2.0))
    assert_allclose(twice.covariance_, once.covariance_, rtol=1e-4)


@pytest.mark.parametrize("truth", [(0.5, 2.0, 0.5), (-1.0, 0.3, 1.5)])
def test_beta_recovers_a_beta_map(truth):
    c, a, b = truth
    calibrator = BetaCalibrator().fit(
        *rows(lambda s: expit(c + a * np.log(s) - b * np.log1p(-s)))
    )
    error = np.sqrt(np.diag(calibrator.covariance_))
    assert (np.abs(calibrator.coefficients_ - truth) < 3 * error).all()


def test_beta_refits_without_a_negative_coefficient():
    # logit p falls with -ln(1 - s): b < 0 unconstrained, so b = 0 and a, c anew.
    score, y = rows(lambda s: expit(1.0 + 1.5 * np.log(s) + 0.5 * np.log1p(-s)))
    calibrator = BetaCalibrator().fit(score, y)
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(np.log(score)[:, None], y)
    expected = [model.intercept_[0], model.coef_[0, 0], 0.0]
    assert_allclose(calibrator.coefficients_, expected, rtol=1e-4)
    assert_array_equal(calibrator.covariance_[2], 0.0)


def test_beta_is_constant_where_the_score_ranks_backwards():
    score, y = rows(lambda s: 1 - s, 2000)
    p = BetaCalibrator().fit(score, y).predict([0.1, 0.9])
    assert_allclose(p, y.mean(), rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_recovers_the_known_one(temperature):
    score, y = rows(lambda s: expit(logit(s) / temperature))
    calibrator = TemperatureCalibrator().fit(score, y)
    error = np.sqrt(calibrator.covariance_[0, 0])
    assert abs(1 / calibrator.temperature_ - 1 / temperature) < 3 * error
    assert_allclose(calibrator.predict([0.5]), 0.5)  # the fixed point


def test_identity_copies():
    score = np.array([0.0, 0.3, 1.0])
    p = IdentityCalibrator().predict(score)
    assert_array_equal(p, score)
    assert not np.shares_memory(p, score)


def test_isotonic_is_scikit_learns():
    score, y = rows(lambda s: s**2, 1000)
    weight = np.random.default_rng(1).exponential(size=score.size)
    grid = np.linspace(0, 1, 500)
    model = IsotonicRegression(out_of_bounds="clip").fit(score, y, sample_weight=weight)
    calibrator = IsotonicCalibrator().fit(score, y, sample_weight=weight)
    assert_allclose(calibrator.predict(grid), model.predict(grid))
