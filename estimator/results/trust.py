"""Trust: how far the estimate of a chunk rests on what the reference cannot judge.

No label is needed. Outside the reference, in score or features, nobody can judge the
estimate, and the metric may be anything there. Where scores are spread as the reference
never was, calibration may have moved with them, by as much as it commonly differs
between populations. Both widen the interval, and where they are large, the estimate has
no trust. Method.md, equations 69 to 72.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.label_free.adapting_settings import SETTINGS as ADAPTING
from estimator.metrics.measurement import Measurement
from estimator.metrics.registry import Metric
from estimator.results.score_spread import ReferenceScores, score_distance

Floats = NDArray[np.float64]

GOOD, DOUBTFUL, NONE = LEVELS = ("good", "doubtful", "none")
_WORD = {DOUBTFUL: "doubtful", NONE: "no trust"}
# By rank of the level; and by cause, without numbers: chunks alike are noted alike.
_SHARES = ("", "a quarter", "half")
_REASONS = (
    "at least {} of the scores lie beyond the reference's",
    "at least {} of the rows are of a kind that the reference hardly has",
    "the scores are spread as in no chunk of the reference",
    "the reference drifts too fast for a chunk so long after it",
    "the reference does not have the segment",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """When an estimate is doubted, and when it has no trust.

    Attributes
    ----------
    outside : tuple of float
        Shares of a chunk outside the reference from which it is doubted, and has no
        trust: from a quarter on, as remarks have it, and from half of the rows on.
    times_as_far : tuple of float
        Distance over that which the reference can judge, from which a chunk is doubted,
        and has no trust: it then judges half of the way, or a third. The spring of 2020
        in `benchmarks.label_free`, which was to have none, has 3.3 to 5.2.
    common_distance : float
        Distance of the scores, as of `score_distance`, to which any population may
        move: at 0.25 the reference is worth four fifths of its rows. Chosen on the
        simulated world of `benchmarks.coverage`: where scores shift there without
        drift, by about half their standard deviation, chunks stay good.
    """

    outside: tuple[float, float] = (0.25, 0.5)
    times_as_far: tuple[float, float] = (2.0, 3.0)
    common_distance: float = 0.25


SETTINGS: Final = TrustSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trust:
    """How far each group can be trusted.

    Attributes
    ----------
    level : ndarray of str of shape (n_groups,)
        ``"good"``, ``"doubtful"`` or ``"none"``.
    reason : ndarray of str of shape (n_groups,)
        Why it is not good; "" where it is.
    variance : ndarray of shape (n_groups, n_metrics)
        What the interval needs more, in units of the metric squared.
    """

    level: NDArray[np.object_]
    reason: NDArray[np.object_]
    variance: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Support:
    """How far each group's value rests on the reference.

    Attributes
    ----------
    segment : ndarray of str of shape (n_groups,)
        Segment of each group.
    n_rows : ndarray of int64 of shape (n_groups,)
        Rows of each group.
    open_share : ndarray of shape (n_groups,)
        Share of the rows that rest on an estimate, in [0, 1].
    variance : ndarray of shape (n_groups, n_metrics)
        Variance of the value's prediction interval as it stands.
    later_drift : ndarray of shape (n_groups, n_metrics)
        What tau² would grow by since it could be judged; 0 where labels track it.
    """

    segment: NDArray[np.object_]
    n_rows: NDArray[np.int64]
    open_share: Floats
    variance: Floats
    later_drift: Floats


def judge_trust(
    metrics: tuple[Metric, ...],
    value: Measurement,
    estimated: Measurement,
    support: Support,
    scores: ReferenceScores | None,
) -> Trust:
    """Say how far each group's value can be trusted, without labels.

    Parameters
    ----------
    metrics : tuple of Metric
        Metrics that were measured.
    value : Measurement
        What is to be trusted.
    estimated : Measurement
        The same without labels.
    support : Support
        How far the value rests on the reference.
    scores : ReferenceScores or None
        How the reference's scores are spread; None where that is not known.
    """
    n_groups, open_share = support.n_rows.size, support.open_share
    of_scores, of_features = (
        open_share * _beyond_labelled(share, support)
        for share in (
            estimated.outside / np.maximum(support.n_rows, 1),
            np.minimum(estimated.unknown_shift, 1.0),
        )
    )
    outside = np.maximum(of_scores, of_features)
    ratio, is_new = np.ones(n_groups), np.zeros(n_groups, dtype=np.bool_)
    if scores is not None:
        far = _distance_ratio(estimated.cell_rows, support, scores)
        ratio = 1.0 + open_share * (far - 1.0)
        is_new = ~np.isin(support.segment, scores.segments) & (open_share > 0.0)
    aged = _aged(support)
    of_age = np.fmax.reduce(aged, axis=1, initial=1.0)
    ranks = [
        np.searchsorted(steps, np.nan_to_num(shares, posinf=np.inf), side="right")
        for steps, shares in (
            (SETTINGS.outside, of_scores),
            (SETTINGS.outside, of_features),
            (SETTINGS.times_as_far, ratio),
            (SETTINGS.times_as_far, of_age),
        )
    ]
    ranks.append(is_new.astype(np.int64))
    by_cause = np.where(support.n_rows > 0, np.stack(ranks), 0)
    rank = by_cause.max(axis=0)
    cause = by_cause.argmax(axis=0)
    variance = _unknown_variance(metrics, value.value, outside)
    variance += _moved_variance(value.response, ratio) + support.later_drift
    reason = np.full(n_groups, "", dtype=object)
    for g in np.flatnonzero(rank).tolist():
        reason[g] = _REASONS[cause[g]].format(_SHARES[rank[g]])
    return Trust(
        level=np.array(LEVELS, dtype=object)[rank], reason=reason, variance=variance
    )


def full_trust(n_groups: int, n_metrics: int) -> Trust:
    """Return the trust in values that rest on labels."""
    return Trust(
        level=np.full(n_groups, GOOD, dtype=object),
        reason=np.full(n_groups, "", dtype=object),
        variance=np.zeros((n_groups, n_metrics)),
    )


def remark_of(level: str, reason: str) -> str:
    """Return what a note says of a level that is not good, and why."""
    return f"{_WORD[level]}: {reason}"


def _largest_labelled(values: Floats, support: Support) -> Floats:
    """Return the largest value that labels have judged in each group's segment.

    A group's value counts as far as its rows have labels.
    """
    if not (support.open_share < 1.0).any():
        return np.zeros(values.size)
    _, segment = np.unique(support.segment.astype(str), return_inverse=True)
    largest = np.zeros(int(segment.max(initial=-1)) + 1)
    np.maximum.at(largest, segment, (1.0 - support.open_share) * values)
    by_group: Floats = largest[segment]
    return by_group


def _beyond_labelled(share: Floats, support: Support) -> Floats:
    """Return by how much shares exceed those that labels have judged."""
    beyond: Floats = np.maximum(0.0, share - _largest_labelled(share, support))
    return beyond


def _distance_ratio(
    cell_rows: Floats, support: Support, scores: ReferenceScores
) -> Floats:
    """Return how many times as far as can be judged each group is; from 1.

    The reference judges, and so do labels of chunks that are as far away.
    """
    number = {name: i for i, name in enumerate(scores.segments)}
    names = support.segment.tolist()
    which = np.array([number.get(name, 0) for name in names], dtype=np.int64)
    distance = score_distance(scores.counted(cell_rows), scores.rows[which])
    # method.md, equation 70
    shown = np.maximum(scores.farthest[which], _largest_labelled(distance, support))
    ratio: Floats = np.maximum(1.0, distance / (SETTINGS.common_distance + shown))
    return ratio


def _aged(support: Support) -> Floats:
    """Return how many times as large the variance is for what is too long ago."""
    aged = np.ones(support.variance.shape)
    grown = support.later_drift > 0.0
    with np.errstate(divide="ignore"):
        aged[grown] += support.later_drift[grown] / support.variance[grown]
    return aged


def _unknown_variance(
    metrics: tuple[Metric, ...], value: Floats, outside: Floats
) -> Floats:
    """Return the variance of what is unknown outside the reference.

    There the metric is anywhere within its bounds, or between nothing and twice the
    value if it has none. This counts in full where there is no trust, and fades out
    towards where doubt begins. Method.md, equation 72.
    """
    doubt, none = SETTINGS.outside
    share = outside * np.clip((outside - doubt) / (none - doubt), 0.0, 1.0)
    low, high = np.array([metric.bounds for metric in metrics]).T
    bounded = np.isfinite(low) & np.isfinite(high)
    width = np.where(bounded, np.where(bounded, high, 0.0) - low, 2.0 * np.abs(value))
    variance: Floats = (share[:, None] * width) ** 2 / 12.0
    return variance


def _moved_variance(response: Floats, ratio: Floats) -> Floats:
    """Return the variance of what calibration may have moved with the scores.

    In full where there is no trust, and nothing where there is no doubt. Method.md,
    equation 71.

    Parameters
    ----------
    response : ndarray of shape (n_groups, n_metrics, 2)
        Change of the value per unit of intercept and slope, in log odds.
    ratio : ndarray of shape (n_groups,)
        How many times as far as the reference can judge each group is.
    """
    doubt, none = SETTINGS.times_as_far
    part = np.clip((ratio - doubt) / (none - doubt), 0.0, 1.0)
    moved = ((response * np.array(ADAPTING.unknown_shift)) ** 2).sum(axis=2)
    variance: Floats = part[:, None] * moved
    return variance
