"""tau²: drift that the calibration map cannot see, and how it grows with time.

The reference shows it twice: blocks are judged by maps fitted on both sides of them,
and its second half by maps fitted to the first, as production is. Both tell how much
chunks scatter beyond known noise, and how fast the distance in time adds to it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSettings:
    """What is believed of drift before the reference is asked.

    Attributes
    ----------
    prior_median : float
        Median of both variances, in units of the known noise of a chunk of
        ``prior_rows`` rows: most tasks show next to none. Chosen on simulations without
        drift, so that intervals cover no more than they say.
    prior_rows : int
        Rows of the chunk whose noise is that unit.
    prior_deviation : float
        Standard deviation of their logarithm: some show a hundred times as much.
    grid : tuple of (float, float, int)
        Smallest and largest variance that is tried, in units of the known noise of the
        chunks in evidence, and how many; what is smaller is none.
    min_chunks : int
        Chunks in evidence; with fewer nothing can be told apart from noise, and the
        drift is 0.
    typical_age : float
        Age of chunks without a time, in lengths of the reference.
    oldest_age : float
        Age from which intervals grow no further: of such distances the reference shows
        nothing.
    """

    prior_median: float = 0.05
    prior_rows: int = 2_000
    prior_deviation: float = 1.75
    grid: tuple[float, float, int] = (0.02, 60.0, 12)
    min_chunks: int = 5
    typical_age: float = 0.5
    oldest_age: float = 2.0


SETTINGS: Final = DriftSettings()
# A walk that began somewhere in the reference has gone a third of its length when the
# reference ends, seen from the map fitted to all of it.
_HEAD_START = 1.0 / 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drift:
    """tau² of each metric: of a mean over rows, for sums over rows.

    Attributes
    ----------
    steady : ndarray of shape (n_metrics,)
        Variance that every chunk has.
    rate : ndarray of shape (n_metrics,)
        Variance that comes with each length of the reference that a chunk is away.
    """

    steady: Floats
    rate: Floats

    def variance(self, age: float | Floats = SETTINGS.typical_age) -> Floats:
        """Return tau² of chunks; of shape (n_chunks, n_metrics), or (n_metrics,).

        Parameters
        ----------
        age : float or ndarray of shape (n_chunks,)
            Time from the end of the reference to the chunk, in lengths of the
            reference.
        """
        distance = np.asarray(age)[..., None] + _HEAD_START
        variance: Floats = self.steady + self.rate * distance
        return variance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DriftEvidence:
    """Chunks of the reference, as maps saw them that had not seen their labels.

    Attributes
    ----------
    residual : ndarray of shape (n_chunks, n_metrics)
        Estimated less realized metric; NaN where either is undefined.
    variance : ndarray of shape (n_chunks, n_metrics)
        V_lab + V_cal of the same.
    n_rows : ndarray of shape (n_chunks,)
        Rows of each chunk.
    distance : ndarray of shape (n_chunks,)
        How far a random walk of unit rate has gone from the map's rows to the chunk's,
        as a variance, in lengths of the reference.
    """

    residual: Floats
    variance: Floats
    n_rows: NDArray[np.int64]
    distance: Floats


def learn_drift(evidence: DriftEvidence) -> Drift:
    """Learn tau² from what chunks of the reference miss beyond known noise.

    Method.md, equation 21.
    """
    both = [
        _posterior_mean(residual, variance, evidence)
        for residual, variance in zip(
            evidence.residual.T, evidence.variance.T, strict=True
        )
    ]
    steady, rate = np.array(both).T
    return Drift(steady=steady, rate=rate)


def _posterior_mean(
    residual: Floats, variance: Floats, evidence: DriftEvidence
) -> tuple[float, float]:
    """Return the mean of both variances, given normal residuals of one metric.

    Parameters
    ----------
    residual, variance : ndarray of shape (n_chunks,)
        The metric's column of the evidence.
    evidence : DriftEvidence
        Rows and distances of the chunks.
    """
    defined = np.isfinite(residual) & np.isfinite(variance)
    if np.count_nonzero(defined) < SETTINGS.min_chunks:
        return 0.0, 0.0
    square, noise = residual[defined] ** 2, variance[defined]
    unit = float(np.median(noise))
    if not unit > 0.0:  # labels and map are certain: all that is missed is drift
        return float(square.mean()), 0.0
    median = np.median(evidence.n_rows[defined]) / SETTINGS.prior_rows
    median *= SETTINGS.prior_median
    grid = np.concatenate([[0.0], np.geomspace(*SETTINGS.grid)])
    middles = np.log(np.sqrt(grid[1:-1] * grid[2:]) / median)
    lowest = np.log(grid[1] / median)
    below = ndtr(np.r_[lowest, middles] / SETTINGS.prior_deviation)
    prior = np.log(np.diff(below, prepend=0.0, append=1.0))
    total = noise + unit * (
        grid[:, None, None] + grid[None, :, None] * evidence.distance[defined]
    )
    # What is certain of a chunk would decide alone.
    np.maximum(total, 1e-6 * unit, out=total)
    log_posterior = -0.5 * (np.log(total) + square / total).sum(axis=2)
    log_posterior += prior[:, None] + prior
    weight = np.exp(log_posterior - log_posterior.max())
    weight /= weight.sum()
    steady, rate = weight.sum(axis=1) @ grid, weight.sum(axis=0) @ grid
    return float(unit * steady), float(unit * rate)


def distance_ahead(position: Floats, length: float) -> Floats:
    """Return how far a walk has gone from the rows before to a chunk ahead of them.

    Its variance is that of a random walk's value less its mean over the rows before.

    Parameters
    ----------
    position : ndarray of shape (n_chunks,)
        Position of each chunk, in lengths of the reference, from its begin.
    length : float
        Where the rows of the map end, in the same unit.
    """
    distance: Floats = position - length + length * _HEAD_START
    return distance


def distance_between(position: Floats, n_folds: int) -> Floats:
    """Return how far a walk has gone from the other folds to a chunk of one fold.

    Parameters
    ----------
    position : ndarray of shape (n_chunks,)
        Position of each chunk, in lengths of the reference, within [0, 1].
    n_folds : int
        Number of folds of equal length.
    """
    begin = np.minimum(np.floor(position * n_folds), n_folds - 1) / n_folds
    end = begin + 1.0 / n_folds
    before = begin / (begin + 1.0 - end)
    after = 1.0 - before
    distance: Floats = before**2 * (position - begin + begin * _HEAD_START)
    distance += after**2 * (end - position + (1.0 - end) * _HEAD_START)
    return distance
