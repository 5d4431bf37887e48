"""Metrics of a table of counts are those of its rows; where not, the bound says so."""

from dataclasses import replace

import hypothesis.extra.numpy as hnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import metrics as sklearn_metrics

from estimator import PerformanceEstimator
from estimator.chunking.chunks import check_chunk, make_chunks
from estimator.chunking.segments import group_rows
from estimator.delayed_labels.counts import counting
from estimator.delayed_labels.counts.count_table_bytes import (
    table_from_bytes,
    table_to_bytes,
)
from estimator.delayed_labels.counts.counting import count_rows
from estimator.delayed_labels.counts.score_cells import LABELED, divide_scores
from estimator.delayed_labels.counts.weighted_rows import rows_from_counts
from estimator.frames.columns import Columns, SegmentCodes
from estimator.metrics.measurement import measure
from estimator.metrics.metric_names import resolve_metrics
from estimator.metrics.rows import Decisions, rows_of_columns
from estimator.monitoring.evaluation import evaluate_chunks, performance_of
from estimator.monitoring.scored_rows import ScoredRows

DAY = np.datetime64("2026-01-05", "us")
TRUTH = {
    "roc_auc": sklearn_metrics.roc_auc_score,
    "average_precision": sklearn_metrics.average_precision_score,
    "accuracy": lambda y, s: sklearn_metrics.accuracy_score(y, s >= 0.5),
    "f1": lambda y, s: sklearn_metrics.f1_score(y, s >= 0.5),
    "recall": lambda y, s: sklearn_metrics.recall_score(y, s >= 0.5),
    "specificity": lambda y, s: sklearn_metrics.recall_score(y, s >= 0.5, pos_label=0),
    "log_loss": lambda y, s: sklearn_metrics.log_loss(y, s, labels=[0, 1]),
    "brier_score": sklearn_metrics.brier_score_loss,
}
METRICS = resolve_metrics(tuple(TRUTH), None)
# Scores, and the log odds of their labels, from a standard normal z.
KINDS = {
    "ordinary": lambda z, rng: (expit(1.5 * z), 1.5 * z),
    "overconfident": lambda z, rng: (expit(10.0 * z), 1.5 * z),
    "crowded at 1": lambda z, rng: (expit(8.0 * z + 14.0), z),
    "crowded at 0": lambda z, rng: (expit(2.0 * z - 14.0), 1.5 * z - 3.0),
    "a narrow band": lambda z, rng: (rng.uniform(1e-7, 9e-7, z.size), z - 1.0),
    "of 32 bits": lambda z, rng: (expit(z).astype("f4").astype(float), z),
}


def draw(kind, n_rows, seed=0):
    rng = np.random.default_rng(seed)
    score, log_odds = KINDS[kind](rng.normal(size=n_rows), rng)
    return score, (rng.random(n_rows) < expit(log_odds)).astype(float)


def columns_of(score, label, code):
    return Columns(
        n_rows=score.size,
        score=score,
        decision=None,
        label=label,
        timestamp=np.full(score.size, DAY),
        timezone=None,
        segments={
            "region": SegmentCodes(codes=code.astype(np.int16), values=["a", "b"])
        },
        missing_score=int(np.isnan(score).sum()),
        missing_decision=0,
    )


def measure_counts(columns):
    """Return the realized metrics of all rows and of both segments, from counts."""
    chunks = make_chunks(columns.n_rows, "D", columns.timestamp)
    (table,) = count_rows(
        columns, chunks, decision=Decisions(threshold=0.5), bands=np.array([0.3, 0.7])
    )
    table = table_from_bytes(table_to_bytes(table))
    laid = rows_from_counts([table], check_chunk("D", has_timestamp=True), None)
    labeled = ~np.isnan(laid.columns.label) & ~np.isnan(laid.columns.score)
    groups = group_rows(laid.columns, laid.chunks, ["region=a", "region=b"])
    return measure(
        METRICS,
        groups.keep(labeled),
        rows_of_columns(
            laid.columns, laid.columns.label, Decisions(by_row=laid.columns.decision)
        ),
    )


def compare(measured, score, label, code, group):
    """Yield metric, truth, value and how far below and above the truth may lie."""
    rows = ~np.isnan(label) & ~np.isnan(score)
    if group:
        rows &= code == group - 1
    label, score = label[rows], score[rows]
    for k, (name, truth) in enumerate(TRUTH.items()):
        if not np.isnan(measured.value[group, k]):
            below, above = measured.order_error[:, group, k]
            yield name, truth(label, score), measured.value[group, k], below, above


@pytest.mark.parametrize("kind", KINDS)
def test_small_chunks_are_exact(kind):
    score, label = draw(kind, 5_000)
    code = np.arange(score.size) % 2
    measured = measure_counts(columns_of(score, label, code))
    assert not measured.order_error.any()
    for group in (0, 1, 2):
        for name, truth, value, *_ in compare(measured, score, label, code, group):
            assert value == pytest.approx(truth, abs=1e-12), name


@pytest.mark.parametrize("kind", KINDS)
def test_large_chunks_are_nearly_exact_and_within_their_bound(kind):
    score, label = draw(kind, 200_000)
    code = (np.arange(score.size) % 10 == 0).astype(int)
    measured = measure_counts(columns_of(score, label, code))
    for group in (0, 1, 2):
        for name, truth, value, below, above in compare(
            measured, score, label, code, group
        ):
            assert -below - 1e-9 <= truth - value <= above + 1e-9, name
            bar = {"roc_auc": 2e-5, "average_precision": 1e-4}.get(name, 1e-9)
            if not group:
                assert abs(truth - value) <= bar, name
    # Half the standard error of a chunk, at most: the bound says something.
    error = np.sqrt(measured.sampling_variance[0, 0])
    assert 0 < measured.order_error[0, 0, 0] < 0.5 * error


