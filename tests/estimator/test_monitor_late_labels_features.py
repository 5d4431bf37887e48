"""A shift that labels show is along the score, whatever features say of a row."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from estimator import Monitor, PerformanceEstimator

START = np.datetime64("2026-01-05", "us")
DAY = np.timedelta64(1, "D")
PER_DAY = 400


def world(n_days, seed, *, first=0, slope=1.0):
    """Draw rows whose score says the less of their label, the flatter the slope is.

    A feature says as much of the label as the score does, throughout.
    """
    rng = np.random.default_rng(seed)
    n = n_days * PER_DAY
    z, feature = rng.normal(size=(2, n))
    time = START + first * DAY + np.sort(rng.uniform(0, n_days, n)) * DAY
    return pd.DataFrame(
        {
            "id": seed * 1_000_000 + np.arange(n),
            "time": time.astype("M8[us]"),
            "known": (time + rng.exponential(5.0, n) * DAY).astype("M8[us]"),
            "y_pred_proba": expit(z),
            "feature": feature,
            "y_true": (rng.random(n) < expit(slope * z + 1.5 * feature)).astype(int),
        }
    )


@pytest.mark.parametrize("method", ["feature_aware", "auto"])
def test_a_score_that_ranks_worse_is_tracked_where_features_are_read(method):
    estimator = PerformanceEstimator(
        ["roc_auc"],
        method,
        "D",
        timestamp="time",
        labeled_at="known",
        features=["feature"],
    ).fit(world(30, 1, first=-60))
    production = world(24, 2, slope=0.4)
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(production.drop(columns=["y_true", "known"]))
    now = production["time"].max()
    came = production["known"] <= now
    monitor.add_labels(production.loc[came, ["id", "y_true", "known"]])
    then = monitor.performance(as_of=now).filter(period="analysis")
    monitor.add_labels(production.loc[~came, ["id", "y_true", "known"]])
    truth = monitor.performance().filter(period="analysis").realized[:, 0]
    newest = slice(-3, None)  # most of their labels are missing
    assert then.n_labels[newest].sum() < 0.5 * then.n_rows[newest].sum()
    miss = then.estimated[newest, 0] - truth[newest]
    left = then.value[newest, 0] - truth[newest]
    assert miss.mean() > 0.05
    assert abs(left.mean()) < 0.3 * miss.mean()
