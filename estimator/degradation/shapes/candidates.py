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

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.degradation.series import Series
from estimator.degradation.shapes.pair_grid import pair_grid
from estimator.degradation.shapes.steps_and_ramps import (
    Fits,
    fit_pairs,
    fit_steps,
    refine,
)
from estimator.degradation.shapes.whitening import (
    StepTables,
    WhitenedSeries,
    step_tables,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeSettings:
    """Which shapes are tried, and how likely each is before looking.

    Priors are judgements; ``benchmarks.degradation`` measures what they do.

    Attributes
    ----------
    unfinished_prior : float
        Probability that a gradual decline still goes on at the last chunk: that is more
        likely than any one end before. With more, ends are announced later.
    shortest_ramp : int
        Chunks that a gradual decline takes at least: shorter ones are steps.
    shortest_window : int
        Chunks that an incident takes at least. One chunk alone is an outlier.
    shortest_return : int
        Chunks since an incident ended, at least: one chunk alone may be an outlier.
    full_length : int
        Chunks from which on a stretch is as likely as any longer one. Incidents of
        fewer chunks are the rarer the more they look like outliers.
    full_ramp : int
        The same of a slow decline: one of fewer chunks looks like a step.
    all_pairs : int
        Chunks up to which all pairs of positions are tried: there it costs no more.
    exact_window, exact_ramp : int
        Distances in chunks up to which all pairs are tried in longer series; beyond,
        blocks of pairs grow with the distance. More finds ends more exactly, and takes
        longer in proportion: the benchmark has targets for both.
    """

    unfinished_prior: float = 0.4
    shortest_ramp: int = 4
    shortest_window: int = 2
    shortest_return: int = 2
    full_length: int = 5
    full_ramp: int = 12
    all_pairs: int = 80
    exact_window: int = 24
    exact_ramp: int = 12


SETTINGS: Final = ShapeSettings()
EVENT_KINDS: Final = ("training_serving_skew", "sudden", "recovered", "gradual")


def fit_shapes(
    series: Series, whitened: WhitenedSeries, kinds: Collection[str] = EVENT_KINDS
) -> list[Fits]:
    """Return the fits of all forms that the series has room for, under one rho.

    Costs O(n) shapes in O(1) each.

    Parameters
    ----------
    series : Series
        Series that changes.
    whitened : WhitenedSeries
        The same under one autocorrelation, beside one base.
    kinds : collection of str, optional
        Kinds of decline to try; default: all that begin somewhere.
    """
    if series.n_reference == series.y.size:
        return []
    fit_by_kind = {
        "training_serving_skew": _fit_skew,
        "sudden": _fit_steps,
        "recovered": _fit_windows,
        "gradual": _fit_ramps,
    }
    chosen = [fit_by_kind[kind] for kind in EVENT_KINDS if kind in kinds]
    tables = step_tables(series, whitened)
    fits = [fit(series, whitened, tables) for fit in chosen]
    return [one for one in fits if one is not None]


def _fit_skew(
    series: Series, whitened: WhitenedSeries, tables: StepTables
) -> Fits | None:
    if not series.n_reference:
        return None
    deployment = np.array([series.n_reference])
    return fit_steps(whitened, tables, "training_serving_skew", deployment, np.ones(1))


def _fit_steps(
    series: Series, whitened: WhitenedSeries, tables: StepTables
) -> Fits | None:
    n = series.y.size
    # a change at deployment is not sudden but skew
    positions = np.arange(series.n_reference + 1, n)
    if positions.size == 0:
        return None
    return fit_steps(
        whitened, tables, "sudden", positions, _by_length(n + 1 - positions)
    )


def _fit_windows(
    series: Series, whitened: WhitenedSeries, tables: StepTables
) -> Fits | None:
    n = series.y.size
    start = series.n_reference + 1
    room = n - start + 1 - SETTINGS.shortest_return
    exact = _exact(n, SETTINGS.exact_window)
    grid = pair_grid(room, SETTINGS.shortest_window, exact)
    if grid.first.size == 0:
        return None
    prior = _by_length(grid.length, grid.share)
    fit = partial(fit_pairs, whitened, tables, series.t, "recovered", "window")
    return refine(fit, grid, start, prior)


def _fit_ramps(
    series: Series, whitened: WhitenedSeries, tables: StepTables
) -> Fits | None:
    n = series.y.size
    start = max(series.n_reference - 1, 0)
    grid = pair_grid(n - start, SETTINGS.shortest_ramp, SETTINGS.exact_ramp)
    if grid.first.size == 0:
        return None
    going_on = np.arange(start, n - SETTINGS.shortest_ramp)
    unfinished = SETTINGS.unfinished_prior
    slow = SETTINGS.full_ramp
    prior = np.concatenate(
        [
            _by_length(grid.length, grid.share, slow) * (1.0 - unfinished),
            _by_length(n - 1 - going_on, None, slow) * unfinished,
        ]
    )
    first = np.concatenate([grid.first + start, going_on])
    last = np.concatenate([grid.last + start, np.full(going_on.size, n - 1)])
    return fit_pairs(whitened, tables, series.t, "gradual", "ramp", first, last, prior)


def _exact(n: int, usual: int) -> int:
    """Return up to which distance all pairs are tried: in short series, all."""
    return n if n <= SETTINGS.all_pairs else usual


def _by_length(
    length: Ints, prior: Floats | None = None, full: int = SETTINGS.full_length
) -> Floats:
    """Return a prior by which short stretches are less likely than long ones."""
    weight = np.minimum(1.0, (length - 1) / (full - 1))
    if prior is not None:
        weight = weight * prior
    shared: Floats = weight / weight.sum()
    return shared
