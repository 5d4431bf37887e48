"""The inner loops of the spline map: scores to odds, logits to logits, odds to scores.

The logarithm and the exponential between them stay with NumPy, whose SIMD versions
beat a scalar loop several times over. ``table[j]`` holds the polynomial of segment
``j``, constant first, in powers of the distance to ``origins[j]``; segment ``j`` ends
where segment ``j + 1`` begins, at ``knots[j]``.
"""

import numpy as np
from numpy.typing import NDArray

from calibration._jit import kernel

Floats = NDArray[np.float64]


@kernel
def clipped_odds(scores: Floats, clip: float, out: Floats) -> None:
    """Write s / (1 - s), with s kept within [clip, 1 - clip]."""
    for i in range(scores.size):
        score = min(max(scores[i], clip), 1.0 - clip)
        out[i] = score / (1.0 - score)


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


@kernel
def one_over_one_plus(x: Floats) -> None:
    """Replace x = exp(-logit) by the probability."""
    for i in range(x.size):
        x[i] = 1.0 / (1.0 + x[i])


@kernel
def piecewise_cubics(
    x: Floats,
    scale: Floats,
    knots: Floats,
    origins: Floats,
    tables: Floats,
    out: Floats,
) -> None:
    """Write ``scale`` times several piecewise cubics with common knots, in columns.

    ``tables`` has shape (n_segments, 4, n_columns).
    """
    for i in range(x.size):
        j = 0
        for k in range(knots.size):
            j += x[i] >= knots[k]
        u = x[i] - origins[j]
        c = tables[j]
        for column in range(out.shape[1]):
            value = (c[3, column] * u + c[2, column]) * u + c[1, column]
            out[i, column] = scale[i] * (value * u + c[0, column])
