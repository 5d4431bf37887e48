import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calibration.shifts import filtering, tracking
from calibration.shifts.filtering import filter_chunks
from calibration.shifts.motions import (
    FAMILIES,
    SETTINGS,
    cycles,
    levels,
    log_priors,
    motions,
)
from calibration.shifts.tracking import TrackingSettings, track_shift

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
    families = {"still", "offset", "jump", "random_walk", "mean_reverting"}
    total = sum(FAMILIES[name] for name in families)
    for name, weight in path.weights.items():
        assert_allclose(weight, FAMILIES[name] / total if name in families else 0.0)


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


def dense(information, vector, shift_covariance):
    """Condition a joint normal shift of all chunks on what they say, densely."""
    n = len(vector)
    joint = np.zeros((2 * n, 2 * n))
    for t in range(n):
        joint[2 * t : 2 * t + 2, 2 * t : 2 * t + 2] = information[t]
    inner = np.eye(2 * n) + joint @ shift_covariance
    posterior = shift_covariance @ np.linalg.inv(inner)
    mean = posterior @ vector.ravel()
    log_evidence = 0.5 * vector.ravel() @ mean - 0.5 * np.linalg.slogdet(inner)[1]
    blocks = [posterior[2 * t : 2 * t + 2, 2 * t : 2 * t + 2] for t in range(n)]
    return log_evidence, mean.reshape(n, 2), np.array(blocks)


def covariances(n, prior):
    """Yield family and covariance of the shift of all chunks, of each motion."""
    t = np.arange(n)
    one = np.kron(np.ones((n, n)), prior)
    steps = levels(n)
    for family, begin, size in zip(
        steps.family, steps.begin, steps.deviation, strict=True
    ):
        after = np.outer(t >= begin, t >= begin)
        yield family, one + np.kron(after, np.diag(size**2))
    waves = cycles(n, any_at_all=n >= 8)
    for frequency in waves.frequency:
        wave = np.cos(2 * np.pi * frequency * (t[:, None] - t))
        for size in waves.deviation:
            yield (
                list(FAMILIES).index("seasonal"),
                one + np.kron(wave, np.diag(size**2)),
            )
    for group in motions():
        for m in np.flatnonzero(group.has_members(n, n)):
            F = np.kron(group.transition[:, :, m], np.eye(2))
            state = np.diag(group.start[:, m])
            state[:2, :2] += prior
            Z = np.kron(group.seen, np.eye(2))
            out = np.zeros((2 * n, 2 * n))
            for a in range(n):
                state = F @ state @ F.T + np.diag(group.noise[:, m])
                later = state
                for b in range(a, n):
                    block = Z @ later @ Z.T
                    out[2 * b : 2 * b + 2, 2 * a : 2 * a + 2] = block
                    out[2 * a : 2 * a + 2, 2 * b : 2 * b + 2] = block.T
                    later = F @ later
            yield group.family[m], out


@pytest.mark.parametrize("n", [1, 5, 9])
def test_it_is_the_average_of_all_motions(n, monkeypatch):
    """Each motion conditioned densely, weighted by its evidence."""
    everything = TrackingSettings(max_smoothed=10_000, negligible=0.0)
    monkeypatch.setattr(tracking, "SETTINGS", everything)
    slope = np.random.default_rng(3).normal(0, 0.2, n).cumsum()
    information, vector = evidence(of_slope(slope))
    prior = np.array([[2e-3, 5e-4], [5e-4, 1e-3]])
    models = [
        (family, *dense(information, vector, covariance))
        for family, covariance in covariances(n, prior)
    ]
    family = np.array([model[0] for model in models])
    log_weight = log_priors([family])[0] + [model[1] for model in models]
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    means, within = (np.stack([model[i] for model in models]) for i in (2, 3))
    mean = np.einsum("m,mti->ti", weight, means)
    away = means - mean
    between = np.einsum("m,mti,mtj->tij", weight, away, away)
    path = track_shift(information, vector, prior_covariance=prior)
    assert_allclose(path.mean, mean, atol=1e-10)
    expected = np.einsum("m,mtij->tij", weight, within) + between
    assert_allclose(path.covariance, expected, atol=1e-10)
    for i, name in enumerate(FAMILIES):
        assert_allclose(path.weights[name], weight[family == i].sum(), atol=1e-10)


