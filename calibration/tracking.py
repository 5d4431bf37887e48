"""How far the calibration has shifted in each chunk, as labels show it, late.

The shift of a chunk, ``logit p = x + intercept + slope * u`` with x the calibrated and
u the standardized log odds, is a state that moves from chunk to chunk. Each chunk's
labels tell of its own shift, and through the motion of all others: labels of older
chunks correct the newest, which has none. Nobody knows how the shift moves; so a small
set of motions is averaged, each weighted by how well it would have predicted what was
seen: where nothing moves, "still" wins, and the estimate stays where it was.

References: Harvey (1989), "Forecasting, Structural Time Series Models and the Kalman
Filter" (random walk, damped trend, stochastic cycle); Hoeting et al. (1999), "Bayesian
model averaging: a tutorial", Statistical Science 14(4).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.state_space import log_likelihoods, smooth
from calibration._threads import share_out

Floats = NDArray[np.float64]

# What each family is worth before anything is seen, shared evenly by its members.
FAMILIES = {
    "still": 0.4,  # no shift but the calibration's own error
    "offset": 0.1,  # another level from the first chunk on
    "jump": 0.1,  # another level from some chunk on
    "random_walk": 0.1,
    "mean_reverting": 0.1,
    "trend": 0.1,  # a slope that is damped
    "seasonal": 0.1,  # a cycle of any period
}
# In units of log odds, per step where something moves.
_SIZES = (0.1, 0.3, 0.8)
_STEPS = (0.02, 0.05, 0.1, 0.2)
_PERSISTENCE = (0.5, 0.8, 0.95)
_SLOPES = (0.01, 0.03, 0.1)
_DAMPING = (0.9, 0.97, 0.99)
_CYCLE_SIZES = (0.1, 0.3)
_CYCLE_PERSISTENCE = (1.0, 0.98)
# How much of a motion goes into intercept and slope: both alike, or mostly one.
_DIRECTIONS = ((1.0, 1.0), (0.1, 1.0), (1.0, 0.1))
_RECENT_JUMPS = 48  # every recent chunk may be where it jumped, older ones by age
_MAX_FREQUENCIES = 48
_MAX_FREQUENCY = 0.34  # cycles per chunk: a period of three chunks
_MIN_FOR_TREND = 4  # chunks with labels before a slope, or a cycle, can be told
_MIN_FOR_CYCLE = 8

# Motions that weigh less than this share of the best are not worth smoothing.
_NEGLIGIBLE = 1e-3
_MAX_SMOOTHED = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftPath:
    """The shift of each chunk, given the labels of all.

    Attributes
    ----------
    mean : ndarray of shape (n_chunks, 2)
        Intercept and slope of the shift, in log odds; 0 is as calibrated.
    covariance : ndarray of shape (n_chunks, 2, 2)
        Within the motions, and between them.
    weights : dict of float
        Posterior probability of each family of motions.
    """

    mean: Floats
    covariance: Floats
    weights: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class _Motion:
    """How one coordinate moves; both do alike, each in its own size.

    Component 0 starts with the calibration's own error; ``seen`` adds the components up
    to the shift. ``jump`` hits before chunk ``jump_at``.
    """

    family: str
    F: Floats
    Q: Floats
    P0: Floats
    seen: Floats
    jump: float = 0.0
    jump_at: int = -1


def track_shift(
    information: Floats, vector: Floats, *, prior_covariance: Floats
) -> ShiftPath:
    """Track the calibration's shift through all chunks, averaged over motions.

    Parameters
    ----------
    information : ndarray of shape (n_chunks, 2, 2)
        What each chunk's labels say of its shift: inverse covariance; 0 without labels.
    vector : ndarray of shape (n_chunks, 2)
        Information times estimate.
    prior_covariance : ndarray of shape (2, 2)
        Of the shift before the first chunk: the calibration's own estimation error.

    Returns
    -------
    ShiftPath

    Raises
    ------
    ValueError
        If shapes do not match, something is not finite, or ``information`` is not
        positive semidefinite.

    Examples
    --------
    >>> import numpy as np
    >>> information = np.tile(np.eye(2) * 400.0, (30, 1, 1))
    >>> estimate = np.where(np.arange(30)[:, None] < 12, [0.0, 0.0], [0.0, -0.5])
    >>> information[25:] = 0.0  # the newest five have no labels yet
    >>> vector = np.einsum("nij,nj->ni", information, estimate)
    >>> path = track_shift(information, vector, prior_covariance=np.eye(2) * 1e-3)
    >>> path.mean[-1].round(2) + 0.0
    array([ 0. , -0.5])
    >>> max(path.weights, key=path.weights.get)
    'jump'
    """
    information, vector, prior = _check(information, vector, prior_covariance)
    observed = _scalar_observations(information, vector)
    n = len(vector)
    if n == 0:
        return ShiftPath(mean=vector, covariance=information, weights=dict(FAMILIES))
    n_informed = int((observed[0] > 0).sum())
    stacks = _stacks(
        n, trend=n_informed >= _MIN_FOR_TREND, cycle=n_informed >= _MIN_FOR_CYCLE
    )
    starts = [_start(stack, prior) for stack in stacks]
    log_weight = np.concatenate(
        [
            stack.log_prior + _log_likelihoods(observed, stack, start)
            for stack, start in zip(stacks, starts, strict=True)
        ]
    )
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    family = np.concatenate([stack.family for stack in stacks])
    share = np.bincount(family, weight, len(FAMILIES))
    best = np.argsort(-weight, kind="stable")[:_MAX_SMOOTHED]
    best = best[weight[best] > _NEGLIGIBLE * weight[best[0]]]
    members = [
        (stack, i) for stack in range(len(stacks)) for i in range(len(starts[stack]))
    ]
    mean, second = np.zeros((n, 2)), np.zeros((n, 2, 2))
    own_mean, own_covariance = np.empty((n, 2)), np.empty((n, 2, 2))
    for model in best.tolist():
        which, i = members[model]
        own, start = stacks[which], starts[which][i]
        smooth(
            *observed, own.F[i], own.Q[i], start, own.Z, own.jump_at[i], own.jump[i],
            own_mean, own_covariance,
        )  # fmt: skip
        part = weight[model] / weight[best].sum()
        mean += part * own_mean
        outer = own_mean[:, :, None] * own_mean[:, None, :]
        second += part * (own_covariance + outer)
    covariance = second - mean[:, :, None] * mean[:, None, :]
    covariance = 0.5 * (covariance + covariance.transpose(0, 2, 1))
    return ShiftPath(
        mean=mean,
        covariance=covariance,
        weights=dict(zip(FAMILIES, share.tolist(), strict=True)),
    )


def _motions(n: int, *, trend: bool, cycle: bool) -> Iterator[_Motion]:
    """Yield the motions worth considering for ``n`` chunks."""
    one, none = np.ones((1, 1)), np.zeros((1, 1))
    seen = np.ones(1)
    yield _Motion("still", one, none, none, seen)
    for size in _SIZES:
        yield _Motion("offset", one, none, one * size**2, seen)
        for at in _jump_places(n):
            yield _Motion("jump", one, none, none, seen, size**2, at)
    for step in _STEPS:
        yield _Motion("random_walk", one, one * step**2, none, seen)
        for phi in _PERSISTENCE:
            F, start = np.diag([1.0, phi]), np.diag([0.0, (2.0 * step) ** 2])
            yield _Motion(
                "mean_reverting", F, start * (1.0 - phi**2), start, np.ones(2)
            )
    if trend:
        for slope in _SLOPES:
            for phi in _DAMPING:
                F, start = np.array([[1.0, phi], [0.0, phi]]), np.diag([0.0, slope**2])
                yield _Motion(
                    "trend", F, start * (1.0 - phi**2), start, np.array([1.0, 0.0])
                )
    if cycle:
        for frequency in _frequencies(n):
            turn = 2.0 * np.pi * frequency
            for size in _CYCLE_SIZES:
                for rho in _CYCLE_PERSISTENCE:
                    F = np.eye(3)
                    F[1:, 1:] = rho * np.array(
                        [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
                    )
                    start = np.diag([0.0, size**2, size**2])
                    yield _Motion(
                        "seasonal",
                        F,
                        start * (1.0 - rho**2),
                        start,
                        np.array([1.0, 1.0, 0.0]),
                    )


def _jump_places(n: int) -> list[int]:
    """Return chunks before which it may have jumped: all recent ones, few old ones."""
    recent = min(n - 1, _RECENT_JUMPS)
    ages = list(range(1, recent + 1))
    if n - 1 > recent:
        n_old = int(np.ceil(10.0 * np.log((n - 1) / recent)))
        old = np.geomspace(recent, n - 1, n_old + 1)[1:].round().astype(int)
        ages += sorted(set(old.tolist()) - set(ages))
    return [n - age for age in ages]


def _frequencies(n: int) -> Floats:
    """Return cycles per chunk: as fine as ``n`` chunks can tell apart, or by ratio."""
    evenly = np.arange(1.0 / n, _MAX_FREQUENCY, 1.0 / (3.0 * n))
    if evenly.size <= _MAX_FREQUENCIES:
        return evenly
    return np.geomspace(1.0 / n, _MAX_FREQUENCY, _MAX_FREQUENCIES)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stack:
    """Models that see their state alike: matrices (n_models, d, d), Z (2, d)."""

    family: NDArray[np.int64]
    log_prior: Floats
    F: Floats
    Q: Floats
    P0: Floats
    Z: Floats
    jump: Floats
    jump_at: NDArray[np.int64]


@lru_cache(maxsize=8)
def _stacks(n: int, *, trend: bool, cycle: bool) -> tuple[_Stack, ...]:
    """Return all models: each motion in each direction, both coordinates together.

    The state holds component by component, each for intercept and slope.
    """
    models = [
        (motion, direction)
        for motion in _motions(n, trend=trend, cycle=cycle)
        for direction in (_DIRECTIONS if motion.family != "still" else ((0.0, 0.0),))
    ]
    names = list(FAMILIES)
    family = np.array([names.index(motion.family) for motion, _ in models])
    # Families that are not there leave their share to the others.
    counts = np.bincount(family, minlength=len(names))
    worth = np.array(list(FAMILIES.values())) * (counts > 0)
    log_prior = np.log(worth[family] / worth.sum() / counts[family])
    alike: dict[bytes, list[int]] = {}
    for i, (motion, _) in enumerate(models):
        alike.setdefault(motion.seen.tobytes(), []).append(i)
    both = np.eye(2)
    stacks = []
    for members in alike.values():
        own = [models[i] for i in members]
        sizes = [np.diag(np.square(direction)) for _, direction in own]
        start = np.stack(
            [np.kron(m.P0, z) for (m, _), z in zip(own, sizes, strict=True)]
        )
        jump = np.zeros_like(start)
        jump[:, :2, :2] = [m.jump * z for (m, _), z in zip(own, sizes, strict=True)]
        stacks.append(
            _Stack(
                family=family[members],
                log_prior=log_prior[members],
                F=np.stack([np.kron(m.F, both) for m, _ in own]),
                Q=np.stack(
                    [np.kron(m.Q, z) for (m, _), z in zip(own, sizes, strict=True)]
                ),
                P0=start,
                Z=np.kron(own[0][0].seen[None, :], both).astype(np.float64),
                jump=jump,
                jump_at=np.array([m.jump_at for m, _ in own]),
            )
        )
    return tuple(stacks)


def _start(stack: _Stack, prior: Floats) -> Floats:
    """Return the covariances at the start: the first component has the map's error."""
    start = stack.P0.copy()
    start[:, :2, :2] += prior
    return start


