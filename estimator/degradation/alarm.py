"""An alarm for those who look every night, with a bound on all false ones together."""

from dataclasses import dataclass
from numbers import Real
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, ndtr

from estimator._kernels.e_process import step_e_process
from estimator.degradation.series import ChunkTime, plain, read_series

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSettings:
    """Noise that the alarm withstands, and the steps that it looks for.

    The bound holds for all values that stay fixed. These were chosen on simulated
    series of 200 stable chunks (normal and Student's t noise, 2 % outliers, standard
    errors understated by 1.3) and on steps of 3 standard errors.

    Attributes
    ----------
    outlier_shares : tuple of float
        Shares of Cauchy noise: the alarm is valid for normal noise and for each. One
        of 0.05 lies above 2 % of outliers of 4 to 12 standard errors. With more, single
        far values count less, and so do those of a step.
    outlier_width : float
        Scale of that noise, in standard errors.
    scales : tuple of float
        True standard deviations, in standard errors, for which the alarm is valid. With
        1 alone, 5 % of series with the noise of Student's t at 3 degrees of freedom
        (scale 1) alarm, with 1.2 beside it 1 %. Of steps of 3 standard errors 0.64 are
        seen within 4 chunks, with 1.5 in place of 1.2 only 0.54.
    scale_ratio : float
        Prior of a scale over that of the one before. Most standard errors are right.
    unit_size : float
        Size of a step in the middle of the prior, in standard errors.
    size_ratio : float
        Ratio of one size to the next.
    size_range : tuple of int
        Powers of that ratio, least and greatest: steps of 0.6 to 43 standard errors.
    spread : float
        Standard deviation of what chunks fall by, in sizes: it fills the gaps between
        one size and the next. Delays are the same with 0.1.
    at_deployment : float
        Prior of a step with the first analysis chunk. With more, later steps are seen
        later.
    early : float
        Chunks within which half of the other steps are expected. With more, a step
        after hundreds of chunks is seen sooner, one after ten later.
    margin : float
        Levels beyond the least and greatest value over which evidence is summed, in
        standard errors.
    step : float
        Distance of levels in standard errors of a mean of all chunks: sums of normal
        densities are exact to 1e-12 at 0.8.
    farthest : float
        Values farther than this from the reference's median, in standard errors, count
        as this far: no outlier is farther in effect, and the levels stay few.
    n_center : int
        Least number of chunks whose median is that center.
    """

    outlier_shares: tuple[float, ...] = (0.0, 0.05)
    outlier_width: float = 6.0
    scales: tuple[float, ...] = (1.0, 1.2)
    scale_ratio: float = 0.25
    unit_size: float = 3.0
    size_ratio: float = 1.7
    size_range: tuple[int, int] = (-3, 5)
    spread: float = 0.2
    at_deployment: float = 0.15
    early: float = 20.0
    margin: float = 5.0
    step: float = 0.8
    farthest: float = 30.0
    n_center: int = 5


SETTINGS: Final = AlarmSettings()
# Standard deviation of normal noise over the median distance from its median.
_SCATTER_PER_DISTANCE: Final = 1.4826
_LARGEST_LOG: Final = 700.0  # above it `exp` overflows


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
    The evidence is a mixture of likelihoods of a step down at each past or coming
    chunk, over the likelihood of no step (Shin, Ramdas & Rinaldo 2023, "E-detectors",
    New England Journal of Statistics in Data Science 2(2)). The unknown level has a
    flat prior in both, for which such ratios stay e-processes (Pérez-Ortiz et al. 2024,
    "E-statistics, group invariance and anytime-valid testing", Annals of Statistics
    52(4)). It is the smallest of the ratios for several laws of the noise: normal, and
    with 5 % of Cauchy noise, each with standard errors that are right or too small by
    1.2. The bound is exact for independent errors of each of these laws; by simulation
    it holds for Student's t noise and for 2 % of outliers, too. Standard errors are
    enlarged if the reference is more restless than that. Unlike the verdict, the alarm
    knows of no autocorrelation, nor of labels that restate old chunks.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> values = 0.8 + rng.normal(0, 0.01, 30)
    >>> values[20:] -= 0.05
    >>> alarm = anytime_alarm(values, np.full(30, 0.01), n_reference=10)
    >>> int(alarm.chunk)
    22
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
    log_evidence = _log_e_process(
        series.y, series.pooled_errors, n_usable, series.shared
    )
    evidence = np.exp(np.minimum(log_evidence, _LARGEST_LOG))
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


