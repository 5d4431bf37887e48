"""The public face: contract of every column, and what bad input is told."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from calibration import CALIBRATORS, SplineCalibrator
from estimator import Performance
from estimator.metrics.registry import METRIC_NAMES
from tests.estimator.conftest import simulate
from tests.estimator.estimated_frames import COSTS, make, rows

COLUMNS = [
    "segment", "period", "chunk", "start", "end", "metric", "n_rows", "n_labels",
    "value", "lower", "upper", "expected_lower", "expected_upper", "standard_error",
    "estimated", "realized", "lower_threshold", "upper_threshold",
    "breach_probability", "alert", "trust", "note",
]  # fmt: skip


@pytest.fixture(scope="module")
def fitted(reference_frame):
    return make().fit(reference_frame)


@pytest.fixture(scope="module")
def frame(fitted, production_frame):
    return fitted.estimate(production_frame).to_frame()


def test_columns_and_key(frame):
    assert list(frame.columns) == COLUMNS
    assert not frame.duplicated(["segment", "period", "chunk", "metric"]).any()
    assert len(frame) == (6 + 6) * len(METRIC_NAMES)
    assert frame["alert"].dtype == bool


def test_the_estimate_is_what_the_true_probabilities_say(fitted):
    frame = simulate(200_000, 7)
    z = np.log(frame["y_pred_proba"] / (1 - frame["y_pred_proba"]))
    p = 1 / (1 + np.exp(1 - 1.3 * z))
    estimates = fitted.estimate(frame[["y_pred_proba"]], chunk=None).to_frame()
    decided = frame["y_pred_proba"] >= 0.5
    expected = {
        "accuracy": np.where(decided, p, 1 - p).mean(),
        "precision": p[decided].mean(),
        "recall": p[decided].sum() / p.sum(),
        "tp": p[decided].sum(),
    }
    for metric, value in expected.items():
        row = rows(estimates, metric=metric).iloc[0]
        assert row["expected_lower"] < value < row["expected_upper"]


def test_value_is_the_estimate_and_labels_only_fill_realized(fitted, production_frame):
    with_labels = fitted.estimate(production_frame).to_frame()
    without = fitted.estimate(production_frame.drop(columns="y_true")).to_frame()
    touched = ["realized", "n_labels", "note"]
    pd.testing.assert_frame_equal(
        with_labels.drop(columns=touched), without.drop(columns=touched)
    )
    analysis = rows(without)
    assert analysis["realized"].isna().all()
    assert (analysis["n_labels"] == 0).all()
    assert_array_equal(analysis["value"], analysis["estimated"])


def test_realized_is_sklearns(frame, production_frame):
    for c in range(6):
        chunk = production_frame[c * 1_000 : (c + 1) * 1_000]
        y, s = chunk["y_true"], chunk["y_pred_proba"]
        for metric, truth in (
            ("roc_auc", roc_auc_score(y, s)),
            ("accuracy", accuracy_score(y, s >= 0.5)),
            ("f1", f1_score(y, s >= 0.5)),
        ):
            assert_allclose(rows(frame, metric=metric)["realized"][c], truth, 1e-12)


def test_realized_over_the_rows_labelled_so_far(fitted, production_frame):
    partly = production_frame.assign(y_true=production_frame["y_true"].astype(float))
    partly.loc[partly.index % 3 == 0, "y_true"] = np.nan
    estimates = rows(fitted.estimate(partly).to_frame())
    labelled = partly[:1_000].dropna()
    assert estimates["n_labels"][0] == len(labelled)
    assert estimates["n_rows"][0] == 1_000
    assert_allclose(
        estimates["realized"][0],
        roc_auc_score(labelled["y_true"], labelled["y_pred_proba"]),
    )


def test_reference_rows_are_realized_with_a_closed_interval(frame, reference_frame):
    in_reference = rows(frame, "reference")
    assert_array_equal(in_reference["value"], in_reference["realized"])
    assert_array_equal(in_reference["lower"], in_reference["value"])
    assert_array_equal(in_reference["upper"], in_reference["value"])
    assert (in_reference["expected_lower"] < in_reference["value"]).all()
    assert (in_reference["estimated"] != in_reference["value"]).all()
    first = reference_frame[:1_000]
    assert_allclose(
        in_reference["value"][0],
        roc_auc_score(first["y_true"], first["y_pred_proba"]),
        1e-12,
    )


def test_reference_estimates_are_cross_fitted(reference_frame):
    """Labels of a fold do not reach its own estimates, only those of the others."""
    flipped = reference_frame.copy()
    own_fold = flipped.index < 1_200
    flipped.loc[own_fold, "y_true"] = 1 - flipped.loc[own_fold, "y_true"]
    before, after = (
        rows(make(chunk=1_200).fit(f).reference_.performance.to_frame(), "reference")
        for f in (reference_frame, flipped)
    )
    assert before["estimated"][0] == after["estimated"][0]
    assert before["estimated"][1] != after["estimated"][1]


def test_intervals_hold_the_value_within_bounds(frame):
    defined = frame.dropna(subset=["value"])
    assert len(defined) == len(frame)
    for low, high in (("lower", "upper"), ("expected_lower", "expected_upper")):
        assert (defined[low] <= defined["value"]).all()
        assert (defined["value"] <= defined[high]).all()
    analysis = defined[defined["period"] == "analysis"]
    assert (analysis["lower"] < analysis["upper"]).all()
    bounded = defined[
        ~defined["metric"].isin(
            ["log_loss", "business_value", *["tn", "fp", "fn", "tp"]]
        )
    ]
    assert (bounded["lower"] >= 0).all()
    assert (bounded["upper"] <= 1).all()


def test_an_incomplete_chunk_is_kept_noted_and_never_alerts(reference_frame):
    bad = simulate(1_500, 3, slope=0.0)
    bad["y_pred_proba"] = 0.5 + (bad["y_pred_proba"] - 0.5) / 20  # all near the middle
    estimator = make(
        metrics=["accuracy"], thresholds={"accuracy": ("constant", 0.99, None)}
    ).fit(reference_frame)
    estimates = rows(estimator.estimate(bad).to_frame(), metric="accuracy")
    assert list(estimates["n_rows"]) == [1_000, 500]
    assert list(estimates["alert"]) == [True, False]
    assert estimates["breach_probability"][1] > 0.99
    assert estimates["note"][1].startswith("incomplete: 500 of 1000 rows")


def test_thresholds_narrow_with_the_chunks_own_size(fitted, production_frame):
    small = rows(fitted.estimate(production_frame, chunk=500).to_frame())
    large = rows(fitted.estimate(production_frame, chunk=2_000).to_frame())
    width = [f["upper_threshold"][0] - f["lower_threshold"][0] for f in (small, large)]
    assert_allclose(width[0] / width[1], 2.0)


def test_threshold_is_mean_plus_minus_k_standard_errors(reference_frame):
    """Of the realized AUC: DeLong's, which a binormal simulation can be asked for."""
    estimator = make(
        metrics=["roc_auc"], thresholds={"roc_auc": ("standard_error", 2)}
    ).fit(reference_frame)
    reference = rows(estimator.reference_.performance.to_frame(), "reference")
    low, high = reference["lower_threshold"][0], reference["upper_threshold"][0]
    assert_allclose((low + high) / 2, reference["value"].mean())
    values = [
        roc_auc_score(f["y_true"], f["y_pred_proba"])
        for f in (simulate(1_000, seed) for seed in range(100, 400))
    ]
    assert_allclose((high - low) / 4, np.std(values), rtol=0.1)


