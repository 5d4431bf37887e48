"""The motions that a shift of the calibration may follow, with their prior weights.

A motion moves intercept and slope alike, each in its own size. Motions whose state
stands still once it has begun (a level, an undamped cycle) are regressions on known
columns; the others are linear Gaussian state-space models. The latter are the same
whatever the number of chunks, so that states filtered over the first chunks stay good
when further ones come.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

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
_NAMES = list(FAMILIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionSettings:
    """Which members the families have.

    Sizes lie a factor of about two to three apart: the average stands for what is
    between. Each member takes its share of the family's prior, and time: more of them
    weaken the right one. ``benchmarks.tracking`` judges the set as a whole.

    Attributes
    ----------
    level_sizes : tuple of float
        Standard deviations of another level, in log odds.
    steps : tuple of float
        Standard deviations of a step of random walks and of what reverts, per chunk in
        log odds.
    persistences : tuple of float
        Share of what reverts that is left after a chunk.
    slopes : tuple of float
        Standard deviations of a slope, per chunk in log odds.
    dampings : tuple of float
        Share of a slope that is left after a chunk. Without damping a trend that is
        extended over a long delay goes astray on a cycle.
    cycle_sizes : tuple of float
        Standard deviations of the amplitudes of a cycle, in log odds.
    cycle_persistence : float
        Share of a damped cycle that is left after a chunk: its phase is forgotten after
        1 / (1 - cycle_persistence) chunks.
    directions : tuple of pairs of float
        How much of a motion goes into intercept and slope: both alike, or mostly one.
    n_recent_jumps : int
        Chunks, the newest, before each of which the level may have jumped; older jumps
        are tried by age, ever fewer. It bounds the time of long histories.
    max_frequencies : int
        Undamped cycles at most; it bounds the time of long histories.
    max_frequency : float
        Cycles per chunk at most: a period of three chunks.
    min_for_trend, min_for_cycle : int
        Chunks with labels before a slope, or a cycle, can be told from other motions.
    n_side_by_side : int
        Motions that are filtered side by side, each in three directions: their states
        fit a core's cache of 32 kB.
    """

    level_sizes: tuple[float, ...] = (0.1, 0.3, 0.8)
    steps: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    persistences: tuple[float, ...] = (0.5, 0.8, 0.95)
    slopes: tuple[float, ...] = (0.01, 0.03, 0.1)
    dampings: tuple[float, ...] = (0.9, 0.97, 0.99)
    cycle_sizes: tuple[float, ...] = (0.1, 0.3)
    cycle_persistence: float = 0.98
    directions: tuple[tuple[float, float], ...] = ((1.0, 1.0), (0.1, 1.0), (1.0, 0.1))
    n_recent_jumps: int = 48
    max_frequencies: int = 48
    max_frequency: float = 0.34
    min_for_trend: int = 4
    min_for_cycle: int = 8
    n_side_by_side: int = 17

    @property
    def damped_spacing(self) -> float:
        """Step of the frequencies of damped cycles: a third of one in their memory.

        Undamped ones are told apart to a third of a cycle over the chunks.
        """
        return (1.0 - self.cycle_persistence) / 3.0


SETTINGS: Final = MotionSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Motions:
    """State-space models with states of one size, the last axis being the model.

    A state holds component by component, each for intercept and slope.

    Attributes
    ----------
    family : ndarray of int of shape (n_models,)
        Position in ``FAMILIES``.
    transition : ndarray of shape (n_components, n_components, n_models)
        How components move in one step, intercept and slope alike.
    noise, start : ndarray of shape (2 * n_components, n_models)
        Variances: added in each step, and at the start, where the first component has
        the calibration's own error besides.
    seen : ndarray of shape (n_components,)
        What adds the components up to the shift.
    frequency : ndarray of shape (n_models,)
        Cycles per chunk; 0 for what is none.
    """

    family: Integers
    transition: Floats
    noise: Floats
    start: Floats
    seen: Floats
    frequency: Floats

    def has_members(self, n: int, n_informed: int) -> NDArray[np.bool_]:
        """Say which models ``n`` chunks, so many of them with labels, could tell."""
        least = np.zeros(self.family.size, dtype=np.int64)
        least[self.family == _NAMES.index("trend")] = SETTINGS.min_for_trend
        least[self.family == _NAMES.index("seasonal")] = SETTINGS.min_for_cycle
        slow = (self.frequency > 0.0) & (self.frequency * n < 1.0)
        return (n_informed >= least) & ~slow


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Levels:
    """Another level from some chunk on; none at all where the deviation is 0.

    Attributes
    ----------
    family, begin : ndarray of int of shape (n_models,)
        Position in ``FAMILIES``; the first chunk of the new level.
    deviation : ndarray of shape (n_models, 2)
        Standard deviation of the level, by intercept and slope, in log odds.
    """

    family: Integers
    begin: Integers
    deviation: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cycles:
    """Undamped cycles; each frequency with each deviation is a model.

    Attributes
    ----------
    frequency : ndarray of shape (n_frequencies,)
        Cycles per chunk.
    deviation : ndarray of shape (n_deviations, 2)
        Standard deviation of the amplitudes, by intercept and slope, in log odds.
    products : ndarray of shape (n_chunks, 6 * n_frequencies)
        Products of a constant, the cosine and the sine at each chunk, two by two;
        frequencies within.
    """

    frequency: Floats
    deviation: Floats
    products: Floats


def log_priors(families: list[Integers]) -> list[Floats]:
    """Return the models' prior weights, given the families of some groups of models.

    Families that are not there leave their share to the others.
    """
    counts = np.bincount(np.concatenate(families), minlength=len(FAMILIES))
    shares = np.array(list(FAMILIES.values())) * (counts > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.log(shares / shares.sum() / counts)
    return [one[family] for family in families]


@lru_cache(maxsize=4)
def levels(n: int) -> Levels:
    """Return the levels worth considering for ``n`` chunks."""
    sizes = np.array(
        [np.multiply(s, d) for s in SETTINGS.level_sizes for d in SETTINGS.directions]
    )
    jumps = np.array(_jump_chunks(n), dtype=np.int64)
    begin = np.concatenate([[0], np.zeros(len(sizes)), np.repeat(jumps, len(sizes))])
    names = ["still"] + ["offset"] * len(sizes) + ["jump"] * jumps.size * len(sizes)
    return Levels(
        family=np.array([_NAMES.index(name) for name in names], dtype=np.int64),
        begin=begin.astype(np.int64),
        deviation=np.concatenate(
            [np.zeros((1, 2)), np.tile(sizes, (jumps.size + 1, 1))]
        ),
    )


@lru_cache(maxsize=4)
def cycles(n: int, *, any_at_all: bool) -> Cycles:
    """Return the undamped cycles worth considering for ``n`` chunks, or none at all."""
    frequency = _frequencies(n) if any_at_all else np.empty(0)
    deviation = [
        np.multiply(s, d) for s in SETTINGS.cycle_sizes for d in SETTINGS.directions
    ]
    turn = _turns(n, frequency)
    cosine, sine = turn.real, turn.imag
    products = np.empty((n, 6, frequency.size))
    products[:, 0] = 1.0
    products[:, 1], products[:, 2] = cosine, sine
    np.multiply(cosine, cosine, out=products[:, 3])
    np.multiply(cosine, sine, out=products[:, 4])
    np.multiply(sine, sine, out=products[:, 5])
    return Cycles(
        frequency=frequency,
        deviation=np.array(deviation),
        products=products.reshape(n, 6 * frequency.size),
    )


def _turns(n: int, frequency: Floats) -> NDArray[np.complex128]:
    """Return exp(2πi t f) at the steps t = 0, …, n - 1, one column per frequency.

    The exponentials of coarse and of fine steps are multiplied: there are 2 √n of them
    instead of n, for a longer history asks for all anew.
    """
    n_fine = int(np.ceil(np.sqrt(n)))
    fine = np.exp(2j * np.pi * np.outer(np.arange(n_fine), frequency))
    coarse = np.exp(2j * np.pi * np.outer(n_fine * np.arange(n_fine), frequency))
    turns: NDArray[np.complex128] = coarse[:, None] * fine
    return turns.reshape(n_fine**2, frequency.size)[:n]


@lru_cache(maxsize=1)
def motions() -> tuple[Motions, ...]:
    """Return the motions whose steps are uncertain, by the size of their state."""
    walks = [
        _Motion("random_walk", np.ones((1, 1)), np.array([step**2]), np.zeros(1))
        for step in SETTINGS.steps
    ]
    reverting, trends, damped = [], [], []
    for step in SETTINGS.steps:
        for phi in SETTINGS.persistences:
            start = np.array([0.0, (2.0 * step) ** 2])
            F = np.diag([1.0, phi])
            reverting.append(
                _Motion("mean_reverting", F, start * (1.0 - phi**2), start)
            )
    for slope in SETTINGS.slopes:
        for phi in SETTINGS.dampings:
            F, start = np.array([[1.0, phi], [0.0, phi]]), np.array([0.0, slope**2])
            trends.append(_Motion("trend", F, start * (1.0 - phi**2), start))
    for frequency in np.arange(
        SETTINGS.damped_spacing, SETTINGS.max_frequency, SETTINGS.damped_spacing
    ):
        turn, rho = 2.0 * np.pi * frequency, SETTINGS.cycle_persistence
        F = np.eye(3)
        F[1:, 1:] = rho * np.array(
            [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        )
        for size in SETTINGS.cycle_sizes:
            start = np.array([0.0, size**2, size**2])
            noise = start * (1.0 - rho**2)
            damped.append(_Motion("seasonal", F, noise, start, float(frequency)))
    return (
        _stack(walks, seen=[1.0]),
        _stack(reverting, seen=[1.0, 1.0]),
        _stack(trends, seen=[1.0, 0.0]),
        *(
            _stack(damped[a : a + SETTINGS.n_side_by_side], seen=[1.0, 1.0, 0.0])
            for a in range(0, len(damped), SETTINGS.n_side_by_side)
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Motion:
    """How one coordinate moves: a transition, and variances of its components."""

    family: str
    transition: Floats
    noise: Floats
    start: Floats
    frequency: float = 0.0


def _stack(members: list[_Motion], *, seen: list[float]) -> Motions:
    """Put motions in each direction side by side."""
    both = [(m, np.square(d)) for m in members for d in SETTINGS.directions]
    return Motions(
        family=np.array([_NAMES.index(m.family) for m, _ in both], dtype=np.int64),
        transition=np.stack([m.transition for m, _ in both], axis=-1),
        noise=np.stack([np.kron(m.noise, size) for m, size in both], axis=-1),
        start=np.stack([np.kron(m.start, size) for m, size in both], axis=-1),
        seen=np.array(seen),
        frequency=np.array([m.frequency for m, _ in both]),
    )


def _jump_chunks(n: int) -> list[int]:
    """Return chunks before which it may have jumped: all recent ones, few old ones."""
    recent = min(n - 1, SETTINGS.n_recent_jumps)
    ages = list(range(1, recent + 1))
    if n - 1 > recent:
        n_old = int(np.ceil(10.0 * np.log((n - 1) / recent)))
        old = np.geomspace(recent, n - 1, n_old + 1)[1:].round().astype(int)
        ages += sorted(set(old.tolist()) - set(ages))
    return [n - age for age in ages]


def _frequencies(n: int) -> Floats:
    """Return cycles per chunk: as fine as ``n`` chunks can tell apart, or by ratio."""
    evenly = np.arange(1.0 / n, SETTINGS.max_frequency, 1.0 / (3.0 * n))
    if evenly.size <= SETTINGS.max_frequencies:
        return evenly
    return np.geomspace(1.0 / n, SETTINGS.max_frequency, SETTINGS.max_frequencies)