@pytest.mark.parametrize("kind", ["still", "walk", "step", "cycle"])
@pytest.mark.parametrize("n", [3, 30, 130])
def test_filtered_chunks_change_nothing(n, kind):
    t = np.arange(n)
    slope = {
        "still": np.zeros(n),
        "walk": np.random.default_rng(1).normal(0, 0.1, n).cumsum(),
        "step": np.where(t >= n // 2, -0.5, 0.0),
        "cycle": 0.25 * np.sin(2 * np.pi * t / 7),
    }[kind]
    information, vector = evidence(of_slope(slope), unknown=1)
    information[1], vector[1] = 0.0, 0.0  # a chunk between that says nothing
    whole = track(information, vector)
    filtered = None
    for first in (0, 1, n // 2, n - 1):
        filtered = filter_chunks(
            information[:first], vector[:first], prior_covariance=PRIOR, before=filtered
        )
        assert len(filtered) == first
        path = track_shift(
            information, vector, prior_covariance=PRIOR, filtered=filtered
        )
        assert_allclose(path.mean, whole.mean[first:], atol=1e-12)
        assert_allclose(path.covariance, whole.covariance[first:], atol=1e-12)
        assert_allclose(
            list(path.weights.values()), list(whole.weights.values()), atol=1e-10
        )
    at_once = filter_chunks(
        information[: n - 1], vector[: n - 1], prior_covariance=PRIOR
    )
    for ours, theirs in zip(filtered.states, at_once.states, strict=True):
        assert_allclose(ours.mean, theirs.mean, atol=1e-13)


def test_filtered_chunks_that_have_changed_are_filtered_anew():
    information, vector = evidence(np.zeros((20, 2)))
    before = filter_chunks(information[:10], vector[:10], prior_covariance=PRIOR)
    changed = vector.copy()
    changed[4] += 10.0  # a late label, far back
    with pytest.raises(ValueError, match="`filtered` must be of the first 10"):
        track_shift(information, changed, prior_covariance=PRIOR, filtered=before)
    for first in (8, 10, 15):
        again = filter_chunks(
            information[:first], changed[:first], prior_covariance=PRIOR, before=before
        )
        alone = filter_chunks(
            information[:first], changed[:first], prior_covariance=PRIOR
        )
        for ours, theirs in zip(again.states, alone.states, strict=True):
            assert_array_equal(ours.mean, theirs.mean)
            assert_array_equal(ours.log_likelihood, theirs.log_likelihood)
    assert (
        filter_chunks(
            information[:10], vector[:10], prior_covariance=PRIOR, before=before
        )
        is before
    )
    other = filter_chunks(
        information[:10], vector[:10], prior_covariance=PRIOR * 2, before=before
    )
    assert (other.states[0].covariance != before.states[0].covariance).any()


def test_damped_cycles_are_the_same_for_any_number_of_chunks():
    """So states of the first chunks stay good; slower ones than chunks are left out."""
    damped = [group for group in motions() if group.frequency.any()]
    frequency = np.unique(np.concatenate([group.frequency for group in damped]))
    # A third of the cycle per memory, as undamped ones are to a third per chunk.
    assert_allclose(np.diff(frequency), (1 - SETTINGS.cycle_persistence) / 3)
    assert all(group.family.size <= 3 * 17 for group in damped)
    has_members = np.concatenate([group.has_members(20, 20) for group in damped])
    frequencies = np.concatenate([group.frequency for group in damped])
    assert_array_equal(has_members, frequencies >= 1 / 20)
    assert not any(group.has_members(20, 7).any() for group in damped)


def test_threads_change_nothing(monkeypatch):
    seen = evidence(np.zeros((300, 2)))
    together = track(*seen)
    monkeypatch.setattr(filtering, "share_out", lambda bounds, work: work(slice(None)))
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
