"""Worlds in which a model ignores a feature that matters, and the mix of it changes."""

from copy import copy
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit

from calibration.maps.spline_basis import cardinal_segments
from estimator import Monitor, PerformanceEstimator
from estimator.chunking.segments import Groups
from estimator.files.archive import read_archive, write_archive
from estimator.frames.adapted_soft_labels import AdaptedSoftLabels
from estimator.frames.features import learn_features
from estimator.label_free.adapted_measurement import measure_adapted
from estimator.label_free.adapter_arrays import (
    adapter_from_arrays,
    adapter_to_arrays,
)
from estimator.label_free.adapter_learning import Features, learn_adapter
from estimator.metrics.calibration_shift import shift_frame
from estimator.metrics.error_cells import NO_ERROR, measure_error_cells
from estimator.metrics.measurement import measure
from estimator.metrics.metric_names import resolve_metrics
from estimator.metrics.rows import Decisions, Rows
from estimator.performance_estimator import FORMAT, VERSION

FEATURES = ["group", "age", "idle"]
METHODS = ["feature_aware", "pape", "auto"]


def world(n, seed, *, share=0.5, drift=0.0, first_id=0):
    """Draw rows of two groups; in the second, labels are likelier than scores say.

    ``drift`` makes the scores of all rows say more or less than they did.
    """
    rng = np.random.default_rng(seed)
    second = rng.random(n) < share
    age = rng.normal(40.0, 10.0, n).round()
    score = expit(rng.normal(-0.4, 1.2, n))
    truth = expit((1.0 + drift) * logit(score) + np.where(second, 1.2, -1.2))
    return pd.DataFrame(
        {
            "id": np.arange(first_id, first_id + n),
            "y_pred_proba": score,
            "group": np.where(second, "second", "first"),
            "age": age,
            "idle": rng.integers(0, 3, n),
            "y_true": (rng.random(n) < truth).astype(int),
            "truth": truth,
        }
    )


REFERENCE = world(12_000, 0)
SHIFTED = world(9_000, 1, share=0.9, first_id=12_000)


@pytest.fixture(scope="module")
def fitted():
    return {
        method: PerformanceEstimator(
            chunk=3_000, method=method, features=FEATURES, metrics=["accuracy", "f1"]
        ).fit(REFERENCE)
        for method in ["cbpe", *METHODS]
    }


def estimates(performance, metric="accuracy", column="estimated"):
    estimated = performance.to_frame().query(
        "period == 'analysis' and metric == @metric"
    )
    return estimated[column].to_numpy()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("metric", ["accuracy", "f1"])
def test_a_change_of_the_mix_is_seen(fitted, method, metric):
    wide = estimates(fitted["cbpe"].estimate(SHIFTED), metric)
    performance = fitted[method].estimate(SHIFTED)
    realized = estimates(performance, metric, "realized")
    off = np.abs(estimates(performance, metric) - realized).mean()
    assert off < 0.35 * np.abs(wide - realized).mean()
    assert off < 0.03


@pytest.mark.parametrize("method", METHODS)
def test_intervals_cover_under_the_shift(fitted, method):
    performance = fitted[method].estimate(world(45_000, 2, share=0.85))
    realized = estimates(performance, column="realized")
    inside = (estimates(performance, column="lower") <= realized) & (
        realized <= estimates(performance, column="upper")
    )
    assert inside.mean() >= 0.8


def test_without_features_auto_is_cbpe():
    plain = PerformanceEstimator(chunk=3_000, method="cbpe").fit(REFERENCE)
    auto = PerformanceEstimator(chunk=3_000).fit(REFERENCE)
    # Features that a method does not use are not read.
    unread = PerformanceEstimator(chunk=3_000, method="cbpe", features=["nowhere"])
    expected = plain.estimate(SHIFTED).to_frame()
    for other in (auto, unread.fit(REFERENCE)):
        assert other.reference_.adapter is None
        pd.testing.assert_frame_equal(other.estimate(SHIFTED).to_frame(), expected)


