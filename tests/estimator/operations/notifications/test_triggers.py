"""What becomes a message: on new complete chunks alone, sure enough, twice running."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from estimator import PerformanceEstimator
from estimator.operations.config.redaction import Redaction
from estimator.operations.config.settings import NotifySettings
from estimator.operations.notifications.triggers import announce
from tests.estimator.conftest import simulate

MONDAY = pd.Timestamp("2026-01-05")


def weeks(n_days, start=MONDAY, seed=0):
    days = np.sort(np.random.default_rng(seed).random(60 * n_days)) * n_days
    time = start + pd.to_timedelta(days, unit="D")
    return simulate(60 * n_days, seed).assign(time=time)


@pytest.fixture(scope="module")
def estimator():
    reference = weeks(70, MONDAY - pd.Timedelta(days=70), seed=1)
    return PerformanceEstimator(
        ["roc_auc"], chunk="W", timestamp="time", segments="region"
    ).fit(reference)


@pytest.fixture(scope="module")
def nights(estimator):
    """Performance after each of 42 nights."""
    rows = weeks(42).drop(columns="y_true")
    return [
        estimator.estimate(rows[rows["time"] < MONDAY + pd.Timedelta(days=day)])
        for day in range(1, 43)
    ]


def settings(**changes):
    return NotifySettings(redaction=Redaction(), **changes)


def follow(nights, kinds, notify, probability=0.95, segment=""):
    """Announce verdicts of given kinds night by night; return (night, message)."""
    announced, messages = {}, []
    for night, (performance, kind) in enumerate(zip(nights, kinds, strict=False)):
        verdict = performance.degradation(segment=segment)["roc_auc"]
        sure = probability[night] if isinstance(probability, list) else probability
        chances = dict.fromkeys(verdict.probabilities, 0.0) | {kind: sure}
        verdict = replace(verdict, kind=kind, probabilities=chances)
        verdicts = {segment: {"roc_auc": verdict}}
        announced, new = announce("m", announced, verdicts, performance, notify)
        messages += [(night, message) for message in new]
    return messages


def test_a_verdict_counts_once_a_complete_week(nights):
    kinds = ["stable"] * 8 + ["sudden"] * 34  # since the second week has begun
    ((night, message),) = follow(nights, kinds, settings())
    # The first week's end is before; those of the second and the third agree.
    assert night == 20
    assert (message.kind, message.previous) == ("sudden", "stable")
    assert message.chunk == "2026-01-19"


def test_a_verdict_of_some_nights_is_no_message(nights):
    kinds = (["sudden"] * 3 + ["cyclical"] * 3 + ["stable"]) * 6
    assert follow(nights, kinds, settings()) == []


def test_nothing_is_taken_back_within_a_week(nights):
    rng = np.random.default_rng(0)
    for _ in range(30):
        kinds = rng.choice(["stable", "sudden", "gradual"], 42, p=[0.3, 0.6, 0.1])
        announced_nights = [
            night for night, _ in follow(nights, kinds.tolist(), settings())
        ]
        assert all(b - a >= 7 for a, b in pairwise(announced_nights))


def test_an_improbable_verdict_neither_announces_nor_takes_back(nights):
    unsure = follow(nights, ["gradual"] * 42, settings(), probability=0.37)
    assert unsure == []
    lower = follow(
        nights, ["gradual"] * 42, settings(min_probability=0.3), probability=0.37
    )
    assert [message.kind for _, message in lower] == ["gradual"]
    kinds = ["sudden"] * 21 + ["stable"] * 21
    sure = [0.95] * 21 + [0.5] * 21
    assert len(follow(nights, kinds, settings(), probability=sure)) == 1
    assert len(follow(nights, kinds, settings(), probability=0.95)) == 2


def test_segments_are_told_of_where_asked(nights):
    kinds, north = ["sudden"] * 42, "region=north"
    for asked, n in (((), 0), (("region",), 1), ((north,), 1), (("region=south",), 0)):
        messages = follow(nights, kinds, settings(segments=asked), segment=north)
        assert len(messages) == n


def test_an_alert_is_told_when_it_begins_and_if_it_is_sure(estimator, nights):
    alarming = [
        replace(
            performance,
            alert=np.ones_like(performance.alert),
            breach_probability=np.full_like(performance.value, 0.9),
        )
        for performance in nights
    ]
    calm = ["stable"] * 42
    only = settings(on=("alert",))
    ((night, message),) = follow(nights[:14] + alarming[14:], calm, only)
    assert night == 20  # the first complete week that alerts
    assert message.about == "alert"
    assert "2026-01-19" in message.sentence
    assert "trust" not in message.sentence
    lost = [
        replace(performance, trust=np.full_like(performance.trust, "none"))
        for performance in alarming
    ]
    ((_, message),) = follow(nights[:14] + lost[14:], calm, only)
    assert message.sentence.endswith("; no trust: do not act on the estimate")
    unsure = replace(only, min_probability=0.95)
    assert follow(alarming, calm, unsure) == []
    assert follow(alarming, calm, settings()) == []


def test_an_alert_is_told_once_until_a_chunk_has_none(nights):
    """Its probability wavers about the bar; then a week is calm, and it comes again."""

    def with_alert(performance, alert, probability):
        return replace(
            performance,
            alert=np.full_like(performance.alert, alert),
            breach_probability=np.full_like(performance.value, probability),
        )

    # By week that has begun: the newest complete week is the one before.
    weeks = [
        (False, 0.0),
        (True, 0.92),  # told
        (True, 0.88),
        (True, 0.92),  # the same alert
        (False, 0.1),
        (True, 0.92),  # another one: told
    ]
    wavering = [
        with_alert(performance, *weeks[night // 7])
        for night, performance in enumerate(nights)
    ]
    only = settings(on=("alert",), min_probability=0.9)
    messages = follow(wavering, ["stable"] * 42, only)
    first = {night // 7 for night, _ in messages}
    assert (len(messages), first) == (2, {1, 5})


def test_states_of_before_are_read(nights):
    old = {
        ("", "roc_auc"): json.dumps(
            {"history": [], "candidate": "stable", "n_agreeing": 2, "state": [9, 9]}
        )
    }
    verdict = nights[-1].degradation()["roc_auc"]
    after, messages = announce(
        "m", old, {"": {"roc_auc": verdict}}, nights[-1], settings()
    )
    assert messages == []
    assert json.loads(after["", "roc_auc"])["chunk"] == "2026-02-09"


def test_a_kind_that_changes_is_no_second_message(nights):
    kinds = ["sudden"] * 21 + ["gradual"] * 14 + ["cyclical"] * 7
    ((_, message),) = follow(nights, kinds, settings())
    assert message.kind == "sudden"


def test_a_week_of_which_one_day_has_come_is_no_message(nights):
    announced, messages = {}, []
    for night in nights[:6]:  # the only week has but begun
        verdict = replace(night.degradation()["roc_auc"], kind="sudden")
        announced, new = announce(
            "m", announced, {"": {"roc_auc": verdict}}, night, settings()
        )
        messages += new
    assert (announced, messages) == ({}, [])
