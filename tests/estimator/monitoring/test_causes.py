"""Causes from rows whose labels come late, so that young chunks have one class only."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from estimator import Monitor, PerformanceEstimator

START = pd.Timestamp("2026-01-05")
PER_DAY = 600
ONSET, N_DAYS = 10, 30


def rows(n_days, seed, *, first=0, crowded=0.0, flatter=0.0):
    """Draw calibrated rows; from the onset on, crowded in the middle, or flatter.

    Positives are known after 2 to 4 days, negatives after 6.
    """
    rng = np.random.default_rng(seed)
    n = n_days * PER_DAY
    day = np.repeat(np.arange(n_days), PER_DAY)
    affected = day >= ONSET
    z = rng.normal(0.0, np.where(affected, 2.0 - crowded, 2.0))
    label = rng.random(n) < expit(z * np.where(affected, 1.0 - flatter, 1.0))
    time = START + pd.to_timedelta(first + day + rng.random(n), unit="D")
    wait = np.where(label, 2.0 + 2.0 * rng.random(n), 6.0)
    return pd.DataFrame(
        {
            "id": 1_000_000 * seed + np.arange(n),
            "time": time,
            "y_pred_proba": expit(z),
            "y_true": label.astype(int),
            "known": time + pd.to_timedelta(wait, unit="D"),
        }
    )


@pytest.fixture(scope="module")
def estimator():
    reference = rows(30, 1, first=-60)
    return PerformanceEstimator(
        ("roc_auc", "accuracy"), chunk="D", timestamp="time", labeled_at="known"
    ).fit(reference)


def monitor_of(estimator, production):
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(production.drop(columns=["y_true", "known"]))
    now = START + pd.Timedelta(days=N_DAYS)
    labels = production[production["known"] < now]
    monitor.add_labels(labels[["id", "y_true", "known"]])
    return monitor


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"crowded": 1.2}, "covariate_shift"),
        ({"flatter": 0.6}, "concept_drift"),
        ({"crowded": 0.9, "flatter": 0.5}, "both"),
    ],
)
def test_young_chunks_with_labels_of_one_class_hide_no_cause(estimator, change, cause):
    monitor = monitor_of(estimator, rows(N_DAYS, 2, **change))
    verdicts = monitor.degradation()
    assert {name: one.cause for name, one in verdicts.items()} == dict.fromkeys(
        ("roc_auc", "accuracy"), cause
    )
    assert {one.kind for one in verdicts.values()} == {"sudden"}


def test_labels_of_one_class_are_what_had_to_come_first(estimator):
    calm = monitor_of(estimator, rows(N_DAYS, 3)).attribution()
    young = calm["chunk"].isin(["2026-01-30", "2026-01-31"])
    auc = calm[young & (calm["metric"] == "roc_auc")]
    assert (auc["n_labels"] > 50).all()
    # Nothing is known of a residual that is undefined.
    assert (
        auc[["residual", "residual_standard_error", "residual_z"]]
        .isna()
        .to_numpy()
        .all()
    )
    accuracy = calm[calm["metric"] == "accuracy"]
    of_young = accuracy[accuracy["chunk"].isin(auc["chunk"])]
    assert (of_young["residual_z"].abs() < 3.0).all()
    assert (of_young["residual_sensitivity"] < 0.1).all()
    full = accuracy[accuracy["n_labels"] == accuracy["n_rows"]]
    np.testing.assert_allclose(full["residual_sensitivity"], 1.0, atol=1e-3)
    assert (calm["residual_shared_error"] <= calm["residual_standard_error"])[
        calm["residual"].notna()
    ].all()
