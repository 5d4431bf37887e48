"""Secant steps: where rounds that come closer and closer will end."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Multiple of a round's change by which a step may go beyond it at most: the limit of a
# series whose terms shrink by a tenth, the slowest rate that is believed.
LONGEST_SECANT: Final = 9.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoundOfCounts:
    """One round of learning delays and shift, by the rows that it takes to wait.

    Attributes
    ----------
    begin, after : ndarray of shape (2, n_values + 1, N_BANDS, N_AGES)
        Waiting rows by class, with which the round began and to which it led.
    """

    begin: Floats
    after: Floats


def secant_step(last: RoundOfCounts, before: RoundOfCounts | None) -> Floats:
    """Return the waiting rows with which the next round begins.

    Anderson's method of depth 1: what both rounds changed says at which rate they come
    closer, and so where they end (Walker & Ni 2011, SIAM J. Numer. Anal. 49(4)).
    """
    if before is None:
        return last.after
    change = last.after - last.begin
    difference = change - (before.after - before.begin)
    square = float((difference * difference).sum())
    if square == 0.0:
        return last.after
    share = float((change * difference).sum()) / square
    share = max(share, -LONGEST_SECANT) if share < 1.0 else 0.0  # else it goes away
    step: Floats = last.after - share * (last.after - before.after)
    return np.maximum(step, 0.0)  # a number of rows
