"""How far the calibration has shifted in each chunk, as labels show it, late.

The shift of a chunk, ``logit p = x + intercept + slope * u`` with x the calibrated and
u the standardized log odds, is a state that moves from chunk to chunk. Each chunk's
labels tell of its own shift, and through the motion of all others: labels of older
chunks correct the newest, which has none. Nobody knows how the shift moves; so a small
set of motions is averaged, each weighted by how well it would have predicted what was
seen: where nothing moves, "still" wins, and the estimate stays where it was. Method.md,
equations 49 to 52.

References: Harvey (1989), "Forecasting, Structural Time Series Models and the Kalman
Filter" (random walk, damped trend, stochastic cycle); Hoeting et al. (1999), "Bayesian
model averaging: a tutorial", Statistical Science 14(4).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.shifts.filtering import (
    FilteredChunks,
    States,
    check_information,
    filter_chunks,
    filter_states,
    smooth_states,
)
from calibration.shifts.motions import FAMILIES, Motions, log_priors, motions
from calibration.shifts.observations import (
    Observations,
    join_observations,
    observe,
)
from calibration.shifts.regressions import Regressions, regress

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSettings:
    """Which of the weighted motions the average is taken over.

    Smoothing takes most of the time for a motion, and most motions weigh next to
    nothing. Both settings trade time for what is left out of mean and covariance.

    Attributes
    ----------
    negligible : float
        Share of the greatest weight below which a motion is left out.
    max_smoothed : int
        Number of motions at most, the heaviest: it bounds the time of a call on chunks
        whose labels tell no motion from another.
    """

    negligible: float = 1e-3
    max_smoothed: int = 64


SETTINGS: Final = TrackingSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftPath:
    """The shift of each chunk, given the labels of all.

    Attributes
    ----------
    mean : ndarray of shape (n_chunks, 2)
        Intercept and slope of the shift, in log odds; 0 is as calibrated.
    covariance : ndarray of shape (n_chunks, 2, 2)
        Covariance of intercept and slope: within the motions, and between them.
    weights : dict of str to float
        Posterior probability of each family of motions; they sum to 1.
    """

    mean: Floats
    covariance: Floats
    weights: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Group:
    """Motions of one size of state that the chunks could tell.

    Attributes
    ----------
    family : ndarray of int of shape (n_models,)
        Position of each model's family in ``FAMILIES``.
    log_likelihood : ndarray of shape (n_models,)
        Logarithm of each model's marginal likelihood, but for what all share.
    paths : callable
        Returns mean (n, n_chunks, 2) and covariance (n, n_chunks, 2, 2) of the shift
        under some of the models, by their positions here.
    """

    family: Integers
    log_likelihood: Floats
    paths: Callable[[Integers], tuple[Floats, Floats]]


def track_shift(
    information: Floats,
    vector: Floats,
    *,
    prior_covariance: Floats,
    filtered: FilteredChunks | None = None,
) -> ShiftPath:
    """Track the calibration's shift through all chunks, averaged over motions.

    Parameters
    ----------
    information : ndarray of shape (n_chunks, 2, 2)
        Inverse covariance of the shift that each chunk's labels show, in log odds to
        the power -2; 0 without labels.
    vector : ndarray of shape (n_chunks, 2)
        Information times estimate of each chunk's shift.
    prior_covariance : ndarray of shape (2, 2)
        Covariance of the shift before the first chunk: the calibration's own estimation
        error.
    filtered : FilteredChunks, optional
        The first of these chunks, so that the time it takes does not grow with their
        number. The result is the same, but begins after them.

    Returns
    -------
    ShiftPath
        Shifts of the chunks that are not in ``filtered``, given all.

    Raises
    ------
    ValueError
        If shapes do not match, something is not finite, ``information`` is not
        positive semidefinite, or ``filtered`` is of other chunks.

    Examples
    --------
    >>> import numpy as np
    >>> information = np.tile(np.eye(2) * 400.0, (30, 1, 1))
    >>> estimate = np.where(np.arange(30)[:, None] < 12, [0.0, 0.0], [0.0, -0.5])
    >>> information[25:] = 0.0  # the newest five have no labels yet
    >>> vector = np.einsum("nij,nj->ni", information, estimate)
    >>> path = track_shift(information, vector, prior_covariance=np.eye(2) * 1e-3)
    >>> path.mean[-1].round(2) + 0.0
    array([ 0. , -0.5])
    >>> max(path.weights, key=path.weights.get)
    'jump'
    """
    information, vector, prior = check_information(
        information, vector, prior_covariance
    )
    n = len(vector)
    if filtered is None:
        filtered = filter_chunks(
            information[:0], vector[:0], prior_covariance=prior_covariance
        )
    elif not filtered.is_of(information, vector, prior):
        msg = (
            f"`filtered` must be of the first {len(filtered)} of the chunks, but their "
            "information is another. Leave it out, or filter them again."
        )
        raise ValueError(msg)
    first = len(filtered)
    if n == first:
        return ShiftPath(
            mean=np.empty((0, 2)), covariance=np.empty((0, 2, 2)), weights=FAMILIES
        )
    recent = observe(information[first:], vector[first:], first)
    observed = join_observations(filtered.observations, recent)
    squares = 0.5 * float((observed.seen**2).sum())
    groups = [
        _regressions(group, np.arange(first, n), squares)
        for group in regress(observed, prior)
    ]
    n_informed = int((observed.n_seen > 0).sum())
    states = filter_states(motions(), filtered.states, recent)
    for group, before, after in zip(motions(), filtered.states, states, strict=True):
        models = np.flatnonzero(group.has_members(n, n_informed))
        groups.append(_walks(group, models, before, after, recent))
    families = [group.family for group in groups]
    log_weight = np.concatenate(log_priors(families)) + np.concatenate(
        [group.log_likelihood for group in groups]
    )
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    share = np.bincount(np.concatenate(families), weight, len(FAMILIES))
    mean, covariance = _average(groups, weight, n - first)
    return ShiftPath(
        mean=mean,
        covariance=covariance,
        weights=dict(zip(FAMILIES, share.tolist(), strict=True)),
    )


def _regressions(group: Regressions, chunks: Integers, squares: float) -> _Group:
    """Return regressions, their likelihoods less the squares that states count in."""
    return _Group(
        family=group.family,
        log_likelihood=group.log_likelihood() - squares,
        paths=partial(group.paths, chunks=chunks),
    )


def _walks(
    group: Motions,
    models: Integers,
    before: States,
    after: States,
    recent: Observations,
) -> _Group:
    """Return the motions of some models, from their states around recent chunks."""

    def paths(chosen: Integers) -> tuple[Floats, Floats]:
        return smooth_states(group, models[chosen], before, recent)

    return _Group(
        family=group.family[models],
        log_likelihood=after.log_likelihood[models],
        paths=paths,
    )


def _average(
    groups: Sequence[_Group], weight: Floats, n_chunks: int
) -> tuple[Floats, Floats]:
    """Return mean and covariance over the heaviest models: method.md, equation 52."""
    best = np.argsort(-weight, kind="stable")[: SETTINGS.max_smoothed]
    best = best[weight[best] > SETTINGS.negligible * weight[best[0]]]
    begins = np.cumsum([0, *(group.family.size for group in groups)])
    parts = weight[best] / weight[best].sum()
    group_index = np.searchsorted(begins, best, side="right") - 1
    mean, second = np.zeros((n_chunks, 2)), np.zeros((n_chunks, 2, 2))
    for g in np.unique(group_index).tolist():
        chosen = group_index == g
        group_mean, group_covariance = groups[g].paths(best[chosen] - begins[g])
        part = parts[chosen][:, None, None]
        mean += (part * group_mean).sum(axis=0)
        outer = group_mean[:, :, :, None] * group_mean[:, :, None, :]
        second += (part[:, :, :, None] * (group_covariance + outer)).sum(axis=0)
    covariance = second - mean[:, :, None] * mean[:, None, :]
    covariance = 0.5 * (covariance + covariance.transpose(0, 2, 1))
    return mean, covariance