def test_where_nothing_shifts_adapting_costs_nothing(fitted):
    same = world(30_000, 3)
    truth = np.where(same["y_pred_proba"] >= 0.5, same["truth"], 1.0 - same["truth"])
    expected = truth.reshape(10, 3_000).mean(axis=1)
    off = {
        method: np.sqrt(np.mean((estimates(e.estimate(same)) - expected) ** 2))
        for method, e in fitted.items()
    }
    for method in METHODS:
        assert off[method] < 1.03 * off["cbpe"] + 0.001


@pytest.mark.parametrize("method", METHODS)
def test_the_reference_is_cross_fitted(fitted, method):
    shown = fitted[method].reference_.performance
    assert np.abs(shown.estimated - shown.realized).max() < 0.05
    assert not np.array_equal(
        shown.estimated, fitted["cbpe"].reference_.performance.estimated
    )


def test_the_same_whatever_threads_and_frame(fitted, monkeypatch):
    expected = fitted["auto"].estimate(SHIFTED).to_frame()
    for module in ("feature_aware", "density_ratio"):
        monkeypatch.setattr(
            f"calibration.features.{module}.for_each",
            lambda items, work: [*map(work, items)],
        )
    alone = PerformanceEstimator(
        chunk=3_000, features=FEATURES, metrics=["accuracy", "f1"]
    ).fit(REFERENCE)
    turned = SHIFTED[SHIFTED.columns[::-1]].assign(
        age=SHIFTED["age"].astype("float32"),
        group=SHIFTED["group"].astype("category"),
        idle=SHIFTED["idle"].astype("int8"),
    )
    others = [turned, pl.from_pandas(SHIFTED), pa.Table.from_pandas(SHIFTED)]
    for frame in others:
        pd.testing.assert_frame_equal(alone.estimate(frame).to_frame(), expected)


def test_unknown_missing_and_absent_columns(fitted):
    estimator = fitted["auto"]
    odd = SHIFTED.assign(idle=np.nan)
    odd.loc[::2, "group"] = "third"
    odd.loc[::7, "age"] = np.nan
    assert np.isfinite(estimates(estimator.estimate(odd))).all()
    with pytest.raises(ValueError, match="'age'"):
        estimator.estimate(SHIFTED.drop(columns="age"))
    with pytest.raises(TypeError, match=r"`production\['age'\]` \(features\)"):
        estimator.estimate(SHIFTED.assign(age="old"))
    one = PerformanceEstimator(chunk=3_000, features="group").fit(REFERENCE)
    assert len(one.reference_.adapter.table.features) == 1
    with pytest.raises(ValueError, match="must tell rows apart"):
        PerformanceEstimator(chunk=3_000, features=["same"]).fit(
            REFERENCE.assign(same=1)
        )


def test_a_chunk_far_outside_is_noted_with_what_drives_it(fitted):
    far = SHIFTED.assign(age=SHIFTED["age"] + 300.0)
    performance = fitted["auto"].estimate(far)
    (note,) = set(estimates(performance, column="note"))
    assert "far outside the reference: at least 90% of the rows" in note
    assert note.split("; ")[0].endswith("by age")
    assert set(estimates(performance, column="trust")) == {"none"}
    # What the reference cannot tell is left to the score.
    reference = fitted["auto"].reference_
    assert reference.adapter.weight_beyond < 0.1
    plain = estimates(fitted["cbpe"].estimate(far))
    assert_allclose(estimates(performance), plain, atol=0.01)
    # Had trees been borne out in rows of unseen kinds, they would count there.
    proven = copy(fitted["auto"])
    proven.reference_ = replace(
        reference, adapter=replace(reference.adapter, weight_beyond=1.0)
    )
    assert (np.abs(estimates(proven.estimate(far)) - plain) > 0.01).all()
    assert set(estimates(fitted["auto"].estimate(SHIFTED), column="note")) == {""}


