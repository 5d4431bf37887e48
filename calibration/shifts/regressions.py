"""Motions that stand still once they have begun, as regressions: levels and cycles."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.state_space import evidence, sum_products
from calibration.maps.logistic import square_root
from calibration.shifts.motions import FAMILIES, SETTINGS, cycles, levels
from calibration.shifts.observations import Observations

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regressions:
    """Motions that stand still once they have begun: regressions on known columns.

    The shift of a chunk is the sum of its k ``columns``, the first of which is 1, times
    as many pairs of coefficients.

    Attributes
    ----------
    family : ndarray of int of shape (n_models,)
        Position of each model's family in ``FAMILIES``.
    products : ndarray of shape (n_models, k, k, 6)
        Sums over the chunks of information (2, 2) and vector (2,) times the product of
        two columns.
    root : ndarray of shape (2, 2)
        Root of the prior covariance of the first pair of coefficients.
    deviation : ndarray of shape (n_models, 2)
        Prior standard deviations of the other pairs, in log odds.
    columns : callable
        Returns the columns of some models, of shape (n_models, n_chunks, k), at the
        chunks of these numbers.
    """

    family: Integers
    products: Floats
    root: Floats
    deviation: Floats
    columns: Callable[[Integers, Integers], Floats]

    def log_likelihood(self) -> Floats:
        """Log marginal likelihoods, but for the sum of squares that all share."""
        out = np.empty(self.family.size)
        evidence(self.products, self.root, self.deviation, out)
        return out

    def paths(self, models: Integers, chunks: Integers) -> tuple[Floats, Floats]:
        """Return mean and covariance of the shift in some chunks, by model, given all.

        Returns
        -------
        mean : ndarray of shape (n_models, n_chunks, 2)
            Mean of intercept and slope, in log odds.
        covariance : ndarray of shape (n_models, n_chunks, 2, 2)
            Covariance of intercept and slope.
        """
        products = self.products[models]
        m, k = products.shape[:2]
        root = np.zeros((m, 2 * k, 2 * k))
        root[:, np.arange(2 * k), np.arange(2 * k)] = np.tile(self.deviation[models], k)
        root[:, :2, :2] = self.root
        turned = root.transpose(0, 2, 1)
        information = products[..., :4].reshape(m, k, k, 2, 2).swapaxes(2, 3)
        gram = turned @ information.reshape(m, 2 * k, 2 * k) @ root
        spread = root @ np.linalg.inv(np.eye(2 * k) + gram) @ turned
        vector = products[:, 0, :, 4:].reshape(m, 2 * k, 1)
        coefficients = (spread @ vector).reshape(m, k, 2)
        # From (a, i, b, j) to pairs of columns (a, b) by pairs of coordinates (i, j).
        covariance = spread.reshape(m, k, 2, k, 2).swapaxes(2, 3).reshape(m, k * k, 4)
        columns = self.columns(models, chunks)
        n = chunks.size
        mean, out = np.zeros((m, n, 2)), np.zeros((m, n, 4))
        for c in range(k):  # sums in this order, however many chunks there are
            mean += columns[:, :, c, None] * coefficients[:, None, c]
            for d in range(k):
                product = columns[:, :, c] * columns[:, :, d]
                out += product[:, :, None] * covariance[:, None, c * k + d]
        return mean, out.reshape(m, n, 2, 2)


def regress(observed: Observations, prior: Floats) -> tuple[Regressions, ...]:
    """Set up the regressions on levels and on undamped cycles."""
    n = observed.n_seen.size
    # Each chunk's information and vector, flat: J_00, J_01, J_10, J_11, v_0, v_1.
    flat = np.empty((n, 6))
    flat[:, :4] = np.einsum("tki,tkj->tij", observed.h, observed.h).reshape(n, 4)
    flat[:, 4:] = np.einsum("tki,tk->ti", observed.h, observed.seen)
    root = square_root(prior)
    steps = levels(n)
    by_level = np.empty((steps.begin.size, 2, 2, 6))
    by_level[:] = np.cumsum(flat[::-1], axis=0)[::-1][steps.begin][:, None, None]
    by_level[:, 0, 0] = flat.sum(axis=0)
    n_informed = int((observed.n_seen > 0).sum())
    waves = cycles(n, any_at_all=n_informed >= SETTINGS.min_for_cycle)
    n_frequencies, n_sizes = waves.frequency.size, len(waves.deviation)
    sums = np.empty((6, 6 * n_frequencies))
    sum_products(flat, waves.products, sums)
    by_pair = sums.reshape(6, 6, n_frequencies).T
    by_cycle = np.repeat(by_pair[:, _PAIRS], n_sizes, axis=0)
    frequency = np.repeat(waves.frequency, n_sizes)
    return (
        Regressions(
            family=steps.family,
            products=by_level,
            root=root,
            deviation=steps.deviation,
            columns=lambda models, t: _level(steps.begin[models], t),
        ),
        Regressions(
            family=np.full(frequency.size, list(FAMILIES).index("seasonal")),
            products=by_cycle,
            root=root,
            deviation=np.tile(waves.deviation, (n_frequencies, 1)),
            columns=lambda models, t: _wave(frequency[models], t),
        ),
    )


# Where the product of two of three columns stands in `Cycles.products`.
_PAIRS = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])


def _level(begin: Integers, chunks: Integers) -> Floats:
    after = (chunks >= begin[:, None]).astype(np.float64)
    return np.stack([np.ones_like(after), after], axis=2)


def _wave(frequency: Floats, chunks: Integers) -> Floats:
    turn = 2.0 * np.pi * np.outer(frequency, chunks)
    return np.stack([np.ones_like(turn), np.cos(turn), np.sin(turn)], axis=2)
