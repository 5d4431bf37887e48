import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from estimator import classify_degradation
from estimator.degradation.kinds import KINDS
from estimator.degradation.verdict import label_chunks
from tests.estimator.degradation.series import (
    END,
    ERROR,
    ERRORS,
    LEVEL,
    N_REFERENCE,
    ONSET,
    N,
    clear,
    noise,
    shape_of,
)
from trials.series import TROUBLES, draw_series

WEEKS = pd.date_range("2026-01-05", periods=N, freq="W-MON")


def judge(values, errors=ERRORS, n_reference=N_REFERENCE, **options):
    return classify_degradation(values, errors, n_reference=n_reference, **options)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_clear_series_are_named(kind, seed):
    verdict = judge(clear(kind, seed))
    assert verdict.kind == kind
    assert verdict.probability > 0.6
    assert list(verdict.probabilities) == list(KINDS)
    assert sum(verdict.probabilities.values()) == pytest.approx(1.0)
    assert (verdict.log_bayes_factor > 5.0) == (kind != "stable")
    with pytest.raises(FrozenInstanceError):
        verdict.kind = "stable"
    again = pickle.loads(pickle.dumps(verdict))  # noqa: S301
    assert str(again) == str(verdict)


@pytest.mark.parametrize("kind", KINDS)
def test_the_fitted_shape_is_the_true_one(kind):
    verdict = judge(clear(kind))
    truth = LEVEL - 0.07 * shape_of(kind)
    assert np.abs(verdict.fitted - truth).max() < (0.03 if kind != "sudden" else 0.08)
    assert np.sqrt(np.mean((verdict.fitted - truth) ** 2)) < ERROR


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "stable"])
def test_magnitude_has_the_sign_and_size_of_the_change(kind):
    verdict = judge(clear(kind))
    assert verdict.magnitude == pytest.approx(-0.07, abs=0.015)
    low, high = verdict.magnitude_interval
    assert low < verdict.magnitude < high < 0.0
    assert low - 0.005 < -0.07 < high + 0.005


def test_onset_and_end():
    sudden = judge(clear("sudden"))
    assert sudden.onset == ONSET
    assert sudden.end is None
    assert sudden.onset_interval.low <= ONSET <= sudden.onset_interval.high
    recovered = judge(clear("recovered"))
    assert (recovered.onset, recovered.end) == (ONSET, END)
    assert_array_equal(np.flatnonzero(recovered.affected), np.arange(ONSET, END))
    skew = judge(clear("training_serving_skew"))
    assert skew.onset == N_REFERENCE
    gradual = judge(clear("gradual"))
    assert gradual.onset == pytest.approx(18, abs=3)
    assert gradual.end is None  # it is still going on
    finished = LEVEL - 0.1 * np.clip((np.arange(N) - 16) / 10.0, 0, 1) + noise()
    assert judge(finished).end == pytest.approx(26, abs=3)
    cyclical = judge(clear("cyclical"))
    assert cyclical.onset is None
    assert judge(clear("stable")).onset is None


def test_two_steps_down_are_sudden():
    i = np.arange(N)
    values = LEVEL - 0.06 * (i >= 20) - 0.06 * (i >= 31) + noise()
    verdict = judge(values)
    assert verdict.kind == "sudden"
    assert verdict.onset == 20
    assert verdict.magnitude == pytest.approx(-0.12, abs=0.02)


def test_period_in_the_units_of_the_times():
    values = clear("cyclical")
    chunks = judge(values)
    assert chunks.period == pytest.approx(8.0, rel=0.03)
    assert chunks.period_interval.low < 8.0 < chunks.period_interval.high
    dates = judge(values, times=WEEKS)
    assert dates.period / pd.Timedelta(days=7) == pytest.approx(chunks.period)
    numbers = judge(values, times=np.arange(N) * 90.0)
    assert numbers.period == pytest.approx(90.0 * chunks.period)


def test_back_and_forth_at_irregular_times_has_no_period():
    i = np.arange(60)
    shape = sum((i >= a) * (i < b) for a, b in [(14, 16), (21, 29), (32, 34), (46, 51)])
    values = 0.8 - 0.08 * shape + noise(1, 60)
    verdict = judge(values, np.full(60, ERROR))
    assert verdict.kind == "cyclical"
    assert verdict.period is None
    assert_array_equal(verdict.affected, shape == 1)
    assert "irregular" in str(verdict)


