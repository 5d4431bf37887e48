import pickle

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from calibration import (
    compute_brier_decomposition,
    compute_calibration_error,
    compute_reliability_curve,
)
from tests.calibration import reference

rows = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.float64, n, elements=st.integers(0, 20).map(lambda k: k / 20)),
        hnp.arrays(np.bool_, n),
    )
)


def calibrated(n_rows, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.random(n_rows)
    return p, rng.random(n_rows) < p


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_bins_are_scikit_learns(strategy):
    p, y = calibrated(1000)
    curve = compute_reliability_curve(p, y, n_bins=7, strategy=strategy)
    observed, predicted = calibration_curve(y, p, n_bins=7, strategy=strategy)
    assert_allclose(curve.observed, observed)
    assert_allclose(curve.predicted, predicted)


def test_intervals_are_jeffreys():
    p = np.repeat([0.2, 0.5, 0.8], 20)
    y = np.r_[np.arange(20) < 3, np.arange(20) < 11, np.arange(20) < 17]
    curve = compute_reliability_curve(p, y, n_bins=3, level=0.9)
    for row, positives in enumerate([3, 11, 17]):
        lower, upper = reference.jeffreys_interval(positives, 20, 0.9)
        assert_allclose([curve.lower[row], curve.upper[row]], [lower, upper], rtol=1e-6)


def test_intervals_reach_the_edge_without_one_class():
    curve = compute_reliability_curve([0.1, 0.1, 0.9, 0.9], [0, 0, 1, 1], n_bins=2)
    assert curve.lower[0] == 0
    assert curve.upper[1] == 1


def test_intervals_cover_as_often_as_they_say():
    hits = []
    for seed in range(100):
        p, y = calibrated(1000, seed)
        curve = compute_reliability_curve(p, y)
        hits.append((curve.lower <= curve.predicted) & (curve.predicted <= curve.upper))
    # 1,000 intervals: the standard error of the coverage is .007.
    assert abs(np.mean(hits) - 0.95) < 0.02


@given(rows=rows, n_bins=st.integers(1, 12))
def test_every_row_is_in_one_bin(rows, n_bins):
    p, y = rows
    for strategy in ("quantile", "uniform"):
        curve = compute_reliability_curve(p, y, n_bins=n_bins, strategy=strategy)
        assert curve.n_rows.sum() == p.size
        assert_allclose(curve.predicted @ curve.n_rows, p.sum(), atol=1e-9)
        assert_allclose(curve.observed @ curve.n_rows, y.sum(), atol=1e-9)
        assert (np.diff(curve.predicted) > 0).all()
        assert (curve.lower <= curve.observed).all()
        assert (curve.observed <= curve.upper).all()


def test_one_probability_is_one_bin():
    curve = compute_reliability_curve([0.5] * 10, [0, 1] * 5)
    assert len(curve) == 1
    assert curve.observed[0] == 0.5


def test_calibration_errors_by_hand():
    # Two bins: 10 rows with p .2 and share .4; 30 rows with p .6 and share .5.
    p = np.repeat([0.2, 0.6], [10, 30])
    y = np.r_[np.arange(10) < 4, np.arange(30) < 15]

    def error(**arguments):
        return compute_calibration_error(
            p, y, strategy="uniform", n_bins=2, **arguments
        )

    assert_allclose(error(), 0.25 * 0.2 + 0.75 * 0.1)
    assert_allclose(error(norm="max"), 0.2)
    plain = 0.25 * 0.2**2 + 0.75 * 0.1**2
    assert_allclose(error(norm="l2", debias=False), np.sqrt(plain))
    chance = 0.25 * 0.4 * 0.6 / 9 + 0.75 * 0.5 * 0.5 / 29
    assert_allclose(error(norm="l2"), np.sqrt(plain - chance))


def test_debiasing_takes_away_what_chance_adds():
    # Overconfident by .05 everywhere, so that the true l2 error is .05 (up to binning).
    rng = np.random.default_rng(0)
    plain, debiased = [], []
    for _ in range(200):
        p = rng.uniform(0.1, 0.9, 500)
        y = rng.random(500) < p + 0.05
        plain.append(compute_calibration_error(p, y, norm="l2", debias=False) ** 2)
        debiased.append(compute_calibration_error(p, y, norm="l2") ** 2)
    assert abs(np.mean(debiased) - 0.05**2) < 0.0008
    assert np.mean(plain) > 2 * 0.05**2


@given(rows=rows)
def test_brier_parts_sum_exactly_and_are_not_negative(rows):
    p, y = rows
    parts = compute_brier_decomposition(p, y)
    total = parts.miscalibration - parts.discrimination + parts.uncertainty
    assert_allclose(parts.brier_score, np.mean((p - y) ** 2), atol=1e-15)
    assert_allclose(total, parts.brier_score, atol=1e-15)
    assert parts.miscalibration >= -1e-15
    assert parts.discrimination >= -1e-15


def test_brier_score_is_scikit_learns():
    p, y = calibrated(1000)
    parts = compute_brier_decomposition(p, y)
    assert_allclose(parts.brier_score, brier_score_loss(y, p), rtol=1e-12)
    assert_allclose(parts.uncertainty, y.mean() * (1 - y.mean()), rtol=1e-12)


def test_discrimination_ignores_monotone_maps():
    p, y = calibrated(1000)
    plain, bent = (
        compute_brier_decomposition(p, y),
        compute_brier_decomposition(p**3, y),
    )
    assert_allclose(bent.discrimination, plain.discrimination, rtol=1e-9)
    assert bent.miscalibration > plain.miscalibration


def test_results_are_frozen_and_pickle():
    p, y = calibrated(100)
    curve, parts = compute_reliability_curve(p, y), compute_brier_decomposition(p, y)
    for result in (curve, parts):
        assert repr(pickle.loads(pickle.dumps(result))) == repr(result)  # noqa: S301
    with pytest.raises(AttributeError, match="cannot assign"):
        parts.brier_score = 0.0
    with pytest.raises(ValueError, match="read-only"):
        curve.observed[0] = 0.0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda p, y: compute_reliability_curve(p, y, level=95), "`level` must lie in"),
        (
            lambda p, y: compute_reliability_curve(p, y, n_bins=0),
            "`n_bins` must be >= 1",
        ),
        (lambda p, y: compute_reliability_curve(p, y, strategy="x"), "`strategy` must"),
        (lambda p, y: compute_calibration_error(p, y, norm="l3"), "`norm` must be"),
        (lambda p, y: compute_brier_decomposition(p, y[1:]), "got 9 and 10 rows"),
        (lambda p, y: compute_brier_decomposition(p * 7, y), "`p` must lie in"),
    ],
)
def test_bad_arguments_are_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call(*calibrated(10))
