import re

import numpy as np
import pandas as pd
import pytest

from estimator import classify_degradation
from estimator.degradation.kinds import KINDS
from estimator.degradation.verdict import label_chunks
from tests.estimator.degradation.series import ERRORS, LEVEL, N_REFERENCE, N, clear


def sentence(kind, times=None, *, loss=False):
    values = clear(kind)
    verdict = classify_degradation(
        1.0 - values if loss else values,
        ERRORS,
        n_reference=N_REFERENCE,
        times=times,
        higher_is_better=not loss,
    )
    return str(verdict)


@pytest.mark.parametrize(
    ("kind", "begins", "contains"),
    [
        ("stable", "the metric is stable; probability", "0.9"),
        ("sudden", "the metric fell suddenly in chunk 26, by 0.0", " to 0.0"),
        ("gradual", "the metric declines gradually since chunk ", " a chunk, by 0.0"),
        ("cyclical", "the metric goes down and up with a period of ", ", by 0.0"),
        (
            "training_serving_skew",
            "the metric has been lower since dep",
            "serving skew",
        ),
        ("recovered", "the metric was lower by 0.0", "recovered in chunk 36"),
    ],
)
def test_each_kind_in_one_sentence(kind, begins, contains):
    text = sentence(kind)
    assert text.startswith(begins)
    assert contains in text
    assert "; probability " in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("sudden", "rose suddenly"),
        ("gradual", "rises gradually"),
        ("recovered", "was higher"),
        ("training_serving_skew", "has been higher"),
    ],
)
def test_a_loss_goes_up(kind, word):
    assert word in sentence(kind, loss=True)


@pytest.mark.parametrize(
    ("freq", "name", "rate"),
    [
        ("h", "at 2026-01-02 02:00:00", "a chunk"),
        ("D", "on 2026-01-27", "a day"),
        ("2D", "in the chunk of 2026-02-22", "a day"),
        ("W-MON", "in the week of 2026-07-06", "a month"),
        ("MS", "in the month of 2028-03-01", "a month"),
        ("QS", "in the chunk of 2032-07-01", "a month"),
    ],
)
def test_dates_by_their_spacing(freq, name, rate):
    times = pd.date_range("2026-01-01", periods=N, freq=freq)
    assert name in sentence("sudden", times)
    assert rate in sentence("gradual", times)


def test_periods_are_in_days_and_short_ones_in_hours():
    weeks = pd.date_range("2026-01-01", periods=N, freq="7D")
    assert re.search(r"a period of 5[67] days \(", sentence("cyclical", weeks))
    hours = pd.date_range("2026-01-01", periods=N, freq="h")
    assert re.search(r"a period of [78]\.\d hours \(", sentence("cyclical", hours))


def test_rate_is_change_over_time():
    days = pd.date_range("2026-01-01", periods=N, freq="7D")
    slope = 0.10 / (N - 1 - 17)  # a week
    values = LEVEL - slope * np.clip(np.arange(N) - 17, 0, None)
    values += np.random.default_rng(0).normal(0, 0.001, N)
    verdict = classify_degradation(
        values, np.full(N, 0.001), n_reference=N_REFERENCE, times=days
    )
    month = slope * 365.2425 / 12 / 7
    assert f"−{month:.3f} a month" in str(verdict)


def test_names_stand_in_it():
    verdict = classify_degradation(clear("sudden"), ERRORS, n_reference=N_REFERENCE)
    labels = pd.date_range("2026-01-05", periods=N, freq="W-MON").strftime("%Y-%m-%d")
    assert "in the week of 2026-07-06" in str(label_chunks(verdict, labels.tolist()))
    odd = label_chunks(verdict, [f"batch {i}" for i in range(N)])
    assert "in chunk batch 26" in str(odd)


def test_repr_is_the_sentence():
    for kind in KINDS:
        verdict = classify_degradation(clear(kind), ERRORS, n_reference=N_REFERENCE)
        assert repr(verdict) == f"<Degradation: {verdict}>"