def test_scores_of_few_values_are_exact_however_many_rows():
    score, label = draw("ordinary", 100_000)
    score, code = score.round(3), np.arange(score.size) % 2
    measured = measure_counts(columns_of(score, label, code))
    assert not measured.order_error.any()
    for name, truth, value, *_ in compare(measured, score, label, code, 0):
        assert value == pytest.approx(truth, abs=1e-12), name


odd_rows = st.integers(2, 50).flatmap(
    lambda n: st.tuples(
        hnp.arrays(
            np.float64,
            n,
            elements=st.one_of(
                st.floats(0.0, 1.0),
                st.sampled_from([0.0, 5e-324, 0.5, 1 - 2.0**-53, 1.0, np.nan]),
                st.floats(1e-7, 9e-7),
                st.floats(1 - 1e-9, 1.0),
            ),
        ),
        hnp.arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0, np.nan])),
        hnp.arrays(np.int64, n, elements=st.integers(0, 1)),
    )
)


@given(odd_rows)
def test_any_few_rows_are_exact(rows):
    measured = measure_counts(columns_of(*rows))
    assert not measured.order_error.any()
    for group in (0, 1, 2):
        for name, truth, value, *_ in compare(measured, *rows, group):
            assert value == pytest.approx(truth, abs=1e-12), name


@given(odd_rows, st.sampled_from([0.05, 0.3, 1.0]))
def test_coarse_cells_never_leave_their_bound(rows, cells_per_root):
    coarse = replace(
        LABELED, exact_scores=0, cells_per_root=cells_per_root, top_share=1.0
    )

    def divide(score, codes=(), *, fineness=LABELED):
        return divide_scores(score, codes, fineness=coarse)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "divide_scores", divide)
        measured = measure_counts(columns_of(*rows))
    for group in (0, 1, 2):
        for name, truth, value, below, above in compare(measured, *rows, group):
            if name in ("roc_auc", "average_precision"):
                assert -below - 1e-12 <= truth - value <= above + 1e-12, name
            else:
                assert value == pytest.approx(truth, abs=1e-9), name


def frame(kind, n_rows, begin, seed):
    score, label = draw(kind, n_rows, seed)
    time = pd.Timestamp(begin) + pd.to_timedelta(
        np.arange(n_rows) * 20 / n_rows, unit="h"
    )
    return pd.DataFrame(
        {"time": time, "y_pred_proba": score, "y_true": label.astype(int)}
    )


@pytest.mark.parametrize(("n_rows", "is_exact"), [(3_000, True), (40_000, False)])
def test_only_an_exact_value_has_an_interval_without_width(n_rows, is_exact):
    estimator = PerformanceEstimator(
        chunk="D", timestamp="time", metrics=["roc_auc", "average_precision", "f1"]
    ).fit(frame("ordinary", 4_000, "2025-01-06", 1), counted=True)
    rows = frame("crowded at 1", n_rows, "2026-01-05", 2)
    columns = estimator.read_production(rows, with_arrivals=True)
    chunks = make_chunks(columns.n_rows, "D", columns.timestamp)
    tables = count_rows(
        columns,
        chunks,
        decision=Decisions(threshold=0.5),
        bands=estimator.reference_.delays.bands,
    )
    laid = rows_from_counts(tables, check_chunk("D", has_timestamp=True), None)
    scored = ScoredRows(
        estimator=estimator,
        columns=laid.columns,
        chunks=laid.chunks,
        others=laid.evidence,
    )
    evaluation = evaluate_chunks(scored, None)
    performance = performance_of(estimator, evaluation).to_frame().set_index("metric")
    for name in ("roc_auc", "average_precision"):
        row, truth = (
            performance.loc[name],
            TRUTH[name](rows["y_true"], rows["y_pred_proba"]),
        )
        assert row["lower"] - 1e-12 <= truth <= row["upper"] + 1e-12
        assert (row["lower"] == row["upper"]) == is_exact
        assert row["expected_lower"] < row["lower"]
        assert row["expected_upper"] > row["upper"]
    assert performance.loc["f1", "lower"] == performance.loc["f1", "upper"]


def test_the_reference_is_measured_alike():
    reference = frame("crowded at 0", 60_000, "2025-01-06", 3)
    options = {"chunk": "D", "timestamp": "time", "metrics": tuple(TRUTH)}
    by_rows = PerformanceEstimator(**options).fit(reference).reference_
    by_counts = PerformanceEstimator(**options).fit(reference, counted=True).reference_
    theirs, ours = by_rows.performance, by_counts.performance
    off = np.abs(ours.value - theirs.value)
    bars = {"roc_auc": 2e-5, "average_precision": 1e-4}
    assert (off <= [bars.get(name, 1e-9) for name in TRUTH]).all()
    assert (off[:, :2] > 0).all()  # they are measured otherwise
    assert (ours.lower - 1e-9 <= theirs.value).all()
    assert (theirs.value <= ours.upper + 1e-9).all()
    assert (ours.upper - ours.lower)[0, :2].min() > 0


def test_counted_needs_periods_of_time():
    rows = frame("ordinary", 4_000, "2025-01-06", 1)
    with pytest.raises(TypeError, match="`chunk` must be periods of time"):
        PerformanceEstimator(chunk=500, timestamp="time").fit(rows, counted=True)
