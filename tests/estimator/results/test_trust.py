"""Trust without labels: what is seen, when it is lost, and what the interval does."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from estimator import Monitor, PerformanceEstimator
from estimator.chunking.segments import Groups
from estimator.estimation.reference_arrays import (
    reference_from_arrays,
    reference_to_arrays,
)
from estimator.metrics.error_cells import measure_error_cells, shift_axes
from estimator.metrics.measurement import measure
from estimator.metrics.metric_names import METRIC_NAMES, resolve_metrics
from estimator.metrics.rows import Decisions, Rows
from estimator.results.score_spread import (
    bins_of_cells,
    learn_reference_scores,
    score_distance,
)
from estimator.results.trust import (
    LEVELS,
    SETTINGS,
)
from estimator.simulation import simulate_credit_default
from tests.estimator.conftest import simulate

METRICS = ("roc_auc", "accuracy", "f1", "log_loss", "tp")
COSTS = {"tn": 1.0, "fp": -5.0, "fn": -100.0, "tp": 20.0}


def draw(n_rows, seed, *, mean=0.0, deviation=1.0):
    """Draw calibrated scores whose log odds are normal, an hour apart."""
    rng = np.random.default_rng(seed)
    z = rng.normal(mean, deviation, n_rows)
    score = 1.0 / (1.0 + np.exp(-z))
    return pd.DataFrame(
        {
            "id": np.arange(n_rows),
            "timestamp": pd.Timestamp("2026-01-05")
            + pd.to_timedelta(np.arange(n_rows), unit="h"),
            "y_pred_proba": score,
            "y_true": (rng.random(n_rows) < score).astype(int),
        }
    )


@pytest.fixture(scope="module")
def estimator():
    return PerformanceEstimator(METRICS, chunk=1_000).fit(draw(10_000, 0))


def analysis(performance):
    frame = performance.to_frame()
    return frame[frame["period"] == "analysis"].reset_index(drop=True)


def rank(levels):
    return [LEVELS.index(level) for level in levels]


def test_without_a_shift_all_is_good():
    levels = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n_reference, size = rng.integers(1_000, 8_000), int(rng.integers(100, 1_500))
        fitted = PerformanceEstimator("accuracy", chunk=size).fit(
            draw(n_reference, [seed, 1])
        )
        levels += list(analysis(fitted.estimate(draw(10 * size, [seed, 2])))["trust"])
    assert levels.count("good") >= 0.99 * len(levels)
    assert "none" not in levels


def test_scores_that_are_all_beyond_have_no_trust(estimator):
    new = analysis(estimator.estimate(draw(2_000, 1, mean=15.0)))
    assert set(new["trust"]) == {"none"}
    assert new["note"].str.contains("no trust: at least half of the scores lie").all()
    accuracy = new[new["metric"] == "accuracy"]
    # Uniform within [0, 1]: a standard deviation of 1/√12 around the value.
    lowest = np.maximum(accuracy["value"] - 1.96 * 12**-0.5, 0.0)
    assert (accuracy["lower"] <= lowest + 1e-9).all()
    assert (accuracy["upper"] == 1.0).all()


@pytest.mark.parametrize(
    ("share", "level"), [(0.0, "good"), (0.2, "good"), (0.3, "doubtful"), (0.6, "none")]
)
def test_the_share_beyond_is_that_of_the_rows_moved_there(share, level):
    """Scores at ten places: the reference ends at 0.45, and a share lies at 0.95."""
    rng = np.random.default_rng(3)
    places = np.linspace(0.05, 0.45, 9)
    reference = pd.DataFrame({"y_pred_proba": rng.choice(places, 9_000)})
    reference["y_true"] = rng.random(9_000) < reference["y_pred_proba"]
    production = pd.DataFrame({"y_pred_proba": rng.choice(places, 1_000)})
    production.loc[: int(1_000 * share) - 1, "y_pred_proba"] = 0.95
    fitted = PerformanceEstimator("accuracy", chunk=1_000).fit(reference)
    new = analysis(fitted.estimate(production))
    assert new["trust"].tolist() == [level]
    note = new["note"][0]
    assert (f"{share:.1%} of the scores lie beyond" in note) == (share > 0.0)


def test_a_further_shift_never_gives_more_trust(estimator):
    for sign in (-1.0, 1.0):
        levels, widths = [], []
        for mean in (0.0, 0.3, 0.6, 0.9, 1.5, 3.0, 6.0, 12.0):
            performance = estimator.estimate(draw(1_000, 4, mean=sign * mean))
            new = performance.period == "analysis"
            levels.append(rank(performance.trust[new][:, 0])[0])
            accuracy = performance.metrics.index("accuracy")
            widths.append((performance.upper - performance.lower)[new][0, accuracy])
        assert levels == sorted(levels)
        assert (levels[0], levels[-1]) == (0, 2)
        assert widths[-1] > 3.0 * widths[0]


def test_other_spreads_are_seen_as_well_as_other_means(estimator):
    narrow = analysis(estimator.estimate(draw(1_000, 5, deviation=0.1)))
    assert set(narrow["trust"]) == {"none"}
    assert narrow["note"].str.endswith("spread as in no chunk of the reference").any()


def test_what_the_reference_has_shown_is_trusted():
    """Blocks of the reference move as far as production does."""
    means = np.tile([-0.8, 0.8], 6)
    parts = [draw(1_000, [6, i], mean=m) for i, m in enumerate(means)]
    moving = pd.concat(parts, ignore_index=True)
    fitted = PerformanceEstimator("accuracy", chunk=1_000).fit(moving)
    new = analysis(fitted.estimate(draw(1_000, 7, mean=0.8)))
    assert new["trust"].tolist() == ["good"]
    steady = PerformanceEstimator("accuracy", chunk=1_000).fit(draw(12_000, 6))
    assert analysis(steady.estimate(draw(1_000, 7, mean=0.8)))["trust"][0] != "good"


def test_trust_is_one_for_all_metrics_and_does_not_move_the_value(estimator):
    new = analysis(estimator.estimate(draw(3_000, 8, mean=1.0)))
    by_chunk = new.groupby("chunk")["trust"]
    assert (by_chunk.nunique() == 1).all()
    assert_array_equal(new["value"], new["estimated"])


def test_the_order_of_rows_and_batches_does_not_matter(reference_frame):
    fitted = PerformanceEstimator(
        METRICS, chunk="W", timestamp="timestamp", segments="region"
    ).fit(reference_frame)
    new = simulate(3_000, 9, mean=1.6)
    new["timestamp"] += pd.Timedelta(days=60)
    expected = fitted.estimate(new).to_frame()
    assert {"doubtful", "none"} & set(expected["trust"])
    shuffled = fitted.estimate(new.sample(frac=1.0, random_state=0)).to_frame()
    monitor = Monitor(fitted, row_id="id")
    for part in np.array_split(np.random.default_rng(1).permutation(len(new)), 4):
        monitor.add_predictions(new.iloc[part].drop(columns="y_true"))
    for other in (shuffled, monitor.performance().to_frame()):
        assert other["trust"].tolist() == expected["trust"].tolist()
        assert_allclose(other["upper"], expected["upper"], rtol=1e-9)


def test_trust_comes_with_the_labels(reference_frame):
    fitted = PerformanceEstimator("accuracy", chunk=1_000).fit(reference_frame)
    far = simulate(1_000, 10, mean=9.0)
    monitor = Monitor(fitted, row_id="id")
    monitor.add_predictions(far.drop(columns="y_true"))
    assert analysis(monitor.performance())["trust"].tolist() == ["none"]
    widths, levels = [], []
    for upto in (100, 300, 600, 900, 1_000):
        monitor.add_labels(far[["id", "y_true"]][:upto])
        new = analysis(monitor.performance())
        widths.append((new["upper"] - new["lower"])[0])
        levels.append(rank(new["trust"])[0])
    assert levels == sorted(levels, reverse=True)
    assert (levels[0], levels[-1]) == (2, 0)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == 0.0


def test_labels_of_a_chunk_as_far_away_bring_trust_back(reference_frame):
    """The population has moved for good; the newest chunk never has labels yet."""
    fitted = PerformanceEstimator("accuracy", chunk=1_000).fit(reference_frame)
    moved = simulate(3_000, 12, mean=1.9)
    monitor = Monitor(fitted, row_id="id")
    monitor.add_predictions(moved.drop(columns="y_true"))
    assert set(analysis(monitor.performance())["trust"]) == {"none"}
    monitor.add_labels(moved[["id", "y_true"]][:1_000])
    new = analysis(monitor.performance())
    assert new["trust"].tolist() == ["good"] * 3
    assert "no trust" not in "".join(new["note"])


def test_a_segment_that_the_reference_does_not_have_is_doubted(reference_frame):
    fitted = PerformanceEstimator("accuracy", chunk=1_000, segments="region")
    new = simulate(1_000, 11)
    new.loc[::2, "region"] = "west"
    result = analysis(fitted.fit(reference_frame).estimate(new)).set_index("segment")
    assert result["trust"].to_dict() == {
        "": "good",
        "region=north": "good",
        "region=south": "good",
        "region=west": "doubtful",
    }


def test_long_after_a_reference_that_drifts_there_is_no_trust():
    """The reference's calibration walks; production comes later and later."""
    rng = np.random.default_rng(12)
    n = 20_000
    z = rng.normal(0.0, 1.0, n)
    walk = np.cumsum(rng.normal(0.0, 0.3, 20)).repeat(n // 20)
    reference = pd.DataFrame(
        {
            "timestamp": pd.Timestamp("2026-01-01")
            + pd.to_timedelta(np.arange(n), unit="min"),
            "y_pred_proba": 1.0 / (1.0 + np.exp(-z)),
            "y_true": rng.random(n) < 1.0 / (1.0 + np.exp(-z - walk)),
        }
    )
    fitted = PerformanceEstimator("accuracy", chunk=1_000, timestamp="timestamp").fit(
        reference
    )
    production = draw(1_000, 13)
    levels, widths = [], []
    for lengths in (0.2, 1.0, 3.0, 10.0, 30.0):
        start = reference["timestamp"].max() + lengths * pd.Timedelta(minutes=n)
        times = start + pd.to_timedelta(np.arange(1_000), unit="s")
        new = analysis(fitted.estimate(production.assign(timestamp=times)))
        levels.append(rank(new["trust"])[0])
        widths.append((new["expected_upper"] - new["expected_lower"])[0])
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (0, 2)
    assert new["note"][0] == (
        "no trust: the reference drifts too fast for a chunk so long after it"
    )
    assert widths == sorted(widths)


def test_without_drift_time_alone_costs_no_trust():
    frame = draw(10_000, 14)
    fitted = PerformanceEstimator("accuracy", chunk=1_000, timestamp="timestamp")
    later = draw(3_000, 15)
    later["timestamp"] += 8 * pd.Timedelta(hours=10_000)
    assert set(analysis(fitted.fit(frame).estimate(later))["trust"]) == {"good"}


def test_saved_and_loaded(tmp_path, estimator):
    estimator.save(tmp_path / "e")
    again = PerformanceEstimator.load(tmp_path / "e")
    new = draw(3_000, 16, mean=0.8)
    expected = estimator.estimate(new).to_frame()
    pd.testing.assert_frame_equal(again.estimate(new).to_frame(), expected)
    assert set(analysis(estimator.estimate(new))["trust"]) != {"good"}


def test_files_of_before_know_the_range_of_the_scores_only(estimator):
    header, arrays = reference_to_arrays(estimator.reference_)
    old = {
        name: values
        for name, values in arrays.items()
        if not name.startswith("scores/") and name != "performance/trust"
    }
    parameters = estimator.get_params(deep=False)
    loaded = PerformanceEstimator(**parameters)
    loaded.fit(draw(10_000, 0))
    loaded.reference_ = reference_from_arrays(header, old, parameters)
    assert set(analysis(loaded.estimate(draw(1_000, 17, mean=0.9)))["trust"]) == {
        "good"
    }
    assert set(analysis(loaded.estimate(draw(1_000, 17, mean=15.0)))["trust"]) == {
        "none"
    }


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("bin_of_cell", lambda x: x + 5),
        ("bin_of_cell", lambda x: x[:-1]),
        ("rows", lambda x: -x),
        ("farthest", lambda x: x * np.nan),
    ],
)
def test_damaged_files_are_refused(estimator, name, damage):
    header, arrays = reference_to_arrays(estimator.reference_)
    arrays[f"scores/{name}"] = damage(arrays[f"scores/{name}"])
    with pytest.raises(ValueError, match=name):
        reference_from_arrays(header, arrays, estimator.get_params(deep=False))


