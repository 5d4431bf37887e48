"""What an answer is held against: scikit-learn's metrics, and rules of any result."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from estimator import Performance, PerformanceEstimator
from trials.odd_parameters import COSTS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Wrong(Exception):
    """A result that the independent truth contradicts."""


def contradict(message: str) -> None:
    raise Wrong(message)


def _realized(metric: str, y: Bools, s: Floats, d: Bools) -> float:
    cells = {
        "tn": (~y & ~d).sum(), "fp": (~y & d).sum(),
        "fn": (y & ~d).sum(), "tp": (y & d).sum(),
    }  # fmt: skip
    if metric in cells:
        return float(cells[metric])
    if metric == "business_value":
        return float(sum(COSTS[0][cell] * n for cell, n in cells.items()))
    of_scores: dict[str, Callable[..., float]] = {
        "roc_auc": roc_auc_score, "average_precision": average_precision_score,
        "brier_score": brier_score_loss,
    }  # fmt: skip
    if metric in of_scores:
        return float(of_scores[metric](y, s))
    if metric == "log_loss":
        return float(log_loss(y, s, labels=[False, True]))
    if metric == "balanced_accuracy":
        return float((cells["tp"] / y.sum() + cells["tn"] / (~y).sum()) / 2)
    if metric == "specificity":
        return float(cells["tn"] / (~y).sum())
    of_decisions: dict[str, Callable[..., float]] = {
        "accuracy": accuracy_score, "f1": f1_score, "precision": precision_score,
        "recall": recall_score,
    }  # fmt: skip
    return float(of_decisions[metric](y, d))


def check_result(performance: Performance, estimator: PerformanceEstimator) -> None:
    """Hold a result against rules that are true of any."""
    p = performance
    for lower, upper in (("lower", "upper"), ("expected_lower", "expected_upper")):
        low, high, value = getattr(p, lower), getattr(p, upper), p.value
        present = np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
        slack = 1e-9 * np.maximum(1.0, np.abs(value[present]))
        if not (low[present] <= value[present] + slack).all():
            contradict(f"{lower} above value")
        if not (value[present] <= high[present] + slack).all():
            contradict(f"{upper} below value")
    share = np.isfinite(p.breach_probability)
    if not (
        (p.breach_probability[share] >= 0) & (p.breach_probability[share] <= 1)
    ).all():
        contradict("breach_probability leaves [0, 1]")
    for k, metric in enumerate(p.metrics):
        bounded = metric not in ("log_loss", "business_value", "tn", "fp", "fn", "tp")
        values = p.value[:, k][np.isfinite(p.value[:, k])]
        if (
            bounded
            and values.size
            and not (-1e-9 <= values.min() <= values.max() <= 1 + 1e-9)
        ):
            contradict(f"{metric} leaves [0, 1]")
    if (p.n_labels > p.n_rows).any():
        contradict("more labels than rows")
    frame = p.to_frame()
    if frame[["segment", "period", "chunk", "metric"]].duplicated().any():
        contradict("a key comes twice")


def check_realized(
    performance: Performance, frame: pd.DataFrame, estimator: PerformanceEstimator
) -> None:
    """Hold realized metrics of the whole against scikit-learn's: one chunk."""
    p = performance
    row = np.flatnonzero((p.segment == "") & (p.period == "analysis"))
    if row.size != 1 or not isinstance(frame, pd.DataFrame):
        return
    usable = frame.dropna(subset=["y_pred_proba", "y_true"])
    y = usable["y_true"].to_numpy().astype(bool)
    s = usable["y_pred_proba"].to_numpy().astype(np.float64)
    d = s >= float(estimator.decision_threshold)
    if estimator.y_pred is not None:
        d = usable[estimator.y_pred].to_numpy().astype(bool)
    if p.n_labels[row[0]] != y.size:
        contradict(f"{p.n_labels[row[0]]} labels counted of {y.size}")
    for k, metric in enumerate(p.metrics):
        realized = float(p.realized[row[0], k])
        if not np.isfinite(realized):
            continue
        if metric == "business_value" and estimator.business_costs != COSTS[0]:
            continue
        truth = _realized(metric, y, s, d)
        exact = 1e-9 if metric != "log_loss" else 1e-6
        if not np.isclose(realized, truth, rtol=exact, atol=exact):
            contradict(f"realized {metric} is {realized}, scikit-learn says {truth}")
