"""Two levels between which a series goes back and forth, at no fixed times."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from estimator._kernels import switching_fits
from estimator._kernels.step_fits import log_total
from estimator.degradation.series import Series
from estimator.degradation.shapes.whitening import SETTINGS as NOISE
from estimator.degradation.shapes.whitening import WhitenedSeries

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchingSettings:
    """How two levels are sought.

    Attributes
    ----------
    stay : float
        Probability that a chunk of such a series is at the level of the chunk before:
        visits last 1 / (1 - stay) = 4 chunks on average.
    n_rounds : int
        Rounds of expectation maximization, by which two levels are sought. The levels
        only have to be near the maximum: quadrature around it does the rest.
    """

    stay: float = 0.75
    n_rounds: int = 15


SETTINGS: Final = SwitchingSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwoLevels:
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


def fit_switching(
    series: Series, whitened: WhitenedSeries
) -> tuple[TwoLevels, float] | None:
    """Return two levels and the log evidence of going back and forth between them.

    The likelihood of a hidden Markov model with at least five changes (fewer are two
    incidents), integrated over both levels and phi by Gaussian quadrature around its
    maximum. None if the series has no two levels.

    Parameters
    ----------
    series : Series
        Series that changes.
    whitened : WhitenedSeries
        The same without autocorrelation: going back and forth is itself one.
    """
    weight = series.robust_errors**-2.0
    levels = _fit_two_levels(series.y, weight)
    if levels is None:
        return None
    half = 0.5 * NOISE.phi_dof
    # What the other forms leave out as common to all: phi integrated, level flat.
    common = (
        gammaln(0.5 * whitened.dof)
        + 0.5 * whitened.dof * np.log(2.0)
        + half * np.log(half)
        - gammaln(half)
    )
    constant = whitened.column(np.ones(series.y.size))
    log_evidence = (
        _log_integral(series.y, weight, levels, whitened.scales)
        - common
        + 0.5 * np.log(float(constant @ constant))
        + whitened.log_base
    )
    return levels, float(log_evidence)


def _fit_two_levels(y: Floats, weight: Floats) -> TwoLevels | None:
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
            levels = TwoLevels(
                upper=upper,
                lower=lower,
                phi=phi,
                below=below.copy(),
                deviations=deviations,
            )
    return levels


def _log_integral(
    y: Floats, weight: Floats, levels: TwoLevels, scales: Floats
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
