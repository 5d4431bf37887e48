"""Segments whose calibration is not that of all rows: estimated without bias."""

import tracemalloc
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from sklearn.exceptions import ConvergenceWarning

from calibration import SplineCalibrator
from calibration.shifts import segment_fit
from estimator import Monitor, PerformanceEstimator
from estimator.frames.columns import SegmentCodes
from estimator.label_free.segment_calibration import (
    MAX_VALUES,
    find_slots,
    learn_segment_calibration,
    shift_rows,
)
from tests.estimator.label_free.segment_world import (
    KEYS,
    REFERENCE,
    SAME,
    MovingAverage,
    analysis,
    fit,
    name_of,
    one_map,
    world,
)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"segments": ["seg", "other"]},
        {"calibrator": "isotonic"},
        {"calibrator": MovingAverage()},
        {"y_pred": "y_pred"},
        {"features": ["seg"], "method": "feature_aware"},
        {"features": ["seg"], "method": "pape"},
        {"features": ["seg", "other"]},
    ],
    ids=lambda options: ", ".join(map(name_of, options.values())) or "plain",
)
def test_without_drift_segments_stay_calm(options, monkeypatch):
    estimated = analysis(fit(**options).estimate(SAME))
    by_segment = estimated[estimated["segment"].str.startswith("seg=")]
    assert by_segment["alert"].mean() <= 0.05
    off = (by_segment["value"] - by_segment["realized"]).abs().mean()
    assert off < 0.025
    if not {"features", "y_pred"} & options.keys():
        before = analysis(one_map(monkeypatch, **options).estimate(SAME))
        before = before[before["segment"].str.startswith("seg=")]
        assert before["alert"].mean() > 0.2
        assert off < 0.5 * (before["value"] - before["realized"]).abs().mean()


def test_the_reference_is_cross_fitted_and_tau_has_no_bias_in_it(monkeypatch):
    shifted, before = fit().reference_, one_map(monkeypatch).reference_
    roc_auc, accuracy = shifted.drift["seg=b"].variance(0.5) / before.drift[
        "seg=b"
    ].variance(0.5)
    assert accuracy < 0.1
    assert roc_auc < 0.7  # most of it is prior, and the noise of 16 chunks
    shown = shifted.performance
    off = np.abs(shown.estimated - shown.realized)[shown.segment == "seg=b"]
    assert off.mean() < 0.03
    # Labels of a fold do not move its own estimates.
    changed = REFERENCE.copy()
    changed.loc[:3_199, "y_true"] = 1 - changed.loc[:3_199, "y_true"]
    again = fit(changed).reference_.performance
    first = (shown.chunk == 0) & (shown.segment == "seg=b")
    assert_allclose(again.estimated[first], shown.estimated[first], atol=1e-12)


def test_one_value_is_as_no_segment_at_all():
    reference, production = (f.assign(seg="a") for f in (REFERENCE, SAME))
    with_segment = fit(reference)
    assert with_segment.reference_.segments is None
    performance = with_segment.estimate(production).to_frame()
    alone = fit(reference, segments=()).estimate(production).to_frame()
    overall = performance[performance["segment"] == ""].reset_index(drop=True)
    pd.testing.assert_frame_equal(overall, alone)


def test_segments_alike_are_as_no_segment_at_all():
    reference, production = (world(8_000, s, shift=0.0, slope=1.0) for s in (5, 6))
    with_segment = fit(reference)
    assert with_segment.reference_.segments is None
    performance = with_segment.estimate(production).to_frame()
    alone = fit(reference, segments=()).estimate(production).to_frame()
    overall = performance[performance["segment"] == ""].reset_index(drop=True)
    pd.testing.assert_frame_equal(overall, alone)


def test_identity_takes_scores_as_they_are_in_every_segment():
    assert fit(calibrator="identity").reference_.segments is None


def test_names_of_values_do_not_matter():
    renamed = {"a": "z", "b": "aa"}
    estimated = analysis(fit().estimate(SAME))
    frames = [f.assign(seg=f["seg"].map(renamed)) for f in (REFERENCE, SAME)]
    other = analysis(fit(frames[0]).estimate(frames[1]))
    other["segment"] = other["segment"].replace({"seg=z": "seg=a", "seg=aa": "seg=b"})
    columns = ["estimated", "standard_error", "lower", "breach_probability"]
    both = estimated.merge(other, on=KEYS, suffixes=("", "_renamed"))
    assert len(both) == len(estimated)
    for column in columns:
        assert_allclose(both[f"{column}_renamed"], both[column], rtol=1e-5, atol=1e-9)


