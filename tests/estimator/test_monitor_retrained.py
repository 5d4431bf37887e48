"""A monitor after a retraining."""

import pandas as pd
import pytest

from estimator import Monitor, PerformanceEstimator
from tests.estimator.late_world import (
    LABELS,
    PRODUCTION,
    UNLABELLED,
    analysis,
    assert_same,
    fit,
    world,
)


def test_after_a_retraining_history_stays_and_is_marked():
    old = fit()
    monitor = Monitor(old, "id")
    monitor.add_predictions(UNLABELLED)
    monitor.add_labels(PRODUCTION[LABELS])
    before = analysis(monitor.performance()).reset_index()
    retrained = PerformanceEstimator(
        ("roc_auc", "accuracy"), chunk="D", timestamp="time", labeled_at="known"
    ).fit(world(10, 6, first=-40, c=0.5))
    monitor.rebase(retrained, "2026-01-15")
    after = analysis(monitor.performance()).reset_index()
    kept = after["chunk"] < "2026-01-15"
    numbers = ["estimated", "value", "realized"]
    pd.testing.assert_frame_equal(after[kept][numbers], before[kept][numbers])
    assert (after[kept]["note"] == "before the rebase").all()
    assert (after[~kept]["note"] == "").all()
    assert (after[~kept]["estimated"] != before[~kept]["estimated"]).all()
    assert monitor.estimator is retrained
    assert (
        monitor.attribution()["chunk"].drop_duplicates() == before["chunk"][::2]
    ).all()


def test_rebase_survives_saving(tmp_path):
    monitor = Monitor(fit(), "id")
    monitor.add_predictions(UNLABELLED)
    monitor.rebase(fit(), "2026-02-01")  # a chunk still to come
    monitor.save(tmp_path / "m.npz")
    loaded = Monitor.load(tmp_path / "m.npz")
    more = world(20, 8, first=25).drop(columns=["y_true", "known"])
    assert_same(loaded.add_predictions(more), monitor.add_predictions(more))
    assert_same(loaded.performance(), monitor.performance())


@pytest.mark.parametrize(
    ("change", "from_chunk", "message"),
    [
        ({"chunk": "W"}, "2026-01-15", "must have the same `chunk` as before, 'D'"),
        ({"metrics": "f1"}, "2026-01-15", "must have the same `metrics`"),
        ({}, 3, "`from_chunk` must be the ISO start of a period"),
        ({}, "2026-01-10", "must come after the last rebase at '2026-01-12'"),
    ],
)
def test_a_rebase_that_does_not_fit_is_refused(change, from_chunk, message):
    monitor = Monitor(fit(), "id")
    monitor.add_predictions(UNLABELLED)
    monitor.rebase(fit(), "2026-01-12")
    with pytest.raises(ValueError, match=message):
        monitor.rebase(fit(**change), from_chunk)
