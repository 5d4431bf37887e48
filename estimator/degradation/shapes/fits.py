"""How well many shapes of one form fit a series, and the best of them as a curve."""

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from estimator.degradation.series import Series
from estimator.degradation.shapes.whitening import Whitened

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Form = Literal["step", "staircase", "window", "ramp", "cycle", "switching"]

# Autocorrelation of the noise at a typical spacing, and its prior.
RHO_PRIOR: Final = {0.0: 0.5, 0.3: 0.3, 0.6: 0.2}


def _nothing() -> Floats:
    return np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fits:
    """All shapes of one form under one autocorrelation.

    Attributes
    ----------
    kind : str
        The kind of decline these shapes are.
    form : str
    white : Whitened
    log_weight : ndarray of shape (n,)
        Log of prior times evidence of each shape as a decline.
    log_rise : float
        The same in total for shapes that go up.
    first, last : ndarray of shape (n,)
        Chunks between which the series changes, or is changed; for a ramp the last
        before and the first after.
    amplitude, variance : ndarray of shape (n,)
        Posterior of the amplitude, in standard errors.
    share : ndarray of shape (n,)
        Of the first step in the amplitude of a staircase; empty for other forms.
    frequency : ndarray of shape (n,)
        Of a cycle, per typical spacing; empty for other forms.
    coefficients : ndarray
        (n, 5) of a cycle's harmonics and level, or (n_chunks,) probabilities of being
        at the lower of two levels; empty for other forms.
    """

    kind: str
    form: Form
    white: Whitened
    log_weight: Floats
    log_rise: float
    first: Ints
    last: Ints
    amplitude: Floats
    variance: Floats
    share: Floats = field(default_factory=_nothing)
    frequency: Floats = field(default_factory=_nothing)
    coefficients: Floats = field(default_factory=_nothing)


def log_prior(white: Whitened, prior: Floats) -> Floats:
    """Return what is added to the evidence of shapes under one autocorrelation."""
    added: Floats = np.log(prior) + np.log(RHO_PRIOR[white.rho]) + white.log_base
    return added


def shape_of(fits: Fits, at: int, series: Series) -> Floats:
    """Return one of the fitted shapes, times its amplitude, by usable chunk."""
    i = np.arange(series.y.size)
    a, b = fits.first[at], fits.last[at]
    if fits.form == "ramp":
        t = series.t
        shape = np.clip((t - t[a]) / (t[b] - t[a]), 0.0, 1.0)
    elif fits.form == "cycle":
        phase = 2.0 * np.pi * fits.frequency[at] * series.t
        columns = np.stack(
            [np.cos(phase), np.sin(phase), np.cos(2 * phase), np.sin(2 * phase)], axis=1
        )
        *harmonics, level = fits.coefficients[at]
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
            shape = fits.share[at] * shape + (1.0 - fits.share[at]) * (i >= b)
    scaled: Floats = fits.amplitude[at] * shape
    return scaled
