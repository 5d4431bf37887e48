"""A series whose errors are made independent, under one autocorrelation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator._kernels import regression, step_fits
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
    outlier_cost : float
        What an outlier costs in log evidence: one chunk in fifty is one. Counted by how
        much its standard error was enlarged.
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
    outlier_cost: float = 3.9
    range_share: float = 0.5


SETTINGS: Final = NoiseSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Base:
    """What the series is thought to be made of before a shape is tried.

    Attributes
    ----------
    errors : ndarray of shape (n,)
        Standard errors, those of outliers enlarged.
    columns : ndarray of shape (n, m)
        Columns with a standard normal coefficient times the root of phi: those of a
        season, and events, each times its prior's standard deviation. Level and shared
        error are not among them.
    """

    errors: Floats
    columns: Floats

    def with_columns(self, columns: Floats) -> "Base":
        """Return the base with more columns, of shape (n, k)."""
        return Base(errors=self.errors, columns=np.hstack([self.columns, columns]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WhitenedSeries:
    """A series under one autocorrelation, its errors made independent.

    Attributes
    ----------
    rho : float
        Autocorrelation of the errors at a typical spacing.
    base : Base
        What is taken out of the series before shapes are tried.
    factor, previous_factor : ndarray of shape (n,)
        ``e`` and ``d`` of that equation: row ``i`` of a whitened column ``v`` is
        ``factor[i] * v[i] - previous_factor[i] * v[i - 1]``.
    columns : ndarray of shape (n, 2 + m)
        The constant, the shared error's column and those of the base, as they are.
    covariance : ndarray of shape (2 + m, 2 + m)
        Posterior covariance of their coefficients, over phi: ``K`` of equation 56.
    coefficients : ndarray of shape (2 + m,)
        Posterior mean of their coefficients.
    basis : ndarray of shape (n, 2 + m)
        Basis of the whitened columns: ``Q`` with ``Q Q^T = X K X^T``.
    left : ndarray of shape (n,)
        What the columns leave of the whitened series: ``r``.
    squares : float
        Sum of squares that the columns leave, with the prior's: ``S`` of equation 56.
    dof : float
        Degrees of freedom of these squares: ``nu`` of equation 56.
    scales : ndarray of shape (2,)
        Standard deviations of the amplitudes' prior, in units of the errors'.
    log_stable : float
        Log evidence of the base alone: ``ln E_0`` of equation 58.
    log_base : float
        What the log evidence of every shape has in common: ``l_0`` of equation 58.
    """

    rho: float
    base: Base
    factor: Floats
    previous_factor: Floats
    columns: Floats
    covariance: Floats
    coefficients: Floats
    basis: Floats
    left: Floats
    squares: float
    dof: float
    scales: Floats
    log_stable: float
    log_base: float

    def column(self, v: Floats) -> Floats:
        """Return a column of the model, whitened, of shape (n,)."""
        return _whiten_columns(self.factor, self.previous_factor, v)

    def fitted_base(self, curve: Floats) -> Floats:
        """Return the base by chunk, given a curve beside it, of shape (n,)."""
        left = self.column(curve)
        products = (
            _whiten_columns(self.factor, self.previous_factor, self.columns).T @ left
        )
        fitted: Floats = self.columns @ (self.coefficients - self.covariance @ products)
        return fitted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepTables:
    """Products of steps and sums over rows, as `step_fits` fills them.

    Attributes
    ----------
    steps : ndarray of shape (n, m + 5)
        Products of the step at each chunk.
    sums, sums_of_times : ndarray of shape (n + 1, m + 5)
        Sums over the rows from each on.
    """

    steps: Floats
    sums: Floats
    sums_of_times: Floats


def step_tables(series: Series, whitened: WhitenedSeries) -> StepTables:
    """Return what gives the products of any step, window or ramp in constant time."""
    n, m = whitened.columns.shape
    sums, sums_of_times, steps = (np.empty((n + k, m + 3)) for k in (1, 1, 0))
    o = whitened.column(whitened.columns[:, 0])
    q = whitened.column(series.t)
    r, Q, e = whitened.left, whitened.basis, whitened.factor
    step_fits.suffix_sums(r, Q, o, q, sums, sums_of_times)
    step_fits.step_table(r, Q, o, e, sums, steps)
    return StepTables(steps=steps, sums=sums, sums_of_times=sums_of_times)


def plain_base(series: Series) -> Base:
    """Return the base of level and shared error alone."""
    return Base(errors=series.robust_errors, columns=np.empty((series.y.size, 0)))


def whiten(series: Series, rho: float, base: Base) -> WhitenedSeries:
    """Return the series under one autocorrelation: method.md, equations 55 to 58."""
    n, n_reference = series.y.size, series.n_reference
    e, d = np.empty(n), np.empty(n)
    log_determinant = regression.whiten(base.errors, series.gaps, rho, e, d)
    columns = np.empty((n, 2 + base.columns.shape[1]))
    columns[:, 0] = 1.0
    columns[:, 1] = np.where(np.arange(n) >= n_reference, series.shared, 0.0)
    columns[:, 2:] = base.columns
    z, r = np.empty(n), np.empty(n)
    X, Q = np.empty(columns.shape), np.empty(columns.shape)
    inverse_root = np.empty((columns.shape[1], columns.shape[1]))
    log_root = regression.regress(series.y, columns, e, d, z, X, Q, r, inverse_root)
    squares = SETTINGS.phi_dof + float(z @ r)
    dof = SETTINGS.phi_dof + n - 1
    is_lone = 1.0 - series.pooled_errors / base.errors
    log_base = log_determinant + log_root
    log_base -= SETTINGS.outlier_cost * float(is_lone.sum())
    narrow, wide = SETTINGS.scales
    wide = max(wide, SETTINGS.range_share * float(np.ptp(series.y)))
    return WhitenedSeries(
        rho=rho,
        base=base,
        factor=e,
        previous_factor=d,
        columns=columns,
        covariance=inverse_root.T @ inverse_root,
        coefficients=inverse_root.T @ (Q.T @ z),
        basis=Q,
        left=r,
        squares=squares,
        dof=dof,
        scales=np.array([narrow, wide]),
        log_stable=log_base - 0.5 * dof * math.log(squares),
        log_base=log_base,
    )


def _whiten_columns(e: Floats, d: Floats, columns: Floats) -> Floats:
    """Return columns of shape (n,) or (n, m), whitened: method.md, equation 55."""
    if columns.ndim == 2:
        e, d = e[:, None], d[:, None]
    whitened = e * columns
    whitened[1:] -= d[1:] * columns[:-1]
    return whitened
