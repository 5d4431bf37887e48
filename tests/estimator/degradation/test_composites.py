"""Series that do more than one thing."""

import numpy as np
import pandas as pd
import pytest

from estimator import classify_degradation
from estimator.degradation.classification import variance_ratio
from estimator.degradation.shapes.hypotheses import SETTINGS
from estimator.degradation.verdict import label_chunks

N, N_REFERENCE, ERROR = 90, 21, 0.01
I = np.arange(N)  # noqa: E741
DAYS = pd.date_range("2026-01-05", periods=N, freq="D")
WEEKLY = 0.04 * (I % 7 >= 5)


def judge(curve, n_reference=N_REFERENCE, times=DAYS, seed=0, n=N):
    noise = np.random.default_rng(seed).normal(0.0, ERROR, n)
    return classify_degradation(
        0.8 + curve + noise, np.full(n, ERROR), n_reference=n_reference, times=times
    )


DECLINES = {
    "stable": np.zeros(N),
    "sudden": -0.05 * (I >= 50),
    "gradual": -0.07 * np.clip((I - 30) / 60.0, 0.0, 1.0),
    "recovered": -0.05 * ((I >= 45) & (I < 60)),
    "training_serving_skew": -0.05 * (I >= N_REFERENCE),
}


@pytest.mark.parametrize("times", [DAYS, None])
@pytest.mark.parametrize("kind", DECLINES)
def test_a_season_that_the_reference_shows_is_none_and_hides_none(kind, times):
    for seed in range(3):
        verdict = judge(DECLINES[kind] - WEEKLY, times=times, seed=seed)
        assert verdict.kind == kind
        assert verdict.season.in_reference
        spacing = 1.0 if times is None else pd.Timedelta(days=1)
        assert verdict.season.period / spacing == pytest.approx(7.0, rel=0.02)
        assert verdict.season.swing == pytest.approx(0.04, abs=0.015)
        assert "season" in str(verdict)
        if kind != "stable":
            assert len(verdict.events) == 1


def test_a_season_that_begins_with_production_is_cyclical():
    verdict = judge(-WEEKLY * (I >= N_REFERENCE))
    assert verdict.kind == "cyclical"
    assert not verdict.season.in_reference
    assert verdict.season.period == verdict.period


@pytest.mark.parametrize("size", [6.0, 12.0, 40.0])
def test_one_bad_weekday_is_a_season_not_outliers(size):
    dips = -size * ERROR * ((I % 7 == 2) & (I >= N_REFERENCE))
    verdict = judge(dips)
    assert verdict.kind == "cyclical"
    assert verdict.period / pd.Timedelta(days=7) == pytest.approx(1.0, rel=0.02)


def test_two_incidents_are_no_cycle():
    curve = -0.05 * (((I >= 35) & (I < 42)) | ((I >= 60) & (I < 66)))
    verdict = judge(curve, times=None)
    assert verdict.kind == "recovered"
    onsets = [(one.kind, one.onset, one.end) for one in verdict.events]
    assert onsets == [("recovered", 35, 42), ("recovered", 60, 66)]
    assert (verdict.onset, verdict.end) == (60, 66)
    assert all(one.size == pytest.approx(-0.05, abs=0.015) for one in verdict.events)
    assert all(one.probability > 0.9 for one in verdict.events)
    assert np.array_equal(np.flatnonzero(verdict.affected), np.flatnonzero(curve))
    assert "also was lower" in str(verdict)


def test_an_incident_does_not_hide_the_step_after_it():
    for seed in range(3):
        curve = -0.05 * (((I >= 35) & (I < 42)) | (I >= 60))
        verdict = judge(curve, times=None, seed=seed)
        assert verdict.kind == "sudden"
        assert verdict.onset == pytest.approx(60, abs=1)
        assert verdict.magnitude == pytest.approx(-0.05, abs=0.015)


def test_what_came_back_in_part_is_not_recovered():
    curve = -0.08 * (I >= 40) + 0.06 * (I >= 60)
    verdict = judge(curve)
    assert verdict.kind == "sudden"
    assert verdict.magnitude == pytest.approx(-0.02, abs=0.01)
    assert "recovered in part" in str(verdict)


