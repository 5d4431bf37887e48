"""Shapes that come back: regular cycles, and two levels at no fixed times."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from estimator._kernels import cycle_fits, switching_fits
from estimator._kernels.step_fits import log_total
from estimator.degradation.series import Series
from estimator.degradation.shapes.fitted_shapes import Fits
from estimator.degradation.shapes.whitening import SETTINGS as NOISE
from estimator.degradation.shapes.whitening import WhitenedSeries

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleSettings:
    """Which cycles are tried, and how likely each is before looking.

    Priors are judgements; ``benchmarks.degradation`` measures what they do.

    Attributes
    ----------
    harmonics_prior : tuple of float
        Probabilities of one and of two harmonics through the whole series, then of one
        and of two since deployment; they sum to 1. More weight on two: cycles that are
        no sine are named sooner, and so is noise that looks like one.
    switching_prior : float
        Probability that a cycle has no period but goes back and forth between two
        levels. With more, a regular cycle is more often said to be irregular.
    stay : float
        Probability that a chunk of such a series is at the level of the chunk before:
        visits last 1 / (1 - stay) = 4 chunks on average.
    fewest_cycles : float
        Cycles that the analysis has room for at least: a single one is as well an
        incident that ended.
    fewest_chunks : float
        Chunks in a period at least. At 2, Nyquist's limit, the sine vanishes in evenly
        spaced chunks.
    frequency_step : float
        Largest step of the frequencies, in cycles per span of the analysis. A peak is
        about one wide: steps of a quarter miss none.
    frequency_ratio : float
        Largest step in shares of the frequency, which makes steps finer for slow
        cycles: periods are resolved to 3 %.
    n_rounds : int
        Rounds of expectation maximization, by which two levels are sought. The levels
        only have to be near the maximum: quadrature around it does the rest.
    """

    harmonics_prior: tuple[float, float, float, float] = (0.35, 0.15, 0.35, 0.15)
    switching_prior: float = 0.25
    stay: float = 0.75
    fewest_cycles: float = 2.0
    fewest_chunks: float = 2.5
    frequency_step: float = 0.25
    frequency_ratio: float = 0.03
    n_rounds: int = 15


SETTINGS: Final = CycleSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _TwoLevels:
    """Levels that a series goes back and forth between, as most likely.

    Attributes
    ----------
    upper, lower : float
        Both levels, in typical standard errors.
    phi : float
        Variance of the errors over that which their standard errors say.
    below : ndarray of shape (n,)
        Probability of each chunk of being at the lower level.
    deviations : ndarray of shape (3,)
        Standard errors of both levels and of the logarithm of phi.
    """

    upper: float
    lower: float
    phi: float
    below: Floats
    deviations: Floats


@lru_cache(maxsize=16)
def frequencies(span: float, n_chunks: int) -> tuple[Floats, Floats]:
    """Return frequencies from two cycles in the span to one in 2.5 chunks, and a prior.

    The prior is even in the logarithm of the period.
    """
    lowest = SETTINGS.fewest_cycles / span
    highest = n_chunks / span / SETTINGS.fewest_chunks
    if highest <= lowest:
        return np.empty(0), np.empty(0)
    grid = [lowest]
    while grid[-1] < highest:
        step = SETTINGS.frequency_step / span
        grid.append(grid[-1] + min(step, SETTINGS.frequency_ratio * grid[-1]))
    frequency = np.array(grid)
    weight = np.gradient(np.log(frequency))
    return frequency, weight / weight.sum()


def fit_cycles(series: Series, whitened: WhitenedSeries) -> Iterator[Fits]:
    """Yield the fits of all frequencies, none where the series is too short."""
    n_reference = series.n_reference
    span = float(series.t[-1] - series.t[n_reference]) + 1.0
    frequency, prior = frequencies(span, series.y.size - n_reference)
    if frequency.size == 0:
        return
    variant_prior = np.array(SETTINGS.harmonics_prior)
    evidence = np.empty((frequency.size, variant_prior.size))
    coefficients = np.empty((*evidence.shape, cycle_fits.N_COLUMNS))
    cycle_fits.harmonics(
        frequency,
        whitened.values,
        whitened.constant,
        whitened.factor,
        whitened.previous_factor,
        series.t,
        n_reference,
        whitened.base_covariance,
        whitened.base_products,
        series.shared,
        whitened.squares,
        whitened.dof,
        whitened.scales,
        evidence,
        coefficients,
    )
    share = (1.0 - SETTINGS.switching_prior) * NOISE.rho_prior[whitened.rho]
    log_prior = np.log(prior)[:, None] + np.log(variant_prior * share)
    weight = (evidence + log_prior + whitened.log_base).ravel()
    everywhere = np.zeros(weight.size, dtype=np.int64)
    yield Fits(
        kind="cyclical",
        form="cycle",
        whitened=whitened,
        log_weight=weight,
        log_rise=-np.inf,
        first=everywhere,
        last=everywhere,
        amplitude=np.ones(weight.size),
        variance=np.zeros(weight.size),
        frequency=np.repeat(frequency, variant_prior.size),
        coefficients=coefficients.reshape(weight.size, -1),
    )


def fit_switching(series: Series, whitened: WhitenedSeries) -> Iterator[Fits]:
    """Yield the evidence for two levels between which the series goes back and forth.

    The likelihood of a hidden Markov model with at least three changes, integrated over
    both levels and phi by Gaussian quadrature around its maximum.
    """
    weight = series.robust_errors**-2.0
    levels = _fit_two_levels(series.y, weight)
    if levels is None:
        return
    half = 0.5 * NOISE.phi_dof
    # What the other forms leave out as common to all: phi integrated, level flat.
    common = (
        gammaln(0.5 * whitened.dof)
        + 0.5 * whitened.dof * np.log(2.0)
        + half * np.log(half)
        - gammaln(half)
    )
    log_weight = (
        _log_integral(series.y, weight, levels, whitened.scales)
        - common
        + 0.5 * np.log(float(whitened.constant @ whitened.constant))
        + whitened.log_base
        + np.log(SETTINGS.switching_prior * NOISE.rho_prior[whitened.rho])
    )
    everywhere = np.zeros(1, dtype=np.int64)
    deviations = levels.deviations
    yield Fits(
        kind="cyclical",
        form="switching",
        whitened=whitened,
        log_weight=np.array([log_weight]),
        log_rise=-np.inf,
        first=everywhere,
        last=everywhere,
        amplitude=np.array([levels.lower - levels.upper]),
        variance=np.array([deviations[0] ** 2 + deviations[1] ** 2]),
        coefficients=levels.below,
    )


def _fit_two_levels(y: Floats, weight: Floats) -> _TwoLevels | None:
    """Return the most likely levels from two starts, None if neither has two."""
    n = y.size
    best, levels = -np.inf, None
    below = np.empty(n)
    high, *lows = np.quantile(y, [0.75, 0.1, 0.3]).tolist()
    for low in lows:
        estimate = np.array([high, low, 1.5])
        switching_fits.fit_two_levels(
            y, weight, SETTINGS.stay, NOISE.phi_dof, SETTINGS.n_rounds, estimate, below
        )
        upper, lower, phi = estimate.tolist()
        if not upper > lower:
            continue
        log_likelihood = switching_fits.log_switching(
            y, weight, upper, lower, phi, SETTINGS.stay
        )
        log_likelihood -= 0.5 * n * math.log(phi)
        if log_likelihood > best:
            best = log_likelihood
            deviations = np.sqrt(
                [
                    phi / max(float(weight @ (1.0 - below)), 0.5),
                    phi / max(float(weight @ below), 0.5),
                    2.0 / (NOISE.phi_dof + n),
                ]
            )
            levels = _TwoLevels(
                upper=upper,
                lower=lower,
                phi=phi,
                below=below.copy(),
                deviations=deviations,
            )
    return levels


def _log_integral(
    y: Floats, weight: Floats, levels: _TwoLevels, scales: Floats
) -> float:
    """Return the log of likelihood times prior, integrated over levels and phi."""
    n, half = y.size, 0.5 * NOISE.phi_dof
    deviations = levels.deviations
    uppers = levels.upper + deviations[0] * _UPPER
    lowers = levels.lower + deviations[1] * _LOWER
    phis = levels.phi * np.exp(deviations[2] * _LOG_PHI)
    drop = np.maximum(uppers - lowers, 1e-9) / np.sqrt(phis)
    # the moment prior of the drop, and the inverse gamma of phi in log phi
    in_scales = drop[:, None] / scales
    log_density = np.logaddexp.reduce(
        2.0 * np.log(in_scales) - 0.5 * in_scales**2 - np.log(scales), axis=1
    )
    log_prior = log_density - 0.5 * np.log(2.0 * np.pi * phis)
    log_prior += half * np.log(half / phis) - half / phis - gammaln(half)
    log_rule = _LOG_RULE + math.log(float(np.prod(deviations)))
    heights = np.empty(uppers.size)
    switching_fits.log_switchings(
        y, weight, uppers, lowers, phis, SETTINGS.stay, heights
    )
    heights -= 0.5 * (n - 1) * np.log(phis) + 0.5 * np.log(2.0 * np.pi * phis)
    return log_total(heights + log_prior + log_rule)


def _quadrature() -> tuple[Floats, Floats, Floats, Floats]:
    """Return Gauss-Hermite nodes for upper level, lower level and phi, log weights."""
    x, weight = np.polynomial.hermite_e.hermegauss(5)
    p, phi_weight = np.polynomial.hermite_e.hermegauss(3)
    nodes = [grid.ravel() for grid in np.meshgrid(x, x, p, indexing="ij")]
    weights = np.einsum("i,j,k->ijk", weight, weight, phi_weight).ravel()
    return (
        nodes[0],
        nodes[1],
        nodes[2],
        np.log(weights) + 0.5 * sum(n * n for n in nodes),
    )


_UPPER, _LOWER, _LOG_PHI, _LOG_RULE = _quadrature()
