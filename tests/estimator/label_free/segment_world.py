"""A world whose segments are calibrated differently, and calibrators of other kinds."""

import numpy as np
import pandas as pd
from scipy.special import expit

from calibration import SplineCalibrator
from estimator import PerformanceEstimator

COSTS = {"tn": 1.0, "fp": -5.0, "fn": -20.0, "tp": 10.0}
KEYS = ["segment", "period", "chunk", "metric"]


class MovingAverage:
    """A caller's own calibrator, without an error of its map."""

    def fit(self, score, y, sample_weight=None):
        order = np.argsort(score)
        self.score = np.asarray(score)[order][::200]
        window = np.ones(801) / 801.0
        smooth = np.convolve(np.pad(np.asarray(y)[order], 400, "edge"), window, "valid")
        self.value = np.clip(smooth[::200], 0.01, 0.99)
        return self

    def predict(self, score):
        return np.interp(score, self.score, self.value)


class Means:
    """A caller's own calibrator on a grid of scores: the mean label of each."""

    def fit(self, score, y, sample_weight=None):
        self.score, grid_cell = np.unique(score, return_inverse=True)
        self.value = np.bincount(grid_cell, y) / np.bincount(grid_cell)
        return self

    def predict(self, score):
        return np.interp(score, self.score, self.value)


def name_of(option):
    """Return a name that is the same in each run: that of an object has its address."""
    if isinstance(option, MovingAverage | Means | SplineCalibrator):
        return type(option).__name__
    return str(option)


def world(n, seed, *, share=0.5, shift=0.8, slope=0.6, fall=0.0, first_id=0):
    """Draw rows of two segments; b's labels are likelier, and follow scores less.

    ``fall`` makes b's labels follow their scores less still.
    """
    rng = np.random.default_rng(seed)
    is_b = rng.random(n) < share
    x = rng.normal(-0.3, 1.3, n)
    x_b = shift + (slope - fall) * x
    truth = expit(np.where(is_b, x_b, x - shift))
    return pd.DataFrame(
        {
            "id": np.arange(first_id, first_id + n),
            "y_pred_proba": expit(x),
            "y_pred": (x + 0.3 * rng.normal(size=n) > 0.0).astype(int),
            "seg": np.where(is_b, "b", "a"),
            "other": rng.choice(["u", "v", "w"], n),
            "truth": truth,
            "y_true": (rng.random(n) < truth).astype(int),
        }
    )


REFERENCE = world(16_000, 0)
SAME = world(16_000, 1, first_id=16_000)


def fit(reference=REFERENCE, **options):
    options = {"chunk": 1_000, "segments": "seg"} | options
    return PerformanceEstimator(**options).fit(reference)


def one_map(monkeypatch, **options):
    """Return what was estimated before segments had shifts."""
    with monkeypatch.context() as patch:
        name = "estimator.estimation.fitted_map.learn_segment_calibration"
        patch.setattr(name, lambda *_: None)
        return fit(**options)


def analysis(performance, segment=None, metric=None):
    rows = performance.to_frame().query("period == 'analysis'")
    if segment is not None:
        rows = rows[rows["segment"] == segment]
    return rows if metric is None else rows[rows["metric"] == metric]
