"""How long labels take, by class: the delay model.

Each class, within a stratum of the score and of one segment column, has a hazard of
being labelled at each age. It is estimated like a Kaplan-Meier curve, except that a row
still waiting is at risk in both classes, by its soft label: so recent rows count only
up to their age, and short delays are not over-represented. Small strata are drawn to
their segment value's hazard, and that to the hazard of all rows.

References: Kaplan & Meier (1958), JASA 53(282); Chapelle (2014), "Modeling delayed
feedback in display advertising" (a class-dependent delay makes a waiting row's label a
posterior).
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from estimator.chunking import Chunks
from estimator.delayed_labels.arrivals import (
    N_AGES,
    N_BANDS,
    STEPS_PER_DOUBLING,
    Arrivals,
    age_step,
    arrivals_by_column,
    seconds_waited,
)
from estimator.frames import Columns, required

Floats = NDArray[np.float64]

# Rows that a stratum's parent is worth.
_PARENT_ROWS = 10.0
# Survival below e^-7 is not believed: some labels come later than all before.
_MAX_HAZARD = 7.0
# Age steps at which chunks are compared with one another: half a doubling apart.
_COMPARED = np.arange(2, N_AGES, STEPS_PER_DOUBLING // 2)
_MIN_COMPARED = 4  # chunks, to say how much they differ


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DelayModel:
    """Class-conditional delays.

    Attributes
    ----------
    column : Hashable or None
        Segment column by which they differ.
    values : tuple of str
        Its values.
    bands : ndarray of shape (N_BANDS - 1,)
        Scores between the bands.
    hazard : ndarray of shape (2, n_strata, N_AGES)
        Cumulative, at the end of each age step: a label of class y has arrived by then
        with probability ``1 - exp(-hazard[y])``. Stratum ``value * N_BANDS + band``;
        the last N_BANDS are for values never seen.
    """

    column: Hashable | None
    values: tuple[str, ...]
    bands: Floats
    hazard: Floats

    @property
    def log_ratio(self) -> Floats:
        """Log ratio of P(waiting | 1) to P(waiting | 0), flat over (stratum, age)."""
        ratio: Floats = (self.hazard[0] - self.hazard[1]).ravel()
        return ratio

    @property
    def arrived_log_ratio(self) -> Floats:
        """Log ratio of P(arrived | 1) to P(arrived | 0), 0 where neither can be."""
        arrived = -np.expm1(-self.hazard)
        both = np.where((arrived > 0.0).all(axis=0), arrived, 1.0)
        ratio: Floats = np.log(both[1] / both[0]).ravel()
        return ratio

    @property
    def to_come(self) -> Floats:
        """P(a label comes later | it has not come yet), by class; flat (2, …)."""
        left = self.hazard[:, :, -1:] - self.hazard
        chance: Floats = -np.expm1(-left).reshape(2, -1)
        return chance

    @property
    def arrived(self) -> Floats:
        """P(arrived by the end of the age step), by class; flat (2, …)."""
        return -np.expm1(-self.hazard).reshape(2, -1)


def fit_delays(
    column: Hashable | None, bands: Floats, arrivals: Arrivals, waiting: Floats
) -> DelayModel:
    """Estimate the hazards from labels that came and rows that wait.

    Parameters
    ----------
    column : Hashable or None
        What the values of ``arrivals`` are values of.
    bands : ndarray of shape (N_BANDS - 1,)
        Scores between the bands.
    arrivals : Arrivals
        By age at arrival.
    waiting : ndarray of shape (2, n_values + 1, N_BANDS, N_AGES)
        Soft labels of waiting rows by their age; the last value is "another".
    """
    came = np.concatenate([arrivals.count, np.zeros_like(arrivals.count[:, :1])], 1)
    at_risk = np.cumsum((came + waiting)[..., ::-1], axis=3)[..., ::-1]
    whole, risk = came.sum(axis=(1, 2)), at_risk.sum(axis=(1, 2))
    rate = whole / np.maximum(risk, 1.0)
    rate = _draw(came.sum(axis=2), at_risk.sum(axis=2), rate[:, None])
    rate = _draw(came, at_risk, rate[:, :, None])
    hazard = np.cumsum(-np.log1p(-np.minimum(rate, 1.0 - 1e-9)), axis=3)
    return DelayModel(
        column=column,
        values=arrivals.values,
        bands=bands,
        hazard=np.minimum(hazard, _MAX_HAZARD).reshape(2, -1, N_AGES),
    )


def _draw(came: Floats, at_risk: Floats, parent: Floats) -> Floats:
    """Return hazards drawn to the parent's as if it were some more rows at risk."""
    drawn: Floats = (came + _PARENT_ROWS * parent) / (at_risk + _PARENT_ROWS)
    return drawn


