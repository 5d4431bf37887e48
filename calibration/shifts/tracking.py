"""How far the calibration has shifted in each chunk, as labels show it, late.

The shift of a chunk, ``logit p = x + intercept + slope * u`` with x the calibrated and
u the standardized log odds, is a state that moves from chunk to chunk. Each chunk's
labels tell of its own shift, and through the motion of all others: labels of older
chunks correct the newest, which has none. Nobody knows how the shift moves; so a small
set of motions is averaged, each weighted by how well it would have predicted what was
seen: where nothing moves, "still" wins, and the estimate stays where it was. Method.md,
equations 46 to 49.

References: Harvey (1989), "Forecasting, Structural Time Series Models and the Kalman
Filter" (random walk, damped trend, stochastic cycle); Hoeting et al. (1999), "Bayesian
model averaging: a tutorial", Statistical Science 14(4).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.state_space import (
    evidence,
    filter_models,
    smooth,
    sum_products,
)
from calibration._kernels.threads import share_out
from calibration.maps.logistic import square_root
from calibration.shifts.motions import (
    FAMILIES,
    MIN_FOR_CYCLE,
    Motions,
    cycles,
    levels,
    log_priors,
    motions,
)

__all__ = ["FAMILIES", "FilteredChunks", "ShiftPath", "filter_chunks", "track_shift"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Motions that weigh less than this share of the best are not worth smoothing.
_NEGLIGIBLE = 1e-3
_MAX_SMOOTHED = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftPath:
    """The shift of each chunk, given the labels of all.

    Attributes
    ----------
    mean : ndarray of shape (n_chunks, 2)
        Intercept and slope of the shift, in log odds; 0 is as calibrated.
    covariance : ndarray of shape (n_chunks, 2, 2)
        Within the motions, and between them.
    weights : dict of float
        Posterior probability of each family of motions.
    """

    mean: Floats
    covariance: Floats
    weights: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilteredChunks:
    """What the first chunks say of every motion: a shortcut for `track_shift`.

    Attributes
    ----------
    information, vector, prior_covariance : ndarray
        As `track_shift` takes them, of these chunks.
    observations : Observations
        The same as observations of unit noise.
    states : tuple of States
        After the last of the chunks, for each group of motions.
    """

    information: Floats
    vector: Floats
    prior_covariance: Floats
    observations: "Observations"
    states: tuple["States", ...]

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observations:
    """Each chunk's information as up to two scalar observations of unit noise.

    Attributes
    ----------
    n_seen : ndarray of int of shape (n_chunks,)
    h : ndarray of shape (n_chunks, 2, 2)
        ``seen[t, k]`` is ``h[t, k] @ shift`` plus noise.
    seen : ndarray of shape (n_chunks, 2)
    """

    n_seen: Integers
    h: Floats
    seen: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class States:
    """Filtered states of a group of motions, the last axis being the model.

    Attributes
    ----------
    log_likelihood : ndarray of shape (n_models,)
        Of all chunks so far, but for a constant that all models share.
    mean : ndarray of shape (n_state, n_models)
    covariance : ndarray of shape (n_state, n_state, n_models)
    """

    log_likelihood: Floats
    mean: Floats
    covariance: Floats


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
        What each chunk's labels say of its shift: inverse covariance; 0 without labels.
    vector : ndarray of shape (n_chunks, 2)
        Information times estimate.
    prior_covariance : ndarray of shape (2, 2)
        Of the shift before the first chunk: the calibration's own estimation error.
    filtered : FilteredChunks, optional
        The first of these chunks, so that the time it takes does not grow with their
        number. The result is the same, but begins after them.

    Returns
    -------
    ShiftPath
        Of the chunks that are not in ``filtered``, given all.

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
    information, vector, prior = _check(information, vector, prior_covariance)
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
    recent = _observe(information[first:], vector[first:], first)
    groups = motions()
    states = _filter(groups, filtered.states, recent)
    observed = _joined(filtered.observations, recent)
    n_informed = int((observed.n_seen > 0).sum())
    steady = _regress(observed, prior)
    members = [group.has_members(n, n_informed) for group in groups]
    families = [group.family for group in steady]
    families += [group.family[has] for group, has in zip(groups, members, strict=True)]
    squares = 0.5 * float((observed.seen**2).sum())
    likelihoods = [group.log_likelihood() - squares for group in steady]
    likelihoods += [
        state.log_likelihood[has] for state, has in zip(states, members, strict=True)
    ]
    log_weight = np.concatenate(log_priors(families)) + np.concatenate(likelihoods)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    share = np.bincount(np.concatenate(families), weight, len(FAMILIES))
    best = np.flatnonzero(weight > _NEGLIGIBLE * weight.max())
    best = best[np.argsort(-weight[best], kind="stable")][:_MAX_SMOOTHED]
    places = [np.arange(group.family.size) for group in steady]
    places += [np.flatnonzero(has) for has in members]
    begins = np.cumsum([0, *(models.size for models in places)])
    chunks = np.arange(first, n)
    parts = weight[best] / weight[best].sum()
    group_of = np.searchsorted(begins, best, side="right") - 1
    mean, second = np.zeros((n - first, 2)), np.zeros((n - first, 2, 2))
    for g in np.unique(group_of).tolist():
        chosen = group_of == g
        models = places[g][best[chosen] - begins[g]]
        if g < len(steady):
            own_mean, own_covariance = steady[g].paths(models, chunks)
        else:
            h = g - len(steady)
            own_mean, own_covariance = _smooth(
                groups[h], models, filtered.states[h], recent
            )
        part = parts[chosen][:, None, None]
        mean += (part * own_mean).sum(axis=0)
        outer = own_mean[:, :, :, None] * own_mean[:, :, None, :]
        second += (part[:, :, :, None] * (own_covariance + outer)).sum(axis=0)
    covariance = second - mean[:, :, None] * mean[:, None, :]
    covariance = 0.5 * (covariance + covariance.transpose(0, 2, 1))
    return ShiftPath(
        mean=mean,
        covariance=covariance,
        weights=dict(zip(FAMILIES, share.tolist(), strict=True)),
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
        As in `track_shift`, of these chunks alone.
    before : FilteredChunks, optional
        If these are the first of the chunks, only the others are filtered; else it is
        left aside.

    Returns
    -------
    FilteredChunks

    Raises
    ------
    ValueError
        As in `track_shift`.
    """
    information, vector, prior = _check(information, vector, prior_covariance)
    groups = motions()
    if before is None or not before.is_of(information, vector, prior):
        before = FilteredChunks(
            information=information[:0],
            vector=vector[:0],
            prior_covariance=prior,
            observations=_observe(information[:0], vector[:0], 0),
            states=tuple(_start(group, prior) for group in groups),
        )
    first = len(before)
    if first == len(vector):
        return before
    later = _observe(information[first:], vector[first:], first)
    return FilteredChunks(
        information=information.copy(),
        vector=vector.copy(),
        prior_covariance=prior.copy(),
        observations=_joined(before.observations, later),
        states=_filter(groups, before.states, later),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Regressions:
    """Motions that stand still once they have begun: regressions on known columns.

    The shift of a chunk is the sum of its k ``columns``, the first of which is 1, times
    as many pairs of coefficients.

    Attributes
    ----------
    family : ndarray of int of shape (n_models,)
    products : ndarray of shape (n_models, k, k, 6)
        Sums over the chunks of information (2, 2) and vector (2,) times the product of
        two columns.
    root : ndarray of shape (2, 2)
        Of the prior covariance of the first pair of coefficients.
    deviation : ndarray of shape (n_models, 2)
        Standard deviations of the other pairs.
    columns : callable
        Returns the columns of some models, of shape (n_models, n_chunks, k), at the
        chunks of these numbers.
    """

    family: Integers
    products: Floats
    root: Floats
    deviation: Floats
    columns: Callable[[Integers, Integers], Floats]

    def log_likelihood(self) -> Floats:
        """Log marginal likelihoods, but for the sum of squares that all share."""
        out = np.empty(self.family.size)
        evidence(self.products, self.root, self.deviation, out)
        return out

    def paths(self, models: Integers, chunks: Integers) -> tuple[Floats, Floats]:
        """Return mean and covariance of the shift in some chunks, by model, given all.

        Returns
        -------
        mean : ndarray of shape (n_models, n_chunks, 2)
        covariance : ndarray of shape (n_models, n_chunks, 2, 2)
        """
        products = self.products[models]
        m, k = products.shape[:2]
        root = np.zeros((m, 2 * k, 2 * k))
        root[:, np.arange(2 * k), np.arange(2 * k)] = np.tile(self.deviation[models], k)
        root[:, :2, :2] = self.root
        turned = root.transpose(0, 2, 1)
        information = products[..., :4].reshape(m, k, k, 2, 2).swapaxes(2, 3)
        gram = turned @ information.reshape(m, 2 * k, 2 * k) @ root
        spread = root @ np.linalg.inv(np.eye(2 * k) + gram) @ turned
        vector = products[:, 0, :, 4:].reshape(m, 2 * k, 1)
        coefficients = (spread @ vector).reshape(m, k, 2)
        # From (a, i, b, j) to pairs of columns (a, b) by pairs of coordinates (i, j).
        covariance = spread.reshape(m, k, 2, k, 2).swapaxes(2, 3).reshape(m, k * k, 4)
        columns = self.columns(models, chunks)
        n = chunks.size
        mean, out = np.zeros((m, n, 2)), np.zeros((m, n, 4))
        for c in range(k):  # sums in this order, however many chunks there are
            mean += columns[:, :, c, None] * coefficients[:, None, c]
            for d in range(k):
                product = columns[:, :, c] * columns[:, :, d]
                out += product[:, :, None] * covariance[:, None, c * k + d]
        return mean, out.reshape(m, n, 2, 2)


def _regress(observed: Observations, prior: Floats) -> tuple[_Regressions, ...]:
    """Set up the regressions on levels and on undamped cycles."""
    n = observed.n_seen.size
    # Each chunk's information and vector, flat: J_00, J_01, J_10, J_11, v_0, v_1.
    told = np.empty((n, 6))
    told[:, :4] = np.einsum("tki,tkj->tij", observed.h, observed.h).reshape(n, 4)
    told[:, 4:] = np.einsum("tki,tk->ti", observed.h, observed.seen)
    root = square_root(prior)
    steps = levels(n)
    by_level = np.empty((steps.begin.size, 2, 2, 6))
    by_level[:] = np.cumsum(told[::-1], axis=0)[::-1][steps.begin][:, None, None]
    by_level[:, 0, 0] = told.sum(axis=0)
    n_informed = int((observed.n_seen > 0).sum())
    waves = cycles(n, any_at_all=n_informed >= MIN_FOR_CYCLE)
    n_frequencies, n_sizes = waves.frequency.size, len(waves.deviation)
    sums = np.empty((6, 6 * n_frequencies))
    sum_products(told, waves.products, sums)
    by_pair = sums.reshape(6, 6, n_frequencies).T
    by_cycle = np.repeat(by_pair[:, _PAIRS], n_sizes, axis=0)
    frequency = np.repeat(waves.frequency, n_sizes)
    return (
        _Regressions(
            family=steps.family,
            products=by_level,
            root=root,
            deviation=steps.deviation,
            columns=lambda models, t: _level(steps.begin[models], t),
        ),
        _Regressions(
            family=np.full(frequency.size, list(FAMILIES).index("seasonal")),
            products=by_cycle,
            root=root,
            deviation=np.tile(waves.deviation, (n_frequencies, 1)),
            columns=lambda models, t: _wave(frequency[models], t),
        ),
    )


# Where the product of two of three columns stands in `Cycles.products`.
_PAIRS = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])


