"""A world whose labels come late, those of one class later, and its monitor."""

import numpy as np
import pandas as pd
from scipy.special import expit

from estimator import PerformanceEstimator
from estimator.metrics.registry import METRIC_NAMES

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2026-01-05")
PER_DAY = 300
ALL = tuple(METRIC_NAMES)
COSTS = {"tn": 1.0, "fp": -5.0, "fn": -20.0, "tp": 10.0}
LABELS = ["id", "y_true", "known"]


def world(n_days, seed, *, first=0, c=0.0, by_class=True):
    """Draw rows of which positives are known within 2 days, negatives within 6."""
    rng = np.random.default_rng(seed)
    n = n_days * PER_DAY
    z = rng.normal(0.2, 1.1, n)
    day = np.repeat(np.arange(n_days), PER_DAY)
    slope = 1.3 + (c(day) if callable(c) else c)
    label = rng.random(n) < expit(slope * z - 1)
    wait = rng.random(n) * np.where(label & by_class, 2.0, 6.0)
    time = START + first * DAY + pd.to_timedelta(day + np.arange(n) / n / 2, unit="D")
    return pd.DataFrame(
        {
            "id": 1_000_000 * seed + np.arange(n),
            "time": time.astype("datetime64[us]"),
            "y_pred_proba": expit(z).round(4),
            "region": rng.choice(["north", "south"], n),
            "y_true": label.astype(int),
            "known": (time + pd.to_timedelta(wait, unit="D")).astype("datetime64[us]"),
        }
    )


REFERENCE = world(12, 1, first=-40)
PRODUCTION = world(15, 2)
UNLABELLED = PRODUCTION.drop(columns=["y_true", "known"])


def fit(metrics=("roc_auc", "accuracy"), **changes):
    options = {"chunk": "D", "timestamp": "time", "labeled_at": "known"} | changes
    return PerformanceEstimator(metrics, business_costs=COSTS, **options).fit(REFERENCE)


def analysis(performance, metric=None, segment=""):
    frame = performance.to_frame().query("period == 'analysis' and segment == @segment")
    return frame if metric is None else frame.query("metric == @metric")


def assert_same(first, second):
    pd.testing.assert_frame_equal(first.to_frame(), second.to_frame(), check_exact=True)
