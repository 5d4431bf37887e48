"""The registry's contract: what every listed metric promises."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from estimator.metrics.metric_names import resolve_metrics
from estimator.metrics.moments import compute_moments, undefined_reasons
from estimator.metrics.registry import METRIC_NAMES, METRICS
from estimator.metrics.rows import Decisions, Rows
from estimator.metrics.soft_label_sums import sum_soft_labels

COSTS = {"tn": 1.0, "fp": -5.0, "fn": -100.0, "tp": 20.0}
ALL = resolve_metrics(METRIC_NAMES, COSTS)


def sums_of(score, soft, offsets=None):
    score = np.asarray(score, dtype=float)
    rows = Rows(
        score=score,
        soft=np.asarray(soft, dtype=float),
        decisions=Decisions(threshold=0.5),
    )
    bounds = np.array([0, score.size]) if offsets is None else offsets
    return sum_soft_labels(rows, row_numbers=None, offsets=bounds).sums


def reasons(score, soft):
    sums = sums_of(score, soft)
    reason = undefined_reasons(ALL, sums, compute_moments(ALL, sums))
    return dict(zip(METRIC_NAMES, reason[0], strict=True))


def test_all_metrics_at_once_are_each_alone():
    rng = np.random.default_rng(0)
    score = rng.random(500)
    sums = sums_of(score, score**2)
    together = compute_moments(ALL, sums)
    for k, metric in enumerate(ALL):
        alone = compute_moments((metric,), sums)
        for field in ("value", "label_variance", "sampling_variance", "channels"):
            assert_allclose(getattr(together, field)[:, k], getattr(alone, field)[:, 0])


def test_bounds_hold_on_random_chunks():
    rng = np.random.default_rng(0)
    low, high = np.array([metric.bounds for metric in ALL]).T
    for n in (40, 200):
        for _ in range(50):
            value = compute_moments(ALL, sums_of(rng.random(n), rng.random(n))).value[0]
            assert (value >= low - 1e-12).all()
            assert (value <= high + 1e-12).all()


@pytest.mark.parametrize("name", METRIC_NAMES)
def test_correction_moves_the_plug_in_to_the_expected_metric(name):
    """By enumeration of all labels of 12 rows, where the metric is defined."""
    metric = ALL[METRIC_NAMES.index(name)]
    rng = np.random.default_rng(5)
    gaps = []
    for _ in range(20):
        score = rng.random(12).round(1)
        p = rng.uniform(0.2, 0.8, 12)
        labels = (np.arange(2**12)[:, None] >> np.arange(12)) & 1
        chance = np.prod(np.where(labels, p, 1 - p), axis=1)
        offsets = np.arange(0, labels.size + 1, 12)
        realized = compute_moments(
            (metric,),
            sums_of(np.tile(score, len(labels)), labels.ravel(), offsets),
        ).value[:, 0]
        defined = np.isfinite(realized)
        truth = np.average(realized[defined], weights=chance[defined])
        estimate = compute_moments((metric,), sums_of(score, p)).value[0, 0]
        gaps.append(estimate - truth)
    scale = {"business_value": 1e3}.get(name, 1.0)
    assert np.abs(np.nanmean(gaps)) < 0.004 * scale


def test_label_variance_is_that_of_labels_drawn():
    rng = np.random.default_rng(3)
    score = rng.random(300)
    draws = 4_000
    labels = (rng.random((draws, 300)) < score).astype(float)
    realized = compute_moments(
        ALL,
        sums_of(
            np.tile(score, draws), labels.ravel(), np.arange(0, labels.size + 1, 300)
        ),
    ).value
    expected = compute_moments(ALL, sums_of(score, score))
    assert_allclose(
        realized.std(axis=0), np.sqrt(expected.label_variance[0]), rtol=0.06
    )
    error = np.abs(realized.mean(axis=0) - expected.value[0])
    assert (error < 4 * realized.std(axis=0) / np.sqrt(draws)).all()


def test_sampling_variance_is_that_of_rows_drawn():
    rng = np.random.default_rng(4)
    draws, n = 3_000, 300
    score = rng.random(draws * n)
    label = (rng.random(score.size) < score).astype(float)
    offsets = np.arange(0, score.size + 1, n)
    for soft in (score, label, np.where(rng.random(score.size) < 0.5, score, label)):
        moments = compute_moments(ALL, sums_of(score, soft, offsets))
        assert_allclose(
            moments.value.std(axis=0),
            np.sqrt(moments.sampling_variance.mean(axis=0)),
            rtol=0.07,
        )


@pytest.mark.parametrize(
    ("score", "soft", "expected"),
    [
        ([], [], {"roc_auc": "no rows", "accuracy": "no rows", "tp": "no rows"}),
        (
            [0.1, 0.9],
            [0, 0],
            {"roc_auc": "no positives", "recall": "no positives", "specificity": ""},
        ),
        ([0.1, 0.9], [1, 1], {"roc_auc": "no negatives", "recall": "", "f1": ""}),
        ([0.1, 0.2], [0, 1], {"precision": "no predicted positives", "recall": ""}),
        ([0.1, 0.2], [0, 0], {"f1": "no denominator"}),
        (
            np.full(40, 0.4),
            np.full(40, 0.3),
            {
                "recall": "no predicted positives",
                "specificity": "no predicted positives",
                "accuracy": "",
                "fn": "",
                "tp": "",
            },
        ),
        (np.full(40, 0.6), np.full(40, 0.6), {"recall": "no predicted negatives"}),
        (
            np.linspace(0.1, 0.9, 20),
            np.full(20, 0.035),
            {
                "roc_auc": "too few expected positives (0.7): there may be none",
                "recall": "too few expected positives (0.7): there may be none",
                "specificity": "",
                "precision": "",
            },
        ),
    ],
)
def test_undefined_metrics_say_why(score, soft, expected):
    reason_by_metric = reasons(score, soft)
    assert {name: reason_by_metric[name] for name in expected} == expected


def test_every_listed_metric_has_a_direction_or_is_a_count():
    for metric in METRICS.values():
        assert (metric.higher_is_better is None) == (
            metric.name in ("tn", "fp", "fn", "tp")
        )