def _log_likelihoods(
    observed: tuple[NDArray[np.int64], Floats, Floats], stack: _Stack, start: Floats
) -> Floats:
    out = np.empty(len(start))

    def work(block: slice) -> None:
        log_likelihoods(
            *observed, stack.F[block], stack.Q[block], start[block], stack.Z,
            stack.jump_at[block], stack.jump[block], out[block],
        )  # fmt: skip

    share_out(np.arange(len(start) + 1, dtype=np.int64) * observed[0].size, work)
    return out


def _scalar_observations(
    information: Floats, vector: Floats
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Turn each chunk's information into up to two observations of unit noise."""
    value, axes = np.linalg.eigh(information)
    n = len(vector)
    n_seen = np.zeros(n, dtype=np.int64)
    h, seen = np.zeros((n, 2, 2)), np.zeros((n, 2))
    for t, k in np.argwhere(value > 1e-9).tolist():
        root, axis = np.sqrt(value[t, k]), axes[t, :, k]
        h[t, n_seen[t]] = root * axis
        seen[t, n_seen[t]] = axis @ vector[t] / root
        n_seen[t] += 1
    return n_seen, h, seen


def _check(
    information: Floats, vector: Floats, prior: Floats
) -> tuple[Floats, Floats, Floats]:
    information, vector, prior = (
        np.asarray(values, dtype=np.float64) for values in (information, vector, prior)
    )
    n = len(information)
    for name, values, shape in (
        ("information", information, (n, 2, 2)),
        ("vector", vector, (n, 2)),
        ("prior_covariance", prior, (2, 2)),
    ):
        if values.shape != shape:
            msg = f"`{name}` must have shape {shape}, got {values.shape}."
            raise ValueError(msg)
        if not np.isfinite(values).all():
            msg = f"`{name}` must be finite, but holds NaN or infinity."
            raise ValueError(msg)
    least = np.linalg.eigvalsh(information).min(axis=1, initial=0.0)
    scale = np.abs(information).max(axis=(1, 2), initial=0.0)
    wrong = np.flatnonzero(least < -1e-6 * (scale + 1.0))
    if wrong.size:
        msg = (
            "`information` must be positive semidefinite, but that of chunk "
            f"{wrong[0]} has the eigenvalue {least[wrong[0]]:g}."
        )
        raise ValueError(msg)
    return information, vector, prior
