"""Shapes that come back: regular cycles, and two levels at no fixed times."""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from estimator._kernels import cycle_fits, switching_fits
from estimator._kernels.step_fits import log_total
from estimator.degradation.series import Series
from estimator.degradation.shapes.fits import RHO_PRIOR, Fits
from estimator.degradation.shapes.whitening import PHI_DOF, Whitened

Floats = NDArray[np.float64]

# One or two harmonics through the whole series, one or two since deployment.
CYCLE_PRIOR: Final = np.array([0.35, 0.15, 0.35, 0.15])
SWITCHING_PRIOR: Final = 0.25
STAY: Final = 0.75  # from chunk to chunk, in a series that goes back and forth


@lru_cache(maxsize=16)
def frequencies(span: float, n_chunks: int) -> tuple[Floats, Floats]:
    """Return frequencies from two cycles in the span to one in 2.5 chunks, and a prior.

    The prior is even in the logarithm of the period.
    """
    lowest, highest = 2.0 / span, n_chunks / span / 2.5
    if highest <= lowest:
        return np.empty(0), np.empty(0)
    found = [lowest]
    while found[-1] < highest:
        found.append(found[-1] + min(0.25 / span, 0.03 * found[-1]))
    frequency = np.array(found)
    weight = np.gradient(np.log(frequency))
    return frequency, weight / weight.sum()


def fit_cycles(series: Series, white: Whitened) -> Iterator[Fits]:
    """Yield the fits of all frequencies, none where the series is too short."""
    n_reference = series.n_reference
    span = float(series.t[-1] - series.t[n_reference]) + 1.0
    frequency, prior = frequencies(span, series.y.size - n_reference)
    if frequency.size == 0:
        return
    evidence = np.empty((frequency.size, CYCLE_PRIOR.size))
    coefficients = np.empty((frequency.size, CYCLE_PRIOR.size, 5))
    cycle_fits.harmonics(
        frequency,
        white.z,
        white.o,
        white.e,
        white.d,
        series.t,
        n_reference,
        white.K,
        white.xz,
        series.shared,
        white.rest,
        white.dof,
        white.scales,
        evidence,
        coefficients,
    )
    share = (1.0 - SWITCHING_PRIOR) * RHO_PRIOR[white.rho]
    log_prior = np.log(prior)[:, None] + np.log(CYCLE_PRIOR * share)
    weight = (evidence + log_prior + white.log_base).ravel()
    nowhere = np.zeros(weight.size, dtype=np.int64)
    yield Fits(
        kind="cyclical",
        form="cycle",
        white=white,
        log_weight=weight,
        log_rise=-np.inf,
        first=nowhere,
        last=nowhere,
        amplitude=np.ones(weight.size),
        variance=np.zeros(weight.size),
        frequency=np.repeat(frequency, CYCLE_PRIOR.size),
        coefficients=coefficients.reshape(weight.size, -1),
    )


def fit_switching(series: Series, white: Whitened) -> Iterator[Fits]:
    """Yield the evidence for two levels between which the series goes back and forth.

    The likelihood of a hidden Markov model with at least three changes, integrated over
    both levels and phi by Gaussian quadrature around its maximum.
    """
    y, weight = series.y, series.errors**-2.0
    n = y.size
    half = 0.5 * PHI_DOF
    best, found, below = -np.inf, None, np.empty(n)
    high, *lows = np.quantile(y, [0.75, 0.1, 0.3]).tolist()
    for low in lows:
        estimate = np.array([high, low, 1.5])
        switching_fits.fit_two_levels(y, weight, STAY, PHI_DOF, 15, estimate, below)
        upper, lower, phi = estimate.tolist()
        if not upper > lower:
            continue
        height = switching_fits.log_switching(y, weight, upper, lower, phi, STAY)
        height -= 0.5 * n * math.log(phi)
        if height > best:
            best, found = height, (upper, lower, phi, below.copy())
    if found is None:
        return
    upper, lower, phi, below = found
    spread = np.sqrt(
        [
            phi / max(float(weight @ (1.0 - below)), 0.5),
            phi / max(float(weight @ below), 0.5),
            2.0 / (PHI_DOF + n),  # of log phi
        ]
    )
    uppers, lowers = upper + spread[0] * _UPPER, lower + spread[1] * _LOWER
    phis = phi * np.exp(spread[2] * _LOG_PHI)
    drop = np.maximum(uppers - lowers, 1e-9) / np.sqrt(phis)
    # the moment prior of the drop, and the inverse gamma of phi in log phi
    in_scales = drop[:, None] / white.scales
    log_density = np.logaddexp.reduce(
        2.0 * np.log(in_scales) - 0.5 * in_scales**2 - np.log(white.scales), axis=1
    )
    log_prior = log_density - 0.5 * np.log(2.0 * np.pi * phis)
    log_prior += half * np.log(half / phis) - half / phis - gammaln(half)
    log_rule = _LOG_RULE + math.log(float(np.prod(spread)))
    heights = np.empty(uppers.size)
    switching_fits.log_switchings(y, weight, uppers, lowers, phis, STAY, heights)
    heights -= 0.5 * (n - 1) * np.log(phis) + 0.5 * np.log(2.0 * np.pi * phis)
    # What the other forms leave out as common to all: phi integrated, level flat.
    common = (
        gammaln(0.5 * white.dof)
        + 0.5 * white.dof * np.log(2.0)
        + half * np.log(half)
        - gammaln(half)
    )
    log_weight = (
        log_total(heights + log_prior + log_rule)
        - common
        + 0.5 * np.log(float(white.o @ white.o))
        + white.log_base
        + np.log(SWITCHING_PRIOR * RHO_PRIOR[white.rho])
    )
    once = np.zeros(1, dtype=np.int64)
    yield Fits(
        kind="cyclical",
        form="switching",
        white=white,
        log_weight=np.array([log_weight]),
        log_rise=-np.inf,
        first=once,
        last=once,
        amplitude=np.array([lower - upper]),
        variance=np.array([spread[0] ** 2 + spread[1] ** 2]),
        coefficients=below,
    )


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
