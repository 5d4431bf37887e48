"""The restricted likelihood of variances, on the quadratic that a Newton step solves.

Around a step the log likelihood is quadratic, with information H and target H theta + g
(g the gradient); Lambda holds the precisions of the coefficients. Method.md, equation
25.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.positive_definite import invert_positive_definite

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class QuadraticSolution(NamedTuple):
    """What solves the quadratic, given the variances of the components.

    Attributes
    ----------
    coefficients : ndarray of shape (n_coefficients,)
        Theta hat, in units of log odds; 0 where a variance is 0.
    variances : ndarray of shape (n_coefficients,)
        Posterior variance of each coefficient: the diagonal of (H + Lambda)^-1.
    log_likelihood : float
        Restricted log likelihood, up to a constant.
    """

    coefficients: Floats
    variances: Floats
    log_likelihood: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quadratic:
    """The log likelihood around a Newton step, and which coefficients share a variance.

    Attributes
    ----------
    information : ndarray of shape (n_coefficients, n_coefficients)
        H, in log odds to the power -2.
    target : ndarray of shape (n_coefficients,)
        H theta + g, in log odds to the power -1.
    components : sequence of ndarray of int
        Positions of the coefficients that share a variance: intercepts and slopes of
        each segment column, then the bends.
    fixed : ndarray of shape (n_coefficients,)
        Precisions that no variance changes: those of the constant and the line.
    """

    information: Floats
    target: Floats
    components: Sequence[Integers]
    fixed: Floats

    def active(self, variance: Floats) -> tuple[Integers, Floats]:
        """Return the coefficients that no variance of 0 holds at 0, and precisions."""
        precision = np.full(self.fixed.size, np.inf)
        precision[:2] = self.fixed[:2]
        for positions, size in zip(self.components, variance, strict=True):
            if size > 0.0:
                precision[positions] = 1.0 / size
        active = np.flatnonzero(np.isfinite(precision))
        return active, precision[active]

    def covariance(self, variance: Floats) -> Floats:
        """Return (H + Lambda)^-1, with 0 where a variance is 0."""
        active, precision = self.active(variance)
        inverse = np.empty((active.size, active.size))
        invert_positive_definite(
            self.information[np.ix_(active, active)] + np.diag(precision), inverse
        )
        covariance = np.zeros_like(self.information)
        covariance[np.ix_(active, active)] = inverse
        return covariance

    def solve(self, variance: Floats) -> QuadraticSolution:
        """Return coefficients, their variances, and the restricted log likelihood.

        Shifts of one column do not touch each other: those of the column with the most
        values are eliminated first, two by two, and only what is left needs an inverse.

        Parameters
        ----------
        variance : ndarray of shape (n_components,)
            Variance of each component, in log odds to the power 2.
        """
        information, target = self.information, self.target
        sizes = [positions.size for positions in self.components[:-1:2]]
        largest = 2 * int(np.argmax(sizes))
        level, slope = self.components[largest], self.components[largest + 1]
        pairs, determinant = self._invert_pairs(variance, largest)
        active, precision = self.active(variance)
        kept = ~np.isin(active, np.concatenate([level, slope]))
        rest, precision = active[kept], precision[kept]
        level_by_rest = information[np.ix_(level, rest)]
        slope_by_rest = information[np.ix_(slope, rest)]
        onto_level = pairs[0][:, None] * level_by_rest
        onto_level = onto_level + pairs[1][:, None] * slope_by_rest
        onto_slope = pairs[1][:, None] * level_by_rest
        onto_slope = onto_slope + pairs[2][:, None] * slope_by_rest
        schur = information[np.ix_(rest, rest)] + np.diag(precision)
        # Sums without BLAS, whose threads gain nothing here.
        schur -= np.einsum("ki,kj->ij", level_by_rest, onto_level)
        schur -= np.einsum("ki,kj->ij", slope_by_rest, onto_slope)
        inverse = np.empty_like(schur)
        log_determinant = invert_positive_definite(schur, inverse)
        log_determinant += float(np.log(determinant).sum())
        for positions, size in zip(self.components, variance, strict=True):
            if size > 0.0:
                log_determinant += positions.size * float(np.log(size))
        theta, variances = np.zeros(self.fixed.size), np.zeros(self.fixed.size)
        rest_target = target[rest] - np.einsum("ki,k->i", onto_level, target[level])
        rest_target -= np.einsum("ki,k->i", onto_slope, target[slope])
        theta[rest] = np.einsum("ij,j->i", inverse, rest_target)
        variances[rest] = np.diag(inverse)
        for positions, onto, i, j in (
            (level, onto_level, 0, 1), (slope, onto_slope, 1, 2),
        ):  # fmt: skip
            theta[positions] = pairs[i] * target[level] + pairs[j] * target[slope]
            theta[positions] -= np.einsum("ki,i->k", onto, theta[rest])
            variances[positions] = pairs[i if positions is level else j]
            carried = np.einsum("ki,ij->kj", onto, inverse)
            variances[positions] += np.einsum("kj,kj->k", carried, onto)
        log_likelihood = 0.5 * (float(target @ theta) - log_determinant)
        return QuadraticSolution(theta, variances, log_likelihood)

    def _invert_pairs(
        self, variance: Floats, component: int
    ) -> tuple[tuple[Floats, Floats, Floats], Floats]:
        """Invert H + Lambda of intercept and slope of each value of one column.

        Returns
        -------
        pairs : tuple of three ndarrays of shape (n_values,)
            Inverse of intercepts, between intercepts and slopes, of slopes.
        determinant : ndarray of shape (n_values,)
            Determinant of what is inverted, of finite precisions.
        """
        with np.errstate(divide="ignore"):
            precision = 1.0 / variance
        level, slope = self.components[component], self.components[component + 1]
        a = self.information[level, level] + precision[component]
        d = self.information[slope, slope] + precision[component + 1]
        c = self.information[slope, level]
        if variance[component] and variance[component + 1]:
            determinant = a * d - c * c
            return (d / determinant, -c / determinant, a / determinant), determinant
        # The inverse of an infinite precision is 0.
        determinant = np.where(np.isfinite(a), a, 1.0) * np.where(
            np.isfinite(d), d, 1.0
        )
        return (1.0 / a, np.zeros_like(a), 1.0 / d), determinant
