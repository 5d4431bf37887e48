import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from estimator import PerformanceEstimator
from estimator.degradation.per_metric import judge_series
from estimator.degradation.verdict_json import from_json, to_json
from estimator.metrics.registry import METRIC_NAMES

START = pd.Timestamp("2026-01-05")
COSTS = {"tn": 0.0, "fp": -1.0, "fn": -5.0, "tp": 3.0}


def rows(n_days, seed, *, blur=lambda day: np.zeros(day.size), first=0):
    """Draw rows whose scores say the less the more they are blurred."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(n_days), 400)
    spread = 2.0 * (1.0 - blur(day))
    score = 1.0 / (1.0 + np.exp(-spread * rng.normal(size=day.size)))
    time = START + pd.to_timedelta(first + day + rng.random(day.size), unit="D")
    return pd.DataFrame(
        {
            "time": time,
            "y_pred_proba": score,
            "y_true": (rng.random(day.size) < score).astype(int),
            "region": rng.choice(["north", "south"], day.size),
        }
    )


REFERENCE = rows(15, 1, first=-15)


def estimate(production, **options):
    options = {"chunk": "D", "timestamp": "time"} | options
    metrics = options.pop("metrics", ("roc_auc", "log_loss"))
    estimator = PerformanceEstimator(metrics, **options).fit(REFERENCE)
    return estimator.estimate(production.drop(columns="y_true"))


@pytest.fixture(scope="module")
def fallen():
    return rows(30, 2, blur=lambda day: 0.6 * (day >= 18))


def test_each_metric_by_the_labels_of_its_chunks(fallen):
    verdicts = estimate(fallen).degradation()
    assert list(verdicts) == ["roc_auc", "log_loss"]
    for name, verdict in verdicts.items():
        assert verdict.metric == name
        assert verdict.kind == "sudden"
        assert verdict.onset == "2026-01-23"
        assert verdict.cause == "unknown"
        assert verdict.n_reference == 15
        assert str(verdict).startswith(name)
    assert verdicts["roc_auc"].magnitude < 0 < verdicts["log_loss"].magnitude


def test_counts_get_no_verdict_and_totals_one_per_row(fallen):
    fewer = fallen[(fallen.index % 4 == 0) | (fallen["time"] < "2026-01-23")]
    performance = estimate(fewer, metrics=METRIC_NAMES, business_costs=COSTS)
    verdicts = performance.degradation()
    assert set(METRIC_NAMES) - set(verdicts) == {"tp", "fp", "tn", "fn"}
    value = verdicts["business_value"]
    assert value.metric == "business_value per row"
    assert value.magnitude > -3.0


def test_more_rows_are_no_improvement():
    more = rows(30, 3)
    more = pd.concat([more, more[more["time"] > "2026-01-20"]])
    value = estimate(
        more, metrics=("business_value",), business_costs=COSTS
    ).degradation()["business_value"]
    assert value.kind == "stable"
    assert not value.improved


def test_some_metrics_of_a_segment(fallen):
    only_south = fallen.copy()
    calm = rows(30, 5)
    north = only_south["region"] == "north"
    only_south.loc[north, "y_pred_proba"] = calm.loc[north, "y_pred_proba"]
    performance = estimate(only_south, segments="region")
    south = performance.degradation("roc_auc", segment="region=south")
    assert list(south) == ["roc_auc"]
    assert south["roc_auc"].kind == "sudden"
    assert performance.degradation(segment="region=north")["roc_auc"].kind == "stable"
    with pytest.raises(ValueError, match=r"`metrics` must be among .* Did you mean"):
        performance.degradation("roc_auk")
    with pytest.raises(ValueError, match="`segment` must be one of"):
        performance.degradation(segment="region=west")


def test_row_counts_have_numbers_for_labels(fallen):
    performance = estimate(fallen, chunk=400, timestamp=None)
    verdict = performance.degradation()["roc_auc"]
    assert verdict.onset == 18  # of the analysis, which counts from 0
    assert verdict.kind == "sudden"


def test_empty_days_and_undefined_metrics(fallen):
    holes = fallen[~fallen["time"].dt.day.isin([12, 13, 25])]
    verdict = estimate(holes).degradation()["roc_auc"]
    assert verdict.kind == "sudden"
    assert verdict.chunks.size == 15 + 30
    assert np.isnan(verdict.fitted).sum() == 3
    performance = estimate(fallen)
    nowhere = replace(performance, value=np.full_like(performance.value, np.nan))
    assert nowhere.degradation() == {}


def test_since_leaves_earlier_chunks_out(fallen):
    performance = estimate(fallen)
    late = judge_series(performance.metric_series()[""], since="2026-01-23")["roc_auc"]
    assert late.kind == "training_serving_skew"
    assert late.onset == "2026-01-23"
    assert late.chunks.size == 15 + 12


def wave(day):
    return 0.3 - 0.3 * np.cos(2.0 * np.pi * (day + 0.5) / 6.0)


@pytest.mark.parametrize("first", [0, -1, -4])
def test_a_period_is_a_duration_however_reference_and_production_meet(first):
    production = rows(40, 7, blur=wave, first=first)
    # Dates without a time of day: production's first day begins as the reference's
    # last, or before it.
    production["time"] = production["time"].dt.floor("D")
    reference = REFERENCE.assign(time=REFERENCE["time"].dt.floor("D"))
    estimator = PerformanceEstimator("roc_auc", chunk="D", timestamp="time")
    performance = estimator.fit(reference).estimate(production.drop(columns="y_true"))
    verdict = performance.degradation()["roc_auc"]
    assert verdict.kind == "cyclical"
    assert verdict.period / pd.Timedelta(days=1) == pytest.approx(6.0, abs=0.3)
    assert re.search(r"a period of [56]\.\d days \(", str(verdict))
    read = from_json(json.loads(json.dumps(to_json(verdict))))
    assert read.period == verdict.period
    assert str(read) == str(verdict)


def test_the_calibration_error_is_shared(fallen):
    down = rows(20, 6, blur=lambda day: np.full(day.size, 0.3))
    performance = estimate(down)
    assert performance.degradation()["roc_auc"].kind == "training_serving_skew"
    shaky = replace(
        performance,
        calibration_error=np.full_like(performance.calibration_error, 0.2),
    )
    assert shaky.degradation()["roc_auc"].kind == "stable"