def test_distance_of_normal_log_odds():
    """Between normal densities a distance d apart chi-squared is exp(d²) - 1."""
    rng = np.random.default_rng(18)
    reference = rng.normal(0.0, 1.0, 200_000)
    edges = np.quantile(reference, np.linspace(0.0, 1.0, 65)[1:-1])

    def rows(z):
        counts = np.bincount(np.searchsorted(edges, z), minlength=64)
        return counts.astype(np.float64)

    shifts = (0.0, 0.2, 0.4, 0.6)
    groups = np.stack([rows(rng.normal(d, 1.0, 200_000)) for d in shifts])
    distance = score_distance(groups, rows(reference))
    assert_allclose(distance, np.expm1(np.square(shifts)), rtol=0.05, atol=1e-3)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 5_000))
def test_distance_does_not_see_noise(seed, n):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(16, 5.0))
    reference = rng.multinomial(4_000, shares).astype(np.float64)
    groups = rng.multinomial(n, shares, size=40).astype(np.float64)
    distance = score_distance(groups, reference)
    assert (distance >= 0.0).all()
    assert np.mean(distance > SETTINGS.common_distance) <= 0.05
    assert score_distance(np.zeros((1, 16)), reference)[0] == 0.0


def test_the_farthest_chunk_by_hand():
    """Two halves of the reference, each in cells of its own; one segment."""
    rng = np.random.default_rng(19)
    score = rng.uniform(0.2, 0.8, 4_000)
    fitted = PerformanceEstimator("accuracy", chunk=1_000).fit(
        pd.DataFrame({"y_pred_proba": score, "y_true": rng.random(4_000) < score})
    )
    cells = fitted.reference_.error_cells
    bins = bins_of_cells(cells)
    assert bins[0] == 0
    assert set(np.diff(bins)) <= {0, 1}
    assert bins[-1] < 16
    in_bins = np.bincount(bins[np.searchsorted(cells.edges, score)])
    assert_array_equal(fitted.reference_.scores.rows, in_bins[None])
    chunks = np.zeros((4, cells.edges.size + 1))
    chunks[:2, 10], chunks[2:, 40] = 1_000.0, 1_000.0
    later = chunks * np.array([0.0, 0.0, 1.0, 1.0])[:, None]
    scores = learn_reference_scores(cells, [("", slice(0, 4))], chunks, later)
    by_bin = np.stack([np.bincount(bins, c) for c in chunks])
    ahead = score_distance(by_bin[2:], by_bin[:2].sum(axis=0))
    assert scores.farthest[0] == ahead.max()
    among = [
        score_distance(by_bin[[i]], by_bin.sum(axis=0) - by_bin[i]) for i in range(4)
    ]
    assert ahead.max() > np.max(among)


