import json

import numpy as np
import pytest

from estimator import classify_degradation, follow_degradation
from estimator.degradation.announcements import Announcements, from_json, to_json
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


def test_two_verdicts_running_must_agree():
    log = Announcements()
    for chunk, verdict in enumerate([STABLE, SUDDEN, STABLE, SUDDEN, GRADUAL, SUDDEN]):
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


def test_history_stays_when_the_kind_changes_or_ends():
    log = Announcements()
    for chunk, verdict in enumerate([SUDDEN] * 3 + [GRADUAL] * 2 + [STABLE] * 2):
        log = log.update(verdict, chunk)
    assert [(a.kind, a.chunk) for a in log.history] == [
        ("sudden", 1),
        ("gradual", 4),
        ("stable", 6),
    ]


def test_nothing_new_is_no_second_verdict():
    log = Announcements().update(SUDDEN, 0, (100, 0))
    assert log.update(SUDDEN, 0, (100, 0)) is log
    assert log.update(SUDDEN, 0, (100, 5)).announced == "sudden"


def test_updating_leaves_the_old_as_it_was():
    before = Announcements().update(SUDDEN, 0)
    before.update(SUDDEN, 1)
    assert before.history == ()


def test_saved_and_read_again():
    log = Announcements()
    for chunk in range(3):
        log = log.update(SUDDEN, chunk, (chunk, 0))
    assert from_json(json.loads(json.dumps(to_json(log)))) == log
    assert (
        from_json(json.loads(json.dumps(to_json(Announcements())))) == Announcements()
    )


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
