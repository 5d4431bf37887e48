import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calibration import tracking
from calibration.tracking import FAMILIES, track_shift

# A thousand models: minutes in plain Python, where the kernels have their own tests.
pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="slow without JIT")

PRIOR = np.eye(2) * 1e-3
STRENGTH = 300.0


def evidence(shift, *, unknown=0, seed=0):
    """Return what chunks say of a shift, with noise; the last say nothing."""
    shift = np.asarray(shift, dtype=float)
    n = len(shift)
    information = np.tile(np.array([[1.0, 0.2], [0.2, 1.0]]) * STRENGTH, (n, 1, 1))
    noise = np.random.default_rng(seed).normal(size=(n, 2))
    root = np.linalg.cholesky(np.linalg.inv(information))
    seen = shift + np.einsum("nij,nj->ni", root, noise)
    if unknown:
        information[-unknown:] = 0.0
    return information, np.einsum("nij,nj->ni", information, seen)


def of_slope(slope):
    return np.stack([np.zeros(len(slope)), slope], axis=1)


def track(*args):
    return track_shift(*args, prior_covariance=PRIOR)


def test_without_information_nothing_is_learned():
    path = track(np.zeros((30, 2, 2)), np.zeros((30, 2)))
    assert_array_equal(path.mean, 0.0)
    # Families that too few chunks could tell are not there; the others share.
    there = {"still", "offset", "jump", "random_walk", "mean_reverting"}
    worth = sum(FAMILIES[name] for name in there)
    for name, weight in path.weights.items():
        assert_allclose(weight, FAMILIES[name] / worth if name in there else 0.0)


def test_where_nothing_moves_it_stands_still():
    path = track(*evidence(np.zeros((40, 2)), unknown=4))
    assert max(path.weights, key=path.weights.get) == "still"
    assert np.abs(path.mean[-1]).max() < 0.01
    assert np.sqrt(path.covariance[-1, 1, 1]) < 0.06


def test_a_step_is_found_and_kept():
    slope = np.where(np.arange(40) >= 12, -0.5, 0.0)
    path = track(*evidence(of_slope(slope), unknown=6))
    assert path.weights["jump"] > 0.9
    assert_allclose(path.mean[[5, -1], 1], [0.0, -0.5], atol=0.05)


def test_a_cycle_goes_on_where_labels_end():
    chunk = np.arange(40)
    slope = 0.25 * np.sin(2 * np.pi * chunk / 10)
    path = track(*evidence(of_slope(slope), unknown=6))
    assert path.weights["seasonal"] > 0.9
    assert np.abs(path.mean[-6:, 1] - slope[-6:]).max() < 0.1
    assert np.abs(slope[-7] - slope[-6:]).max() > 0.3  # what the last label says


def test_a_ramp_goes_on_and_is_damped():
    slope = -0.02 * np.arange(60)
    path = track(*evidence(of_slope(slope), unknown=30))
    assert path.weights["trend"] > 0.9
    steps = np.diff(path.mean[-30:, 1])
    assert (steps < 0).all()
    assert abs(steps[-1]) < abs(steps[0])
    assert abs(path.mean[32, 1] - slope[32]) < 0.1


def test_doubt_grows_where_labels_end():
    slope = np.random.default_rng(1).normal(0, 0.2, 40).cumsum()
    path = track(*evidence(of_slope(slope), unknown=10))
    doubt = path.covariance[-11:, 1, 1]
    assert (np.diff(doubt) > 0).all()


def test_covariances_are_symmetric_and_positive():
    slope = np.random.default_rng(1).normal(0, 0.2, 40).cumsum()
    for unknown in (0, 10):
        path = track(*evidence(of_slope(slope), unknown=unknown))
        assert_array_equal(path.covariance, path.covariance.transpose(0, 2, 1))
        assert (np.linalg.eigvalsh(path.covariance) > 0).all()
        assert_allclose(sum(path.weights.values()), 1.0)


def test_more_information_leaves_less_doubt():
    information, _ = evidence(np.zeros((30, 2)))
    seen = np.zeros((30, 2))
    doubts = [np.trace(track(information * k, seen).covariance[15]) for k in (1, 4, 16)]
    assert doubts == sorted(doubts, reverse=True)


def test_one_direction_may_be_all_that_is_known():
    information = np.tile(np.diag([STRENGTH, 0.0]), (20, 1, 1))
    vector = np.zeros((20, 2))
    vector[:, 0] = STRENGTH * 0.4
    path = track(information, vector)
    assert_allclose(path.mean[-1, 0], 0.4, atol=0.05)
    assert abs(path.mean[-1, 1]) < 0.2


def test_a_shaky_calibration_is_corrected_without_a_drift():
    """Where the map itself is uncertain, labels sharpen it: nothing has moved."""
    seen = evidence(np.tile([0.1, -0.1], (40, 1)), unknown=2)
    path = track_shift(*seen, prior_covariance=np.eye(2) * 0.1**2)
    assert path.weights["still"] > 0.7
    assert_allclose(path.mean[-1], [0.1, -0.1], atol=0.03)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9, 60])
def test_any_number_of_chunks_will_do(n):
    path = track(*evidence(np.zeros((n, 2))))
    assert path.mean.shape == (n, 2)
    assert np.isfinite(path.covariance).all()
    empty = track(np.zeros((0, 2, 2)), np.zeros((0, 2)))
    assert empty.mean.shape == (0, 2)


def test_threads_change_nothing(monkeypatch):
    seen = evidence(np.zeros((300, 2)))
    together = track(*seen)
    monkeypatch.setattr(tracking, "share_out", lambda bounds, work: work(slice(None)))
    alone = track(*seen)
    assert_array_equal(together.mean, alone.mean)
    assert_array_equal(together.covariance, alone.covariance)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, v: (i[:, :1], v), r"`information` must have shape \(5, 2, 2\)"),
        (lambda i, v: (i, v[:4]), r"`vector` must have shape \(5, 2\)"),
        (lambda i, v: (i, v * np.nan), "`vector` must be finite"),
        (lambda i, v: (-i, v), "positive semidefinite, but that of chunk 0"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        track(*change(*evidence(np.zeros((5, 2)))))
