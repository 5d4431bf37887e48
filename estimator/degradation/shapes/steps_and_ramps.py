"""Shapes that begin somewhere: steps, windows and ramps."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from estimator._kernels import step_fits
from estimator.degradation.shapes.pair_grid import PairGrid
from estimator.degradation.shapes.whitening import (
    SETTINGS,
    StepTables,
    WhitenedSeries,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Form = Literal["step", "window", "ramp"]

# Blocks of pairs that are looked at pair by pair. One would do if the best block always
# held the best pair; each more takes as many fits as its block has pairs.
N_REFINED: Final = 12
_ALL: Final = slice(None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fits:
    """All shapes of one form under one autocorrelation, beside one base.

    Attributes
    ----------
    kind : str
        The kind of decline that these shapes are downwards, as a verdict names it.
    form : str
        The form of the shapes: ``step``, ``window`` or ``ramp``.
    whitened : WhitenedSeries
        The series under this autocorrelation.
    log_prior : ndarray of shape (n,)
        Logarithm of the probability of each shape among those of its form.
    log_down, log_up : ndarray of shape (n,)
        Logarithm of prior times evidence of each shape as a decline and as a rise; the
        prior is that of its position and of the autocorrelation.
    first, last : ndarray of int of shape (n,)
        Usable chunks between which the series changes, or is changed; for a ramp the
        last before and the first after.
    amplitude, variance : ndarray of shape (n,)
        Posterior mean and variance of each amplitude on its likelier side, in typical
        standard errors and their squares.
    """

    kind: str
    form: Form
    whitened: WhitenedSeries
    log_prior: Floats
    log_down: Floats
    log_up: Floats
    first: Ints
    last: Ints
    amplitude: Floats
    variance: Floats

    def log_weight(self, side: int) -> Floats:
        """Return the logarithms of one side: -1 down, 1 up."""
        return self.log_down if side < 0 else self.log_up

    def curve(self, index: int, t: Floats) -> Floats:
        """Return one of the shapes with amplitude 1, by usable chunk."""
        return curve_of(self.form, int(self.first[index]), int(self.last[index]), t)


def log_rho_prior(whitened: WhitenedSeries) -> float:
    """Return the log prior of the autocorrelation."""
    return float(np.log(SETTINGS.rho_prior[whitened.rho]))


def curve_of(form: Form, first: int, last: int, t: Floats) -> Floats:
    """Return a shape of amplitude 1, by usable chunk."""
    i = np.arange(t.size)
    if form == "ramp":
        ramp: Floats = np.clip((t - t[first]) / (t[last] - t[first]), 0.0, 1.0)
        return ramp
    is_in = (i >= first) & ((i < last) | (form != "window"))
    curve: Floats = np.where(is_in, 1.0, 0.0)
    return curve


def fit_steps(
    whitened: WhitenedSeries,
    tables: StepTables,
    kind: str,
    positions: Ints,
    prior: Floats,
) -> Fits:
    """Fit steps: 1 from a position on.

    Parameters
    ----------
    whitened : WhitenedSeries
        Series that changes, under one autocorrelation.
    tables : StepTables
        Products of its steps.
    kind : str
        Kind of decline that these steps are.
    positions : ndarray of int of shape (n,)
        First usable chunk of each step.
    prior : ndarray of shape (n,)
        Probability of each step among those of its kind.
    """
    products = np.empty((positions.size, 2))
    step_fits.step_products(positions, tables.steps, products)
    return _weigh(whitened, kind, "step", positions, positions, prior, products)


def fit_pairs(
    whitened: WhitenedSeries,
    tables: StepTables,
    t: Floats,
    kind: str,
    form: Form,
    first: Ints,
    last: Ints,
    prior: Floats,
) -> Fits:
    """Fit windows (1 between two positions) or ramps (from 0 to 1 between them).

    Parameters
    ----------
    whitened : WhitenedSeries
        Series that changes, under one autocorrelation.
    tables : StepTables
        Products of its steps.
    t : ndarray of shape (n_chunks,)
        Times of its chunks, in typical spacings.
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
    products = np.empty((first.size, 2))
    step_fits.pair_products(
        step_fits.RAMP if form == "ramp" else step_fits.WINDOW,
        first,
        last,
        t,
        tables.steps,
        tables.sums,
        tables.sums_of_times,
        products,
    )
    return _weigh(whitened, kind, form, first, last, prior, products)


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
    is_block = grid.stride > 1
    if not is_block.any():
        return coarse
    blocks = np.flatnonzero(is_block)
    if blocks.size > N_REFINED:
        weight = np.maximum(coarse.log_down, coarse.log_up)[blocks]
        blocks = blocks[np.argpartition(weight, -N_REFINED)[-N_REFINED:]]
    fine = _fit_pairs_of(fit, grid, start, prior, blocks)
    best = int(np.argmax(np.maximum(fine.log_down, fine.log_up)))
    first, last = int(fine.first[best]) - start, int(fine.last[best]) - start
    # The best pair of all may lie in a block beside that of the best so far.
    is_near = grid.is_near(first, last) & is_block
    is_near[blocks] = False
    beside = np.flatnonzero(is_near)
    if beside.size:
        blocks = np.concatenate([blocks, beside])
        fine = _joined(fine, _fit_pairs_of(fit, grid, start, prior, beside))
    kept = np.ones(prior.size, dtype=np.bool_)
    kept[blocks] = False
    return _joined(coarse, fine, kept)


def _fit_pairs_of(
    fit: Callable[[Ints, Ints, Floats], Fits],
    grid: PairGrid,
    start: int,
    prior: Floats,
    blocks: Ints,
) -> Fits:
    """Fit all pairs of some blocks, which share the blocks' prior."""
    first, last, block = grid.pairs_of(blocks)
    within = prior / np.bincount(block, minlength=prior.size).clip(1)
    return fit(first + start, last + start, within[block])


def _joined(some: Fits, more: Fits, kept: NDArray[np.bool_] | slice = _ALL) -> Fits:
    """Return the shapes that are kept of some fits, then those of others."""

    def merged(before: Floats, after: Floats) -> Floats:
        return np.concatenate([before[kept], after])

    return replace(
        some,
        log_prior=merged(some.log_prior, more.log_prior),
        log_down=merged(some.log_down, more.log_down),
        log_up=merged(some.log_up, more.log_up),
        first=np.concatenate([some.first[kept], more.first]),
        last=np.concatenate([some.last[kept], more.last]),
        amplitude=merged(some.amplitude, more.amplitude),
        variance=merged(some.variance, more.variance),
    )


def _weigh(
    whitened: WhitenedSeries,
    kind: str,
    form: Form,
    first: Ints,
    last: Ints,
    prior: Floats,
    products: Floats,
) -> Fits:
    n = first.size
    down, up, amplitude, variance = (np.empty(n) for _ in range(4))
    step_fits.one_amplitude(
        products,
        whitened.squares,
        whitened.dof,
        whitened.scales,
        down,
        up,
        amplitude,
        variance,
    )
    log_prior = np.log(prior)
    log_common = log_prior + (whitened.log_base + log_rho_prior(whitened))
    return Fits(
        kind=kind,
        form=form,
        whitened=whitened,
        log_prior=log_prior,
        log_down=down + log_common,
        log_up=up + log_common,
        first=first,
        last=last,
        amplitude=amplitude,
        variance=variance,
    )
