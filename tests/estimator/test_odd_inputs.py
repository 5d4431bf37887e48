"""Odd frames, arguments and calls; `benchmarks.odd_inputs` draws thousands."""

import numpy as np
import pandas as pd
import pytest

from calibration import cross_fit
from estimator import Monitor, PerformanceEstimator, classify_degradation
from trials.odd_inputs import compile_kernels, run_case


def test_odd_inputs_are_answered_rightly_or_refused_clearly():
    compile_kernels()
    outcomes = [run_case(0, case) for case in range(200)]
    assert [outcome for outcome in outcomes if not outcome.sound] == []
    results = {outcome.result for outcome in outcomes}
    assert results == {"answered", "refused"}


@pytest.mark.parametrize("name", [None, ["id"], float("nan"), pd.NA, {}, pd.NaT])
def test_a_row_id_is_the_name_of_a_column(name, reference_frame):
    estimator = PerformanceEstimator(chunk=1_000).fit(reference_frame)
    with pytest.raises(TypeError, match="`row_id` must be the name of a column"):
        Monitor(estimator, row_id=name)


@pytest.mark.parametrize("role", ["timestamp", "y_pred", "y_true", "labeled_at"])
@pytest.mark.parametrize("name", [["time"], float("nan"), pd.NA, {}])
def test_a_role_is_the_name_of_a_column(role, name):
    with pytest.raises(TypeError, match=f"`{role}` must be the name of a column"):
        PerformanceEstimator(**{role: name}).check_parameters()


@pytest.mark.parametrize("role", ["segments", "features"])
@pytest.mark.parametrize("names", [[["g"]], {"g"}, iter(["g"]), [None], [pd.NA]])
def test_several_names_are_a_list(role, names):
    with pytest.raises(TypeError, match=rf"`{role}` must be .*column"):
        PerformanceEstimator(chunk=10, **{role: names}).check_parameters()


@pytest.mark.parametrize("times", [5, "x", object()])
def test_times_are_a_sequence(times):
    with pytest.raises(TypeError, match="`times` must be a sequence"):
        classify_degradation([1.0, 2.0], [1.0, 1.0], n_reference=1, times=times)


@pytest.mark.parametrize("n_splits", [2.5, "5", True])
def test_folds_are_a_whole_number(n_splits):
    with pytest.raises(TypeError, match="`n_splits` must be a whole number"):
        cross_fit("platt", [0.1, 0.9] * 9, [0, 1] * 9, n_splits=n_splits)


def test_a_batch_with_other_chunks_than_the_reference_has_a_verdict(
    reference_frame, production_frame
):
    """Labels of weeks beside numbers: they are no dates to be parsed together."""
    estimator = PerformanceEstimator(chunk="W", timestamp="timestamp")
    estimator.fit(reference_frame)
    performance = estimator.estimate(production_frame, chunk=500)
    assert {type(label) for label in performance.chunk.tolist()} == {str, int}
    verdict = performance.degradation()["roc_auc"]
    assert np.isclose(sum(verdict.probabilities.values()), 1.0)
    assert str(verdict).startswith("roc_auc ")


def test_more_groups_than_memory_holds_are_refused():
    n = 2_000
    rng = np.random.default_rng(0)
    score = rng.random(n)
    frame = pd.DataFrame(
        {
            "y_pred_proba": score,
            "y_true": rng.random(n) < score,
            "time": pd.date_range("2026-01-01", periods=n, freq="4h"),
            "x": np.arange(n) % 900,
        }
    )
    estimator = PerformanceEstimator(chunk="h", timestamp="time", segments="x")
    with pytest.raises(ValueError, match=r"at most 1,000,000 groups, but 7,997 chunks"):
        estimator.fit(frame)


@pytest.mark.parametrize("k", [float("inf"), 1e300, 0, -1, float("nan")])
def test_a_threshold_is_a_number_of_standard_errors(k):
    thresholds = {"roc_auc": ("standard_error", k)}
    with pytest.raises(ValueError, match=r"`thresholds\['roc_auc'\]` must be like"):
        PerformanceEstimator(chunk=10, thresholds=thresholds).check_parameters()
