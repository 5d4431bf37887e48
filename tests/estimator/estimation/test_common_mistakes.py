import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import polars as pl
import pytest

from estimator import Monitor, PerformanceEstimator
from estimator.estimation.common_mistakes import CommonMistakeWarning
from estimator.operations.nightly.fitted_model import mistakes_as_remarks

N = 3_200


def world(seed=0, *, wobble=0.0):
    """Rows of 32 weeks; with `wobble` the scores of some weeks say little."""
    rng = np.random.default_rng(seed)
    week = np.sort(rng.integers(0, 32, N))
    score = rng.beta(1, 2, N)
    useless = rng.random(32)[week] < wobble
    truth = np.where(useless, score.mean(), score)
    return pd.DataFrame(
        {
            "y_pred_proba": score,
            "y_true": (rng.random(N) < truth).astype(int),
            "time": pd.Timestamp("2026-01-05")
            + pd.to_timedelta(7 * week + 7 * rng.random(N), unit="D"),
        }
    )


def make(**options):
    return PerformanceEstimator(chunk="W", timestamp="time", **options)


@contextmanager
def said_once(match):
    """Expect one warning, raised where the user's own line is."""
    with pytest.warns(CommonMistakeWarning, match=match) as caught:
        yield
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize("seed", range(12))
def test_ordinary_data_are_not_warned_of(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator = make(metrics=("roc_auc", "accuracy", "f1")).fit(world(seed))
        estimator.estimate(world(seed + 100))
        small = world(seed)[:: N // 130]  # a useless AUC of few rows is bad luck
        make().fit(
            small.assign(
                y_true=np.random.default_rng(seed).permutation(small["y_true"])
            )
        )


def test_the_probability_of_the_other_class():
    frame = world()
    reversed_ = frame.assign(y_pred_proba=1.0 - frame["y_pred_proba"])
    with said_once(
        r"ROC AUC of 0\.[123]\d, far below 0\.5.*predict_proba\(X\)\[:, 1\]"
    ):
        make().fit(reversed_)


def test_decisions_instead_of_scores():
    frame = world()
    hard = frame.assign(y_pred_proba=(frame["y_pred_proba"] > 0.5).astype(float))
    with said_once(r"holds only 0 and 1.*decisions belong to `y_pred`"):
        make().fit(hard)
    hard.loc[5, "y_pred_proba"] = 0.5  # beside one that is none
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make().fit(hard)


def test_a_reference_that_is_itself_unstable():
    frame = world(3, wobble=0.3)
    with said_once(r"roc_auc lies beyond .* in \d+ of 32 reference chunks"):
        estimator = make(metrics="roc_auc").fit(frame)
    performance = estimator.reference_.performance
    assert performance.alert.sum() >= 5
    with warnings.catch_warnings():  # the remedy that it names
        warnings.simplefilter("error")
        wider = {"roc_auc": ("quantile", 0.01, 0.99)}
        estimator = make(metrics="roc_auc", thresholds=wider).fit(frame)
    assert estimator.reference_.performance.alert.sum() <= 1


def test_alerts_of_the_reference_are_not_counted():
    with pytest.warns(CommonMistakeWarning):
        estimator = make(metrics="roc_auc").fit(world(3, wobble=0.3))
    performance = estimator.reference_.performance
    assert performance.alert.any()
    assert repr(performance).endswith("32 reference + 0 analysis chunks, 0 alerts>")


@pytest.mark.parametrize("options", [{}, {"chunk": 100, "timestamp": None}])
@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_estimating_on_the_reference_itself(options, library, tmp_path):
    frame = world(0)
    later = world(1)
    later["time"] += pd.Timedelta(weeks=32)
    estimator = make().set_params(**options).fit(library(frame))
    estimator.save(tmp_path / "estimator.npz")
    loaded = PerformanceEstimator.load(tmp_path / "estimator.npz")
    for fitted in (estimator, loaded):
        for again in (frame, frame.drop(columns="y_true"), pd.concat([frame, later])):
            with said_once("`production` holds the rows of the reference"):
                fitted.estimate(library(again))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fitted.estimate(library(later))
            fitted.estimate(library(frame[:-1]))


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": ("f1",)},
        {"level": 0.5},
        {"y_pred_proba": "other"},
        {"segments": ["group"]},
        {"calibrator": "platt"},
        {"thresholds": {"roc_auc": ("constant", 0.5, None)}},
        {"decision_threshold": 0.9},
    ],
)
def test_parameters_changed_after_fit_are_refused(change, tmp_path):
    estimator = make().fit(world(0))
    (name,) = change
    estimator.set_params(**change)
    match = rf"`{name}` must be as it was at `fit`, .* Call `fit` again\."
    with pytest.raises(ValueError, match=match):
        estimator.estimate(world(1))
    with pytest.raises(ValueError, match=match):
        estimator.save(tmp_path / "estimator.npz")
    with pytest.raises(ValueError, match=match):
        Monitor(estimator, row_id="id")


def test_a_list_changed_in_place_is_a_change():
    metrics = ["roc_auc"]
    estimator = make(metrics=metrics).fit(world(0))
    metrics.append("f1")
    with pytest.raises(ValueError, match="`metrics` must be as it was at `fit`"):
        estimator.estimate(world(1))
    assert "f1" in estimator.fit(world(0)).estimate(world(1)).metrics


def test_what_changes_no_number_may_change():
    edges = pd.date_range("2026-01-05", periods=5, freq="4W-MON")
    estimator = PerformanceEstimator(chunk=edges, timestamp="time").fit(world(0))
    before = estimator.estimate(world(1)).to_frame()
    estimator.set_params(progress=True, chunk=edges.copy())
    pd.testing.assert_frame_equal(estimator.estimate(world(1)).to_frame(), before)
    estimator.set_params(chunk="W")
    with pytest.raises(ValueError, match=r"estimate\(production, chunk=…\)"):
        estimator.estimate(world(1))


def test_the_job_takes_mistakes_as_remarks():
    hard = world(0)
    hard["y_pred_proba"] = (hard["y_pred_proba"] > 0.5).astype(float)
    with mistakes_as_remarks() as remarks:
        make().fit(hard)
    assert len(remarks) == 1
    assert remarks[0].endswith("decisions belong to `y_pred`")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with mistakes_as_remarks() as remarks:
            warnings.warn("other", FutureWarning, stacklevel=1)
    assert remarks == []
    assert [warning.category for warning in caught] == [FutureWarning]