@pytest.mark.parametrize("name", METRIC_NAMES)
def test_response_is_the_derivative_by_a_shift(name):
    rng = np.random.default_rng(20)
    reference = draw(4_000, 21)
    fitted = PerformanceEstimator("accuracy", chunk=None).fit(reference).reference_
    score = rng.uniform(0.02, 0.98, 300)
    soft = fitted.calibrator.predict(score)
    cells = measure_error_cells(
        fitted.calibrator,
        reference["y_pred_proba"].to_numpy(),
        fitted.calibrator.predict(reference["y_pred_proba"].to_numpy()),
    )
    group = Groups(
        parts=((None, np.array([0, 300])),),
        segment=np.array([""], dtype=object),
        chunk=np.array([0]),
    )
    metrics = resolve_metrics((name,), COSTS)

    def measured(moved):
        log_odds = np.log(soft / (1.0 - soft)) + moved
        rows = Rows(
            score=score,
            soft=1.0 / (1.0 + np.exp(-log_odds)),
            decisions=Decisions(threshold=0.5),
        )
        return measure(metrics, group, rows, error_cells=cells)

    axes = shift_axes(cells)
    by_row = axes.design[:, np.searchsorted(cells.edges, score)]
    step = 1e-4
    for axis in range(2):
        up, down = (measured(s * step * by_row[axis]).value[0, 0] for s in (1.0, -1.0))
        response = measured(0.0).response[0, 0, axis]
        # Second-order terms of the value are left out of the response.
        assert response == pytest.approx((up - down) / (2.0 * step), rel=0.05, abs=2e-3)


