import json
from dataclasses import replace

import numpy as np
import pytest

from estimator import classify_degradation, follow_degradation
from estimator.degradation.announcements import Announcements, from_json, to_json
from estimator.degradation.kinds import KINDS
from tests.estimator.degradation.series import (
    END,
    ERRORS,
    N_REFERENCE,
    ONSET,
    clear,
)


def verdict_of(kind):
    return classify_degradation(clear(kind), ERRORS, n_reference=N_REFERENCE)


STABLE, SUDDEN, GRADUAL = (verdict_of(k) for k in ("stable", "sudden", "gradual"))


def sure(verdict, kind, probability):
    """Return the verdict with another kind, the rest of the probability on stable."""
    chances = dict.fromkeys(KINDS, 0.0) | {"stable": 1.0 - probability}
    chances[kind] = probability
    return replace(verdict, kind=kind, probabilities=chances)


def follow(kinds, probability=0.95):
    log = Announcements()
    for chunk, kind in enumerate(kinds):
        verdict = replace(sure(SUDDEN, kind, probability), onset=0)
        log = log.update(verdict, chunk)
    return [(one.kind, one.chunk) for one in log.history]


def test_two_chunks_running_must_agree():
    log = Announcements()
    for chunk, verdict in enumerate([STABLE, SUDDEN, STABLE, SUDDEN, STABLE, SUDDEN]):
        log = log.update(verdict, chunk)
        assert log.history == ()
        assert log.announced == "stable"
    log = log.update(SUDDEN, 6)
    assert log.announced == "sudden"
    (announcement,) = log.history
    assert (announcement.kind, announcement.chunk, announcement.onset) == (
        "sudden",
        6,
        ONSET,
    )
    assert announcement.probability == SUDDEN.probability


def test_two_verdicts_on_one_chunk_count_as_one():
    log = Announcements()
    for _ in range(5):
        log = log.update(SUDDEN, 3)
    assert (log.history, log.n_agreeing) == ((), 1)
    assert log.update(STABLE, 3) is log
    assert log.update(GRADUAL, 4).announced == "gradual"


def test_a_chunk_that_is_not_complete_does_not_count():
    log = Announcements().update(SUDDEN, None).update(SUDDEN, None)
    assert log == Announcements()


def test_one_announcement_per_decline_and_one_for_its_end():
    flapping = ["sudden", "gradual", "cyclical", "sudden", "gradual", "gradual"]
    assert follow(flapping) == [("gradual", 1)]
    over = [*flapping, "recovered", "recovered", "stable", "stable", "recovered"]
    assert follow(over) == [("gradual", 1), ("recovered", 7)]
    again = [*over, "sudden", "sudden"]
    assert follow(again)[2:] == [("sudden", 12)]
    taken_back = ["sudden", "sudden", "stable", "sudden", "stable", "stable"]
    assert follow(taken_back) == [("sudden", 1), ("stable", 5)]


def test_an_incident_that_is_over_is_announced_once():
    kinds = ["stable"] * 30 + ["recovered"] * 3 + ["stable", "recovered", "recovered"]
    assert follow(kinds) == [("recovered", 31)]
    # Another one, whose onset is after what has been announced.
    log = Announcements()
    for chunk in (ONSET - 3, ONSET - 2, ONSET + 8, ONSET + 9):
        onset = ONSET + 4 if chunk > ONSET else 2
        verdict = replace(sure(SUDDEN, "recovered", 0.95), onset=onset)
        log = log.update(verdict, chunk)
    assert [one.onset for one in log.history] == [2, ONSET + 4]


def test_a_later_step_is_not_hidden_by_what_was_announced():
    log = Announcements()
    for chunk in range(12, 20):
        log = log.update(replace(sure(SUDDEN, "cyclical", 0.95), onset=None), chunk)
    for chunk in range(ONSET, ONSET + 4):
        log = log.update(SUDDEN, chunk)
    assert [(one.kind, one.chunk) for one in log.history] == [
        ("cyclical", 13),
        ("sudden", ONSET + 1),
    ]


