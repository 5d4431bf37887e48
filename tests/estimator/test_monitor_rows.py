"""Rows as clients of a monitor have them: ids, decisions, segments, no scores."""

import uuid

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from estimator import Monitor, PerformanceEstimator
from tests.estimator.late_world import (
    DAY,
    LABELS,
    PRODUCTION,
    REFERENCE,
    START,
    UNLABELLED,
    analysis,
    assert_same,
    fit,
)


def test_texts_and_uuids_will_do_as_ids():
    estimator = fit()
    kinds = {
        "number": lambda i: i,
        "text": lambda i: f"row {i}",
        "uuid": lambda i: uuid.UUID(int=int(i)),
    }
    performances = []
    for make in kinds.values():
        frame = PRODUCTION.assign(id=[make(i) for i in PRODUCTION["id"]])
        monitor = Monitor(estimator, "id")
        monitor.add_predictions(frame.drop(columns=["y_true", "known"]))
        assert monitor.add_labels(frame[LABELS][::2]).n_new == len(frame) / 2
        performances.append(monitor.performance())
    assert_same(performances[0], performances[1])
    assert_same(performances[0], performances[2])


@pytest.mark.parametrize("n_values", [2, 100])
def test_segments_may_be_many_and_new_ones_may_come(n_values):
    rng = np.random.default_rng(0)
    frames = [
        f.assign(region=[f"r{i}" for i in rng.integers(0, n_values, len(f))])
        for f in (REFERENCE, PRODUCTION)
    ]
    frames[1].loc[frames[1].index[-600:], "region"] = "new"
    estimator = PerformanceEstimator(
        chunk="D", timestamp="time", labeled_at="known", segments="region"
    ).fit(frames[0])
    monitor = Monitor(estimator, "id")
    monitor.add_predictions(frames[1].drop(columns=["y_true", "known"]))
    monitor.add_labels(frames[1][LABELS])
    performance = monitor.performance(as_of=START + 14 * DAY)
    assert "region=new" in performance.segments
    new = analysis(performance, "accuracy", "region=new")
    assert (new["note"].str.contains("segment is not in the reference")).all()


def test_predictions_without_the_id_are_named():
    monitor = Monitor(fit(), "row")
    with pytest.raises(ValueError, match=r"`production` must have .* lacks 'row'"):
        monitor.add_predictions(UNLABELLED)


def test_rows_without_a_score_are_left_out_and_said():
    holes = UNLABELLED.assign(
        y_pred_proba=UNLABELLED["y_pred_proba"].mask(UNLABELLED.index % 10 == 0)
    )
    monitor = Monitor(fit(), "id")
    monitor.add_predictions(holes)
    monitor.add_labels(PRODUCTION[LABELS])
    result = analysis(monitor.performance(), "roc_auc")
    assert (result["n_rows"] == 270).all()
    assert_array_equal(result["n_labels"], result["n_rows"])
    assert (result["note"] == "30 rows left out: no score").all()


def test_decisions_of_the_client_are_used():
    frames = [f.assign(d=f["y_pred_proba"] > 0.7) for f in (REFERENCE, PRODUCTION)]
    estimator = PerformanceEstimator(
        "accuracy", chunk="D", timestamp="time", y_pred="d"
    ).fit(frames[0])
    monitor = Monitor(estimator, "id")
    monitor.add_predictions(frames[1])
    right = (frames[1]["d"] == frames[1]["y_true"]).groupby(frames[1]["time"].dt.date)
    value = analysis(monitor.performance())["value"]
    assert_allclose(value, right.mean())
