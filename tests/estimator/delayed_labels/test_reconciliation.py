"""Soft labels given the labels that have come, in a world whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit

from estimator import PerformanceEstimator
from estimator.chunking.chunks import make_chunks
from estimator.delayed_labels.reconciliation import reconcile
from estimator.metrics.calibration_shift import shift_frame
from trials.nightly_world import START, simulate_days

N_DAYS = 30
BEGIN = START + pd.Timedelta(days=60)
NOW = BEGIN + pd.Timedelta(days=N_DAYS)


@pytest.fixture(scope="module")
def estimator():
    estimator = PerformanceEstimator(
        chunk="D", timestamp="time", labeled_at="labeled_at"
    )
    return estimator.fit(simulate_days(60, 200, seed=1))


@pytest.fixture(scope="module")
def rows():
    """Rows whose score is the true probability; all labels, and when they come."""
    return simulate_days(N_DAYS, 300, seed=2, start=BEGIN)


def make_known(rows, now=NOW):
    """Return the rows with the labels that have come by a moment."""
    came = rows["labeled_at"] <= now
    return rows.assign(
        y_true=rows["y_true"].where(came), labeled_at=rows["labeled_at"].where(came)
    )


def reconcile_rows(estimator, rows, *, now=NOW):
    columns = estimator.read_production(rows, with_arrivals=True)
    reference = estimator.reference_
    return reconcile(
        columns,
        make_chunks(columns.n_rows, "D", columns.timestamp, None),
        now=None if now is None else np.datetime64(now, "us"),
        soft_labels=np.asarray(columns.score, dtype=np.float64),
        score_map=lambda score: score,
        frame=shift_frame(reference.error_cells),
        learned=reference.delays,
    )


def has_come(rows, label):
    """P(label has come by now | label): 0.2 days and an exponential delay more."""
    mean = 4.0 if label else 1.5  # days, as `simulate_days` draws them
    days = (NOW - rows["time"]) / pd.Timedelta(days=1) - 0.2
    return -np.expm1(-days.clip(lower=0.0).to_numpy() / mean)


@pytest.fixture(scope="module")
def reconciled(estimator, rows):
    return reconcile_rows(estimator, make_known(rows))


def test_a_label_that_has_come_is_the_soft_label(reconciled, rows):
    came = (rows["labeled_at"] <= NOW).to_numpy()
    assert 0.85 < came.mean() < 0.95
    assert_array_equal(reconciled.soft[came], rows["y_true"][came])


def test_rows_that_wait_have_their_posterior(reconciled, rows):
    """Bayes' rule with the true delays, which `reconcile` has to learn."""
    waits = (rows["labeled_at"] > NOW).to_numpy()
    prior = rows["y_pred_proba"].to_numpy()
    positive = prior * (1.0 - has_come(rows, 1))
    posterior = positive / (positive + (1.0 - prior) * (1.0 - has_come(rows, 0)))
    error = np.abs(reconciled.soft - posterior)[waits]
    unaware = np.abs(prior - posterior)[waits]
    assert np.sqrt(np.mean(error**2)) < 0.3 * np.sqrt(np.mean(unaware**2))
    p = reconciled.soft[waits]
    residual = (rows["y_true"].to_numpy()[waits] - p).sum()
    assert abs(residual) < 4.0 * np.sqrt((p * (1.0 - p)).sum())


def test_labels_that_came_are_a_selection_that_is_expected(reconciled, rows):
    """Negatives come first: the labels fall short of the scores, and not of these."""
    came = (rows["labeled_at"] <= NOW).to_numpy() & (
        rows["time"] > NOW - pd.Timedelta(days=6)
    ).to_numpy()
    label = rows["y_true"].to_numpy()[came]
    expected = reconciled.expected_labels()[came]
    score = rows["y_pred_proba"].to_numpy()[came]
    deviation = np.sqrt((score * (1.0 - score)).sum())
    assert (label - score).sum() < -5.0 * deviation
    assert abs((label - expected).sum()) < 3.0 * deviation


def test_as_many_labels_have_come_as_chances_say(reconciled, rows):
    recent = (rows["time"] > NOW - pd.Timedelta(days=4)).to_numpy()
    came = (rows["labeled_at"] <= NOW).to_numpy()[recent]
    chance = reconciled.chance_of_label()[recent]
    deviation = np.sqrt((chance * (1.0 - chance)).sum())
    assert abs(came.sum() - chance.sum()) < 4.0 * deviation


@pytest.mark.parametrize("now", [NOW, None])
def test_without_labels_nothing_moves(estimator, rows, now):
    nothing = make_known(rows, now=BEGIN)
    assert nothing["y_true"].isna().all()
    assert_allclose(
        reconcile_rows(estimator, nothing.drop(columns="labeled_at"), now=now).soft,
        rows["y_pred_proba"],
        atol=1e-9,
    )


def test_a_shift_of_the_calibration_is_found(estimator, rows):
    rng = np.random.default_rng(0)
    shifted = expit(logit(rows["y_pred_proba"]) + 0.5)
    rows = rows.assign(y_true=(rng.random(len(rows)) < shifted).astype(int))
    # All labels take as long: of whom it is known by now says nothing of the class.
    rows["labeled_at"] = rows["time"] + pd.Timedelta(days=1)
    result = reconcile_rows(estimator, make_known(rows))
    deviation = np.sqrt(result.shift.covariance[:, 0, 0])
    z = (result.shift.mean[:, 0] - 0.5) / deviation
    assert deviation.max() < 0.2
    assert np.abs(z).max() < 4.0
    newest = result.soft[-300:]  # of the last day no label has come
    assert_allclose(newest.mean(), shifted[-300:].mean(), atol=0.03)
