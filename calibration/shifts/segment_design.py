"""The rows that segment shifts are fitted to, and the likelihood of their labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from calibration.shifts.segment_shifts import Slots

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentDesign:
    """Rows, and what each coefficient multiplies in them.

    Coefficients stand in one vector, as in `SegmentShifts`: the common ones, then
    intercept and slope of each value, column by column.

    Attributes
    ----------
    x : ndarray of shape (n_rows,)
        Log odds that the map of all rows gives.
    label : ndarray of shape (n_rows,)
        0 or 1.
    u : ndarray of shape (n_rows,)
        Standardized log odds, within the bounds of the shifts.
    common : ndarray of shape (n_rows, n_common)
        What the common coefficients multiply: a constant, u, and the bends.
    slots : ndarray of int of shape (n_rows, n_columns)
        Number of the row's value in each segment column; ``n_shifts``: no shift.
    n_values : tuple of int
        Number of values of each segment column; their sum is ``n_shifts``.
    one_hot : sparse array of shape (n_shifts, n_rows)
        1 where the row has the value.
    """

    x: Floats
    label: Floats
    u: Floats
    common: Floats
    slots: Slots
    n_values: tuple[int, ...]
    one_hot: sparse.csr_array

    @property
    def n_common(self) -> int:
        """Number of common coefficients."""
        return int(self.common.shape[1])

    @property
    def n_coefficients(self) -> int:
        """Number of all coefficients."""
        return self.n_common + 2 * sum(self.n_values)

    def log_odds(self, coefficients: Floats) -> Floats:
        """Return the shifted log odds of each row, shape (n_rows,)."""
        n_common = self.n_common
        shifts = np.append(coefficients[n_common:].reshape(-1, 2), [[0.0, 0.0]], axis=0)
        x = self.x + self.common @ coefficients[:n_common]
        for slot in self.slots.T:
            x += shifts[slot, 0] + shifts[slot, 1] * self.u
        return x

    def log_loss(self, coefficients: Floats) -> float:
        """Return minus the log likelihood of the labels."""
        x = self.log_odds(coefficients)
        return float(np.logaddexp(0.0, np.where(self.label > 0.5, -x, x)).sum())


def one_hot_values(slots: Slots, n_shifts: int) -> sparse.csr_array:
    """Return which rows have which value, shape (n_shifts, n_rows)."""
    n_rows, n_columns = slots.shape
    slot = slots.ravel()
    row = np.repeat(np.arange(n_rows), n_columns)
    has_shift = slot < n_shifts
    ones = np.ones(int(has_shift.sum()))
    return sparse.csr_array(
        (ones, (slot[has_shift], row[has_shift])), shape=(n_shifts, n_rows)
    )


def linearize(design: SegmentDesign, coefficients: Floats) -> tuple[Floats, Floats]:
    """Return Fisher information and gradient of the log likelihood.

    Of two values of one column only a row's own has an entry, so that what stands
    between shifts is a diagonal within a column and a table of counts between two.

    Returns
    -------
    information : ndarray of shape (n_coefficients, n_coefficients)
        In log odds to the power -2.
    gradient : ndarray of shape (n_coefficients,)
        In log odds to the power -1.
    """
    n_common, u, one_hot = design.n_common, design.u, design.one_hot
    p = expit(design.log_odds(coefficients))
    weight, residual = p * (1.0 - p), design.label - p
    weighted = design.common * weight[:, None]
    information = np.zeros((coefficients.size, coefficients.size))
    information[:n_common, :n_common] = design.common.T @ weighted
    level_by_common = one_hot @ weighted
    slope_by_common = one_hot @ (weighted * u[:, None])
    information[n_common::2, :n_common] = level_by_common
    information[n_common + 1 :: 2, :n_common] = slope_by_common
    level = n_common + 2 * np.arange(len(level_by_common))
    information[level, level] = level_by_common[:, 0]
    information[level + 1, level] = level_by_common[:, 1]
    information[level + 1, level + 1] = slope_by_common[:, 1]
    _fill_between_columns(design, weight, information)
    information = np.tril(information)
    information += np.tril(information, -1).T
    gradient = np.empty(coefficients.size)
    gradient[:n_common] = design.common.T @ residual
    gradient[n_common::2] = one_hot @ residual
    gradient[n_common + 1 :: 2] = one_hot @ (residual * u)
    return information, gradient


def _fill_between_columns(
    design: SegmentDesign, weight: Floats, information: Floats
) -> None:
    """Write the lower triangle's information between shifts of two columns."""
    stop = np.cumsum(design.n_values)
    by_column = [
        design.one_hot[s - n : s] for s, n in zip(stop, design.n_values, strict=True)
    ]
    first = design.n_common + 2 * (stop - np.array(design.n_values))
    last = design.n_common + 2 * stop
    for i, j in zip(*np.tril_indices(stop.size, -1), strict=True):
        plain, once, twice = (
            (by_column[i] @ (by_column[j] * (weight * design.u**power)).T).toarray()
            for power in (0, 1, 2)
        )
        block = information[first[i] : last[i], first[j] : last[j]]
        block[::2, ::2], block[1::2, 1::2] = plain, twice
        block[1::2, ::2] = block[::2, 1::2] = once
