"""Scores that separate the classes perfectly: every row is certain."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from calibration import CALIBRATORS
from estimator import Monitor, PerformanceEstimator

N = 600


def separated(seed, low, high):
    rng = np.random.default_rng(seed)
    label = (rng.random(N) < 0.4).astype(int)
    score = np.where(label == 1, high, low)
    return pd.DataFrame({"id": np.arange(N), "y_pred_proba": score, "y_true": label})


@pytest.mark.filterwarnings("ignore:.*holds only 0 and 1")
@pytest.mark.parametrize("calibrator", [*CALIBRATORS, "select"])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.1, 0.9), (0.4, 0.6)])
def test_separated_scores_are_estimated_and_followed(calibrator, low, high):
    reference, production = separated(0, low, high), separated(1, low, high)
    estimator = PerformanceEstimator(chunk=100, calibrator=calibrator).fit(reference)
    performance = estimator.estimate(production)
    analysis = performance.period == "analysis"
    defined = analysis[:, None] & np.isfinite(performance.value)
    assert (performance.lower <= performance.value)[defined].all()
    assert (performance.value <= performance.upper)[defined].all()
    assert (performance.value[defined] > 0.9).all() or calibrator == "identity"
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(production.drop(columns="y_true"))
    monitor.add_labels(production[["id", "y_true"]][:350])
    estimated = monitor.performance()
    realized = estimated.realized[estimated.period == "analysis"]
    for c in range(3):
        rows = production[100 * c : 100 * (c + 1)]
        truth = (
            roc_auc_score(rows["y_true"], rows["y_pred_proba"]),
            accuracy_score(rows["y_true"], rows["y_pred_proba"] >= 0.5),
        )
        np.testing.assert_allclose(realized[c], truth, rtol=1e-12)
    part = production[300:350]
    np.testing.assert_allclose(
        realized[3], [1.0, accuracy_score(part["y_true"], part["y_pred_proba"] >= 0.5)]
    )


def test_a_level_just_below_one_gives_wide_intervals_and_no_warning():
    """1 - 1e-16 is a number below 1, 0.5 + level / 2 is none."""
    rng = np.random.default_rng(0)
    score = rng.random(N)
    frame = pd.DataFrame({"y_pred_proba": score, "y_true": rng.random(N) < score})
    widths = []
    for level in (0.5, 0.95, 0.999999, 1 - 1e-16):
        estimator = PerformanceEstimator("log_loss", chunk=100, level=level).fit(frame)
        performance = estimator.estimate(frame[["y_pred_proba"]][:300])
        analysis = performance.period == "analysis"
        widths.append((performance.upper - performance.lower)[analysis].mean())
    assert np.isfinite(widths).all()
    # Normal quantiles of (1 - level) / 2: 0.674, 1.960, 4.892 and 8.292.
    np.testing.assert_allclose(widths[2] / widths[1], 4.8916 / 1.9600, rtol=0.2)
    assert widths[0] < widths[1] < widths[2] < widths[3]