def test_constant_and_quantile_thresholds(reference_frame):
    estimates = make(
        metrics=["roc_auc", "f1", "log_loss"],
        thresholds={
            "roc_auc": ("constant", 0.7, None),
            "f1": ("quantile", 0.1, 0.9),
            "log_loss": ("constant", -1.0, 0.9),
        },
    ).fit(reference_frame)
    frame = estimates.reference_.performance.to_frame()
    auc, f1 = rows(frame, "reference"), rows(frame, "reference", "f1")
    assert (auc["lower_threshold"] == 0.7).all()
    assert auc["upper_threshold"].isna().all()
    assert_allclose(f1["lower_threshold"], np.quantile(f1["value"], 0.1))
    assert_allclose(f1["upper_threshold"], np.quantile(f1["value"], 0.9))
    # Below the smallest log loss there is nothing to cross.
    assert rows(frame, "reference", "log_loss")["lower_threshold"].isna().all()


def test_alerts_point_in_the_bad_direction(reference_frame):
    harder = simulate(4_000, 5)
    harder["y_pred_proba"] = 0.5 + (harder["y_pred_proba"] - 0.5) / 4
    frame = make().fit(reference_frame).estimate(harder).to_frame()
    for metric in ("roc_auc", "accuracy", "brier_score", "log_loss"):
        by_metric = rows(frame, metric=metric)
        assert by_metric["alert"].all(), metric
        assert (by_metric["breach_probability"] > 0.5).all()
    counts = rows(frame, metric="tp")
    assert not counts["alert"].any()
    assert counts["breach_probability"].isna().all()


