import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss

from calibration import FeatureAwareCalibrator, SplineCalibrator, cross_fit


def world(n, seed, *, gap=1.0):
    """Draw scores that are ``gap`` too low in one group and too high in the other."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, n).astype(float)
    idle = rng.normal(size=n)
    score = expit(rng.normal(size=n))
    truth = expit(logit(score) + gap * (2.0 * group - 1.0))
    label = (rng.random(n) < truth).astype(float)
    return score, label, np.stack([group, idle], axis=1), truth


@pytest.fixture(scope="module", params=[True, False], ids=["monotone", "free"])
def fitted(request):
    score, label, X, _ = world(12_000, 0)
    return FeatureAwareCalibrator(monotone=request.param).fit(score, label, X)


def test_groups_with_the_same_score_get_their_own_probability(fitted):
    score, _, X, truth = world(5_000, 1)
    p = fitted.predict(score, X)
    blind = SplineCalibrator().fit(*world(12_000, 0)[:2]).predict(score)
    assert np.sqrt(np.mean((p - truth) ** 2)) < 0.25 * np.sqrt(
        np.mean((blind - truth) ** 2)
    )
    assert fitted.importance_[1] > 0.5
    assert_allclose(fitted.importance_.sum(), 1.0)


def test_a_shift_inside_score_bands_is_seen(fitted):
    """The mix of groups changes, at the same scores: the blind map is off by much."""
    score, _, X, truth = world(20_000, 2)
    only = X[:, 0] == 1.0
    p = fitted.predict(score[only], X[only])
    blind = fitted.spline_.predict(score[only])
    assert abs(p.mean() - truth[only].mean()) < 0.02
    assert abs(blind.mean() - truth[only].mean()) > 0.1


def test_monotone_in_the_score():
    # Of one group the score says little: its map must be flatter, yet never fall.
    rng = np.random.default_rng(9)
    group, score = (
        rng.integers(0, 2, 12_000).astype(float),
        expit(rng.normal(size=12_000)),
    )
    truth = expit(logit(score) * np.where(group == 1.0, 1.8, 0.5))
    label = (rng.random(12_000) < truth) * 1.0
    X = np.stack([group, rng.normal(size=12_000)], axis=1)
    fitted = FeatureAwareCalibrator().fit(score, label, X)
    away = fitted.predict(score, X) - truth
    blind = fitted.spline_.predict(score) - truth
    assert np.mean(away**2) < 0.2 * np.mean(blind**2)
    score = np.linspace(0.001, 0.999, 500)
    for group in (0.0, 1.0, np.nan):
        X = np.tile([group, 0.3], (500, 1))
        assert (np.diff(fitted.predict(score, X)) >= -1e-9).all()


def test_where_features_say_nothing_it_is_about_the_spline():
    score, label, X, truth = world(8_000, 3, gap=0.0)
    calibrator = FeatureAwareCalibrator().fit(score, label, X)
    away = calibrator.predict(score, X) - calibrator.spline_.predict(score)
    assert np.sqrt(np.mean(away**2)) < 0.01
    assert log_loss(label, calibrator.out_of_fold_) < log_loss(label, truth) + 0.003


def test_out_of_fold_is_what_maps_without_these_rows_say():
    score, label, X, _ = world(4_000, 4)
    calibrator = FeatureAwareCalibrator().fit(score, label, X)
    score = np.clip(score, *calibrator.score_range_)
    base = 0.5 * logit(cross_fit("spline", score, label).probabilities)
    matrix = np.column_stack([logit(score), X])
    basis = calibrator.spline_.basis(score)
    for (start, stop), trees in zip(calibrator.folds_, calibrator.trees_, strict=True):
        fold = slice(start, stop)
        raw = trees.predict(matrix[fold], raw_score=True)
        put_back = logit(calibrator.out_of_fold_[fold]) - base[fold] - raw
        # What is put back is a spline of the score with the same knots, and no more.
        fold_recalibration, *_ = np.linalg.lstsq(basis[fold], put_back)
        assert_allclose(basis[fold] @ fold_recalibration, put_back, atol=1e-6)
        assert np.abs(fold_recalibration - calibrator.recalibration_).max() < 0.2
    assert not calibrator.out_of_fold_.flags.writeable


def test_without_a_shift_scores_keep_their_meaning():
    """Trees that stop early are too timid; by score the map must not be."""
    rng = np.random.default_rng(10)
    X = rng.normal(size=(40_000, 10))
    score = expit(rng.normal(size=40_000))
    truth = expit(0.5 * logit(score) + X @ np.linspace(-0.6, 0.6, 10))
    label = (rng.random(40_000) < truth) * 1.0
    reference, new = slice(None, 20_000), slice(20_000, None)
    calibrator = FeatureAwareCalibrator().fit(
        score[reference], label[reference], X[reference]
    )
    p = calibrator.predict(score[new], X[new])
    for low, high in ((0.0, 0.2), (0.4, 0.6), (0.8, 1.0)):
        band = (score[new] >= low) & (score[new] < high)
        gap = p[band].mean() - label[new][band].mean()
        assert abs(gap) < 3.0 * np.sqrt(0.25 / band.sum() + 0.25 / band.sum())


def test_scores_beyond_the_reference_are_read_as_its_ends(fitted):
    low, high = fitted.score_range_
    X = np.zeros((2, 2))
    assert_array_equal(fitted.predict([0.0, 1.0], X), fitted.predict([low, high], X))


def test_categories_missing_and_new_codes():
    rng = np.random.default_rng(5)
    n = 10_000
    code = rng.integers(0, 8, n).astype(float)
    score = expit(rng.normal(size=n))
    effect = np.array([1.5, -1.5, 0.7, -0.7, 1.5, -1.5, 0.7, -0.7])  # in no order
    label = (rng.random(n) < expit(logit(score) + effect[code.astype(int)])) * 1.0
    code[rng.random(n) < 0.05] = np.nan
    calibrator = FeatureAwareCalibrator().fit(
        score, label, code[:, None], categorical=[0]
    )
    by_code = calibrator.predict(np.full(8, 0.5), np.arange(8.0)[:, None])
    assert_array_equal(by_code > 0.5, effect > 0.0)
    new = calibrator.predict([0.5, 0.5], [[99.0], [np.nan]])
    assert_allclose(new[0], new[1])
    assert 0.3 < new[0] < 0.7


def test_the_same_whatever_the_threads(monkeypatch):
    import calibration.features.feature_aware as module

    score, label, X, _ = world(3_000, 6)
    one = FeatureAwareCalibrator().fit(score, label, X)
    monkeypatch.setattr(module, "for_each", lambda items, work: [*map(work, items)])
    other = FeatureAwareCalibrator().fit(score, label, X)
    assert_array_equal(one.out_of_fold_, other.out_of_fold_)
    assert_array_equal(one.predict(score, X), other.predict(score, X))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.ones((3, 1)), "one row per score, got 3 rows for 4000 scores"),
        (np.ones(4_000), "must have shape"),
        (np.full((4_000, 1), np.inf), "must not be infinite"),
    ],
)
def test_bad_features_are_refused(features, message):
    score, label, *_ = world(4_000, 7)
    with pytest.raises(ValueError, match=message):
        FeatureAwareCalibrator().fit(score, label, features)


def test_predict_wants_the_features_of_the_fit(fitted):
    with pytest.raises(ValueError, match=r"must have shape \(2, 2\)"):
        fitted.predict([0.1, 0.2], np.ones((2, 3)))
    with pytest.raises(ValueError, match="`score` must lie in"):
        fitted.predict([1.1], np.ones((1, 2)))
    with pytest.raises(NotFittedError):
        FeatureAwareCalibrator().predict([0.5], [[1.0]])


def test_arrays_bring_it_back(fitted):
    arrays = fitted.to_arrays()
    assert all(values.dtype.kind in "biuf" for values in arrays.values())
    again = FeatureAwareCalibrator.from_arrays(arrays)
    score, _, X, _ = world(500, 11)
    assert_array_equal(again.predict(score, X), fitted.predict(score, X))
    assert again.get_params() == fitted.get_params()
    arrays["trees/0"] = np.frombuffer(b"trees of another wood", dtype=np.uint8)
    with pytest.raises(ValueError, match="must be trees as text"):
        FeatureAwareCalibrator.from_arrays(arrays)


def test_what_is_put_back_does_not_go_against_a_folds_labels(monkeypatch):
    """Without trees nothing but chance is left to put back: about nothing."""
    import calibration.features.feature_aware as module

    monkeypatch.setattr(module, "grow_trees", lambda *_: None)
    slopes = []
    for seed in range(8):
        score, label, X, _ = world(3_000, seed, gap=0.0)
        calibrator = FeatureAwareCalibrator().fit(score, label, X)
        before = cross_fit("spline", score, label).probabilities
        moved, missed = [], []
        for start, stop in calibrator.folds_:
            fold = slice(start, stop)
            moved.append(np.mean(calibrator.out_of_fold_[fold] - before[fold]))
            missed.append(np.mean(label[fold] - before[fold]))
        slopes.append(np.dot(moved, missed) / np.dot(missed, missed))
    assert abs(np.mean(slopes)) < 0.05


def test_half_a_tree_is_refused(fitted):
    arrays = fitted.to_arrays()
    arrays["trees/1"] = arrays["trees/1"][: arrays["trees/1"].size // 2]
    with pytest.raises(ValueError, match="as a whole"):
        FeatureAwareCalibrator.from_arrays(arrays)
