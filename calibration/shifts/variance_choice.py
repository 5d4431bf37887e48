"""Which variances of segment shifts are above 0, and how large they are.

The variances maximize the restricted likelihood of the quadratic that a Newton step
solves, by the fixed point of Wood & Fasiolo (method.md, equation 26). A variance whose
likelihood falls from 0 on is exactly 0, but for that of the bends, which has the bounds
that it has in the calibrators.

References
----------
Wood & Fasiolo (2017), "A generalized Fellner-Schall method for smoothing parameter
optimization", Biometrics 73(4), 1071-1081.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.maps.logistic import LEARNED_PENALTIES
from calibration.shifts.restricted_likelihood import Quadratic

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceSettings:
    """When a variance is kept, and how the fixed point moves.

    Attributes
    ----------
    least_gain : float
        What one more variance has to add to the log likelihood, in nats: 1, a parameter
        in Akaike's criterion. Of segments without a shift one in ten would else be
        given one, and follow its noise.
    probe : float
        Variance next to 0 from which the fixed point must rise, as a share of the
        variance of a shift that rests on its labels alone.
    bend_bounds : tuple of float
        Least and greatest variance of the bends: the inverse of the penalties that the
        calibrators choose among.
    tolerance : float
        Greatest move of ln(variance) at which the fixed point has been reached.
    max_updates : int
        Number of moves of the fixed point at most, for one set of components.
    max_move : float
        Greatest move of ln(variance) at once.
    accelerate_every : int
        Every third move is Aitken's: as far as the last two moves point.
    max_ratio : float
        Ratio of two moves at most that Aitken's counts with; 0.9 makes a move ten times
        as long.
    """

    least_gain: float = 1.0
    probe: float = 1e-4
    bend_bounds: tuple[float, float] = (
        1.0 / LEARNED_PENALTIES[1],
        1.0 / LEARNED_PENALTIES[0],
    )
    tolerance: float = 1e-4
    max_updates: int = 200
    max_move: float = 5.0
    accelerate_every: int = 3
    max_ratio: float = 0.9


SETTINGS: Final = VarianceSettings()


def choose_variances(
    quadratic: Quadratic, start: Floats, excluded: NDArray[np.bool_]
) -> Floats:
    """Maximize the restricted likelihood of the quadratic that a Newton step solves.

    From a tiny variance the fixed point rises or falls as the likelihood does from 0
    on: where it falls the variance is 0, and so it is where it gains less than a
    parameter costs.

    A component that gains too little stays out, and one that falls to 0 beside others
    does until one of these is out: the choice ends, whatever the data are.

    Parameters
    ----------
    quadratic : Quadratic
        Its last component are the bends.
    start : ndarray of shape (n_components,)
        Variances to begin with, in log odds to the power 2.
    excluded : ndarray of bool of shape (n_components,)
        Components that keep 0.

    Returns
    -------
    ndarray of shape (n_components,)
        Variance of each component, in log odds to the power 2.
    """
    variance = start.copy()
    if quadratic.components[-1].size:
        variance[-1] = max(variance[-1], SETTINGS.bend_bounds[0])
    barred = set(np.flatnonzero(excluded).tolist())
    weak: set[int] = set()
    fallen: set[int] = set()
    while True:
        was_positive = variance > 0.0
        _admit(quadratic, variance, barred | weak | fallen)
        variance = _iterate(quadratic, variance)
        is_positive = variance > 0.0
        fallen.update(np.flatnonzero(was_positive & ~is_positive).tolist())
        if (is_positive != was_positive).any():
            continue
        gain = _gains(quadratic, variance)
        weakest = int(np.argmin(gain))
        if gain[weakest] >= SETTINGS.least_gain:  # infinite if none is left
            return variance
        weak.add(weakest)
        fallen.clear()
        variance[weakest] = 0.0


def _admit(quadratic: Quadratic, variance: Floats, barred: AbstractSet[int]) -> None:
    """Set variances to 0 that fall from a tiny one, and those that rise above 0."""
    for k, positions in enumerate(quadratic.components[:-1]):
        diagonal = quadratic.information[positions, positions]
        information = float(diagonal.mean()) if positions.size else 0.0
        if information <= 0.0 or k in barred:
            continue
        trial = variance.copy()
        trial[k] = SETTINGS.probe / information
        if _moves(quadratic, trial)[k] <= 0.0:
            variance[k] = 0.0
        elif not variance[k]:
            variance[k] = 1.0 / information


def _iterate(quadratic: Quadratic, variance: Floats) -> Floats:
    """Return the fixed point of the variances that are above 0."""
    has_bends = quadratic.components[-1].size > 0
    limit = SETTINGS.max_move
    last_moves = np.zeros(variance.size)
    for turn in range(SETTINGS.max_updates):
        moves = _moves(quadratic, variance)
        if has_bends:
            bend = variance[-1] * np.exp(np.clip(moves[-1], -limit, limit))
            moves[-1] = np.log(np.clip(bend, *SETTINGS.bend_bounds) / variance[-1])
        if np.abs(moves).max() <= SETTINGS.tolerance:
            break
        extension = np.ones(variance.size)
        if turn % SETTINGS.accelerate_every == SETTINGS.accelerate_every - 1:
            ratio = np.divide(
                moves, last_moves, np.zeros_like(last_moves), where=last_moves != 0.0
            )
            extension = 1.0 / (1.0 - np.clip(ratio, 0.0, SETTINGS.max_ratio))
        extension[-1] = 1.0  # the bends' has bounds
        variance = variance * np.exp(np.clip(extension * moves, -limit, limit))
        last_moves = moves
    return variance


def _moves(quadratic: Quadratic, variance: Floats) -> Floats:
    """Return by how much equation 26 moves ln(variance), 0 where it is 0."""
    solution = quadratic.solve(variance)
    moves = np.zeros(variance.size)
    for k in np.flatnonzero(variance).tolist():
        positions = quadratic.components[k]
        theta = solution.coefficients[positions]
        # Degrees of freedom: the denominator of equation 26.
        freedom = positions.size - solution.variances[positions].sum() / variance[k]
        moves[k] = np.log(
            max(theta @ theta, 1e-300) / max(freedom, 1e-300) / variance[k]
        )
    return moves


def _gains(quadratic: Quadratic, variance: Floats) -> Floats:
    """Return what each variance above 0 adds to the log likelihood, else infinity."""
    gain = np.full(variance.size, np.inf)
    log_likelihood = quadratic.solve(variance).log_likelihood
    for k in np.flatnonzero(variance[:-1]).tolist():
        without = np.where(np.arange(variance.size) == k, 0.0, variance)
        gain[k] = log_likelihood - quadratic.solve(without).log_likelihood
    return gain
