"""The inner loop of segments' shifts: log odds of rows to minus the shifted log odds.

As in :mod:`calibration._kernels.piecewise_cubic`, logarithm and exponential stay with
NumPy.
"""

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]


@kernel
def shift_log_odds(
    x: Floats,
    slots: NDArray[np.int32],
    centre: float,
    scale: float,
    lowest: float,
    highest: float,
    knots: Floats,
    origins: Floats,
    common: Floats,
    level: Floats,
    slope: Floats,
) -> None:
    """Replace x by minus (x + common(u) + the sum of level + slope u over columns).

    u is ``(x - centre) / scale``, kept within [lowest, highest]; ``common`` (n_knots +
    1, 4) is a piecewise cubic in u. ``slots`` (n_columns, n_rows) says which ``level``
    and ``slope`` a row has in each column; beyond the last it has none.
    """
    for i in range(x.size):
        u = min(max((x[i] - centre) / scale, lowest), highest)
        j = 0
        for k in range(knots.size):
            j += u >= knots[k]
        distance = u - origins[j]
        c = common[j]
        value = ((c[3] * distance + c[2]) * distance + c[1]) * distance + c[0]
        for column in range(slots.shape[0]):
            slot = slots[column, i]
            if slot < level.size:
                value += level[slot] + slope[slot] * u
        x[i] = -(x[i] + value)