def test_all_rows_follow_a_change_of_the_mix(monkeypatch):
    mixed = world(20_000, 7, share=0.95)
    options = {"metrics": ["accuracy", "recall"]}
    estimated = analysis(fit(**options).estimate(mixed), "")
    before = analysis(one_map(monkeypatch, **options).estimate(mixed), "")
    off = (estimated["value"] - estimated["realized"]).to_numpy()
    assert np.abs(off.mean()) < 0.01
    assert np.abs((before["value"] - before["realized"]).mean()) > 0.03
    inside = (estimated["lower"] <= estimated["realized"]) & (
        estimated["realized"] <= estimated["upper"]
    )
    assert inside.mean() >= 0.85


@pytest.mark.parametrize("calibrator", ["spline", MovingAverage()], ids=name_of)
def test_a_new_value_has_no_shift_but_its_uncertainty(calibrator):
    estimator = fit(calibrator=calibrator)
    new = SAME.assign(seg="new")
    estimated = analysis(estimator.estimate(new), metric="accuracy")
    assert_array_equal(  # all rows are of the new value
        estimated.query("segment == ''")["value"],
        estimated.query("segment == 'seg=new'")["value"],
    )
    width = estimated["expected_upper"] - estimated["expected_lower"]
    with_shift = analysis(estimator.estimate(SAME), "seg=a", "accuracy")
    assert (
        width.mean()
        > 2.0 * (with_shift["expected_upper"] - with_shift["expected_lower"]).mean()
    )
    # Two new values err by themselves: together they are surer than one.
    two = new.assign(seg=np.where(np.arange(len(new)) % 2, "new", "newer"))
    both = analysis(estimator.estimate(two), "", "accuracy")
    assert (both["expected_upper"] - both["expected_lower"]).mean() < 0.9 * width.mean()


def test_of_many_values_the_most_frequent_have_shifts():
    rng = np.random.default_rng(3)
    n, n_values = 20_000, MAX_VALUES + 40
    share = np.geomspace(1.0, 0.05, n_values)
    value = rng.choice(n_values, n, p=share / share.sum())
    x = rng.normal(0.0, 1.2, n)
    y = (rng.random(n) < expit(x + rng.normal(0.0, 0.7, n_values)[value])) * 1.0
    names = [f"v{k}" for k in range(n_values)]
    segments = {"seg": SegmentCodes(codes=value, values=names)}
    calibrator = SplineCalibrator().fit(expit(x), y)
    calibration = learn_segment_calibration(calibrator, expit(x), y, segments)
    assert len(calibration.values["seg"]) == MAX_VALUES
    assert {"v0", "v1"} < set(calibration.values["seg"])
    slots = find_slots(calibration.values, segments)
    rare = [k for k, name in enumerate(names) if name not in calibration.values["seg"]]
    assert_array_equal(
        np.unique(slots[np.isin(value, rare)]), MAX_VALUES + np.arange(len(rare))
    )


def test_values_that_a_batch_lacks_cost_it_nothing():
    """A slot for each value ever seen, for each group, takes gigabytes."""
    monitor = Monitor(fit(), row_id="id")
    rows = SAME.drop(columns="y_true")
    for day in range(8):
        many = rows[1_000 * day : 1_000 * (day + 1)]
        monitor.add_predictions(many.assign(seg=[f"{day} {k}" for k in range(1_000)]))
    few = rows[8_000:8_300].assign(seg=[f"new {k}" for k in range(300)])
    tracemalloc.start()
    monitor.add_predictions(few)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64e6


@pytest.mark.parametrize("options", [{}, {"features": ["seg"]}])
def test_shifts_of_rows_are_found_once(options, monkeypatch):
    estimator = fit(segments=["seg", "other"], **options)
    calls = []
    monkeypatch.setattr(
        "estimator.estimation.estimates.shift_rows",
        lambda *arguments: calls.append(1) or shift_rows(*arguments),
    )
    estimator.estimate(SAME[:3_000])
    assert len(calls) == 1


def test_scores_that_are_missing_change_nothing_for_the_others():
    """Rows are softened once for all groups: those without a score are left out."""
    estimator = fit(chunk=None)
    holes = SAME.copy()
    holes.loc[::3, "y_pred_proba"] = np.nan
    estimated = analysis(estimator.estimate(holes))
    expected = analysis(estimator.estimate(SAME[SAME.index % 3 != 0]))
    for column in ("value", "lower", "upper", "expected_lower", "expected_upper"):
        assert_allclose(estimated[column], expected[column], rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"features": ["seg"]}, {"y_pred": "y_pred"}])
