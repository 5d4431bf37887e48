"""A series whose errors are made independent, under one autocorrelation."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator._kernels import step_fits
from estimator.degradation.series import Series

Floats = NDArray[np.float64]

# phi is worth this many chunks seen at phi = 1. A reference of ten tells little more.
PHI_DOF: Final = 12.0
# Scales of the moment prior, in standard errors; its modes lie at 1.4 times these. In a
# series that spreads over more than ten, the second is half of that: a prior too narrow
# for what is there would be mistaken for noise.
SCALES: Final = (2.0, 6.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Whitened:
    """A series under one autocorrelation, its errors made independent.

    Attributes
    ----------
    rho : float
    z, o, q : ndarray of shape (n,)
        The series, the constant and the time, whitened.
    e, d : ndarray of shape (n,)
        Row ``i`` of a whitened column ``v`` is ``e[i] v[i] - d[i] v[i-1]``.
    sums : ndarray of shape (5, n + 1)
        Sums of products over the rows from each on.
    K : ndarray of shape (2, 2)
        Covariance, over phi, of level and shared error.
    xz : ndarray of shape (2,)
        Their products with the series.
    rest, dof : float
        Sum of squares around them with the prior's, and its degrees of freedom.
    scales : ndarray of shape (2,)
        Of the amplitudes' prior.
    log_stable : float
        Log evidence of no change at all.
    log_base : float
        What the evidence of every shape has in common.
    """

    rho: float
    z: Floats
    o: Floats
    q: Floats
    e: Floats
    d: Floats
    sums: Floats
    K: Floats
    xz: Floats
    rest: float
    dof: float
    scales: Floats
    log_stable: float
    log_base: float

    def column(self, v: Floats) -> Floats:
        """Return a column of the model, whitened."""
        return _whitened(self.e, self.d, v)


def whiten(series: Series, rho: float) -> Whitened:
    """Return the series under one autocorrelation: method.md, equations 52 to 55."""
    n, n_reference = series.y.size, series.n_reference
    e, d = np.empty(n), np.empty(n)
    log_determinant = step_fits.whiten(series.errors, series.gaps, rho, e, d)
    z, o, q = (_whitened(e, d, v) for v in (series.y, np.ones(n), series.t))
    sums = np.empty((5, n + 1))
    step_fits.suffix_sums(z, o, q, sums)
    deployed: Floats = np.where(np.arange(n) >= n_reference, series.shared, 0.0)
    h = _whitened(e, d, deployed)
    oo, oh, hh = float(o @ o), float(o @ h), float(h @ h) + 1.0
    determinant = oo * hh - oh * oh
    K = np.array([[hh, -oh], [-oh, oo]]) / determinant
    xz = np.array([o @ z, h @ z])
    rest = PHI_DOF + float(z @ z - xz @ K @ xz)
    dof = PHI_DOF + n - 1
    log_base = log_determinant - 0.5 * math.log(determinant)
    return Whitened(
        rho=rho,
        z=z,
        o=o,
        q=q,
        e=e,
        d=d,
        sums=sums,
        K=K,
        xz=xz,
        rest=rest,
        dof=dof,
        scales=np.array([SCALES[0], max(SCALES[1], 0.5 * float(np.ptp(series.y)))]),
        log_stable=log_base - 0.5 * dof * math.log(rest),
        log_base=log_base,
    )


def _whitened(e: Floats, d: Floats, v: Floats) -> Floats:
    column = e * v
    column[1:] -= d[1:] * v[:-1]
    return column