def test_an_adapter_saved_before_label_shift_was_learned_is_read(fitted):
    adapter = fitted["auto"].reference_.adapter
    header, arrays = adapter_to_arrays(adapter)
    again = adapter_from_arrays(header, arrays)
    assert asdict(again.label_shift) == asdict(adapter.label_shift)
    older = {
        name: value
        for name, value in header.items()
        if name not in ("label_shift", "weight_beyond")
    }
    read = adapter_from_arrays(older, arrays)
    assert read.label_shift is None
    assert read.weight_beyond == 0.0
    broken = header | {"label_shift": header["label_shift"] | {"centre": "much"}}
    with pytest.raises(TypeError, match="'centre' of the adapter is 'much'"):
        adapter_from_arrays(broken, arrays)


def test_small_chunks_and_rows_without_a_score(fitted):
    frame = SHIFTED[:3_150].copy()
    frame.loc[frame.index[:500], "y_pred_proba"] = np.nan
    performance = fitted["pape"].estimate(frame)
    first, last = estimates(performance, column="note")
    assert first == "500 rows left out: no score"
    assert last == "no density ratio: fewer than 200 rows; incomplete: 150 of 3000 rows"
    plain = fitted["cbpe"].estimate(frame)
    assert_allclose(estimates(performance)[1], estimates(plain)[1], atol=1e-3)
    assert estimates(performance, column="n_rows").tolist() == [2_500, 150]


def test_the_error_of_adapting_is_part_of_the_interval():
    """Twin of the formula: inflated variance, and a share of the way squared."""
    rng = np.random.default_rng(4)
    score = rng.random(2_000)
    label = rng.random(2_000) < score
    from calibration import SplineCalibrator

    calibrator = SplineCalibrator().fit(score, label)
    cells = measure_error_cells(calibrator, score, calibrator.predict(score))
    metrics = resolve_metrics(["roc_auc", "accuracy", "tp"], None)
    of_segment = np.arange(1_000, dtype=np.int64)
    groups = Groups(
        parts=(
            (None, np.array([0, 900, 2_000])),
            (of_segment, np.array([0, 400, 1_000])),
        ),
        segment=np.array(["", "", "a=b", "a=b"], dtype=object),
        chunk=np.array([0, 1, 0, 1]),
    )
    moved = np.clip(score + 0.05, 0.01, 0.99)
    inflation, outside = rng.uniform(1.0, 2.0, 2_000), np.zeros(2_000)
    outside[900:] = 0.6
    rows = Rows(
        score=score, soft=calibrator.predict, decisions=Decisions(threshold=0.5)
    )
    frame = shift_frame(cells)
    measured = measure_adapted(
        metrics,
        groups,
        rows,
        adapted=AdaptedSoftLabels(
            calibrated=moved, inflation=inflation, unknown_shift=outside
        ),
        relative_error=0.4,
        frame=frame,
        error_cells=cells,
    )
    adapted = measure(metrics, groups, replace(rows, soft=moved), error_cells=cells)
    plain = measure(metrics, groups, rows, error_cells=cells)
    phi = [
        inflation[a:b].mean()
        for a, b in ((0, 900), (900, 2_000), (0, 400), (400, 1_000))
    ]
    expected = (
        np.array(phi)[:, None] ** 2 * plain.calibration_variance
        + 0.16 * (adapted.value - plain.value) ** 2
    )
    # Where nothing is known, log odds and their slope may be off: finite differences.
    x, of_map = logit(moved), logit(calibrator.predict(score))
    for direction, deviation in (
        (np.ones(2_000), 0.5),
        ((of_map - frame.centre) / frame.scale, 0.25),
    ):
        off = [
            measure(
                metrics, groups, replace(rows, soft=expit(x + step * direction))
            ).value
            for step in (1e-4, -1e-4)
        ]
        slope = (off[0] - off[1]) / 2e-4
        share = np.array([0.0, 0.6, 0.0, 0.1])  # 100 of the last 600 rows
        expected += (share[:, None] * deviation * slope) ** 2
    assert_allclose(measured.calibration_variance, expected, rtol=0.02)
    assert_array_equal(measured.value, adapted.value)