def test_an_improvement_is_not_announced():
    improved = replace(sure(STABLE, "stable", 0.95), improved=True, onset=5)
    log = Announcements()
    for chunk in range(6, 12):
        log = log.update(improved, chunk)
    assert log.history == ()


def test_what_is_improbable_is_not_announced_nor_taken_back():
    assert follow(["sudden"] * 6, probability=0.79) == []
    assert follow(["sudden"] * 6, probability=0.81) == [("sudden", 1)]
    log = Announcements()
    for chunk in range(6):
        verdict = sure(SUDDEN, "sudden", 0.6)
        log = log.update(verdict, chunk, min_probability=0.5)
    assert log.announced == "sudden"
    for chunk in range(6, 12):
        log = log.update(sure(SUDDEN, "stable", 0.6), chunk)
    assert log.announced == "sudden"


def test_kinds_of_decline_are_probable_together():
    divided = dict.fromkeys(KINDS, 0.0) | {"sudden": 0.45, "gradual": 0.45}
    verdict = replace(SUDDEN, probabilities=divided | {"stable": 0.1})
    log = Announcements().update(verdict, 0).update(verdict, 1)
    assert log.announced == "sudden"


@pytest.mark.parametrize(
    ("value", "error"), [(1.1, ValueError), (-0.1, ValueError), ("x", TypeError)]
)
def test_the_least_probability_is_one(value, error):
    with pytest.raises(error, match="`min_probability` must be a number from 0 to 1"):
        follow_degradation(
            clear("stable"), ERRORS, n_reference=N_REFERENCE, min_probability=value
        )


def test_updating_leaves_the_old_as_it_was():
    before = Announcements().update(SUDDEN, 0)
    before.update(SUDDEN, 1)
    assert before.history == ()


def test_saved_and_read_again():
    log = Announcements()
    for chunk in range(3):
        log = log.update(SUDDEN, chunk)
    assert from_json(json.loads(json.dumps(to_json(log)))) == log
    assert (
        from_json(json.loads(json.dumps(to_json(Announcements())))) == Announcements()
    )


def test_announcements_saved_before_chunks_were_counted():
    old = {
        "history": [
            {"kind": "sudden", "chunk": 3, "onset": 1, "probability": 0.9},
            {"kind": "gradual", "chunk": 5, "onset": 1, "probability": 0.8},
        ],
        "candidate": "gradual",
        "n_agreeing": 2,
        "state": [100, 20],
    }
    log = from_json(old)
    assert log.announced == "gradual"
    assert [one.kind for one in log.history] == ["sudden", "gradual"]
    log = log.update(STABLE, 7)
    assert log.announced == "gradual"
    assert log.update(STABLE, 8).announced == "stable"


def test_an_incident_is_announced_and_its_end_too():
    announcements = follow_degradation(
        clear("recovered"), ERRORS, n_reference=N_REFERENCE
    )
    first, *_, last = announcements.history
    assert first.kind in {"sudden", "gradual"}
    assert ONSET < first.chunk <= ONSET + 3
    assert last.kind == "recovered"
    assert END < last.chunk <= END + 3


@pytest.mark.parametrize("kind", ["sudden", "training_serving_skew"])
def test_following_ends_at_the_verdict_on_the_whole(kind):
    announcements = follow_degradation(
        clear(kind), ERRORS, n_reference=N_REFERENCE, times=np.arange(42) * 7.0
    )
    assert announcements.announced == kind
    assert [a.kind for a in announcements.history] == [kind]


def test_missing_chunks_bring_no_verdict():
    values = clear("sudden")
    values[ONSET + 1 :] = np.nan
    announcements = follow_degradation(values, ERRORS, n_reference=N_REFERENCE)
    assert announcements.history == ()