def test_the_interval_is_honest_where_calibration_moves_with_the_scores():
    """Each population has a calibration of its own: half a unit of log odds apart."""
    rng = np.random.default_rng(22)
    fitted = PerformanceEstimator("accuracy", chunk=2_000).fit(draw(10_000, 23))
    inside, levels = [], []
    for seed in range(60):
        frame = draw(2_000, [24, seed], mean=1.2)
        z = np.log(frame["y_pred_proba"] / (1.0 - frame["y_pred_proba"]))
        chance = 1.0 / (1.0 + np.exp(-z - rng.normal(0.0, 0.5)))
        frame["y_true"] = (rng.random(2_000) < chance).astype(int)
        new = analysis(fitted.estimate(frame))
        inside.append(bool(new["realized"].between(new["lower"], new["upper"]).all()))
        levels.append(new["trust"][0])
    assert set(levels) == {"none"}
    assert np.mean(inside) >= 0.88


def levels_of_simulated_model(scenario):
    data = simulate_credit_default(scenario, n_weeks=30, random_state=1)
    fitted = PerformanceEstimator("roc_auc", chunk="W", timestamp="timestamp").fit(
        data.reference
    )
    return analysis(fitted.estimate(data.production))["trust"]


@pytest.mark.parametrize("scenario", ["stable", "sudden", "gradual"])
def test_a_shift_that_the_map_survives_keeps_its_trust(scenario):
    levels = levels_of_simulated_model(scenario)
    assert (levels == "good").mean() > 0.8
    assert "none" not in set(levels)


def test_a_feature_that_is_served_otherwise_costs_trust_at_once():
    """Scores lose their meaning with it, and no estimate can see how much."""
    levels = levels_of_simulated_model("training_serving_skew")
    assert "good" not in set(levels)