def _log_e_process(
    y: Floats, errors: Floats, n_reference: int, shared: float
) -> Floats:
    """Return the logarithm of the e-process: method.md, equation 65."""
    unit = _restlessness(y[:n_reference], errors[:n_reference])
    y = (y - np.median(y[: max(n_reference, SETTINGS.n_center)])) / unit
    y = np.clip(y, -SETTINGS.farthest, SETTINGS.farthest)
    laws, law_prior = _laws()
    levels = _levels(y)
    log_flat, log_step = step_e_process(
        y,
        errors,
        n_reference,
        levels,
        _transition(levels, shared / unit),
        laws,
        _sizes(),
        _position_prior(y.size - n_reference),
    )
    log_mixture = logsumexp(log_step + np.log(law_prior), axis=1)
    smallest: Floats = log_mixture - log_flat.max(axis=1)
    return smallest


def _restlessness(y: Floats, errors: Floats) -> float:
    """Return how far the reference scatters beyond the largest scale, at least 1.

    By the median distance from the median, which outliers do not move.
    """
    if y.size == 0:
        return 1.0
    scatter = _SCATTER_PER_DISTANCE * float(
        np.median(np.abs(y - np.median(y)) / errors)
    )
    return max(1.0, scatter / max(SETTINGS.scales))


def _laws() -> tuple[Floats, Floats]:
    """Return laws of the noise as the kernel takes them, and their prior."""
    scales = np.array(SETTINGS.scales)
    shares = np.array(SETTINGS.outlier_shares)
    laws = np.empty((shares.size, scales.size, 3))
    laws[:, :, 0] = shares[:, None]
    laws[:, :, 1] = SETTINGS.outlier_width
    laws[:, :, 2] = scales
    prior = np.tile(SETTINGS.scale_ratio ** np.arange(scales.size), shares.size)
    return laws.reshape(-1, 3), prior / prior.sum()


def _sizes() -> Floats:
    """Return sizes of a step, their spread and their prior."""
    least, greatest = SETTINGS.size_range
    power = np.arange(least, greatest + 1)
    size = SETTINGS.unit_size * SETTINGS.size_ratio**power
    prior = 1.0 / (1.0 + np.abs(power))
    return np.column_stack([size, SETTINGS.spread * size, prior / prior.sum()])


def _position_prior(n: int) -> Floats:
    """Return the prior of a step at each analysis chunk; its sum over all is 1."""
    j = np.arange(n)
    early = SETTINGS.early
    later = (1.0 - SETTINGS.at_deployment) * early / ((j + early) * (j + early + 1.0))
    prior: Floats = later + SETTINGS.at_deployment * (j == 0)
    return prior


def _levels(y: Floats) -> Floats:
    """Return evenly spaced levels over which evidence is summed."""
    spacing = SETTINGS.step / np.sqrt(y.size)
    low, high = y.min() - SETTINGS.margin, y.max() + SETTINGS.margin
    return np.arange(low, high + spacing, spacing)


def _transition(levels: Floats, shared: float) -> Floats:
    """Return the probability of each level of the analysis, by the reference's."""
    if shared == 0.0:
        return np.eye(levels.size)
    spacing = levels[1] - levels[0]
    away = levels - levels[:, None]
    high, low = (away + 0.5 * spacing) / shared, (away - 0.5 * spacing) / shared
    return np.asarray(ndtr(high) - ndtr(low), dtype=np.float64)