def learned(frame, method="auto"):
    from calibration import cross_fit

    table, matrix = learn_features(frame, FEATURES)
    score, label = frame["y_pred_proba"].to_numpy(), frame["y_true"].to_numpy(float)
    return learn_adapter(
        Features(method=method, table=table, matrix=matrix, random_state=0),
        Rows(
            score=score,
            soft=cross_fit("spline", score, label).probabilities,
            decisions=Decisions(threshold=0.5),
        ),
        score,
        label,
        error_cells=NO_ERROR,
        advance=lambda _: None,
    ).adapter


def test_the_weight_is_earned():
    """A mix that moves is explained by features; a concept that moves is not."""
    rng = np.random.default_rng(5)
    mixes = [world(1_500, s, share=rng.uniform(0.1, 0.9)) for s in range(12)]
    drifts = [world(1_500, s, drift=rng.normal(0.0, 0.6)) for s in range(12)]
    explained = learned(pd.concat(mixes, ignore_index=True))
    unexplained = learned(pd.concat(drifts, ignore_index=True))
    assert explained.weight > 0.8
    assert unexplained.weight < 0.5
    assert unexplained.relative_error > explained.relative_error
    # Alone, a method goes all the way, and its error says how much that is too far.
    alone = learned(pd.concat(drifts, ignore_index=True), "feature_aware")
    assert alone.weight == 1.0
    assert alone.relative_error > 0.5
    assert alone.sample is None


def test_progress_counts_what_there_is(monkeypatch):
    from estimator.progress import Progress

    seen = []

    class Recorded(Progress):
        def __exit__(self, *details):
            seen.append((self.total, self._done))
            super().__exit__(*details)

    monkeypatch.setattr("estimator.performance_estimator.Progress", Recorded)
    for method in METHODS:
        estimator = PerformanceEstimator(chunk=1_000, method=method, features="group")
        estimator.fit(REFERENCE[:4_000]).estimate(SHIFTED[:2_000])
    assert len(seen) == 6
    assert all(total == done for total, done in seen)


@pytest.mark.parametrize("method", METHODS)
def test_monitor_says_what_estimate_says(fitted, method, tmp_path):
    estimator = fitted[method]
    rows = SHIFTED.drop(columns=["y_true", "truth"])
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(rows[:3_000])
    monitor.save(tmp_path / "monitor.npz")
    monitor = Monitor.load(tmp_path / "monitor.npz")
    monitor.add_predictions(rows[3_000:].sample(frac=1.0, random_state=0).sort_index())
    expected = estimator.estimate(rows).to_frame()
    pd.testing.assert_frame_equal(monitor.performance().to_frame(), expected)
    # Labels of some: reconciled starts from what features say, not from the score.
    some = SHIFTED[["id", "y_true"]][:1_000]
    monitor.add_labels(some)
    performance = monitor.performance()
    assert_array_equal(estimates(performance), estimates(estimator.estimate(rows)))
    monitor.add_labels(SHIFTED[["id", "y_true"]])
    performance = monitor.performance()
    assert_array_equal(
        estimates(performance, column="value"),
        estimates(performance, column="realized"),
    )


def test_reconciling_starts_from_the_adapted_estimate(fitted):
    """A handful of labels cannot yet move what features say."""
    value = {}
    for method in ("auto", "cbpe"):
        monitor = Monitor(fitted[method], row_id="id")
        monitor.add_predictions(SHIFTED.drop(columns="y_true"))
        monitor.add_labels(SHIFTED[["id", "y_true"]][:3])
        performance = monitor.performance()
        value[method] = estimates(performance, column="value")
        assert np.abs(value[method] - estimates(performance)).max() < 0.02
    assert np.abs(value["auto"] - value["cbpe"]).min() > 0.02


