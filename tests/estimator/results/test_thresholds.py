import numpy as np
import pytest
from numpy.testing import assert_allclose

from estimator.metrics.metric_names import resolve_metrics
from estimator.results.thresholds import (
    breach_probability,
    check_thresholds,
    fit_thresholds,
)

METRICS = resolve_metrics(("roc_auc", "log_loss", "tp"), None)


def fit(specs, value, error, n_rows):
    return fit_thresholds(
        check_thresholds(specs, METRICS),
        METRICS,
        np.array(value, dtype=float),
        np.array(error, dtype=float),
        np.array(n_rows),
    )


def test_standard_errors_are_those_of_a_chunk_of_this_size():
    rules = fit(
        None,
        [[0.80, 0.5, 100], [0.82, 0.5, 50]],
        [[0.01, 0.1, 10], [0.01 * 2**0.5, 0.1 * 2**0.5, 10 / 2**0.5]],
        [1_000, 500],
    )
    low, high = rules.at(np.array([1_000, 250, 0]))
    mean = (0.80 * 2 + 0.82) / 3
    assert_allclose(low[:2, 0], [mean - 0.03, mean - 0.06])
    assert_allclose(high[:2, 0], [mean + 0.03, mean + 0.06])
    # A count grows with the rows: a tenth of them, give or take.
    assert_allclose(low[:2, 2], [100 - 30, 25 - 15])
    assert_allclose(high[:2, 2], [100 + 30, 25 + 15])
    assert np.isnan(low[2]).all()


def test_undefined_reference_chunks_are_passed_over():
    rules = fit(
        {"roc_auc": ("quantile", 0.0, 1.0)},
        [[0.8, 0.5, 1], [np.nan, 0.6, 1], [0.9, 0.7, 1]],
        [[0.1, 0.1, 1], [np.nan, 0.1, 1], [0.1, 0.1, 1]],
        [10, 10, 10],
    )
    assert (rules.low[0], rules.high[0]) == (0.8, 0.9)
    nothing = fit(None, np.full((2, 3), np.nan), np.full((2, 3), np.nan), [10, 10])
    assert np.isnan(nothing.low).all()


def test_what_lies_outside_the_bounds_is_no_threshold():
    rules = fit(None, [[0.99, 0.1, 1]], [[0.01, 0.1, 1]], [100])
    low, high = rules.at(np.array([100]))
    assert_allclose(low[0, 0], 0.96)
    assert np.isnan(high[0, 0])
    assert np.isnan(low[0, 1])  # log loss below 0
    assert_allclose(high[0, 1], 0.4)


@pytest.mark.parametrize("variance", [0.0, 1e-4])
def test_breach_is_in_the_bad_direction(variance):
    value = np.array([[0.70, 0.70, 5.0]])
    low, high = np.array([[0.72, 0.2, 6.0]]), np.array([[0.9, 0.68, 7.0]])
    probability = breach_probability(
        METRICS, value, np.full((1, 3), variance), low, high
    )
    from scipy.stats import norm

    expected = 1.0 if variance == 0 else norm.cdf(2.0)
    assert_allclose(probability[0], [expected, expected, np.nan])


def test_no_threshold_no_probability():
    none = np.full((1, 3), np.nan)
    probability = breach_probability(
        METRICS, np.ones((1, 3)), np.ones((1, 3)), none, none
    )
    assert np.isnan(probability).all()