def test_nothing_alerts_where_nothing_moves(fitted):
    frame = fitted.estimate(simulate(20_000, 11)).to_frame()
    assert not frame["alert"].any()


def test_a_fitted_estimator_is_stateless(fitted, production_frame):
    reference = fitted.reference_.performance.to_frame()
    first = fitted.estimate(production_frame)
    kept = first.to_frame()
    fitted.estimate(production_frame[:100], chunk=None)
    pd.testing.assert_frame_equal(first.to_frame(), kept)
    pd.testing.assert_frame_equal(fitted.estimate(production_frame).to_frame(), kept)
    pd.testing.assert_frame_equal(fitted.reference_.performance.to_frame(), reference)


def test_one_night_is_one_chunk_whatever_the_references_chunks_were(
    reference_frame, production_frame
):
    estimator = make(chunk="W", timestamp="timestamp").fit(reference_frame)
    estimates = rows(estimator.estimate(production_frame[:123], chunk=None).to_frame())
    assert list(estimates["n_rows"]) == [123]
    assert list(estimates["chunk"]) == [0]


def test_weeks_are_labelled_by_their_monday(reference_frame, production_frame):
    estimator = make(chunk="W", timestamp="timestamp").fit(reference_frame)
    shuffled = production_frame.sample(frac=1, random_state=0)
    estimates = rows(estimator.estimate(shuffled).to_frame())
    weeks = production_frame["timestamp"].dt.to_period("W")
    assert list(estimates["chunk"]) == [
        str(week.start_time.date()) for week in weeks.unique()
    ]
    assert_array_equal(estimates["n_rows"], weeks.value_counts(sort=False))
    by_week = production_frame["timestamp"].groupby(weeks)
    assert list(estimates["start"]) == list(by_week.min())
    assert list(estimates["end"]) == list(by_week.max())
    in_order = rows(estimator.estimate(production_frame).to_frame())
    assert_allclose(estimates["value"], in_order["value"], rtol=1e-12)


def test_rows_without_a_score_are_left_out_and_counted(fitted, production_frame):
    holes = production_frame.copy()
    holes.loc[[3, 5, 1_002], "y_pred_proba"] = np.nan
    estimates = rows(fitted.estimate(holes).to_frame())
    assert list(estimates["n_rows"][:3]) == [998, 999, 1_000]
    assert estimates["note"][0] == "2 rows left out: no score"
    assert estimates["note"][1] == "1 row left out: no score"
    assert estimates["note"][2] == ""
    kept = rows(fitted.estimate(holes[:1_000].dropna(), chunk=None).to_frame())
    assert_allclose(estimates["value"][0], kept["value"][0], rtol=1e-12)


def test_decisions_may_come_from_the_client(reference_frame, production_frame):
    frames = [
        frame.assign(y_pred=(frame["y_pred_proba"] >= 0.3).astype(int))
        for frame in (reference_frame, production_frame)
    ]
    with_column = make(y_pred="y_pred").fit(frames[0]).estimate(frames[1])
    with_threshold = make(decision_threshold=0.3).fit(frames[0]).estimate(frames[1])
    pd.testing.assert_frame_equal(
        with_column.to_frame(), with_threshold.to_frame(), rtol=1e-10
    )


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas])
def test_frames_of_other_libraries_give_the_same(
    convert, reference_frame, production_frame
):
    estimator = make(chunk="W", timestamp="timestamp", segments="region")
    expected = estimator.fit(reference_frame).estimate(production_frame).to_frame()
    estimates = (
        clone(estimator)
        .fit(convert(reference_frame))
        .estimate(convert(production_frame))
        .to_frame()
    )
    pd.testing.assert_frame_equal(estimates, expected, check_dtype=False, rtol=1e-12)


@pytest.mark.parametrize("name", [*CALIBRATORS, "select"])
def test_every_calibrator_serves(name, reference_frame, production_frame):
    estimator = make(calibrator=name, metrics=["roc_auc"]).fit(reference_frame)
    estimates = rows(estimator.estimate(production_frame).to_frame())
    assert (
        (estimates["lower"] < estimates["realized"])
        & (estimates["realized"] < estimates["upper"])
    ).sum() >= 5


