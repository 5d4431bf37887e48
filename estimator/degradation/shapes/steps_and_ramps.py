"""Shapes that begin somewhere: steps, staircases, windows and ramps."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator._kernels import step_fits
from estimator.degradation.series import Series
from estimator.degradation.shapes.fitted_shapes import Fits, Form, log_prior
from estimator.degradation.shapes.pair_grid import PairGrid
from estimator.degradation.shapes.whitening import WhitenedSeries

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Blocks of pairs that are looked at pair by pair. One would do if the best block always
# held the best pair; each more takes as many fits as its block has pairs.
N_REFINED: Final = 12


def fit_steps(
    series: Series, whitened: WhitenedSeries, kind: str, positions: Ints, prior: Floats
) -> Fits:
    """Fit steps: 1 from a position on.

    Parameters
    ----------
    series : Series
        Series that changes.
    whitened : WhitenedSeries
        The same under one autocorrelation.
    kind : str
        Kind of decline that these steps are.
    positions : ndarray of int of shape (n,)
        First usable chunk of each step.
    prior : ndarray of shape (n,)
        Probability of each step among those of its kind.
    """
    products = np.empty((positions.size, 4))
    step_fits.step_products(
        positions,
        whitened.values,
        whitened.constant,
        whitened.factor,
        whitened.suffix_sums,
        series.n_reference,
        products,
    )
    return _weigh(series, whitened, kind, "step", positions, positions, prior, products)


def fit_pairs(
    series: Series,
    whitened: WhitenedSeries,
    kind: str,
    form: Form,
    first: Ints,
    last: Ints,
    prior: Floats,
) -> Fits:
    """Fit windows (1 between two positions) or ramps (from 0 to 1 between them).

    Parameters
    ----------
    series : Series
        Series that changes.
    whitened : WhitenedSeries
        The same under one autocorrelation.
    kind : str
        Kind of decline that these shapes are.
    form : str
        ``window`` or ``ramp``.
    first, last : ndarray of int of shape (n,)
        Usable chunks: the first in a window and the first after it; the last before a
        ramp and the first after it.
    prior : ndarray of shape (n,)
        Probability of each shape among those of its kind.
    """
    products = np.empty((first.size, 4))
    step_fits.pair_products(
        step_fits.RAMP if form == "ramp" else step_fits.WINDOW,
        first,
        last,
        whitened.values,
        whitened.constant,
        whitened.times,
        whitened.factor,
        series.t,
        whitened.suffix_sums,
        series.n_reference,
        products,
    )
    return _weigh(series, whitened, kind, form, first, last, prior, products)


def fit_staircases(
    series: Series, whitened: WhitenedSeries, first: Ints, last: Ints, prior: Floats
) -> Fits:
    """Fit staircases of two steps, each of a height of its own.

    Parameters
    ----------
    series : Series
        Series that changes.
    whitened : WhitenedSeries
        The same under one autocorrelation.
    first, last : ndarray of int of shape (n,)
        First usable chunk of each step.
    prior : ndarray of shape (n,)
        Probability of each staircase among the sudden declines.
    """
    decline, rise, amplitude, variance, share = (np.empty(first.size) for _ in range(5))
    step_fits.two_steps(
        first,
        last,
        whitened.values,
        whitened.constant,
        whitened.factor,
        whitened.suffix_sums,
        whitened.base_covariance,
        whitened.base_products,
        series.shared,
        whitened.squares,
        whitened.dof,
        whitened.scales,
        decline,
        rise,
        amplitude,
        variance,
        share,
    )
    log_priors = log_prior(whitened, prior)
    return Fits(
        kind="sudden",
        form="staircase",
        whitened=whitened,
        log_weight=decline + log_priors,
        log_rise=step_fits.log_total(rise + log_priors),
        first=first,
        last=last,
        amplitude=amplitude,
        variance=variance,
        share=share,
    )


def refine(
    fit: Callable[[Ints, Ints, Floats], Fits],
    grid: PairGrid,
    start: int,
    prior: Floats,
) -> Fits:
    """Fit a pair per block, and then all pairs of those blocks that matter.

    A shape with edges is far less likely one chunk beside where it fits best: the
    block's middle says where to look, not how likely the block is.

    Parameters
    ----------
    fit : callable
        Returns the fits of shapes by first and last position and prior probability.
    grid : PairGrid
        Blocks of pairs of positions.
    start : int
        Usable chunk at position 0 of the grid.
    prior : ndarray of shape (n_blocks,)
        Probability of each block among the shapes of its kind.

    Returns
    -------
    Fits
        Of a pair for each block that is left whole, then of all pairs of the others.
    """
    coarse = fit(grid.first + start, grid.last + start, prior)
    blocks = np.flatnonzero(grid.stride > 1)
    if blocks.size == 0:
        return coarse
    if blocks.size > N_REFINED:
        weight = coarse.log_weight[blocks]
        blocks = blocks[np.argpartition(weight, -N_REFINED)[-N_REFINED:]]
    first, last, block = grid.pairs_of(blocks)
    within = prior / np.bincount(block, minlength=prior.size).clip(1)
    fine = fit(first + start, last + start, within[block])
    kept = np.ones(prior.size, dtype=np.bool_)
    kept[blocks] = False

    def merged(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return np.concatenate([before[kept] if before.size else before, after])

    return replace(
        coarse,
        log_weight=merged(coarse.log_weight, fine.log_weight),
        first=merged(coarse.first, fine.first),
        last=merged(coarse.last, fine.last),
        amplitude=merged(coarse.amplitude, fine.amplitude),
        variance=merged(coarse.variance, fine.variance),
        share=merged(coarse.share, fine.share),
    )


def _weigh(
    series: Series,
    whitened: WhitenedSeries,
    kind: str,
    form: Form,
    first: Ints,
    last: Ints,
    prior: Floats,
    products: Floats,
) -> Fits:
    n = first.size
    decline, rise, amplitude, variance = (np.empty(n) for _ in range(4))
    step_fits.one_amplitude(
        products,
        whitened.base_covariance,
        whitened.base_products,
        series.shared,
        whitened.squares,
        whitened.dof,
        whitened.scales,
        decline,
        rise,
        amplitude,
        variance,
    )
    log_priors = log_prior(whitened, prior)
    return Fits(
        kind=kind,
        form=form,
        whitened=whitened,
        log_weight=decline + log_priors,
        log_rise=step_fits.log_total(rise + log_priors),
        first=first,
        last=last,
        amplitude=amplitude,
        variance=variance,
    )
