"""Series are the columns of the tidy frame; verdicts and charts see nothing else."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from estimator import Monitor, PerformanceEstimator, classify_degradation
from estimator.degradation.verdict import overlay_of
from tests.estimator.conftest import simulate

COLUMNS = (
    "chunk",
    "start",
    "end",
    "n_rows",
    "n_labels",
    "value",
    "lower",
    "upper",
    "standard_error",
    "estimated",
    "realized",
    "lower_threshold",
    "upper_threshold",
    "breach_probability",
    "alert",
    "trust",
    "note",
)


@pytest.fixture(scope="module")
def performance(reference_frame):
    """Labels of half of the rows have come, in order."""
    production = simulate(4_000, 6, slope=0.7)
    estimator = PerformanceEstimator(
        chunk=1_000, segments="region", metrics=["roc_auc", "accuracy", "f1"]
    )
    monitor = Monitor(estimator.fit(reference_frame), row_id="id")
    monitor.add_predictions(production.drop(columns="y_true"))
    monitor.add_labels(production[["id", "y_true"]][:1_500])
    return monitor.performance()


def test_each_series_is_its_part_of_the_frame(performance):
    frame = performance.to_frame()
    by_segment = performance.metric_series()
    assert tuple(by_segment) == performance.segments
    for segment, by_metric in by_segment.items():
        assert tuple(by_metric) == performance.metrics
        for metric, series in by_metric.items():
            rows = (frame["segment"] == segment) & (frame["metric"] == metric)
            for name in COLUMNS:
                assert_array_equal(getattr(series, name), frame.loc[rows, name])
            is_analysis = frame.loc[rows, "period"] == "analysis"
            assert_array_equal(series.in_analysis, is_analysis)


def test_realized_values_are_final_or_partial_and_never_both(performance):
    series = performance.metric_series("accuracy", segment="")[""]["accuracy"]
    assert series.coverage[series.in_analysis].tolist() == [1.0, 0.5, 0.0, 0.0]
    final = np.isfinite(series.final_realized)
    partial = np.isfinite(series.partial_realized)
    assert final[series.in_analysis].tolist() == [True, False, False, False]
    assert partial[series.in_analysis].tolist() == [False, True, False, False]
    assert_array_equal(final | partial, np.isfinite(series.realized))


def test_labels_count_of_the_whole_result_not_of_the_segment_alone(performance):
    unlabeled = performance.filter(period="reference").metric_series()
    for series, came in ((performance.metric_series(), True), (unlabeled, False)):
        for by_metric in series.values():
            for one in by_metric.values():
                assert one.reconciled is came
                assert one.partly_labeled is came


def test_some_metrics_and_segments(performance):
    some = performance.metric_series(["f1", "roc_auc"], segment="region=north")
    assert {name: list(series) for name, series in some.items()} == {
        "region=north": ["f1", "roc_auc"]
    }
    with pytest.raises(ValueError, match="`metric` must be among"):
        performance.metric_series("auc")
    with pytest.raises(ValueError, match="`segment` must be among"):
        performance.metric_series(segment="region=west")


def test_since_keeps_the_reference(performance):
    series = performance.metric_series("f1", segment="")[""]["f1"]
    late = series.since(2)
    assert late.n_reference == series.n_reference
    assert late.chunk[late.in_analysis].tolist() == [2, 3]
    assert_array_equal(
        late.value[: late.n_reference], series.value[~series.in_analysis]
    )
    assert series.since(None) is series


def test_results_pickle_and_copy_as_one(performance):
    for again in (pickle.loads(pickle.dumps(performance)), copy.deepcopy(performance)):  # noqa: S301
        assert again.to_frame().equals(performance.to_frame())
        assert repr(again.metric_series()) == repr(performance.metric_series())


def verdict_on(step):
    rng = np.random.default_rng(0)
    values = 0.8 + rng.normal(0, 0.01, 30)
    values[20:] += step
    return classify_degradation(values, np.full(30, 0.01), n_reference=10)


def test_an_overlay_stands_over_the_last_chunks_in_units_of_the_series():
    verdict = verdict_on(-0.05)
    overlay = overlay_of(verdict, np.full(36, 100))
    assert overlay.sentence == str(verdict)
    assert_array_equal(overlay.fitted[:10], verdict.fitted[:10])
    assert np.isnan(overlay.fitted[10:16]).all()
    assert_array_equal(overlay.fitted[16:], verdict.fitted[10:])
    assert np.flatnonzero(overlay.affected).tolist() == list(range(26, 36))


def test_an_overlay_of_a_total_is_the_shape_times_the_rows():
    verdict = replace(verdict_on(-0.05), per_row=True)
    n_rows = np.arange(100, 130)
    assert_array_equal(overlay_of(verdict, n_rows).fitted, verdict.fitted * n_rows)
    assert_array_equal(overlay_of(verdict).fitted, verdict.fitted)


def test_only_what_changed_has_a_shape():
    for step, drawn in ((0.0, False), (-0.05, True), (0.05, True)):
        verdict = verdict_on(step)
        assert verdict.improved is (step > 0)
        overlay = overlay_of(verdict)
        assert np.isfinite(overlay.fitted).any() == drawn
        assert overlay.affected.any() == (step < 0)
