"""What kind of decline a series of chunk values shows, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from estimator._kernels.step_fits import log_total
from estimator.degradation.kinds import KINDS
from estimator.degradation.series import read_series
from estimator.degradation.shapes.hypotheses import (
    SETTINGS,
    Hypothesis,
    weigh_hypotheses,
)
from estimator.degradation.shapes.onset_and_size import likeliest, locate
from estimator.degradation.verdict import Degradation

Floats = NDArray[np.float64]


def classify_degradation(
    values: ArrayLike,
    standard_errors: ArrayLike,
    *,
    n_reference: int,
    times: ArrayLike | None = None,
    higher_is_better: bool = True,
    shared_error: float = 0.0,
) -> Degradation:
    r"""Say what kind of decline a series of chunk values shows.

    Compares, by Bayes factors, a flat series with one that steps down, goes down in a
    ramp, for a while, or from deployment on, or does several of these; each beside the
    seasons that the series may have, and averaged over all places, sizes and kinds of
    noise. A season that the reference shows is no decline. What moves up is none,
    either.

    Parameters
    ----------
    values : array-like of shape (n_chunks,)
        The metric in each chunk, in time order, the reference's chunks first. NaN where
        it is not known; such chunks are left out.
    standard_errors : array-like of shape (n_chunks,)
        Standard error of each value, in units of the metric. They may be somewhat
        wrong: the series corrects them.
    n_reference : int
        Number of chunks that are reference; 0 if none, then skew cannot be told.
    times : array-like of shape (n_chunks,), optional
        Increasing numbers or timestamps (dates and ISO text will do); default: evenly
        spaced chunks.
    higher_is_better : bool, default=True
        Whether a decline is down. For a loss it is up.
    shared_error : float, default=0.0
        Standard deviation of an error common to all analysis chunks, as that of a
        calibration: it could make all of them look worse than the reference.

    Returns
    -------
    Degradation
        The most probable kind, the probability of each, onset, end, magnitude, season
        and events.

    Raises
    ------
    TypeError, ValueError
        If an argument breaks its rule, or no chunk has a value and a standard error.

    Notes
    -----
    With the whitened residual sum of squares :math:`S` and :math:`\nu` degrees of
    freedom, shape :math:`\theta` of amplitude scale :math:`c` has the evidence

    .. math:: (1 + c^2 A)^{-1/2} \left(S - \frac{b^2}{A + c^{-2}}\right)^{-\nu/2}
        \times \text{second moment of the amplitude, posterior over prior},

    where :math:`A` and :math:`b` are the products of the shape with itself and with the
    series, level, shared error, season and other events projected out. A common Bayes
    factor (Kass & Raftery 1995, "Bayes factors", JASA 90(430)) with the moment prior of
    Johnson & Rossell (2010); seasons as in Bretthorst (1988), "Bayesian Spectrum
    Analysis and Parameter Estimation". Values that stand alone count less.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> values = 0.8 + rng.normal(0, 0.01, 40)
    >>> values[24:] -= 0.05
    >>> verdict = classify_degradation(values, np.full(40, 0.01), n_reference=10)
    >>> verdict.kind, int(verdict.onset)
    ('sudden', 24)
    """
    series = read_series(
        values,
        standard_errors,
        n_reference=n_reference,
        times=times,
        higher_is_better=higher_is_better,
        shared_error=shared_error,
    )
    hypotheses = weigh_hypotheses(series)
    log_kinds = np.array(
        [_log_total([one for one in hypotheses if one.kind == kind]) for kind in KINDS]
    )
    kind = KINDS[int(np.argmax(log_kinds))]
    findings = locate(kind, series, hypotheses)
    best = likeliest(kind, hypotheses)
    fitted = series.sign * findings["fitted"][series.index] - series.center
    left = best.whitened.column(series.y - fitted / series.unit)
    log_weight = log_kinds / variance_ratio(left)
    probability = np.exp(log_weight - log_weight.max())
    probability /= probability.sum()
    log_decline = log_total(log_kinds[1:]) - math.log(1.0 - SETTINGS.stable)
    log_flat = _log_total([one for one in hypotheses if one.is_flat])
    verdict = Degradation(
        kind=kind,
        probabilities=dict(zip(KINDS, probability.tolist(), strict=True)),
        log_bayes_factor=log_decline - log_flat + math.log(SETTINGS.stable),
        higher_is_better=bool(higher_is_better),
        n_reference=int(n_reference),
        chunks=series.chunk_times,
        values=np.array(values, dtype=np.float64),
        standard_errors=np.array(standard_errors, dtype=np.float64),
        shared_error=float(shared_error),
        fitted=findings["fitted"],
        affected=np.zeros(series.chunk_times.size, dtype=np.bool_),
    )
    return replace(verdict, **findings)


def variance_ratio(residual: Floats) -> float:
    """Return the variance of a sum of residuals over that of independent ones, ≥ 1.

    Beyond what chance makes of it (Newey & West 1987): 1 for residuals of the right
    account, more for those that go together.
    """
    n, squares = residual.size, float(residual @ residual)
    n_lags = round(n ** (1.0 / 3.0))
    if n < 3 * n_lags or squares == 0.0:
        return 1.0
    weight = 1.0 - np.arange(1, n_lags + 1) / (n_lags + 1.0)
    lagged = [residual[k:] @ residual[:-k] / squares for k in range(1, n_lags + 1)]
    chance = 2.0 * math.sqrt(float(weight @ weight) / n)
    ratio = 1.0 + 2.0 * float(weight @ lagged)
    return max(ratio / (1.0 + SETTINGS.by_chance * chance), 1.0)


def _log_total(hypotheses: Sequence[Hypothesis]) -> float:
    """Return the logarithm of the sum of the weights, minus infinity of none."""
    return log_total(np.array([one.log_weight for one in hypotheses], dtype=np.float64))