def measure_spread(
    label: Floats, age: NDArray[np.int64], chunk: NDArray[np.int64]
) -> Floats:
    """Estimate how much chunks differ in who is waiting, by age; shape (N_AGES,).

    The variance, over chunks whose labels are all in, of the log ratio of waiting
    positives to waiting negatives, each over what their class's delays let expect,
    less what counts of this size vary by chance. No model of delays is better than
    that for a single chunk.

    Parameters
    ----------
    label, age, chunk : ndarray of shape (n_labels,)
        Label, age step at its arrival, and number of the chunk.
    """
    n_chunks = int(chunk.max()) + 1 if chunk.size else 0
    found = np.zeros(_COMPARED.size)
    if n_chunks >= _MIN_COMPARED:
        logs, noise = np.zeros((n_chunks, found.size)), np.zeros((n_chunks, found.size))
        usable = np.ones((n_chunks, found.size), dtype=np.bool_)
        for y, sign in ((0.0, -1.0), (1.0, 1.0)):
            of = label == y
            size = np.bincount(chunk[of], minlength=n_chunks)[:, None]
            cell = chunk[of] * _COMPARED.size + np.searchsorted(_COMPARED, age[of])
            # An arrival between two compared ages is waiting at the first.
            cell = cell[np.searchsorted(_COMPARED, age[of]) < _COMPARED.size]
            counts = np.bincount(cell, minlength=n_chunks * found.size)
            came = counts.reshape(n_chunks, -1).cumsum(axis=1)
            waiting, survival = size - came, 1.0 - came.sum(axis=0) / max(of.sum(), 1)
            expected = size * survival
            usable &= expected >= 1.0
            expected = expected + 0.5
            logs += sign * np.log((waiting + 0.5) / expected)
            noise += (1.0 - survival) / expected
        enough = usable.sum(axis=0) >= _MIN_COMPARED
        excess = np.where(usable, logs**2 - noise, 0.0).sum(axis=0)
        found[enough] = np.maximum(excess / np.maximum(usable.sum(axis=0), 1), 0.0)[
            enough
        ]
        # Late ages at which hardly a row waits are as uncertain as the last that told.
        if enough.any():
            found = found[
                np.maximum.accumulate(np.where(enough, np.arange(found.size), 0))
            ]
    return np.interp(np.arange(N_AGES), _COMPARED, found)


def no_delays() -> DelayModel:
    """Return the model where no times are known: waiting tells nothing."""
    hazard = np.zeros((2, 1, 1))
    return DelayModel(column=None, values=("",), bands=np.empty(0), hazard=hazard)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceDelays:
    """What the reference says of delays.

    Attributes
    ----------
    bands : ndarray of shape (N_BANDS - 1,)
        Scores between the bands by which delays may differ.
    arrivals : dict of Arrivals
        By segment column, and by None; empty if it is not known when labels came.
    spread : ndarray of shape (N_AGES,)
        By age: variance between chunks of the log ratio of the classes among waiting
        rows; 0 if it is not known.
    """

    bands: Floats
    arrivals: Mapping[Hashable | None, Arrivals]
    spread: Floats


def learn_delays(columns: Columns, chunks: Chunks) -> ReferenceDelays:
    """Learn from the reference how long labels take, if it says when they came."""
    label = required(columns.label)
    usable: NDArray[np.bool_] = ~np.isnan(label) & ~np.isnan(columns.score)
    score = np.asarray(columns.score[usable], dtype=np.float64)
    bands = np.quantile(score, np.arange(1, N_BANDS) / N_BANDS)
    arrivals: dict[Hashable | None, Arrivals] = {}
    spread = np.zeros(N_AGES)
    if columns.labeled_at is not None and columns.timestamp is not None:
        arrivals = arrivals_by_column(columns, bands, usable)
        chunk = np.empty(columns.n_rows, dtype=np.int64)
        rows = slice(None) if chunks.rows is None else chunks.rows
        chunk[rows] = np.repeat(np.arange(len(chunks)), np.diff(chunks.offsets))
        came = usable & ~np.isnat(columns.labeled_at)
        age = age_step(seconds_waited(columns, came))
        spread = measure_spread(label[came], age, chunk[came])
    return ReferenceDelays(bands=bands, arrivals=arrivals, spread=spread)
