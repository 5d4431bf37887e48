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
    outermost : float
        Share of the reference's rows at either end that may have a wrong date; the
        reference lasts as long as the others.
    oldest_age : float
        Age up to which the reference is taken to judge how calibration drifts; what is
        added beyond costs trust.
    """

    prior_median: float = 0.05
    prior_rows: int = 2_000
    prior_deviation: float = 1.75
    grid: tuple[float, float, int] = (0.02, 60.0, 24)
    min_chunks: int = 5
    typical_age: float = 0.5
    outermost: float = 0.005
    oldest_age: float = 2.0


SETTINGS: Final = DriftSettings()
# Of rows that are even in time: a walk has gone a third of its length when they end,
# seen from the mean of all of them.
EVEN_HEAD_START: Final = 1.0 / 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferencePeriod:
    """When the labelled rows of the reference were.

    Attributes
    ----------
    ends : (datetime64, datetime64) or None
        Begin and end, between which lie all rows but the outermost, which may have a
        wrong date; None where rows have no time.
    head_start : float
        How far a random walk of unit rate has gone at the end, from its mean over the
        rows: as a variance, in lengths of the reference.
    """

    ends: tuple[np.datetime64, np.datetime64] | None = None
    head_start: float = EVEN_HEAD_START

    @property
    def typical_distance(self) -> float:
        """How far a walk has gone at a chunk without a time."""
        return SETTINGS.typical_age + self.head_start

    def ages(self, start: np.ndarray, end: np.ndarray) -> Floats:
        """Return the time from the reference to each chunk.

        From the reference's nearer end to the middle of the chunk, 0 within the
        reference; ``SETTINGS.typical_age`` where rows have no time.

        Parameters
        ----------
        start, end : ndarray of shape (n_chunks,)
            First and last time, or row, of each chunk.

        Returns
        -------
        ndarray of shape (n_chunks,)
            In lengths of the reference.
        """
        ages = np.full(start.size, SETTINGS.typical_age)
        if self.ends is not None and start.dtype.kind == "M":
            first, last = self.ends
            full = ~np.isnat(start)
            middle = start[full] + (end[full] - start[full]) / 2
            gone = np.maximum(middle - last, first - middle) / (last - first)
            ages[full] = np.maximum(gone, 0.0)
        return ages

    def distances(self, start: np.ndarray, end: np.ndarray) -> Floats:
        """Return how far a walk has gone at each chunk, from its mean over the rows.

        Age, up to ``SETTINGS.oldest_age``, and head start, in lengths of the reference;
        arguments and shape are those of `ages`.
        """
        young = np.minimum(self.ages(start, end), SETTINGS.oldest_age)
        distances: Floats = young + self.head_start
        return distances


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drift:
    """tau² of each metric: of a mean over rows, for sums over rows.

    Attributes
    ----------
    steady : ndarray of shape (n_metrics,)
        Variance that every chunk has.
    rate : ndarray of shape (n_metrics,)
        Variance that comes with each length of the reference that a walk goes.
    """

    steady: Floats
    rate: Floats

    def variance(self, distance: float | Floats) -> Floats:
        """Return tau² of chunks; of shape (n_chunks, n_metrics), or (n_metrics,).

        Parameters
        ----------
        distance : float or ndarray of shape (n_chunks,)
            As `ReferencePeriod.distances` says.
        """
        variance: Floats = self.steady + self.rate * np.asarray(distance)[..., None]
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
    weight : ndarray of shape (n_chunks,)
        How much each counts; 1 for rows that are judged once.
    """

    residual: Floats
    variance: Floats
    n_rows: NDArray[np.int64]
    distance: Floats
    weight: Floats


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
    with np.errstate(divide="ignore"):  # far in the tails the prior has no mass at all
        prior = np.log(np.diff(below, prepend=0.0, append=1.0))
    total = noise + unit * (
        grid[:, None, None] + grid[None, :, None] * evidence.distance[defined]
    )
    # What is certain of a chunk would decide alone.
    np.maximum(total, 1e-6 * unit, out=total)
    log_posterior = -0.5 * (np.log(total) + square / total) @ evidence.weight[defined]
    log_posterior += prior[:, None] + prior
    weight = np.exp(log_posterior - log_posterior.max())
    weight /= weight.sum()
    steady, rate = weight.sum(axis=1) @ grid, weight.sum(axis=0) @ grid
    return float(unit * steady), float(unit * rate)


def period_of(
    timestamp: NDArray[np.datetime64] | None, n_rows: int
) -> tuple[ReferencePeriod, Floats]:
    """Return when the rows of the reference were, and where in it each is.

    Parameters
    ----------
    timestamp : ndarray of datetime64 of shape (n_rows,), or None
        Time of each row, in order.
    n_rows : int
        Number of rows.

    Returns
    -------
    period : ReferencePeriod
        Begin, end and head start.
    position : ndarray of shape (n_rows,)
        0 at the begin, 1 at the end; evenly spaced where rows have no time.
    """
    position = (np.arange(n_rows) + 0.5) / n_rows
    if timestamp is None:
        return ReferencePeriod(), position
    few = int(SETTINGS.outermost * n_rows)
    begin, end = timestamp[few], timestamp[n_rows - 1 - few]
    if not end > begin:
        return ReferencePeriod(), position
    position = np.clip((timestamp - begin) / (end - begin), 0.0, 1.0)
    head_start = float(walk_distance(np.ones(1), position)[0])
    return ReferencePeriod(ends=(begin, end), head_start=head_start), position


def walk_distance(position: Floats, rows: Floats) -> Floats:
    r"""Return how far a random walk is, somewhere, from its mean over some rows.

    Its variance :math:`\operatorname{mean}_r |t - t_r| - \tfrac{1}{2}
    \operatorname{mean}_{r, s} |t_r - t_s|`, for the walk has the variogram
    :math:`|t - s|`.

    Parameters
    ----------
    position : ndarray of shape (n,)
        Where the walk is looked at.
    rows : ndarray of shape (n_rows,)
        Positions of the rows of a map, in order.
    """
    n = rows.size
    total = np.concatenate([[0.0], np.cumsum(rows)])
    before = np.searchsorted(rows, position)
    apart = position * (2 * before - n) + total[-1] - 2.0 * total[before]
    among = 2.0 * float((2.0 * np.arange(n) - (n - 1.0)) @ rows) / n**2
    distance: Floats = apart / n - 0.5 * among
    return distance