def test_a_note_of_a_monitor_survives_saving(fitted, tmp_path):
    monitor = Monitor(fitted["auto"], row_id="id")
    far = SHIFTED.assign(age=SHIFTED["age"] + 300.0).drop(columns="y_true")
    monitor.add_predictions(far[:3_000])
    monitor.add_predictions(SHIFTED[3_000:].drop(columns="y_true"))
    notes = estimates(monitor.performance(), column="note").tolist()
    assert ["far outside" in note for note in notes] == [True, False, False]
    monitor.save(tmp_path / "monitor.npz")
    again = Monitor.load(tmp_path / "monitor.npz")
    assert estimates(again.performance(), column="note").tolist() == notes


def test_a_rebase_from_features_to_none_and_back(fitted):
    """Rows keep what the estimator of their time made of them, where that still is."""
    monitor = Monitor(fitted["auto"], row_id="id")
    rows = SHIFTED.drop(columns=["y_true", "truth"])
    monitor.add_predictions(rows[:4_000])
    before = estimates(monitor.performance())
    monitor.rebase(fitted["cbpe"], from_chunk=2)
    monitor.add_predictions(rows[4_000:8_000])
    monitor.rebase(fitted["auto"], from_chunk=3)
    monitor.add_predictions(rows[8_000:].assign(id=rows["id"] + 50_000))
    estimated = estimates(monitor.performance())
    assert estimated[0] == before[0]
    assert estimated[2] == estimates(fitted["cbpe"].estimate(rows))[2]
    assert np.isfinite(estimated).all()


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_it_says_the_same(fitted, method, tmp_path):
    path = tmp_path / "estimator.npz"
    fitted[method].save(path)
    again = PerformanceEstimator.load(path)
    expected = fitted[method].estimate(SHIFTED).to_frame()
    pd.testing.assert_frame_equal(again.estimate(SHIFTED).to_frame(), expected)
    with np.load(path, allow_pickle=False) as archive:
        sampled = any("sample" in name for name in archive.files)
    assert sampled == (method != "feature_aware")  # which keeps no row


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"features": ["age", "y_true"]}, ValueError, "'y_true' is the label"),
        ({"features": ["age", "age"]}, ValueError, "'age' comes twice"),
        ({"features": {"age", "group"}}, TypeError, "must be a list"),
        ({"features": iter(["age"])}, TypeError, "must be a list"),
        ({"features": "age", "random_state": None}, ValueError, "`random_state` must"),
        ({"features": "age", "random_state": -1}, ValueError, "`random_state` must"),
        ({"features": "age", "random_state": 1.5}, ValueError, "`random_state` must"),
    ],
)
def test_wrong_features_and_seeds_are_refused(options, error, match):
    with pytest.raises(error, match=match):
        PerformanceEstimator(chunk=3_000, **options).fit(REFERENCE)


def test_names_from_a_frame_and_seeds_from_numpy_can_be_saved(tmp_path):
    estimator = PerformanceEstimator(
        chunk=3_000,
        method="feature_aware",
        features=REFERENCE[FEATURES].columns,
        random_state=np.int64(3),
    ).fit(REFERENCE)
    estimator.save(tmp_path / "estimator.npz")
    again = PerformanceEstimator.load(tmp_path / "estimator.npz")
    assert again.features == tuple(FEATURES)
    assert again.reference_.adapter.random_state == 3


def test_beyond_the_scores_of_the_reference_their_overall_slope_goes_on(fitted):
    """Where features tell nothing new, far scores are no worse off than the score's."""
    frame = world(3_000, 6)
    frame["y_pred_proba"] = expit(logit(frame["y_pred_proba"]) - 6.0)
    performance = fitted["auto"].estimate(frame)
    metrics = ["roc_auc", "brier_score"]
    both = [
        PerformanceEstimator(metrics, method, 3_000, features=FEATURES)
        .fit(REFERENCE)
        .estimate(frame)
        for method in ("auto", "cbpe")
    ]
    for metric in metrics:
        ours, plain = (estimates(one, metric)[0] for one in both)
        assert ours == pytest.approx(plain, abs=0.05)
    assert "extrapolated" in estimates(performance, column="note")[0]