def test_a_step_counts_beside_a_slow_decline():
    curve = -0.05 * (I >= 40) - 0.05 * np.clip((I - 50) / 40.0, 0.0, 1.0)
    verdict = judge(curve)
    assert verdict.kind == "sudden"
    assert {one.kind for one in verdict.events} == {"sudden", "gradual"}


def test_a_cycle_that_grows_is_cyclical():
    growth = np.clip((I - N_REFERENCE) / (N - N_REFERENCE), 0.0, 1.0)
    verdict = judge(-0.08 * growth * (0.5 + 0.5 * np.sin(2 * np.pi * I / 12.0)))
    assert verdict.kind == "cyclical"


def test_less_than_a_season_says_that_it_could_be_one():
    weeks = pd.date_range("2025-01-06", periods=50, freq="W-MON")
    curve = 0.04 * np.cos(2.0 * np.pi * np.arange(50) / 52.18)
    verdict = judge(curve, 12, weeks, n=50)
    assert verdict.kind != "stable"
    assert verdict.season.n_periods == pytest.approx(50 / 52.18, rel=0.02)
    assert "it could be a season of 365 days" in str(verdict)


@pytest.mark.parametrize("kind", ["sudden", "recovered", "pair"])
@pytest.mark.parametrize("seed", range(5))
def test_the_evidence_never_falls_as_a_decline_grows(kind, seed):
    shape = {
        "sudden": I >= 50,
        "recovered": (I >= 45) & (I < 60),
        "pair": (I >= 45) & (I < 47),
    }[kind]
    sizes = (4.0, 5.0, 6.5, 8.0, 12.0, 20.0, 50.0, 200.0)
    evidence = [
        judge(-ERROR * size * shape, times=None, seed=seed).log_bayes_factor
        for size in sizes
    ]
    assert (np.diff(evidence) > -1e-6).all(), evidence


def test_accuracies_near_their_ceiling_are_not_discounted_for_being_bad():
    rng = np.random.default_rng(0)
    n, size = 80, 1000
    i = np.arange(n)
    share = 0.999 - 0.006 * (i >= 15) * (0.5 + 0.5 * np.sin(2 * np.pi * i / 9.0))
    values = rng.binomial(size, share) / size
    smoothed = (values * size + 1.0) / (size + 2.0)
    errors = np.sqrt(smoothed * (1.0 - smoothed) / size)
    verdict = classify_degradation(values, errors, n_reference=15)
    assert verdict.kind == "cyclical"
    assert verdict.period == pytest.approx(9.0, rel=0.05)


def test_the_variance_ratio_is_that_of_all_pairs():
    """Newey and West's sum over pairs of chunks, by its definition."""
    rng = np.random.default_rng(0)
    residual = np.convolve(rng.normal(size=73), np.ones(10), "valid")
    n, n_lags = residual.size, 4
    pairs = sum(
        residual[i] * residual[j] * (1.0 - abs(i - j) / (n_lags + 1.0))
        for i in range(n)
        for j in range(n)
        if abs(i - j) <= n_lags
    )
    weight = 1.0 - np.arange(1, n_lags + 1) / (n_lags + 1.0)
    chance = 2.0 * np.sqrt(np.sum(weight**2) / n)
    expected = pairs / np.sum(residual**2) / (1.0 + SETTINGS.by_chance * chance)
    assert expected > 1.5
    assert variance_ratio(residual) == pytest.approx(expected)


def test_independent_residuals_have_a_variance_ratio_of_one():
    rng = np.random.default_rng(1)
    ratios = [variance_ratio(rng.normal(size=64)) for _ in range(200)]
    assert np.mean(np.array(ratios) == 1.0) > 0.9


def test_events_have_labels():
    verdict = judge(DECLINES["recovered"])
    named = label_chunks(verdict, [f"c{i}" for i in range(N)])
    assert (named.events[0].onset, named.events[0].end) == ("c45", "c60")
