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

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlog1py

from estimator.delayed_labels.arrivals import Arrivals
from estimator.delayed_labels.strata.delay_cells import (
    N_AGES,
    N_BANDS,
    STEPS_PER_DOUBLING,
)

Floats = NDArray[np.float64]

# Rows that a stratum's parent is worth.
_PARENT_ROWS = 10.0
# Survival below e^-7 is not believed: some labels come later than all before.
_MAX_HAZARD = 7.0
# Nor is a class e^7 times as likely as the other to have come: some come sooner.
_MAX_LOG_RATIO = 7.0
# Labels that may still come at 1.4 times the reference's delays are not given up: what
# waits beyond that is no slower feed, but has been lost.
_STEPS_SLOWER = STEPS_PER_DOUBLING // 2
# Gain in log likelihood from which on labels are taken to be lost: 2 standard errors.
_NEVER_GAIN = 2.0
# Rounds of expectation maximization towards their share, of one number.
_NEVER_ROUNDS = 50


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DelayModel:
    """Class-conditional delays.

    Attributes
    ----------
    column : Hashable or None
        Segment column by which they differ, or ``LEARNED``.
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
    def is_timed(self) -> bool:
        """Whether it is known of any label how long it took."""
        return bool(self.hazard.shape[2] > 1)

    @property
    def log_ratio(self) -> Floats:
        """Log ratio of P(waiting | 1) to P(waiting | 0), flat over (stratum, age).

        Method.md, equation 39.
        """
        ratio: Floats = (self.hazard[0] - self.hazard[1]).ravel()
        return ratio

    @property
    def arrived_log_ratio(self) -> Floats:
        """Log ratio of P(arrived | 1) to P(arrived | 0), 0 where neither can be.

        A label that came when the other class never does is almost surely of its class.
        """
        with np.errstate(divide="ignore"):
            log_arrived = np.log(-np.expm1(-self.hazard))
        can_be = np.isfinite(log_arrived).any(axis=0)
        negative, positive = np.where(can_be, log_arrived, 0.0)
        ratio: Floats = np.clip(positive - negative, -_MAX_LOG_RATIO, _MAX_LOG_RATIO)
        return ratio.ravel()

    @property
    def arrived(self) -> Floats:
        """P(arrived by the end of the age step), by class; flat (2, …)."""
        return -np.expm1(-self.hazard).reshape(2, -1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NeverLabelled:
    """Rows of production whose label never comes.

    Attributes
    ----------
    share : float
        Share of such rows among all.
    comes : ndarray of shape (2, 1, N_BANDS, N_AGES)
        P(the label of a row that waits still comes) by class, score band and age.
    """

    share: float
    comes: Floats


def fit_delays(
    column: Hashable | None,
    bands: Floats,
    arrivals: Arrivals,
    waiting: Floats,
    never: float = 0.0,
) -> DelayModel:
    """Estimate the hazards from labels that came and rows that wait.

    Method.md, equation 37.

    Parameters
    ----------
    column : Hashable or None
        What the values of ``arrivals`` are values of.
    bands : ndarray of shape (N_BANDS - 1,)
        Scores between the bands.
    arrivals : Arrivals
        By age at arrival.
    waiting : ndarray of shape (2, n_values + 1, N_BANDS, N_AGES)
        Soft labels of waiting rows by their age, as far as their labels still come; the
        last value is "another".
    never : float, default=0.0
        Share of the labels that never come, whatever their class.
    """
    came = np.concatenate([arrivals.count, np.zeros_like(arrivals.count[:, :1])], 1)
    at_risk = np.cumsum((came + waiting)[..., ::-1], axis=3)[..., ::-1]
    whole, risk = came.sum(axis=(1, 2)), at_risk.sum(axis=(1, 2))
    rate = whole / np.maximum(risk, 1.0)
    rate = _draw(came.sum(axis=2), at_risk.sum(axis=2), rate[:, None])
    rate = _draw(came, at_risk, rate[:, :, None])
    hazard = np.cumsum(-np.log1p(-np.minimum(rate, 1.0 - 1e-9)), axis=3)
    hazard = np.minimum(hazard, _MAX_HAZARD)
    if never:
        hazard = -np.log(never + (1.0 - never) * np.exp(-hazard))
    return DelayModel(
        column=column,
        values=arrivals.values,
        bands=bands,
        hazard=hazard.reshape(2, -1, N_AGES),
    )


def estimate_never(came: Floats, waiting: Floats, n_labels: float) -> NeverLabelled:
    """Estimate the share of production's labels that never come, whatever the class.

    Method.md, equation 39 and what follows it.

    Parameters
    ----------
    came : ndarray of shape (2, N_BANDS, N_AGES)
        Labels of the reference by class, score band and age at arrival: all came.
    waiting : ndarray of shape (2, N_BANDS, N_AGES)
        Production's rows that wait, by soft label and age.
    n_labels : float
        Number of production's labels that have come.
    """
    total = came.sum(axis=2, keepdims=True)
    survival = 1.0 - np.cumsum(came, axis=2) / np.maximum(total, 1.0)
    slow = np.ones_like(survival)  # as if delays had become longer meanwhile
    slow[..., _STEPS_SLOWER:] = survival[..., :-_STEPS_SLOWER]
    rows = waiting.sum(axis=0)
    is_there = rows > 0.0
    rows_there = rows[is_there]
    late = (waiting * slow).sum(axis=0)[is_there] / rows_there
    share, n = 0.5, max(n_labels + float(rows_there.sum()), 1.0)
    for _ in range(_NEVER_ROUNDS):
        share = float((rows_there * share / (share + (1.0 - share) * late)).sum()) / n
    with np.errstate(divide="ignore"):  # later than any label of the reference
        gain = np.log(share + (1.0 - share) * late) - np.log(late)
        gain = float((rows_there * gain).sum() + xlog1py(n_labels, -share))
    if not gain >= _NEVER_GAIN:
        return none_lost()
    comes = (1.0 - share) * slow / (share + (1.0 - share) * slow)
    return NeverLabelled(share=share, comes=comes[:, None])


def none_lost() -> NeverLabelled:
    """Return what stands where all labels come sooner or later."""
    return NeverLabelled(share=0.0, comes=np.ones((2, 1, N_BANDS, N_AGES)))


def _draw(came: Floats, at_risk: Floats, parent: Floats) -> Floats:
    """Return hazards drawn to the parent's as if it were some more rows at risk."""
    drawn: Floats = (came + _PARENT_ROWS * parent) / (at_risk + _PARENT_ROWS)
    return drawn


def no_delays() -> DelayModel:
    """Return the model where no times are known: waiting tells nothing."""
    hazard = np.zeros((2, 1, 1))
    return DelayModel(column=None, values=("",), bands=np.empty(0), hazard=hazard)
