"""What chunks that need not be read again say of shift and delays."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.shifts.filtering import FilteredChunks
from estimator.delayed_labels.arrivals import Arrivals

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """What chunks whose labels are all in say of shift and delays.

    They need not be read again as long as no label is restated.

    Attributes
    ----------
    information : ndarray of shape (n_chunks, 2, 2)
        What each chunk's labels say of its shift; 0 for chunks that still wait.
    vector : ndarray of shape (n_chunks, 2)
        Information times estimate.
    arrivals : dict of Arrivals
        Their labels by how long they took; empty without times. Labels of rows that
        do not say when they came are counted here, too: a table of counts keeps how
        long labels took apart from its rows.
    position : ndarray of int64, or None
        Positions, among all ``n_chunks``, of the chunks that are read; None: all are.
    filtered : FilteredChunks or None
        What the chunks before the first that waits said of every motion in an earlier
        call: a shortcut.
    """

    information: Floats
    vector: Floats
    arrivals: Mapping[Hashable | None, Arrivals]
    position: NDArray[np.int64] | None = None
    filtered: FilteredChunks | None = None


def no_evidence(n: int, position: NDArray[np.int64] | None = None) -> Evidence:
    """Return the evidence of ``n`` chunks of which none is completed.

    ``position`` is as in `Evidence`.
    """
    return Evidence(
        information=np.zeros((n, 2, 2)),
        vector=np.zeros((n, 2)),
        arrivals={},
        position=position,
    )
