"""The inner loop of the spline map: logits of scores to minus logits of probabilities.

The logarithm and the exponential around it stay with NumPy, whose SIMD versions beat a
scalar loop several times over. ``table[j]`` holds the polynomial of segment ``j``,
constant first, in powers of the distance to ``origins[j]``; segment ``j`` ends where
segment ``j + 1`` begins, at ``knots[j]``.
"""

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]


@kernel
def bounded_cubic(
    x: Floats, knots: Floats, origins: Floats, table: Floats, bound: float
) -> None:
    """Replace x by minus the piecewise cubic, kept within [-bound, bound].

    Counting the knots passed has no branch to mispredict: a handful of comparisons per
    row cost the same in any row order.
    """
    for i in range(x.size):
        j = 0
        for k in range(knots.size):
            j += x[i] >= knots[k]
        u = x[i] - origins[j]
        c = table[j]
        value = ((c[3] * u + c[2]) * u + c[1]) * u + c[0]
        x[i] = -min(max(value, -bound), bound)
