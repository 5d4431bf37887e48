"""Motions whose steps are uncertain: filtered over the first chunks, smoothed back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.state_space import filter_models, smooth
from calibration._kernels.threads import share_out
from calibration.shifts.motions import Motions, motions
from calibration.shifts.observations import Observations, join_observations, observe

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class States:
    """Filtered states of a group of motions, the last axis being the model.

    Attributes
    ----------
    log_likelihood : ndarray of shape (n_models,)
        Logarithm of the likelihood of all chunks so far, but for a constant that all
        models share.
    mean : ndarray of shape (n_state, n_models)
        Mean of each state after the last chunk, in log odds.
    covariance : ndarray of shape (n_state, n_state, n_models)
        Covariance of each state after the last chunk.
    """

    log_likelihood: Floats
    mean: Floats
    covariance: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilteredChunks:
    """What the first chunks say of every motion: a shortcut for `track_shift`.

    Attributes
    ----------
    information : ndarray of shape (n_chunks, 2, 2)
        Information of these chunks, as `track_shift` takes it.
    vector : ndarray of shape (n_chunks, 2)
        Information times estimate of these chunks.
    prior_covariance : ndarray of shape (2, 2)
        Covariance of the shift before the first chunk.
    observations : Observations
        The same chunks as observations of unit noise.
    states : tuple of States
        States after the last of the chunks, for each group of motions.
    """

    information: Floats
    vector: Floats
    prior_covariance: Floats
    observations: Observations
    states: tuple[States, ...]

    def __len__(self) -> int:
        return len(self.vector)

    def is_of(self, information: Floats, vector: Floats, prior: Floats) -> bool:
        """Say whether these are the first of some chunks."""
        n = len(self)
        return (
            len(vector) >= n
            and np.array_equal(self.prior_covariance, prior)
            and np.array_equal(self.information, information[:n])
            and np.array_equal(self.vector, vector[:n])
        )


def filter_chunks(
    information: Floats,
    vector: Floats,
    *,
    prior_covariance: Floats,
    before: FilteredChunks | None = None,
) -> FilteredChunks:
    """Filter the first chunks, whose labels are all in.

    Parameters
    ----------
    information, vector, prior_covariance
        Evidence of these chunks alone, as `track_shift` takes it.
    before : FilteredChunks, optional
        Result of an earlier call. If it is of the first of these chunks, only the
        others are filtered; else it is left aside.

    Returns
    -------
    FilteredChunks
        All chunks, filtered.

    Raises
    ------
    ValueError
        If shapes do not match, something is not finite, or ``information`` is not
        positive semidefinite.
    """
    information, vector, prior = check_information(
        information, vector, prior_covariance
    )
    groups = motions()
    if before is None or not before.is_of(information, vector, prior):
        before = FilteredChunks(
            information=information[:0],
            vector=vector[:0],
            prior_covariance=prior,
            observations=observe(information[:0], vector[:0], 0),
            states=tuple(_start(group, prior) for group in groups),
        )
    first = len(before)
    if first == len(vector):
        return before
    later = observe(information[first:], vector[first:], first)
    return FilteredChunks(
        information=information.copy(),
        vector=vector.copy(),
        prior_covariance=prior.copy(),
        observations=join_observations(before.observations, later),
        states=filter_states(groups, before.states, later),
    )


def filter_states(
    groups: Sequence[Motions], before: Sequence[States], observed: Observations
) -> tuple[States, ...]:
    """Return the states after some more chunks."""
    after = [
        States(
            log_likelihood=state.log_likelihood.copy(),
            mean=state.mean.copy(),
            covariance=state.covariance.copy(),
        )
        for state in before
    ]

    def work(which: slice) -> None:
        for group, state in zip(groups[which], after[which], strict=True):
            filter_models(
                observed.n_seen, observed.h, observed.seen, group.transition,
                group.noise, group.seen, state.mean, state.covariance,
                state.log_likelihood,
            )  # fmt: skip

    models = np.cumsum([0, *(group.family.size for group in groups)])
    share_out(models * observed.n_seen.size, work)
    return tuple(after)


def smooth_states(
    group: Motions, models: Integers, start: States, observed: Observations
) -> tuple[Floats, Floats]:
    """Return mean and covariance of the shift in some chunks, given them and before."""
    n, both = observed.n_seen.size, np.eye(2)
    mean, covariance = np.empty((models.size, n, 2)), np.empty((models.size, n, 2, 2))
    Z = np.kron(group.seen[None, :], both).astype(np.float64)
    for i, m in enumerate(models.tolist()):
        smooth(
            observed.n_seen, observed.h, observed.seen,
            np.kron(group.transition[:, :, m], both).astype(np.float64),
            np.diag(group.noise[:, m]), Z,
            start.mean[:, m].copy(), start.covariance[:, :, m].copy(),
            mean[i], covariance[i],
        )  # fmt: skip
    return mean, covariance


def check_information(
    information: Floats, vector: Floats, prior: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return the arguments of `track_shift` as arrays of fitting shapes.

    Raises
    ------
    ValueError
        If shapes do not match or something is not finite.
    """
    information, vector, prior = (
        np.asarray(values, dtype=np.float64) for values in (information, vector, prior)
    )
    n = len(information)
    for name, values, shape in (
        ("information", information, (n, 2, 2)),
        ("vector", vector, (n, 2)),
        ("prior_covariance", prior, (2, 2)),
    ):
        if values.shape != shape:
            msg = f"`{name}` must have shape {shape}, got {values.shape}."
            raise ValueError(msg)
        if not np.isfinite(values).all():
            msg = f"`{name}` must be finite, but holds NaN or infinity."
            raise ValueError(msg)
    return information, vector, prior


def _start(group: Motions, prior: Floats) -> States:
    """Return the states before the first chunk, with the map's error in the first."""
    d, n_models = group.start.shape
    covariance = np.zeros((d, d, n_models))
    covariance[np.arange(d), np.arange(d)] = group.start
    covariance[:2, :2] += prior[:, :, None]
    return States(
        log_likelihood=np.zeros(n_models),
        mean=np.zeros((d, n_models)),
        covariance=covariance,
    )