def test_the_callers_calibrator_is_cloned(reference_frame):
    mine = SplineCalibrator(n_knots=4)
    estimator = make(calibrator=mine).fit(reference_frame)
    assert not hasattr(mine, "coefficients_")
    assert estimator.reference_.calibrator.n_knots == 4


def test_only_the_named_columns_are_touched(fitted, production_frame):
    class Untouchable:
        def __float__(self, *_):
            pytest.fail("a column that was not named is read")

        __eq__ = __str__ = __hash__ = __bool__ = __float__

    blobs = np.empty(len(production_frame), dtype=object)
    blobs[:] = [Untouchable() for _ in blobs]
    wide = production_frame.assign(blob=blobs)
    before = wide.copy(deep=False)
    fitted.estimate(wide)
    assert list(wide.columns) == list(before.columns)


def test_business_value_is_the_sum_over_rows(frame):
    cells = {c: rows(frame, metric=c)["value"] for c in COSTS}
    expected = sum(COSTS[c] * cells[c] for c in COSTS)
    assert_allclose(rows(frame, metric="business_value")["value"], expected)


def test_an_unfitted_estimator_says_so(production_frame):
    with pytest.raises(NotFittedError, match="PerformanceEstimator"):
        make().estimate(production_frame)


def test_a_failed_fit_leaves_the_fitted_state(reference_frame, production_frame):
    estimator = make().fit(reference_frame)
    kept = estimator.reference_
    with pytest.raises(ValueError, match="too small"):
        estimator.fit(reference_frame[:50])
    assert estimator.reference_ is kept
    estimator.estimate(production_frame)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"method": "iw"}, '`method` must be "auto", "cbpe", "feature_aware" or'),
        ({"method": "pape"}, "`features` must name columns"),
        ({"method": "feature_aware", "features": []}, "`features` must name columns"),
        ({"metrics": ["roc_acu"]}, "Did you mean 'roc_auc'"),
        ({"metrics": []}, "at least one"),
        ({"metrics": ["f1", "f1"]}, "comes twice"),
        ({"level": 95}, "`level` must be a number in"),
        ({"level": "0.95"}, "`level` must be a number in"),
        ({"decision_threshold": 1.5}, "`decision_threshold` must be a number in"),
        ({"features": ["age"]}, "'age'"),
        ({"calibrator": "splin"}, "Did you mean 'spline'"),
        ({"chunk": "W"}, "`timestamp` is None"),
        ({"chunk": 0}, "`chunk`"),
        ({"business_costs": None}, "`business_costs` is needed"),
        ({"business_costs": {"tp": 1}}, "exactly the keys"),
        ({"business_costs": COSTS | {"tp": np.inf}}, "finite"),
        ({"thresholds": {"recal": ("constant", 0, 1)}}, "not among the"),
        ({"thresholds": {"recall": ("constant", 0.9, 0.1)}}, "low before high"),
        ({"thresholds": {"recall": ("quantile", 5, 95)}}, "must be like"),
        ({"thresholds": {"recall": 0.9}}, "must be like"),
        ({"thresholds": [("constant", 0, 1)]}, "must be a mapping"),
        ({"business_costs": COSTS | {"tp": "20"}}, "finite"),
        ({"y_pred_proba": "proba"}, "y_pred_proba"),
        ({"y_true": "target"}, "y_true"),
    ],
)
def test_wrong_parameters_are_refused(options, match, reference_frame):
    with pytest.raises((ValueError, KeyError, TypeError), match=match):
        make(**options).fit(reference_frame)


def test_a_reference_with_one_class_or_too_few_rows_is_refused(reference_frame):
    with pytest.raises(ValueError, match="both classes"):
        make().fit(reference_frame.assign(y_true=0))
    rare = reference_frame.assign(y_true=0)
    rare.loc[:2, "y_true"] = 1
    with pytest.raises(ValueError, match="about 20000 rows are needed"):
        make().fit(rare)


def test_a_result_survives_pickle_and_copy(fitted, production_frame):
    result = fitted.estimate(production_frame)
    for twin in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):  # noqa: S301
        pd.testing.assert_frame_equal(twin.to_frame(), result.to_frame())


def test_result_is_frozen_with_one_line(fitted, production_frame):
    result = fitted.estimate(production_frame)
    assert isinstance(result, Performance)
    assert "\n" not in repr(result)
    assert "6 reference + 6 analysis chunks" in repr(result)
    with pytest.raises(ValueError, match="read-only"):
        result.value[0, 0] = 1.0
