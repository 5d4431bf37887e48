"""The monitor in odd worlds: no error, no warning, and the truth in the end."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from estimator import Monitor, PerformanceEstimator
from estimator.metrics.registry import METRIC_NAMES

START = pd.Timestamp("2026-01-05")
COSTS = {"tn": 1.0, "fp": -5.0, "fn": -20.0, "tp": 10.0}
SCORES = {
    "continuous": lambda rng, n: rng.random(n),
    "tied": lambda rng, n: rng.integers(0, 4, n) / 4,
    "constant": lambda rng, n: np.full(n, 0.4),
    "certain": lambda rng, n: rng.choice([0.0, 0.5, 1.0], n),
}
DELAYS = {
    "none": lambda rng, y: np.zeros(y.size),
    "before the row": lambda rng, y: -rng.random(y.size),
    "random": lambda rng, y: rng.exponential(3.0, y.size),
    "fixed": lambda rng, y: np.full(y.size, 2.0),
    "by class": lambda rng, y: np.where(y == 1, 1.0, 8.0),
}
CALIBRATORS = ("spline", "isotonic", "platt", "beta", "temperature", "identity")


def draw(rng, n, first_day, days, scores, delays):
    score = SCORES[scores](rng, n)
    label = (rng.random(n) < 0.1 + 0.8 * score).astype(int)
    time = START + pd.to_timedelta(first_day + np.sort(rng.random(n)) * days, unit="D")
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "time": time,
            "y_pred_proba": score,
            "region": rng.choice(["north", "south"], n),
            "y_true": label,
            "known": time + pd.to_timedelta(DELAYS[delays](rng, label), unit="D"),
        }
    )


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("delays", DELAYS)
@pytest.mark.parametrize("chunk", ["D", 50, None])
def test_any_world_ends_with_the_truth(scores, delays, chunk):
    seed = [list(SCORES).index(scores), list(DELAYS).index(delays), len(str(chunk))]
    rng = np.random.default_rng(seed)
    reference = draw(rng, 400, -40, 10, scores, delays)
    production = draw(rng, int(rng.choice([1, 20, 400])), 0, 12, scores, delays)
    if rng.random() < 0.3:
        reference = reference.drop(columns="known")
    if rng.random() < 0.3:
        production["y_true"] = 1
    production.loc[production.index[3::11], "y_pred_proba"] = np.nan
    estimator = PerformanceEstimator(
        METRIC_NAMES,
        chunk=chunk,
        timestamp="time" if chunk == "D" or rng.random() < 0.5 else None,
        labeled_at="known",
        calibrator="isotonic" if scores == "constant" else rng.choice(CALIBRATORS),
        segments="region",
        business_costs=COSTS,
    ).fit(reference)
    monitor = Monitor(estimator, "id")
    labels = production[["id", "y_true", "known"]]
    for part in np.array_split(np.arange(len(production)), 3):
        night = production.iloc[part].drop(columns=["y_true", "known"])
        if night["y_pred_proba"].notna().any():
            monitor.add_predictions(night)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "None of the")  # they may come too early
            monitor.add_labels(labels.sample(frac=0.3, random_state=int(part.sum())))
        performance = monitor.performance()
        is_finite = np.isfinite(performance.value)
        assert (performance.lower <= performance.value + 1e-9)[is_finite].all()
        assert (performance.value <= performance.upper + 1e-9)[is_finite].all()
        assert np.isfinite(performance.upper[is_finite]).all()
        assert len(monitor.attribution()) == len(performance.metrics) * np.sum(
            performance.period == "analysis"
        )
    monitor.add_labels(labels)
    performance = monitor.performance()
    is_analysis = performance.period == "analysis"
    assert_allclose(
        performance.value[is_analysis], performance.realized[is_analysis], rtol=1e-12
    )
    is_finite = np.isfinite(performance.value[is_analysis])
    assert (performance.lower[is_analysis] == performance.upper[is_analysis])[
        is_finite
    ].all()
