import numpy as np
import pandas as pd
import pytest

from estimator import anytime_alarm, classify_degradation
from estimator.degradation.verdict import label_chunks
from tests.estimator.degradation.series import ERRORS, N_REFERENCE, ONSET, N, clear


@pytest.mark.parametrize("shared", [0.0, 0.01])
def test_false_alarms_ever_are_at_most_alpha(shared):
    rng = np.random.default_rng(0)
    n, alpha, ever = 150, 0.1, 0
    for _ in range(100):
        values = rng.normal(0.0, 0.01, n)
        values[8:] += shared * rng.normal()
        alarm = anytime_alarm(
            values, np.full(n, 0.01), n_reference=8, shared_error=shared, alpha=alpha
        )
        ever += alarm.chunk is not None
    assert ever / 100 <= alpha  # Ville's inequality


def student(rng, n):
    return rng.standard_t(3, n) / np.sqrt(3.0)


def with_outliers(rng, n):
    is_outlier = rng.random(n) < 0.02
    far = rng.choice([-1.0, 1.0], n) * rng.uniform(4.0, 12.0, n)
    return rng.normal(size=n) + is_outlier * far


@pytest.mark.parametrize("noise", [student, with_outliers])
@pytest.mark.parametrize("n_reference", [2, 12])
def test_heavy_tails_and_outliers_are_no_decline(noise, n_reference):
    rng = np.random.default_rng(1)
    ever = 0
    for _ in range(30):
        values = noise(rng, n_reference + 150)
        errors = np.ones(values.size)
        alarm = anytime_alarm(values, errors, n_reference=n_reference)
        ever += alarm.chunk is not None
    # Evidence for a step in normal noise alone alarms in 6 or 7 and in 22 of them.
    assert ever <= 1


def test_an_outlier_in_the_reference_hides_no_decline():
    values = clear("sudden")
    values[3] -= 0.3
    alarm = anytime_alarm(values, ERRORS, n_reference=N_REFERENCE)
    assert ONSET <= alarm.chunk <= ONSET + 3


def test_a_larger_decline_is_no_weaker_evidence():
    noise = clear("stable") - 0.8
    last = []
    for drop in (2.0, 4.0, 8.0, 16.0, 64.0, 1e3, 1e6):
        values = noise - 0.01 * drop * (np.arange(N) >= ONSET)
        alarm = anytime_alarm(values, ERRORS, n_reference=N_REFERENCE)
        last.append(np.log(alarm.e_values[ONSET + 2 - N_REFERENCE]))
    assert np.diff(last).min() > -1.0  # in nats: sizes are on a grid
    assert min(last[1:]) > np.log(100.0)


def test_standard_errors_far_too_small_are_enlarged():
    rng = np.random.default_rng(3)
    values = 0.8 + rng.normal(0.0, 0.05, 160)
    errors = np.full(160, 0.01)
    assert anytime_alarm(values, errors, n_reference=20).chunk is None


def test_it_goes_off_soon_after_a_drop():
    alarm = anytime_alarm(clear("sudden"), ERRORS, n_reference=N_REFERENCE)
    assert ONSET <= alarm.chunk <= ONSET + 2
    assert alarm.e_values.size == N - N_REFERENCE
    assert alarm.e_values[-1] > 1 / alarm.alpha
    assert (alarm.e_values[: ONSET - N_REFERENCE] < 1 / alarm.alpha).all()


def test_a_verdict_has_the_alarm_of_its_series():
    values = clear("sudden")
    weeks = pd.date_range("2026-01-05", periods=N, freq="W-MON")
    options = {"n_reference": N_REFERENCE, "shared_error": 0.005}
    verdict = classify_degradation(values, ERRORS, times=weeks, **options)
    alarm = anytime_alarm(values, ERRORS, times=weeks, **options)
    assert verdict.alarm().chunk == alarm.chunk
    np.testing.assert_array_equal(verdict.alarm().e_values, alarm.e_values)
    named = label_chunks(verdict, weeks.strftime("%Y-%m-%d").tolist())
    assert named.alarm().chunk == f"{alarm.chunk:%Y-%m-%d}"
    calm = classify_degradation(clear("stable"), ERRORS, **options)
    assert calm.alarm().chunk is None


def test_an_improvement_is_no_alarm():
    values = clear("sudden")
    assert anytime_alarm(1.0 - values, ERRORS, n_reference=N_REFERENCE).chunk is None
    loss = anytime_alarm(
        1.0 - values, ERRORS, n_reference=N_REFERENCE, higher_is_better=False
    )
    assert loss.chunk is not None


def test_a_look_at_fewer_chunks_is_the_beginning_of_a_look_at_all():
    values = clear("gradual")
    whole = anytime_alarm(values, ERRORS, n_reference=N_REFERENCE).e_values
    for stop in (N_REFERENCE + 1, 25, 40):
        part = anytime_alarm(values[:stop], ERRORS[:stop], n_reference=N_REFERENCE)
        # The typical chunk's error is the same: so is the evidence, but for the levels
        # over which it is summed.
        part_and_whole = part.e_values, whole[: stop - N_REFERENCE]
        np.testing.assert_allclose(*part_and_whole, rtol=0.02)


def test_missing_chunks_carry_on():
    values = clear("sudden")
    values[[N_REFERENCE, 20]] = np.nan
    alarm = anytime_alarm(values, ERRORS, n_reference=N_REFERENCE)
    assert np.isnan(alarm.e_values[0])
    assert alarm.e_values[20 - N_REFERENCE] == alarm.e_values[19 - N_REFERENCE]


@pytest.mark.parametrize("alpha", [0.0, 1.0, "x", None])
def test_alpha_is_a_probability(alpha):
    with pytest.raises(ValueError, match="`alpha` must be a probability"):
        anytime_alarm(clear("stable"), ERRORS, n_reference=N_REFERENCE, alpha=alpha)
