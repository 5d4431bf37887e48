r"""The shapes a series of chunk values can have, and the evidence for each.

A series is a level, plus the error that all analysis chunks share, plus an amplitude
times a shape, plus noise: :math:`y = \mu + u 1[i \ge n_b] + \delta g_\theta + \epsilon`
with :math:`\epsilon` of variance :math:`\varphi s^2` and autocorrelation
:math:`\rho`. The evidence for a kind of decline is the likelihood of the series
averaged over all its places :math:`\theta`, amplitudes and kinds of noise: a kind with
many places to choose from pays for them, and a correction for autocorrelation counts
as far as the series speaks for it.

:math:`\mu` has a flat prior, :math:`u` is normal with the shared error's variance,
:math:`\varphi` inverse gamma, and :math:`\delta`, on the side of a decline, has the
moment prior :math:`\propto \delta^2 N(0, c^2 \varphi)` of Johnson & Rossell (2010), "On
the use of non-local prior densities in Bayesian hypothesis tests", JRSS B 72(2). It
vanishes at zero: a decline that could as well be none is none, which lets the evidence
for a stable series grow as fast as that for a decline.
"""

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.degradation.series import Series
from estimator.degradation.shapes.changes import (
    fit_pairs,
    fit_staircases,
    fit_steps,
    refine,
)
from estimator.degradation.shapes.cycles import fit_cycles, fit_switching
from estimator.degradation.shapes.fits import Fits
from estimator.degradation.shapes.pair_grid import lattice
from estimator.degradation.shapes.whitening import Whitened

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STAIRCASE_PRIOR: Final = 0.2
# A decline still going on at the last chunk is more likely than any one end before.
UNFINISHED_PRIOR: Final = 0.4
MIN_RAMP, MIN_WINDOW, MIN_BACK = 4, 2, 2
ALL_PAIRS: Final = 80  # chunks up to which trying all pairs costs no more
# Incidents of fewer chunks are the rarer the more they look like outliers.
FULL_LENGTH: Final = 5
MIN_CYCLE_CHUNKS: Final = 5


def fit_shapes(series: Series, white: Whitened) -> Iterator[Fits]:
    """Yield the fits of all forms that the series has room for, under one rho.

    Costs O(n) shapes in O(1) each, and O(n) frequencies in O(n) each.
    """
    n, n_reference = series.y.size, series.n_reference
    if n_reference == n:
        return
    start = n_reference + 1  # a change at deployment is not sudden but skew
    if n_reference:
        at = np.array([n_reference])
        yield fit_steps(series, white, "training_serving_skew", at, np.ones(1))
    at = np.arange(start, n)
    if at.size:
        prior = (1.0 - STAIRCASE_PRIOR) * _by_length(n + 1 - at)
        yield fit_steps(series, white, "sudden", at, prior)
    places = lattice(n - start, MIN_WINDOW, _exact(n, 8))
    if places.first.size:
        prior = STAIRCASE_PRIOR * places.share
        yield refine(partial(fit_staircases, series, white), places, start, prior)
    places = lattice(n - start + 1 - MIN_BACK, MIN_WINDOW, _exact(n, 24))
    if places.first.size:
        prior = _by_length(places.length, places.share)
        windows = partial(fit_pairs, series, white, "recovered", "window")
        yield refine(windows, places, start, prior)
    start = max(n_reference - 1, 0)
    places = lattice(n - start, MIN_RAMP, 12)
    if places.first.size:
        going_on = np.arange(start, n - MIN_RAMP)
        prior = np.concatenate(
            [
                places.share * (1.0 - UNFINISHED_PRIOR),
                np.full(going_on.size, UNFINISHED_PRIOR / going_on.size),
            ]
        )
        first = np.concatenate([places.first + start, going_on])
        last = np.concatenate([places.last + start, np.full(going_on.size, n - 1)])
        yield fit_pairs(series, white, "gradual", "ramp", first, last, prior)
    if n - n_reference >= MIN_CYCLE_CHUNKS:
        yield from fit_cycles(series, white)
        if white.rho == 0.0:
            # Going back and forth is itself an autocorrelation: not both at once.
            yield from fit_switching(series, white)


def _exact(n: int, usual: int) -> int:
    """Return up to which distance all pairs are tried: in short series, all."""
    return n if n <= ALL_PAIRS else usual


def _by_length(length: Ints, prior: Floats | None = None) -> Floats:
    """Return a prior by which short stretches are less likely than long ones."""
    weight = np.minimum(1.0, (length - 1) / (FULL_LENGTH - 1))
    if prior is not None:
        weight = weight * prior
    shared: Floats = weight / weight.sum()
    return shared
