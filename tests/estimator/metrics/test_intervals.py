"""The parts of an interval against Monte Carlo, and the whole against labels."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from calibration import SplineCalibrator
from estimator import PerformanceEstimator
from estimator.metrics.error_cells import measure_error_cells
from estimator.metrics.intervals import interval
from estimator.metrics.metric_names import resolve_metrics
from tests.estimator.conftest import simulate

METRICS = ("roc_auc", "accuracy", "f1", "recall", "brier_score", "log_loss")


def test_calibration_variance_is_that_of_fitting_again():
    """Fit on many references; the same rows are estimated by each (SCIENCE: 142e-4)."""
    chunk = simulate(2_000, 1_000)  # of no seed below: other rows
    estimates, predicted = [], []
    for seed in range(150):
        estimator = PerformanceEstimator(metrics=METRICS, chunk=None)
        performance = estimator.fit(simulate(1_000, seed)).estimate(
            chunk[["y_pred_proba"]]
        )
        estimates.append(performance.value[-1])
        predicted.append(performance.calibration_error[-1])
    ratio = np.mean(predicted, axis=0) / np.std(estimates, axis=0)
    assert_allclose(ratio, 1.0, atol=0.25)


def test_the_density_ratio_form_agrees_where_nothing_shifts():
    reference, chunk = simulate(3_000, 0), simulate(2_000, 1)[["y_pred_proba"]]
    errors = [
        PerformanceEstimator(metrics=METRICS, chunk=None, calibrator=calibrator)
        .fit(reference)
        .estimate(chunk)
        .calibration_error[-1]
        for calibrator in ("spline", "isotonic")
    ]
    assert_allclose(errors[1] / errors[0], 1.0, atol=0.3)


def test_a_map_that_is_not_estimated_has_no_error():
    performance = (
        PerformanceEstimator(chunk=None, calibrator="identity")
        .fit(simulate(3_000, 0))
        .estimate(simulate(2_000, 1))
    )
    assert (performance.calibration_error[-1] == 0).all()


def test_cells_cover_the_scores_however_tied():
    rng = np.random.default_rng(0)
    for score in (
        rng.random(5_000),
        rng.integers(0, 4, 5_000) / 3,
        np.full(5_000, 0.5),
        np.where(rng.random(5_000) < 0.9, 0.0, rng.random(5_000)),
    ):
        label = rng.random(5_000) < 0.3
        calibrator = SplineCalibrator().fit(score, label)
        cells = measure_error_cells(calibrator, score, calibrator.predict(score))
        cell = np.searchsorted(cells.edges, score)
        count = np.bincount(cell, minlength=cells.edges.size + 1)
        assert count.size == cells.variance.size == cells.factor.shape[1]
        first, last = np.searchsorted(cells.edges, cells.score_range)
        assert (count[first : last + 1] > 0).all()
        assert count[:first].sum() + count[last + 1 :].sum() <= 0.0021 * score.size
        assert (np.diff(cells.edges) > 0).all()
        assert np.isfinite(cells.factor).all()
        assert (cells.variance > 0).all()


@pytest.mark.parametrize("shift", [1.5, 3.5])
def test_the_interval_covers_far_beyond_the_reference(shift):
    """Truths that bend beyond the scores of the reference, by as much as within."""
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        bend, phase = rng.normal(0.0, 0.5), rng.uniform(0.0, 6.0)

        def draw(n_rows, mean, rng=rng, bend=bend, phase=phase):
            x = rng.normal(mean, 1.0, n_rows)
            log_odds = 0.8 * x - 0.5 + bend * np.sin(x + phase)
            return pd.DataFrame(
                {
                    "y_pred_proba": expit(x),
                    "y_true": (rng.random(n_rows) < expit(log_odds)).astype(int),
                }
            )

        performance = (
            PerformanceEstimator(METRICS, "cbpe", None)
            .fit(draw(4_000, -shift / 2.0))
            .estimate(draw(2_000, shift / 2.0))
        )
        realized = performance.realized[-1]
        covered.append(
            (performance.lower[-1] <= realized) & (realized <= performance.upper[-1])
        )
    assert np.mean(covered, axis=0).min() >= 0.8


def test_intervals_stop_at_the_bounds():
    metrics = resolve_metrics(("accuracy", "log_loss"), None)
    lower, upper = interval(
        np.array([[0.99, 0.01]]), np.array([[0.01, 0.01]]), metrics, 0.95
    )
    assert upper[0, 0] == 1.0
    assert lower[0, 1] == 0.0
    assert_allclose(upper[0, 1], 0.01 + 0.196, rtol=1e-3)


@pytest.mark.slow
def test_the_interval_covers_what_labels_reveal():
    """40 references of 2,000 rows, 10 chunks of 500 each."""
    inside = []
    for seed in range(40):
        estimator = PerformanceEstimator(
            metrics=("roc_auc", "accuracy", "f1"), chunk=500
        )
        performance = estimator.fit(simulate(2_000, seed)).estimate(
            simulate(5_000, 1_000 + seed)
        )
        analysis = performance.period == "analysis"
        inside.append(
            (performance.lower <= performance.realized)[analysis]
            & (performance.realized <= performance.upper)[analysis]
        )
    coverage = np.concatenate(inside).mean(axis=0)
    assert (coverage > 0.92).all(), coverage
    assert (coverage < 0.985).all(), coverage


def test_no_row_is_seen_twice_by_reference_and_analysis():
    """Swapping in a relabelled analysis period moves nothing but `realized`."""
    estimator = PerformanceEstimator(chunk=500).fit(simulate(2_000, 0))
    frame = simulate(1_000, 1)
    flipped = frame.assign(y_true=1 - frame["y_true"])
    frames = [estimator.estimate(f).to_frame() for f in (frame, flipped)]
    pd.testing.assert_series_equal(frames[0]["value"], frames[1]["value"])
    pd.testing.assert_series_equal(frames[0]["lower"], frames[1]["lower"])
