"""How well two levels fit a series that goes back and forth between them."""

import math

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]

# Numbers of changes that are told apart: five, six and more take turns.
_STATES = 7


@kernel
def fit_two_levels(
    y: Floats,
    weight: Floats,
    stay: float,
    prior_dof: float,
    n_rounds: int,
    estimate: Floats,
    below: Floats,
) -> None:
    """Improve ``estimate`` (upper level, lower level, phi), and fill ``below``.

    Expectation maximization for a series that goes back and forth between two levels
    and stays where it is with probability ``stay``; ``below[i]`` is the probability
    that chunk ``i`` is at the lower one (Rabiner 1989, "A tutorial on hidden Markov
    models", Proc. IEEE 77(2)).
    """
    n = y.size
    up, down = np.empty(n), np.empty(n)  # likelihoods of each chunk
    ahead = np.empty((n, 2))
    change = 1.0 - stay
    for _ in range(n_rounds):
        upper, lower, phi = estimate
        for i in range(n):
            a = 0.5 * weight[i] * (y[i] - upper) ** 2 / phi
            b = 0.5 * weight[i] * (y[i] - lower) ** 2 / phi
            least = min(a, b)
            up[i], down[i] = math.exp(least - a), math.exp(least - b)
            if i == 0:
                ahead[i, 0], ahead[i, 1] = 0.75 * up[i], 0.25 * down[i]
            else:
                ahead[i, 0] = (stay * ahead[i - 1, 0] + change * ahead[i - 1, 1]) * up[
                    i
                ]
                ahead[i, 1] = (
                    stay * ahead[i - 1, 1] + change * ahead[i - 1, 0]
                ) * down[i]
            norm = ahead[i, 0] + ahead[i, 1]
            ahead[i, 0] /= norm
            ahead[i, 1] /= norm
        back_up = back_down = 1.0
        above_weight = above_sum = below_weight = below_sum = 1e-9
        for i in range(n - 1, -1, -1):
            p = ahead[i, 1] * back_down
            below[i] = p / (p + ahead[i, 0] * back_up)
            above_weight += weight[i] * (1.0 - below[i])
            above_sum += weight[i] * (1.0 - below[i]) * y[i]
            below_weight += weight[i] * below[i]
            below_sum += weight[i] * below[i] * y[i]
            from_up = stay * up[i] * back_up + change * down[i] * back_down
            from_down = stay * down[i] * back_down + change * up[i] * back_up
            norm = from_up + from_down
            back_up, back_down = from_up / norm, from_down / norm
        estimate[0], estimate[1] = above_sum / above_weight, below_sum / below_weight
        squares = prior_dof
        for i in range(n):
            squares += weight[i] * (
                (1.0 - below[i]) * (y[i] - estimate[0]) ** 2
                + below[i] * (y[i] - estimate[1]) ** 2
            )
        estimate[2] = squares / (prior_dof + n)


@kernel
def log_switching(
    y: Floats, weight: Floats, upper: float, lower: float, phi: float, stay: float
) -> float:
    """Return the log likelihood of going back and forth, with at least five changes.

    Squares only: constants of the normal density are the caller's. States are the
    number of changes so far (0 to 6, where 5 and 6 take turns), having started above
    (the first seven) or below (the last seven).
    """
    alpha, moved = np.zeros(2 * _STATES), np.empty(2 * _STATES)
    alpha[0], alpha[_STATES] = 0.75, 0.25
    change = 1.0 - stay
    total = 0.0
    for i in range(y.size):
        a = 0.5 * weight[i] * (y[i] - upper) ** 2 / phi
        b = 0.5 * weight[i] * (y[i] - lower) ** 2 / phi
        least = min(a, b)
        up, down = math.exp(least - a), math.exp(least - b)
        if i > 0:
            for start in (0, _STATES):
                moved[start] = stay * alpha[start]
                for s in range(start + 1, start + _STATES):
                    moved[s] = stay * alpha[s] + change * alpha[s - 1]
                moved[start + _STATES - 2] += change * alpha[start + _STATES - 1]
            for s in range(2 * _STATES):
                alpha[s] = moved[s]
        norm = 0.0
        for s in range(_STATES):
            alpha[s] *= down if s % 2 == 1 else up
            alpha[_STATES + s] *= up if s % 2 == 1 else down
            norm += alpha[s] + alpha[_STATES + s]
        for s in range(2 * _STATES):
            alpha[s] /= norm
        total += math.log(norm) - least
    enough = (
        alpha[_STATES - 2]
        + alpha[_STATES - 1]
        + alpha[2 * _STATES - 2]
        + alpha[2 * _STATES - 1]
    )
    return total + math.log(max(enough, 1e-300))


@kernel
def log_switchings(
    y: Floats,
    weight: Floats,
    upper: Floats,
    lower: Floats,
    phi: Floats,
    stay: float,
    out: Floats,
) -> None:
    """Fill ``out`` with `log_switching` at each of several parameters."""
    for k in range(out.size):
        out[k] = log_switching(y, weight, upper[k], lower[k], phi[k], stay)