def _level(begin: Integers, chunks: Integers) -> Floats:
    after = (chunks >= begin[:, None]).astype(np.float64)
    return np.stack([np.ones_like(after), after], axis=2)


def _wave(frequency: Floats, chunks: Integers) -> Floats:
    turn = 2.0 * np.pi * np.outer(frequency, chunks)
    return np.stack([np.ones_like(turn), np.cos(turn), np.sin(turn)], axis=2)


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


def _filter(
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


def _smooth(
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


def _observe(information: Floats, vector: Floats, first: int) -> Observations:
    """Turn each chunk's information into up to two observations of unit noise.

    Raises
    ------
    ValueError
        If ``information`` is not positive semidefinite; ``first`` is the number of the
        first chunk, for the message.
    """
    n = len(vector)
    value, axes = np.linalg.eigh(information)
    wrong = np.flatnonzero(
        value[:, 0] < -1e-6 * (np.abs(information).max(axis=(1, 2), initial=0.0) + 1.0)
    )
    if wrong.size:
        msg = (
            "`information` must be positive semidefinite, but that of chunk "
            f"{first + wrong[0]} has the eigenvalue {value[wrong[0], 0]:g}."
        )
        raise ValueError(msg)
    tells = value > 1e-9
    roots = np.sqrt(np.where(tells, value, 1.0))
    h = np.where(tells[:, :, None], (axes * roots[:, None, :]).transpose(0, 2, 1), 0.0)
    seen = np.where(tells, np.einsum("tik,ti->tk", axes, vector) / roots, 0.0)
    # Eigenvalues rise: where one tells nothing, it is the first.
    later = tells[:, 1] & ~tells[:, 0]
    h[later], seen[later] = h[later][:, ::-1], seen[later][:, ::-1]
    return Observations(
        n_seen=tells.sum(axis=1).astype(np.int64).reshape(n),
        h=np.ascontiguousarray(h),
        seen=np.ascontiguousarray(seen),
    )


def _joined(first: Observations, second: Observations) -> Observations:
    return Observations(
        n_seen=np.concatenate([first.n_seen, second.n_seen]),
        h=np.concatenate([first.h, second.h]),
        seen=np.concatenate([first.seen, second.seen]),
    )


def _check(
    information: Floats, vector: Floats, prior: Floats
) -> tuple[Floats, Floats, Floats]:
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
