"""What a monitor makes of labels that come late, those of one class later."""

import numpy as np
from numpy.testing import assert_allclose

from estimator import Monitor
from tests.estimator.late_world import DAY, LABELS, START, analysis, fit, world


def test_labels_correct_the_newest_chunk_for_which_none_has_come():
    def slope(day):
        return np.where(day >= 4, -0.8, 0.0)

    drifted = world(15, 3, c=slope)
    monitor = Monitor(fit(), "id")
    monitor.add_predictions(drifted.drop(columns=["y_true", "known"]))
    monitor.add_labels(drifted[LABELS])
    now = analysis(monitor.performance(as_of=START + 14.01 * DAY), "roc_auc").iloc[13]
    final = analysis(monitor.performance(), "roc_auc").iloc[13]["realized"]
    assert now["n_labels"] < 80
    assert abs(now["value"] - final) < 0.5 * abs(now["estimated"] - final)
    assert now["lower"] <= final <= now["upper"]


def test_class_dependent_delays_do_not_look_like_drift():
    """Positives come first: labelled rows alone mislead, the value and z do not."""
    z, errors, naive = [], [], []
    estimator = fit(("accuracy", "roc_auc"))
    for seed in range(10, 18):
        calm = world(15, seed)
        monitor = Monitor(estimator, "id")
        monitor.add_predictions(calm.drop(columns=["y_true", "known"]))
        monitor.add_labels(calm[LABELS])
        as_of = START + 15 * DAY
        attribution = monitor.attribution(as_of=as_of).query("segment == ''")
        z.append(attribution["residual_z"].to_numpy()[-6:])
        newest = analysis(monitor.performance(as_of=as_of), "accuracy").iloc[-3:]
        final = analysis(monitor.performance(), "accuracy")["realized"].iloc[-3:]
        errors.append(newest["value"].to_numpy() - final.to_numpy())
        naive.append(newest["realized"].to_numpy() - final.to_numpy())
    assert np.sqrt(np.mean(np.square(errors))) < 0.4 * np.sqrt(
        np.mean(np.square(naive))
    )
    assert np.mean(np.abs(z) > 1.96) < 0.15


def test_attribution_splits_the_change():
    drifted = world(15, 3, c=lambda day: np.where(day >= 4, -0.8, 0.0))
    monitor = Monitor(fit(), "id")
    monitor.add_predictions(drifted.drop(columns=["y_true", "known"]))
    before = monitor.attribution()
    assert before["residual_z"].isna().all()
    assert (before["concept_drift"] == 0).all()
    monitor.add_labels(drifted[LABELS])
    attribution = monitor.attribution().query("metric == 'roc_auc'")
    assert_allclose(
        attribution["reference"]
        + attribution["covariate_shift"]
        + attribution["concept_drift"],
        attribution["value"],
    )
    assert (attribution["residual_z"].abs() > 3)[4:].mean() > 0.8
    assert attribution["concept_drift"][4:].mean() < -0.08
    assert attribution["covariate_shift"].abs().mean() < 0.03