def test_a_monitor_says_the_same_and_ends_at_the_realized_value(options, tmp_path):
    estimator = fit(**options)
    production = SAME[:4_000]
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(production.drop(columns="y_true"))
    if not options.get("features"):  # else rows are adapted to those of their call
        expected = analysis(estimator.estimate(production.drop(columns="y_true")))
        estimated = analysis(monitor.performance())
        both = estimated.merge(expected, on=KEYS, suffixes=("", "_estimate"))
        assert_allclose(both["value"], both["value_estimate"])
        assert_allclose(both["lower"], both["lower_estimate"])
    half = production[["id", "y_true"]]
    monitor.add_labels(half[::2])
    monitor.save(tmp_path / "monitor.npz")
    part = analysis(Monitor.load(tmp_path / "monitor.npz").performance())
    assert_array_equal(part["value"], analysis(monitor.performance())["value"])
    complete = analysis(estimator.estimate(production))
    both = part.merge(complete, on=KEYS, suffixes=("", "_true"))
    inside = (both["lower"] <= both["realized_true"]) & (
        both["realized_true"] <= both["upper"]
    )
    assert inside.mean() >= 0.8
    assert not part["alert"].any()
    monitor.add_labels(half[1::2])
    whole = analysis(monitor.performance())
    assert_allclose(whole["value"], whole["realized"])


def test_segments_that_do_not_settle_are_said_once_a_fit(monkeypatch):
    """The whole reference and each of its folds are fitted: one warning is enough."""
    settings = replace(segment_fit.SETTINGS, max_passes=1)
    monkeypatch.setattr(segment_fit, "SETTINGS", settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        fit()
    assert [warning.category for warning in caught] == [ConvergenceWarning]


def test_a_fall_of_one_segment_is_seen_in_it():
    monitor = Monitor(fit(), row_id="id")
    fallen = world(6_000, 9, fall=0.6, first_id=50_000)
    monitor.add_predictions(fallen.drop(columns="y_true"))
    monitor.add_labels(fallen[["id", "y_true"]])
    estimated = analysis(monitor.performance())
    assert estimated[estimated["segment"] == "seg=b"]["alert"].mean() >= 0.9
    assert not estimated[estimated["segment"] == "seg=a"]["alert"].any()


def test_a_fall_that_scores_show_is_seen_without_labels():
    # b's scores come nearer to the middle, and its labels follow them as before.
    x = logit(SAME["y_pred_proba"])
    x = x.where(SAME["seg"] == "a", 0.2 * (x + 0.3) - 0.3)
    estimated = analysis(fit().estimate(SAME.assign(y_pred_proba=expit(x))))
    assert estimated[estimated["segment"] == "seg=b"]["alert"].mean() >= 0.9
    assert not estimated[estimated["segment"] == "seg=a"]["alert"].any()


@pytest.mark.parametrize("options", [{}, {"features": ["seg"]}])
def test_a_loaded_estimator_says_the_same(options, tmp_path):
    estimator = fit(segments=["seg", "other"], **options)
    estimator.save(tmp_path / "estimator.npz")
    loaded = PerformanceEstimator.load(tmp_path / "estimator.npz")
    few = SAME[:3_000]
    pd.testing.assert_frame_equal(
        loaded.estimate(few).to_frame(), estimator.estimate(few).to_frame()
    )
    before, after = estimator.reference_.segments, loaded.reference_.segments
    assert after.values == before.values
    assert_array_equal(after.shifts.covariance, before.shifts.covariance)


def test_intervals_hold_what_other_references_would_say():
    """Monte Carlo over references: the deviation of estimates is their stated error."""
    production = world(6_000, 100)
    estimates, stated = {}, {}
    for seed in range(25):
        estimator = fit(world(3_000, 200 + seed), chunk=None, metrics=["accuracy"])
        performance = estimator.estimate(production)
        is_analysis = performance.period == "analysis"
        for segment, value, error in zip(
            performance.segment[is_analysis],
            performance.value[is_analysis, 0],
            performance.calibration_error[is_analysis, 0],
            strict=True,
        ):
            estimates.setdefault(segment, []).append(value)
            stated.setdefault(segment, []).append(error)
    for segment in ("", "seg=a", "seg=b"):
        deviation = np.std(estimates[segment])
        # 25 draws tell a deviation to 14 %.
        assert 0.7 < np.mean(stated[segment]) / deviation < 1.45, segment
