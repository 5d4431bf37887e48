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

from estimator.delayed_labels.arrivals import Arrivals
from estimator.delayed_labels.strata import N_AGES

Floats = NDArray[np.float64]

# Rows that a stratum's parent is worth.
_PARENT_ROWS = 10.0
# Survival below e^-7 is not believed: some labels come later than all before.
_MAX_HAZARD = 7.0


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
    def is_timed(self) -> bool:
        """Whether it is known of any label how long it took."""
        return bool(self.hazard.shape[2] > 1)

    @property
    def log_ratio(self) -> Floats:
        """Log ratio of P(waiting | 1) to P(waiting | 0), flat over (stratum, age).

        Method.md, equation 38.
        """
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


def no_delays() -> DelayModel:
    """Return the model where no times are known: waiting tells nothing."""
    hazard = np.zeros((2, 1, 1))
    return DelayModel(column=None, values=("",), bands=np.empty(0), hazard=hazard)
