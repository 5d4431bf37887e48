import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from estimator.simulation import REFERENCE_WEEKS, simulate_credit_default

WEEK = pd.Timedelta(weeks=1)


def expected_auc(rows):
    """AUC of the scores under the true probabilities: no luck with labels in it."""
    score, p = rows["y_pred_proba"].to_numpy(), rows["probability"].to_numpy()
    order = np.argsort(score, kind="stable")
    score, p = score[order], p[order]
    _, block = np.unique(score, return_inverse=True)
    negatives = np.bincount(block, 1 - p)
    below = (np.cumsum(negatives) - negatives / 2)[block]
    return (p * below).sum() / (p.sum() * (1 - p).sum())


def weekly_auc(world):
    rows = world.production.merge(world.truth, on="id")
    week = (rows["timestamp"] - rows["timestamp"].min().normalize()) // WEEK
    return np.array([expected_auc(part) for _, part in rows.groupby(week)])


def world_of(scenario, **settings):
    return simulate_credit_default(scenario, n_weeks=26, **settings)


@pytest.fixture(scope="module")
def reference_auc():
    rows = simulate_credit_default("stable", n_weeks=1).reference
    return roc_auc_score(rows["y_true"], rows["y_pred_proba"])


def test_frames_hold_what_a_lender_has():
    world = simulate_credit_default("stable", n_weeks=3, applications_per_week=100)
    assert len(world.reference) == 100 * REFERENCE_WEEKS
    assert len(world.production) == len(world.labels) == len(world.truth) == 300
    unlabelled = world.reference.columns.drop(["y_true", "labeled_at"])
    assert world.production.columns.to_list() == unlabelled.to_list()
    ids = pd.concat([world.reference["id"], world.production["id"]])
    assert ids.is_unique
    assert set(world.labels["id"]) == set(world.production["id"])
    assert world.onset is None


def test_about_one_in_six_defaults():
    rows = simulate_credit_default("stable", n_weeks=1).reference
    assert 0.15 < rows["y_true"].mean() < 0.20
    assert 0.10 < rows["y_pred"].mean() < 0.25


def test_defaults_are_known_before_repaid_loans():
    world = simulate_credit_default("stable", n_weeks=4)
    rows = world.production.merge(world.labels, on="id")
    days = (rows["labeled_at"] - rows["timestamp"]) / pd.Timedelta(days=1)
    defaulted = rows["y_true"] == 1
    assert days[defaulted].between(30, 120).all()
    assert days[~defaulted].between(160, 200).all()
    assert world.labels["labeled_at"].is_monotonic_increasing


def test_reference_is_fully_labelled_when_production_begins():
    world = simulate_credit_default("stable", n_weeks=1)
    begin = world.production["timestamp"].min()
    assert world.reference["labeled_at"].max() < begin


def test_labels_follow_the_true_probability():
    world = simulate_credit_default("sudden", n_weeks=20)
    rows = world.labels.merge(world.truth, on="id")
    p = rows["probability"]
    z = (rows["y_true"] - p).sum() / np.sqrt((p * (1 - p)).sum())
    assert abs(z) < 4


def test_stable_stays(reference_auc):
    auc = weekly_auc(world_of("stable"))
    np.testing.assert_allclose(auc, reference_auc, atol=0.03)


@pytest.mark.parametrize("drift", ["covariate_shift", "concept_drift"])
def test_sudden_falls_at_onset(drift):
    world = world_of("sudden", drift=drift)
    auc = weekly_auc(world)
    onset = 2 * 26 // 5
    assert world.onset == world.production["timestamp"].min().normalize() + onset * WEEK
    assert auc[:onset].mean() - auc[onset:].mean() > 0.06
    assert auc[:onset].min() > auc[onset:].max()


@pytest.mark.parametrize("drift", ["covariate_shift", "concept_drift"])
def test_gradual_falls_bit_by_bit(drift):
    auc = weekly_auc(world_of("gradual", drift=drift))
    thirds = [part.mean() for part in np.array_split(auc, 3)]
    assert thirds[0] - thirds[1] > 0.02
    assert thirds[1] - thirds[2] > 0.02


@pytest.mark.parametrize("drift", ["covariate_shift", "concept_drift"])
def test_cyclical_falls_and_recovers_twice(drift):
    auc = weekly_auc(world_of("cyclical", drift=drift))
    high, low = auc[[0, 12, 13, 25]], auc[[6, 7, 19, 20]]
    assert high.min() - low.max() > 0.04


def test_skew_is_there_from_the_first_row_and_the_truth_is_not_touched(reference_auc):
    skewed, stable = world_of("training_serving_skew"), world_of("stable")
    assert reference_auc - weekly_auc(skewed).max() > 0.02
    assert reference_auc - weekly_auc(skewed).mean() > 0.04
    pd.testing.assert_frame_equal(skewed.labels, stable.labels)
    assert skewed.production["utilisation"].max() > 1


def test_seed_decides_everything():
    settings = {"n_weeks": 2, "applications_per_week": 200}
    one = simulate_credit_default(random_state=7, **settings)
    two = simulate_credit_default(random_state=7, **settings)
    other = simulate_credit_default(random_state=8, **settings)
    pd.testing.assert_frame_equal(one.production, two.production)
    pd.testing.assert_frame_equal(one.labels, two.labels)
    assert not one.production["y_pred_proba"].equals(other.production["y_pred_proba"])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"scenario": "slow"}, r"`scenario` must be one of stable, .*, got 'slow'"),
        ({"drift": "both"}, r"`drift` must be one of covariate_shift, concept_drift"),
        ({"n_weeks": 0}, r"`n_weeks` must be at least 1, got 0"),
        ({"applications_per_week": 0}, r"`applications_per_week` must be at least 1"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        simulate_credit_default(**arguments)