def test_an_improvement_is_stable_and_says_so():
    for kind in ("sudden", "gradual", "recovered", "training_serving_skew"):
        verdict = judge(2 * LEVEL - clear(kind))
        assert verdict.kind == "stable", kind
        assert verdict.improved
        assert verdict.magnitude == pytest.approx(0.07, abs=0.02)
        assert not verdict.affected.any()
        assert "improved" in str(verdict)
    assert not judge(clear("stable")).improved
    sudden = judge(2 * LEVEL - clear("sudden"))
    assert sudden.onset == ONSET
    assert np.abs(sudden.fitted[ONSET:] - (LEVEL + 0.07)).max() < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_a_score_turned_round(kind):
    values = clear(kind)
    score, loss = judge(values), judge(1.0 - values, higher_is_better=False)
    assert loss.kind == score.kind
    assert_allclose(
        list(loss.probabilities.values()),
        list(score.probabilities.values()),
        atol=1e-9,
    )
    assert_allclose(loss.magnitude, -score.magnitude)
    assert_allclose(loss.fitted, 1.0 - score.fitted)


@pytest.mark.parametrize("kind", KINDS)
def test_units_do_not_matter(kind):
    values = clear(kind)
    shared = 0.005
    one = judge(values, shared_error=shared)
    other = judge(
        5.0 + 1000.0 * values,
        1000.0 * ERRORS,
        times=90.0 * np.arange(N),
        shared_error=1000.0 * shared,
    )
    assert_allclose(
        list(one.probabilities.values()), list(other.probabilities.values()), atol=1e-8
    )
    assert_allclose(1000.0 * one.magnitude, other.magnitude, rtol=1e-6)


def test_missing_chunks_are_as_if_they_were_not_there():
    values = clear("recovered")
    gone = [2, 19, 20, 30]
    holes = values.copy()
    holes[gone] = np.nan
    errors = ERRORS.copy()
    errors[5] = np.inf
    with_holes = judge(holes, errors)
    kept = np.delete(np.arange(N), [*gone, 5])
    without = judge(values[kept], ERRORS[kept], n_reference=N_REFERENCE - 2, times=kept)
    assert with_holes.kind == without.kind == "recovered"
    assert with_holes.onset == without.onset
    assert_allclose(with_holes.log_bayes_factor, without.log_bayes_factor)
    assert np.isnan(with_holes.fitted[gone]).all()
    assert with_holes.affected[30]  # it lies in the incident


def test_a_shaky_calibration_is_not_skew():
    values = clear("training_serving_skew", drop=0.04)
    assert judge(values).kind == "training_serving_skew"
    assert judge(values, shared_error=0.03).kind == "stable"
    # It keeps nothing else from being seen.
    assert judge(clear("sudden"), shared_error=0.03).kind == "sudden"


def test_without_a_reference_there_is_no_skew():
    values = clear("sudden")
    verdict = judge(values, n_reference=0)
    assert verdict.kind == "sudden"
    assert verdict.probabilities["training_serving_skew"] == 0.0


def test_only_a_reference_is_stable():
    verdict = judge(clear("sudden"), n_reference=N)
    assert verdict.kind == "stable"
    assert verdict.probability == 1.0


@pytest.mark.parametrize("n", range(1, 8))
@pytest.mark.parametrize("n_reference", [0, 1, 3])
def test_few_chunks(n, n_reference):
    verdict = judge(noise(n, n) + 0.8, ERRORS[:n], min(n, n_reference))
    probabilities = np.array(list(verdict.probabilities.values()))
    assert np.isfinite(probabilities).all()
    assert probabilities.sum() == pytest.approx(1.0)
    assert verdict.probabilities["stable"] > 0.3
    assert str(verdict)


def test_constant_values():
    for errors in (np.zeros(30), np.full(30, 0.01)):
        verdict = judge(np.full(30, 0.9), errors, 10)
        assert verdict.kind == "stable"
        assert not verdict.improved


def test_two_outliers_are_no_incident():
    values = clear("stable")
    values[[20, 33]] -= 0.08
    assert judge(values).kind == "stable"


def test_huge_drops_do_not_overflow():
    for kind in KINDS[1:]:
        verdict = judge(clear(kind, drop=5.0))
        assert verdict.kind == kind
        assert np.isfinite(verdict.log_bayes_factor)
        assert verdict.magnitude == pytest.approx(-5.0, rel=0.01)


def test_hundreds_of_reference_chunks():
    rng = np.random.default_rng(0)
    values = 0.8 + rng.normal(0, ERROR, 340)
    values[320:] -= 0.04
    verdict = judge(values, np.full(340, ERROR), 300)
    assert verdict.kind == "sudden"
    assert verdict.onset == 320


