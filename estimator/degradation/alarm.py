"""An alarm for those who look every night, with a bound on all false ones together."""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from estimator._kernels.e_process import step_e_process
from estimator.degradation.series import ChunkTime, plain, read_series

Floats = NDArray[np.float64]

# Prior standard deviations of the step, in standard errors: a mixture of both has power
# for small and for large steps. The bound holds for all values that stay fixed.
SCALES = np.array([1.5, 4.0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnytimeAlarm:
    """Evidence against "no decline" after each chunk, and when it sufficed.

    Attributes
    ----------
    e_values : ndarray of shape (n_analysis_chunks,)
        Evidence after each analysis chunk, 1 on average if nothing changes; NaN until
        the first usable one, and carried on over unusable ones.
    chunk : str, number, date or None
        The chunk with which the alarm went off: its time or index; None if it did not.
    alpha : float
        Probability of ever going off, however long one looks, if nothing changes.
    """

    e_values: Floats
    chunk: ChunkTime | None
    alpha: float


def anytime_alarm(
    values: ArrayLike,
    standard_errors: ArrayLike,
    *,
    n_reference: int,
    times: ArrayLike | None = None,
    higher_is_better: bool = True,
    shared_error: float = 0.0,
    alpha: float = 0.01,
) -> AnytimeAlarm:
    r"""Go off once a decline is evident, at most once in 1 / alpha series without one.

    A threshold crossed with a probability of 1 % in one chunk is crossed sooner or
    later. The e-process here may be looked at after every chunk, and one may stop at
    will: as long as nothing changes, the probability that it ever exceeds
    :math:`1 / \alpha` is at most :math:`\alpha` (Ville's inequality).

    Parameters
    ----------
    values : array-like of shape (n_chunks,)
        The metric in each chunk, in time order, the reference's chunks first; NaN where
        it is not known.
    standard_errors : array-like of shape (n_chunks,)
        Standard error of each value, in units of the metric.
    n_reference : int
        Number of chunks that are reference.
    times : array-like of shape (n_chunks,), optional
        Increasing numbers or timestamps; default: evenly spaced chunks.
    higher_is_better : bool, default=True
        Whether a decline is down. For a loss it is up.
    shared_error : float, default=0.0
        Standard deviation of an error common to all analysis chunks, in units of the
        metric.
    alpha : float, default=0.01
        Probability of ever going off if nothing changes, in (0, 1).

    Returns
    -------
    AnytimeAlarm
        Evidence by analysis chunk, and the chunk with which the alarm went off.

    Raises
    ------
    TypeError, ValueError
        If an argument breaks its rule.

    Notes
    -----
    A mixture of likelihood ratios of a step down at each past or coming chunk, with
    weights fixed beforehand (Shin, Ramdas & Rinaldo 2023, "E-detectors", New England
    Journal of Statistics in Data Science 2(2)); the unknown level has a flat prior in
    both hypotheses, for which such ratios stay e-processes (Pérez-Ortiz et al. 2024,
    "E-statistics, group invariance and anytime-valid testing", Annals of Statistics
    52(4)). The bound is exact for independent normal errors with standard errors not
    too small. These are enlarged if the reference is more restless than they say.
    Unlike the verdict, the alarm knows of no outliers, autocorrelation or labels that
    restate old chunks.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> values = 0.8 + rng.normal(0, 0.01, 30)
    >>> values[20:] -= 0.05
    >>> alarm = anytime_alarm(values, np.full(30, 0.01), n_reference=10)
    >>> int(alarm.chunk)
    20
    """
    if not (isinstance(alpha, Real) and 0.0 < alpha < 1.0):
        msg = f"`alpha` must be a probability between 0 and 1, got {alpha!r}."
        raise ValueError(msg)
    series = read_series(
        values,
        standard_errors,
        n_reference=n_reference,
        times=times,
        higher_is_better=higher_is_better,
        shared_error=shared_error,
    )
    n_usable = series.n_reference
    weight = series.pooled_errors**-2.0
    weight = weight / _restlessness(series.y[:n_usable], weight[:n_usable])
    evidence = np.empty(series.y.size - n_usable)
    step_e_process(series.y, weight, n_usable, series.shared, SCALES, evidence)
    e_values = np.full(series.chunk_times.size - n_reference, np.nan)
    usable = series.index[n_usable:] - n_reference
    last = np.searchsorted(usable, np.arange(e_values.size), side="right") - 1
    e_values[last >= 0] = evidence[last[last >= 0]]
    over = np.flatnonzero(evidence >= 1.0 / alpha)
    chunk = series.chunk_times[series.index[n_usable + over[0]]] if over.size else None
    return AnytimeAlarm(
        e_values=e_values,
        chunk=plain(chunk),
        alpha=float(alpha),
    )


def _restlessness(y: Floats, weight: Floats) -> float:
    """Return the reference's variance over that of its standard errors, at least 1."""
    if y.size < 2:
        return 1.0
    mean = float(weight @ y / weight.sum())
    return max(1.0, float(weight @ (y - mean) ** 2) / (y.size - 1))
