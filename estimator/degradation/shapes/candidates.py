r"""The shapes a series of chunk values can have, and the evidence for each.

A series is a level, plus the error that all analysis chunks share, plus an amplitude
times a shape, plus noise: :math:`y = \mu + u 1[i \ge n_b] + \delta g_\theta + \epsilon`
with :math:`\epsilon` of variance :math:`\varphi s^2` and autocorrelation
:math:`\rho`. The evidence for a kind of decline is the likelihood of the series
averaged over all its positions :math:`\theta`, amplitudes and kinds of noise: a kind
with many positions to choose from pays for them, and a correction for autocorrelation
counts as far as the series speaks for it.

:math:`\mu` has a flat prior, :math:`u` is normal with the shared error's variance,
:math:`\varphi` inverse gamma, and :math:`\delta`, on the side of a decline, has the
moment prior :math:`\propto \delta^2 N(0, c^2 \varphi)` of Johnson & Rossell (2010), "On
the use of non-local prior densities in Bayesian hypothesis tests", JRSS B 72(2). It
vanishes at zero: a decline that could as well be none is none, which lets the evidence
for a stable series grow as fast as that for a decline.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.degradation.series import Series
from estimator.degradation.shapes.cycles import fit_cycles, fit_switching
from estimator.degradation.shapes.fitted_shapes import Fits
from estimator.degradation.shapes.pair_grid import pair_grid
from estimator.degradation.shapes.steps_and_ramps import (
    fit_pairs,
    fit_staircases,
    fit_steps,
    refine,
)
from estimator.degradation.shapes.whitening import WhitenedSeries

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeSettings:
    """Which shapes are tried, and how likely each is before looking.

    Priors are judgements; ``benchmarks.degradation`` measures what they do.

    Attributes
    ----------
    staircase_prior : float
        Probability that a sudden decline has two steps. With more, a single step is
        more often dated as two.
    unfinished_prior : float
        Probability that a gradual decline still goes on at the last chunk: that is more
        likely than any one end before. With more, ends are announced later.
    shortest_ramp : int
        Chunks that a gradual decline takes at least: shorter ones are steps.
    shortest_window : int
        Chunks between two steps at least, of an incident and of a staircase. One chunk
        alone is an outlier.
    shortest_return : int
        Chunks since an incident ended, at least: one chunk alone may be an outlier.
    full_length : int
        Chunks from which on a stretch is as likely as any longer one. Incidents of
        fewer chunks are the rarer the more they look like outliers.
    shortest_cycle : int
        Chunks of the analysis from which on cycles are tried: two of 2.5 chunks each.
    all_pairs : int
        Chunks up to which all pairs of positions are tried: there it costs no more.
    exact_staircase, exact_window, exact_ramp : int
        Distances in chunks up to which all pairs are tried in longer series; beyond,
        blocks of pairs grow with the distance. More finds ends more exactly, and takes
        longer in proportion: the benchmark has targets for both.
    """

    staircase_prior: float = 0.2
    unfinished_prior: float = 0.4
    shortest_ramp: int = 4
    shortest_window: int = 2
    shortest_return: int = 2
    full_length: int = 5
    shortest_cycle: int = 5
    all_pairs: int = 80
    exact_staircase: int = 8
    exact_window: int = 24
    exact_ramp: int = 12


SETTINGS: Final = ShapeSettings()


def fit_shapes(series: Series, whitened: WhitenedSeries) -> Iterator[Fits]:
    """Yield the fits of all forms that the series has room for, under one rho.

    Costs O(n) shapes in O(1) each, and O(n) frequencies in O(n) each.
    """
    n, n_reference = series.y.size, series.n_reference
    if n_reference == n:
        return
    yield from _fit_steps_and_staircases(series, whitened)
    yield from _fit_windows(series, whitened)
    yield from _fit_ramps(series, whitened)
    if n - n_reference >= SETTINGS.shortest_cycle:
        yield from fit_cycles(series, whitened)
        if whitened.rho == 0.0:
            # Going back and forth is itself an autocorrelation: not both at once.
            yield from fit_switching(series, whitened)


def _fit_steps_and_staircases(
    series: Series, whitened: WhitenedSeries
) -> Iterator[Fits]:
    n, n_reference = series.y.size, series.n_reference
    start = n_reference + 1  # a change at deployment is not sudden but skew
    if n_reference:
        deployment = np.array([n_reference])
        kind = "training_serving_skew"
        yield fit_steps(series, whitened, kind, deployment, np.ones(1))
    positions = np.arange(start, n)
    if positions.size:
        prior = (1.0 - SETTINGS.staircase_prior) * _by_length(n + 1 - positions)
        yield fit_steps(series, whitened, "sudden", positions, prior)
    exact = _exact(n, SETTINGS.exact_staircase)
    grid = pair_grid(n - start, SETTINGS.shortest_window, exact)
    if grid.first.size:
        prior = SETTINGS.staircase_prior * grid.share
        yield refine(partial(fit_staircases, series, whitened), grid, start, prior)


def _fit_windows(series: Series, whitened: WhitenedSeries) -> Iterator[Fits]:
    n = series.y.size
    start = series.n_reference + 1
    room = n - start + 1 - SETTINGS.shortest_return
    exact = _exact(n, SETTINGS.exact_window)
    grid = pair_grid(room, SETTINGS.shortest_window, exact)
    if grid.first.size:
        prior = _by_length(grid.length, grid.share)
        windows = partial(fit_pairs, series, whitened, "recovered", "window")
        yield refine(windows, grid, start, prior)


def _fit_ramps(series: Series, whitened: WhitenedSeries) -> Iterator[Fits]:
    n = series.y.size
    start = max(series.n_reference - 1, 0)
    grid = pair_grid(n - start, SETTINGS.shortest_ramp, SETTINGS.exact_ramp)
    if grid.first.size:
        going_on = np.arange(start, n - SETTINGS.shortest_ramp)
        unfinished = SETTINGS.unfinished_prior
        prior = np.concatenate(
            [
                grid.share * (1.0 - unfinished),
                np.full(going_on.size, unfinished / going_on.size),
            ]
        )
        first = np.concatenate([grid.first + start, going_on])
        last = np.concatenate([grid.last + start, np.full(going_on.size, n - 1)])
        yield fit_pairs(series, whitened, "gradual", "ramp", first, last, prior)


def _exact(n: int, usual: int) -> int:
    """Return up to which distance all pairs are tried: in short series, all."""
    return n if n <= SETTINGS.all_pairs else usual


def _by_length(length: Ints, prior: Floats | None = None) -> Floats:
    """Return a prior by which short stretches are less likely than long ones."""
    weight = np.minimum(1.0, (length - 1) / (SETTINGS.full_length - 1))
    if prior is not None:
        weight = weight * prior
    shared: Floats = weight / weight.sum()
    return shared
