"""A series whose errors are made independent, under one autocorrelation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator._kernels import step_fits
from estimator.degradation.series import Series

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSettings:
    """What is thought of noise and amplitudes before the series is seen.

    None is derived: ``benchmarks.degradation`` measures what they do together, in
    series with understated standard errors, autocorrelation and outliers, too.

    Attributes
    ----------
    rho_prior : mapping of float to float
        Probability of each autocorrelation, at a typical spacing. The evidence counts
        each as far as the series speaks for it. More weight on high ones: fewer false
        alarms in series that wander, and gradual declines are named later.
    phi_dof : float
        Number of chunks, seen at ``phi = 1``, that the prior of ``phi`` is worth:
        ``phi`` is the variance of the errors over that which their standard errors
        say. It is about what a reference of ten chunks says. With fewer, a short series
        decides for itself how noisy it is; with more, standard errors are believed.
    scales : tuple of float
        Standard deviations of the amplitude's moment prior, in standard errors times
        the root of ``phi``; its modes lie at 1.4 (the root of 2) times these. Smaller
        ones name smaller declines, and more of the noise.
    range_share : float
        Share of the series' range that the last scale is at least. In a series that
        spreads over much more, a prior too narrow for what is there would be mistaken
        for noise.
    """

    rho_prior: Mapping[float, float] = field(
        default_factory=lambda: {0.0: 0.5, 0.3: 0.3, 0.6: 0.2}
    )
    phi_dof: float = 12.0
    scales: tuple[float, float] = (2.0, 6.0)
    range_share: float = 0.5


SETTINGS: Final = NoiseSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WhitenedSeries:
    """A series under one autocorrelation, its errors made independent.

    Attributes
    ----------
    rho : float
        Autocorrelation of the errors at a typical spacing.
    values, constant, times : ndarray of shape (n,)
        The series, the constant 1 and the times, whitened: columns with a tilde in
        method.md, equation 55.
    factor, previous_factor : ndarray of shape (n,)
        ``e`` and ``d`` of that equation: row ``i`` of a whitened column ``v`` is
        ``factor[i] * v[i] - previous_factor[i] * v[i - 1]``.
    suffix_sums : ndarray of shape (5, n + 1)
        Sums over the rows from each on of the products of whitened columns that
        `step_fits.suffix_sums` names.
    base_covariance : ndarray of shape (2, 2)
        Posterior covariance of the level and of the error that analysis chunks share,
        over phi: ``K`` of equation 56.
    base_products : ndarray of shape (2,)
        Products of their whitened columns with the series.
    squares : float
        Sum of squares around level and shared error, with the prior's: ``S`` of
        equation 56.
    dof : float
        Degrees of freedom of these squares: ``nu`` of equation 56.
    scales : ndarray of shape (2,)
        Standard deviations of the amplitudes' prior, in units of the errors'.
    log_stable : float
        Log evidence of no change at all: ``ln E_0`` of equation 58.
    log_base : float
        What the log evidence of every shape has in common: ``l_0`` of equation 58.
    """

    rho: float
    values: Floats
    constant: Floats
    times: Floats
    factor: Floats
    previous_factor: Floats
    suffix_sums: Floats
    base_covariance: Floats
    base_products: Floats
    squares: float
    dof: float
    scales: Floats
    log_stable: float
    log_base: float

    def column(self, v: Floats) -> Floats:
        """Return a column of the model, whitened, of shape (n,)."""
        return _whiten_column(self.factor, self.previous_factor, v)


def whiten(series: Series, rho: float) -> WhitenedSeries:
    """Return the series under one autocorrelation: method.md, equations 55 to 58."""
    n, n_reference = series.y.size, series.n_reference
    e, d = np.empty(n), np.empty(n)
    log_determinant = step_fits.whiten(series.robust_errors, series.gaps, rho, e, d)
    z, o, q = (_whiten_column(e, d, v) for v in (series.y, np.ones(n), series.t))
    sums = np.empty((5, n + 1))
    step_fits.suffix_sums(z, o, q, sums)
    deployed: Floats = np.where(np.arange(n) >= n_reference, series.shared, 0.0)
    h = _whiten_column(e, d, deployed)
    # The columns o and h are X of equation 56.
    oo, oh, hh = float(o @ o), float(o @ h), float(h @ h) + 1.0
    determinant = oo * hh - oh * oh
    K = np.array([[hh, -oh], [-oh, oo]]) / determinant
    xz = np.array([o @ z, h @ z])
    squares = SETTINGS.phi_dof + float(z @ z - xz @ K @ xz)
    dof = SETTINGS.phi_dof + n - 1
    log_base = log_determinant - 0.5 * math.log(determinant)
    narrow, wide = SETTINGS.scales
    wide = max(wide, SETTINGS.range_share * float(np.ptp(series.y)))
    return WhitenedSeries(
        rho=rho,
        values=z,
        constant=o,
        times=q,
        factor=e,
        previous_factor=d,
        suffix_sums=sums,
        base_covariance=K,
        base_products=xz,
        squares=squares,
        dof=dof,
        scales=np.array([narrow, wide]),
        log_stable=log_base - 0.5 * dof * math.log(squares),
        log_base=log_base,
    )


def _whiten_column(e: Floats, d: Floats, v: Floats) -> Floats:
    column = e * v
    column[1:] -= d[1:] * v[:-1]
    return column
