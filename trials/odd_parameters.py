"""Arguments of estimators, plain and odd, drawn at random."""

import datetime as dt
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from estimator import (
    PerformanceEstimator,
)
from estimator.metrics.registry import METRIC_NAMES
from trials.odd_frames import NAMES, NAN, ODD_VALUES, Draw

CHUNKS: list[object] = [
    None, 1, 7, 50, 100, 250, 10**9, 100.0, np.float64(50), 0, -5, 2.5, "W", "D", "MS",
    "h", "QS", "YS", "2W", "W-WED", "15min", "s", "ms", "us", "ns", "N", "B", "0D",
    "-1D",
    "week", "", ["2026-01-10", "2026-02-01"], ["2026-02-01", "2026-01-01"], [],
    ["2026-01-10T00:00:00+00:00"], ["x"], [None],
    pd.date_range("2026-01-05", periods=5),
    pd.date_range("2026-01-05", periods=3, tz="UTC"), [dt.date(2026, 1, 12)],
    np.array(["2026-01-12", "2026-02-12"], dtype="M8[ns]"), [20260101], ["0001-01-01"],
    ["9999-12-31"], pd.Series(pd.date_range("2026-01-12", periods=3)), {"a"}, "now",
]  # fmt: skip
METRICS: list[object] = [
    "roc_auc", "accuracy", ["roc_auc", "accuracy"], ("f1",),
    ["log_loss", "brier_score"],
    ["average_precision", "precision", "recall"], ["tn", "fp", "fn", "tp"],
    ["business_value", "accuracy"], list(METRIC_NAMES), "auroc", "f1_score", [],
]  # fmt: skip
COSTS: list[Any] = [
    {"tn": 0, "fp": -1, "fn": -5, "tp": 3}, {"tn": 0.0, "fp": 0, "fn": 0, "tp": 0},
    {"tn": 1e90, "fp": -1e90, "fn": 1, "tp": 0},
    {"tn": 1e200, "fp": 0, "fn": 0, "tp": 0},
    {"tn": 0}, {"tn": NAN, "fp": 0, "fn": 0, "tp": 0}, {"tn": 1e-90, "fp": 0, "fn": 0,
    "tp": 0}, {"tn": Fraction(1, 3), "fp": True, "fn": np.float32(1), "tp": 3},
]  # fmt: skip
THRESHOLDS: list[object] = [
    {"roc_auc": ("constant", 0.7, None)}, {"accuracy": ("standard_error", 2)},
    {"roc_auc": ("quantile", 0.1, 0.9)}, {"roc_auc": ("constant", NAN, NAN)},
    {"roc_auc": ("standard_error", 1e300)},
    {"roc_auc": ("standard_error", float("inf"))},
    {"roc_auc": ("quantile", 2, 3)}, {"roc_auc": 5}, {"x": ("constant", 0, 1)},
    {"auc": ("constant", 0, 1)}, {"roc_auc": ("constant", 0.9, 0.1)}, {},
]  # fmt: skip
LEVELS: list[object] = [0.95, 0.5, 1 - 1e-16, 1e-300, np.float32(0.9), 0, 1, 95, "0.9"]


def parameters(draw: Draw) -> dict[str, Any]:
    """Return constructor's arguments, up to two of them odd."""
    has_time = draw.chance(0.6)
    chunk = (
        draw.one(["W", "D", "MS", 50, 100, None]) if has_time else draw.one([50, 100])
    )
    out: dict[str, Any] = {"chunk": chunk, "timestamp": "time" if has_time else None}
    out["metrics"] = draw.one(METRICS[:9])
    out["business_costs"] = COSTS[0]
    if draw.chance(0.3):
        out["y_pred"] = "y_pred"
    if draw.chance(0.4):
        out["segments"] = draw.one([["g"], "g", ("g", "y_pred"), ["x"]])
    if draw.chance(0.3):
        out["calibrator"] = draw.one(
            ["isotonic", "platt", "identity", "beta", "select"]
        )
    if draw.chance(0.2) and has_time:
        out["labeled_at"] = "labeled_at"
    if draw.chance(0.1):
        out["features"] = draw.one([["x"], ["x", "g"]])
        out["method"] = draw.one(["auto", "pape", "feature_aware", "cbpe"])
    for _ in range(draw.one([0, 0, 0, 1, 1, 2])):
        out |= _odd_parameters(draw)
    out.pop("progress", None)  # it writes to stderr, which is no odd input
    return out


def _odd_parameters(draw: Draw) -> dict[str, Any]:
    """Return one odd argument of the constructor, or two that belong together."""
    name = draw.one(
        ["chunk", "chunk", "chunk", "metrics", "level", "thresholds", "decision",
         "costs", "name", "name", "any", "any"]
    )  # fmt: skip
    if name == "costs":
        return {"metrics": "business_value", "business_costs": draw.one(COSTS)}
    if name == "name":
        role = draw.one(["timestamp", "y_pred_proba", "y_pred", "y_true",
                         "labeled_at", "segments", "features"])  # fmt: skip
        return {role: draw.one([*NAMES, *ODD_VALUES])}
    if name == "any":
        value = draw.one(ODD_VALUES)
        return {draw.one(list(PerformanceEstimator._get_param_names())): value}
    parameter, values = {
        "chunk": ("chunk", CHUNKS),
        "metrics": ("metrics", METRICS),
        "level": ("level", LEVELS),
        "thresholds": ("thresholds", THRESHOLDS),
        "decision": ("decision_threshold", [0, 1, 0.3, -1, 2, NAN, "0.5"]),
    }[name]
    return {parameter: draw.one(values)}