def test_memory_is_linear():
    """The grid, not all pairs: n²/2 shapes would take 16 times as much here."""
    import tracemalloc

    peaks = []
    for n in (300, 1200):
        values = 0.8 + noise(0, n)
        judge(values, np.full(n, ERROR))
        tracemalloc.start()
        judge(values, np.full(n, ERROR))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 9.0 * peaks[0]


def test_labels_for_chunks():
    verdict = judge(clear("recovered"))
    labels = [f"c{i}" for i in range(N)]
    named = label_chunks(verdict, labels)
    assert (named.onset, named.end) == (f"c{ONSET}", f"c{END}")
    assert named.onset_interval.low in labels
    assert list(named.chunks) == labels


def test_dates_come_back_as_they_were_given():
    verdict = judge(clear("sudden"), times=WEEKS.tz_localize("UTC"))
    assert verdict.onset == WEEKS[ONSET].tz_localize("UTC")
    verdict = judge(clear("sudden"), times=WEEKS.to_numpy())
    assert isinstance(verdict.onset, pd.Timestamp)
    assert verdict.onset == WEEKS[ONSET]
    for times in (WEEKS.strftime("%Y-%m-%d").tolist(), [t.date() for t in WEEKS]):
        verdict = judge(clear("sudden"), times=times)
        assert verdict.onset == times[ONSET]
        assert f"in the week of {WEEKS[ONSET]:%Y-%m-%d}" in str(verdict)
    verdict = judge(clear("sudden"), times=WEEKS.to_numpy())
    named = label_chunks(verdict, WEEKS.strftime("%d %b").tolist())
    assert named.onset == f"{WEEKS[ONSET]:%d %b}"


@pytest.mark.parametrize("name", [*TROUBLES])
def test_trouble_is_rarely_a_false_alarm(name):
    """Of 60 stable series; `benchmarks.degradation` counts on many more."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(60):
        series = draw_series(rng, "stable", 40, 0.0, TROUBLES[name])
        verdict = classify_degradation(
            series.values,
            series.standard_errors,
            n_reference=series.n_reference,
            times=series.times,
        )
        alarms += verdict.kind != "stable"
    assert alarms <= 4


def test_kinds_are_told_apart():
    """Of 20 series a kind; `benchmarks.degradation` counts on many more."""
    rng = np.random.default_rng(2)
    right = 0
    for kind in KINDS:
        for _ in range(20):
            series = draw_series(rng, kind, 40, 5.0)
            verdict = judge(series.values, series.standard_errors, series.n_reference)
            right += verdict.kind == kind
    assert right >= 108  # of 120


def odd_series(rng):
    """Draw values, errors, arguments that nobody would think of."""
    n = int(rng.choice([1, 2, 3, 5, 8, 14, 30, 60]))
    values = rng.normal(0.0, 1.0, n)
    form = rng.integers(0, 7)
    if form == 1:
        values[rng.integers(0, n) :] -= rng.choice([1.0, 100.0, 1e6])
    elif form == 2:
        values = np.round(values)
    elif form == 3:
        values[:] = 0.5
    elif form == 4:
        values = 1e4 * np.sin(np.arange(n) * rng.uniform(0.2, 3.0))
    elif form == 5:
        values = rng.standard_cauchy(n)
    elif form == 6:
        values = np.arange(n) % 2 * 10.0
    errors = rng.choice([0.0, 1e-6, 0.1, 1.0, 1e6]) * rng.lognormal(0.0, 1.0, n)
    values[rng.random(n) < 0.1] = np.nan
    errors[rng.random(n) < 0.1] = np.inf
    values[-1], errors[-1] = 0.0, 1.0
    times = [None, np.cumsum(rng.exponential(1.0, n) + 1e-3), WEEKS[:n]][
        int(rng.integers(0, 3 if n <= N else 2))
    ]
    return (
        values,
        errors,
        {
            "n_reference": int(rng.integers(0, n + 1)),
            "times": times,
            "higher_is_better": bool(rng.random() < 0.5),
            "shared_error": float(rng.choice([0.0, 0.1, 1e3])),
        },
    )


@pytest.mark.parametrize("seed", range(6))
def test_odd_series_get_a_whole_verdict(seed):
    rng = np.random.default_rng(seed)
    for _ in range(60):
        values, errors, options = odd_series(rng)
        verdict = classify_degradation(values, errors, **options)
        probabilities = np.array(list(verdict.probabilities.values()))
        assert np.isfinite(probabilities).all()
        assert probabilities.sum() == pytest.approx(1.0)
        assert "nan" not in str(verdict)
        assert verdict.fitted.shape == verdict.affected.shape == values.shape
        if verdict.kind != "stable":
            low, high = verdict.magnitude_interval
            assert low <= verdict.magnitude <= high
            assert verdict.affected.any()