def test_a_file_from_before_maps_had_tails_goes_on_with_its_slope(fitted, tmp_path):
    """Such a file holds a natural spline, and a slope with what was adapted."""
    fitted["auto"].save(tmp_path / "new.npz")
    header, arrays = read_archive(tmp_path / "new.npz", FORMAT, VERSION, "")
    inner = arrays["calibrator/knots_"][1:-1]
    arrays["calibrator/knots_"] = inner
    arrays["calibrator/segments_"] = cardinal_segments(inner)
    for name in ("coefficients_", "covariance_"):
        whole = arrays[f"calibrator/{name}"]
        arrays[f"calibrator/{name}"] = whole[(slice(-2),) * whole.ndim]
    header["adapter"]["outer_slope"] = 0.3
    write_archive(tmp_path / "old.npz", header, arrays)
    old = PerformanceEstimator.load(tmp_path / "old.npz")
    calibrator = old.reference_.calibrator
    ends = old.reference_.adapter.score_range
    far = expit(logit(ends) + np.array([-2.0, 2.0]))
    moved = logit(calibrator.predict(far)) - logit(calibrator.predict(ends))
    assert_allclose(moved, [-0.6, 0.6], rtol=1e-6)
    assert_allclose(
        estimates(old.estimate(SHIFTED)),
        estimates(fitted["auto"].estimate(SHIFTED)),
        atol=1e-4,
    )


def test_rows_of_an_earlier_deployment_are_read_by_its_estimator(fitted):
    rows = SHIFTED.drop(columns=["y_true", "truth"])
    one = Monitor(fitted["auto"], row_id="id")
    other = Monitor(fitted["auto"], row_id="id")
    for monitor in (one, other):
        monitor.add_predictions(rows[:3_000])
    one.rebase(fitted["cbpe"], from_chunk=2)  # not yet
    for monitor in (one, other):
        monitor.add_predictions(rows[3_000:6_000])
    estimated = estimates(one.performance())
    assert_array_equal(estimated, estimates(other.performance()))


def test_a_chunk_once_far_outside_stays_noted(fitted):
    far = SHIFTED.assign(age=SHIFTED["age"] + 300.0).drop(columns="y_true")
    monitor = Monitor(fitted["auto"], row_id="id")
    monitor.add_predictions(far[:100])
    note = estimates(monitor.performance(), column="note")[0]
    assert note.startswith("no density ratio: fewer than 200 rows")
    monitor.add_predictions(far[100:2_900])
    monitor.add_predictions(far[2_900:3_000])
    assert estimates(monitor.performance(), column="note")[0].startswith("far outside")


def test_the_note_always_names_a_feature():
    rng = np.random.default_rng(7)
    names = [f"x{i}" for i in range(20)]
    frame = world(6_000, 8)[["y_pred_proba", "y_true"]]
    frame = pd.concat(
        [frame, pd.DataFrame(rng.normal(size=(6_000, 20)), columns=names)], axis=1
    )
    estimator = PerformanceEstimator(chunk=2_000, features=names).fit(frame)
    far = frame[:2_000].copy()
    far[names] += 1.5
    note = estimates(estimator.estimate(far), column="note")[0]
    assert "hardly found there, by x" in note


@pytest.mark.parametrize("method", METHODS)
def test_a_map_that_is_certain_somewhere_leaves_intervals_finite(method):
    """Isotonic maps say 0 and 1 at the ends, where features say something else."""
    frame = REFERENCE.assign(
        y_true=np.where(REFERENCE["y_pred_proba"] < 0.1, 0, REFERENCE["y_true"])
    )
    estimator = PerformanceEstimator(
        chunk=3_000, method=method, features=FEATURES, calibrator="isotonic"
    ).fit(frame)
    performance = estimator.estimate(SHIFTED)
    for metric in ("roc_auc", "accuracy"):
        width = estimates(performance, metric, "upper") - estimates(
            performance, metric, "lower"
        )
        assert (width < 0.3).all()
