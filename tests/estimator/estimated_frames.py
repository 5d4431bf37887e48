"""Estimators and the rows of their frames."""

from estimator import PerformanceEstimator
from estimator.metrics.registry import METRIC_NAMES

COSTS = {"tn": 0, "fp": -5, "fn": -100, "tp": 20}


def make(**options):
    options = {"chunk": 1_000, "metrics": METRIC_NAMES} | options
    return PerformanceEstimator(**({"business_costs": COSTS} | options))


def rows(frame, period="analysis", metric="roc_auc", segment=""):
    is_it = (frame["period"] == period) & (frame["metric"] == metric)
    return frame[is_it & (frame["segment"] == segment)].reset_index(drop=True)
