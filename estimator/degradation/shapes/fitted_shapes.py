"""How well many shapes of one form fit a series, and the best of them as a curve."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from estimator.degradation.series import Series
from estimator.degradation.shapes.whitening import SETTINGS, WhitenedSeries

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Form = Literal["step", "staircase", "window", "ramp", "cycle", "switching"]


def _no_numbers() -> Floats:
    return np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fits:
    """All shapes of one form under one autocorrelation.

    Attributes
    ----------
    kind : str
        The kind of decline these shapes are, as a verdict names it.
    form : str
        The form of the shapes: ``step``, ``staircase``, ``window``, ``ramp``, ``cycle``
        or ``switching``.
    whitened : WhitenedSeries
        The series under this autocorrelation.
    log_weight : ndarray of shape (n,)
        Logarithm of prior times evidence of each shape as a decline.
    log_rise : float
        Logarithm of prior times evidence of all shapes together as rises.
    first, last : ndarray of int of shape (n,)
        Usable chunks between which the series changes, or is changed; for a ramp the
        last before and the first after.
    amplitude, variance : ndarray of shape (n,)
        Posterior mean and variance of each amplitude, in typical standard errors and
        their squares.
    share : ndarray of shape (n,)
        Share of the first step in the amplitude of a staircase; empty for other forms.
    frequency : ndarray of shape (n,)
        Cycles per typical spacing; empty for other forms.
    coefficients : ndarray of shape (n, 5) or (n_chunks,)
        Harmonics and level of each cycle, in typical standard errors; or, for two
        levels, each chunk's probability of being at the lower one; empty for other
        forms.
    """

    kind: str
    form: Form
    whitened: WhitenedSeries
    log_weight: Floats
    log_rise: float
    first: Ints
    last: Ints
    amplitude: Floats
    variance: Floats
    share: Floats = field(default_factory=_no_numbers)
    frequency: Floats = field(default_factory=_no_numbers)
    coefficients: Floats = field(default_factory=_no_numbers)


def log_prior(whitened: WhitenedSeries, prior: Floats) -> Floats:
    """Return what is added to the evidence of shapes under one autocorrelation."""
    rho_prior = SETTINGS.rho_prior[whitened.rho]
    added: Floats = np.log(prior) + np.log(rho_prior) + whitened.log_base
    return added


def shape_of(fits: Fits, shape_index: int, series: Series) -> Floats:
    """Return one of the fitted shapes, times its amplitude, by usable chunk."""
    i = np.arange(series.y.size)
    a, b = fits.first[shape_index], fits.last[shape_index]
    if fits.form == "ramp":
        t = series.t
        shape = np.clip((t - t[a]) / (t[b] - t[a]), 0.0, 1.0)
    elif fits.form == "cycle":
        phase = 2.0 * np.pi * fits.frequency[shape_index] * series.t
        columns = np.stack(
            [np.cos(phase), np.sin(phase), np.cos(2 * phase), np.sin(2 * phase)], axis=1
        )
        *harmonics, level = fits.coefficients[shape_index]
        shape = columns @ np.array(harmonics)
        if level != 0.0:  # a cycle since deployment
            shape = np.where(i >= series.n_reference, shape + level, 0.0)
    elif fits.form == "switching":
        shape = (fits.coefficients > 0.5) * 1.0
    else:
        shape = (i >= a) * 1.0
        if fits.form == "window":
            shape -= i >= b
        elif fits.form == "staircase":
            share = fits.share[shape_index]
            shape = share * shape + (1.0 - share) * (i >= b)
    scaled: Floats = fits.amplitude[shape_index] * shape
    return scaled
