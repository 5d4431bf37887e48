"""The monitor's verdicts: by what is known, with a cause, announced and kept."""

import numpy as np
import pandas as pd
import pytest

from estimator import Monitor, PerformanceEstimator
from estimator.simulation import simulate_credit_default

OPTIONS = {
    "chunk": "W",
    "timestamp": "timestamp",
    "y_pred": "y_pred",
    "labeled_at": "labeled_at",
}


def world_of(scenario, drift):
    return simulate_credit_default(
        scenario, drift=drift, n_weeks=30, applications_per_week=1_000, random_state=3
    )


def monitor_of(world, **options):
    estimator = PerformanceEstimator(**(OPTIONS | options)).fit(world.reference)
    return Monitor(estimator, row_id="id")


@pytest.fixture(scope="module")
def concept():
    return world_of("sudden", "concept_drift")


@pytest.fixture(scope="module")
def covariate():
    return world_of("recovered", "covariate_shift")


def test_without_labels_the_verdict_is_that_of_the_estimate(covariate):
    monitor = monitor_of(covariate)
    monitor.add_predictions(covariate.production)
    verdicts = monitor.degradation()
    plain = monitor.estimator.estimate(covariate.production).degradation()
    assert list(verdicts) == list(plain) == ["roc_auc", "accuracy"]
    for name, verdict in verdicts.items():
        assert str(verdict) == str(plain[name])
        assert verdict.kind == "recovered"
        assert verdict.onset == str(covariate.onset.date())
        assert verdict.cause == "unknown"


def test_labels_tell_the_cause(covariate, concept):
    for world, cause in (
        (covariate, "covariate_shift"),
        (concept, "concept_drift"),
    ):
        monitor = monitor_of(world)
        monitor.add_predictions(world.production)
        before = monitor.degradation()["roc_auc"]
        monitor.add_labels(world.labels)
        after = monitor.degradation()["roc_auc"]
        assert before.cause == "unknown"
        assert after.cause == cause
        assert after.onset == str(world.onset.date())
    # Nothing but labels shows concept drift.
    assert before.kind == "stable"
    assert after.kind == "sudden"


def test_as_of_looks_back_and_announces_nothing(concept):
    monitor = monitor_of(concept)
    monitor.add_predictions(concept.production)
    monitor.add_labels(concept.labels)
    early = monitor.degradation(as_of=concept.onset)
    assert early["roc_auc"].kind == "stable"
    assert early["roc_auc"].chunks[-1] <= str(concept.onset.date())
    assert monitor.announcements() == {}
    assert monitor.degradation(metrics="roc_auc").keys() == {"roc_auc"}


def test_announced_after_verdicts_on_two_complete_chunks(concept, tmp_path):
    monitor = monitor_of(concept)
    start = concept.production["timestamp"].min().normalize()

    def add(first, last):
        """Add predictions of days, and the labels that the weeks before have."""
        day = (concept.production["timestamp"] - start) / pd.Timedelta(days=1)
        rows = concept.production[(day >= first) & (day < last)]
        if len(rows):
            monitor.add_predictions(rows)

    add(0, 7 * 28)
    early = concept.labels["labeled_at"] < start + pd.Timedelta(weeks=40)
    monitor.add_labels(concept.labels[early])
    assert monitor.degradation()["roc_auc"].kind == "sudden"
    for _ in range(3):  # verdicts on one chunk count once
        monitor.degradation()
    assert monitor.announcements()["roc_auc"] == ()
    monitor.save(tmp_path / "monitor.npz")
    monitor = Monitor.load(tmp_path / "monitor.npz")  # knows of the first verdict
    monitor.add_labels(concept.labels)
    monitor.degradation()
    add(7 * 28, 7 * 28 + 1)  # one day of the next week
    monitor.degradation()
    assert monitor.announcements()["roc_auc"] == ()
    add(7 * 28 + 1, 7 * 29 + 1)
    verdict = monitor.degradation()["roc_auc"]
    (announcement,) = monitor.announcements()["roc_auc"]
    assert announcement.kind == "sudden"
    assert announcement.onset == verdict.onset
    assert announcement.probability == verdict.probability
    assert announcement.chunk == monitor.performance().chunk[-2]
    monitor.save(tmp_path / "monitor.npz")
    again = Monitor.load(tmp_path / "monitor.npz")
    assert again.announcements() == monitor.announcements()


def test_the_least_probability_is_kept(concept, tmp_path):
    estimator = PerformanceEstimator(**OPTIONS).fit(concept.reference)
    monitor = Monitor(estimator, row_id="id", min_probability=0.95)
    monitor.save(tmp_path / "monitor.npz")
    assert Monitor.load(tmp_path / "monitor.npz").min_probability == 0.95
    assert Monitor(estimator, row_id="id").min_probability == 0.8
    with pytest.raises(ValueError, match="`min_probability` must be a number"):
        Monitor(estimator, row_id="id", min_probability=2.0)


def test_segments_are_judged_and_announced_apart(covariate):
    monitor = monitor_of(covariate, segments="region")
    monitor.add_predictions(covariate.production)
    north = monitor.degradation(segment="region=north")
    assert north["roc_auc"].kind == "recovered"
    assert monitor.announcements() == {}
    assert set(monitor.announcements(segment="region=north")) == set(north)
    with pytest.raises(ValueError, match="`segment` must be one of"):
        monitor.degradation(segment="region=nowhere")
    with pytest.raises(ValueError, match="`metrics` must be among"):
        monitor.degradation(metrics="roc")


def test_after_a_rebase_only_the_new_model_is_judged(covariate):
    monitor = monitor_of(covariate)
    monitor.add_predictions(covariate.production)
    end = covariate.onset + pd.Timedelta(weeks=8)  # the incident is over
    monitor.rebase(monitor.estimator, str(end.date()))
    verdict = monitor.degradation()["roc_auc"]
    assert verdict.kind == "stable"
    analysis = verdict.chunks[verdict.n_reference :]
    assert analysis[0] == str(end.date())


def test_before_any_prediction_there_is_only_the_reference(covariate):
    monitor = monitor_of(covariate)
    for verdict in monitor.degradation().values():
        assert verdict.kind == "stable"
        assert verdict.chunks.size == verdict.n_reference
        assert np.isfinite(verdict.fitted).all()
    assert monitor.announcements() == {}
