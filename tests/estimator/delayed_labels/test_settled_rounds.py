"""Delays and shift are learned together until both stand still."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from estimator import Monitor, PerformanceEstimator
from estimator.delayed_labels import reconciliation, secant
from estimator.delayed_labels.late_rows import discount_information, no_information
from estimator.delayed_labels.secant import RoundOfCounts, secant_step

START = np.datetime64("2026-01-05T00:00", "us")
SECONDS = 86_400
PER_DAY, N_REFERENCE_DAYS, N_DAYS = 600, 12, 10


def world(first, n_days, drift, rng):
    """Draw rows whose positives are labelled soon and whose negatives late."""
    n = n_days * PER_DAY
    z = rng.normal(-0.8, 1.1, n)
    y = (rng.random(n) < expit(1.2 * z + drift)).astype(int)
    seconds = first * SECONDS + np.arange(n) * (SECONDS // PER_DAY)
    time = START + (seconds * 10**6).astype("m8[us]")
    delay = rng.exponential(np.where(y == 1, 1.5, 5.0)) * SECONDS
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "time": time,
            "y_pred_proba": expit(z),
            "y_true": y,
            "known": time + (delay * 1e6).astype(np.int64).astype("m8[us]"),
        }
    )


@pytest.fixture(scope="module")
def monitor():
    rng = np.random.default_rng(3)
    reference = world(-N_REFERENCE_DAYS, N_REFERENCE_DAYS, 0.0, rng)
    production = world(0, N_DAYS, 0.7, rng)  # positives become more, at equal scores
    estimator = PerformanceEstimator(
        ("accuracy", "roc_auc"), "cbpe", "D", timestamp="time", labeled_at="known"
    ).fit(reference)
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(production.drop(columns=["y_true", "known"]))
    monitor.add_labels(production[["id", "y_true", "known"]])
    return monitor


def analysis(monitor, days):
    end = START + np.timedelta64(days * SECONDS - 1, "s")  # of whole chunks
    performance = monitor.performance(as_of=end)
    rows = performance.period == "analysis"
    half = (performance.upper[rows] - performance.lower[rows]) / 2.0
    return performance.value[rows], half


@pytest.mark.parametrize("days", [4, 7, 10, 14])
def test_values_are_those_of_many_more_rounds(monitor, days, monkeypatch):
    value, half = analysis(monitor, days)
    settings = replace(reconciliation.SETTINGS, settled=1e-9)
    monkeypatch.setattr(reconciliation, "SETTINGS", settings)
    monkeypatch.setattr(secant, "LONGEST_SECANT", 0.0)
    expected, expected_half = analysis(monitor, days)
    assert (np.abs(value - expected) <= 0.01 * expected_half).all()
    assert_allclose(half, expected_half, rtol=0.01)


def test_rounds_that_do_not_settle_say_so(monitor, monkeypatch):
    value, half = analysis(monitor, 14)
    settings = replace(reconciliation.SETTINGS, max_rounds=1)
    monkeypatch.setattr(reconciliation, "SETTINGS", settings)
    with pytest.warns(RuntimeWarning, match="not settled after 1 rounds"):
        early, _ = analysis(monitor, 14)
    waits = half > 0  # the error that the test above looks for is there to be seen
    assert (np.abs(early - value)[waits] / half[waits]).max() > 0.02


@pytest.mark.parametrize("every", [2, 10])
def test_labels_of_some_rows_at_random_do_no_harm(every):
    """The others never come: that a row waits says nothing of its class."""
    rng = np.random.default_rng(5)
    estimator = PerformanceEstimator(
        ("accuracy", "roc_auc"), "cbpe", "D", timestamp="time", labeled_at="known"
    ).fit(world(-N_REFERENCE_DAYS, N_REFERENCE_DAYS, 0.0, rng))
    production = world(0, 40, 0.0, rng)
    sample = Monitor(estimator, row_id="id")
    sample.add_predictions(production.drop(columns=["y_true", "known"]))
    sample.add_labels(production[["id", "y_true", "known"]][::every])
    performance = sample.performance()
    final = Monitor(estimator, row_id="id")
    final.add_predictions(production.drop(columns=["known"]))
    truth = final.performance()
    rows = performance.period == "analysis"
    error = performance.value[rows] - truth.realized[rows]
    unaware = performance.estimated[rows] - truth.realized[rows]
    rmse, without = (np.sqrt((e**2).mean(axis=0)) for e in (error, unaware))
    assert (rmse < 1.15 * without).all()


def test_what_is_believed_allows_for_rows_that_wait_to_differ():
    """As if the estimate had the covariance that a shift of theirs adds."""
    rng = np.random.default_rng(6)
    chunk_information = no_information(4)
    roots = rng.normal(size=(3, 4, 2, 6))
    J, W, spread = roots @ roots.transpose(0, 1, 3, 2)
    (
        chunk_information.information[:],
        chunk_information.awaited[:],
        chunk_information.vector[:],
    ) = J, W, rng.normal(size=(4, 2))
    chunk_information.is_final[3], chunk_information.information[2] = True, 0.0
    information, vector = discount_information(chunk_information, spread)
    for c in (0, 1):
        estimate = np.linalg.solve(J[c], chunk_information.vector[c])
        lever = np.linalg.solve(J[c], W[c])
        covariance = np.linalg.inv(J[c]) + lever @ spread[c] @ lever.T
        assert_allclose(information[c], np.linalg.inv(covariance), rtol=1e-8)
        assert_allclose(vector[c], np.linalg.solve(covariance, estimate), rtol=1e-8)
    assert (information[2] == 0.0).all()  # no label has come
    assert (information[3] == J[3]).all()  # all have
    assert (vector[3] == chunk_information.vector[3]).all()


def test_a_secant_step_ends_a_geometric_series():
    end, rate = np.array([3.0, 40.0, 0.5]), 0.7
    begin = end + np.array([1.0, -8.0, 0.2])

    def turn(begin):
        return RoundOfCounts(begin=begin, after=end + rate * (begin - end))

    first = turn(begin)
    assert_allclose(secant_step(first, None), first.after)
    assert_allclose(secant_step(turn(first.after), first), end, rtol=1e-12)


def test_a_secant_step_keeps_numbers_of_rows():
    before = RoundOfCounts(begin=np.array([9.0, 1.0]), after=np.array([5.0, 5.0]))
    last = RoundOfCounts(begin=np.array([5.0, 5.0]), after=np.array([1.1, 8.9]))
    step = secant_step(last, before)
    assert (step >= 0.0).all()
    assert step[0] == 0.0  # 1.1 less up to nine times what the last round took away
    still = RoundOfCounts(begin=last.after, after=last.after)
    assert_allclose(secant_step(still, still), last.after)
