"""Sums of a loss that is linear in the label: log loss, Brier score of cells."""

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]


@kernel
def loss_sums(
    soft: Floats,
    weights: Floats | None,
    gain: Floats,
    complement: Floats,
    offsets: NDArray[np.int64],
    sums: Floats,
) -> None:
    """Fill three columns of ``sums``: a row's loss is ``-complement - gain * y``.

    Of log loss, ``gain`` and ``complement`` are logit(s) and ln(1 - s) of the clipped
    score; of the Brier score 2s - 1 and -s². Few ask for log loss, so that this is
    compiled apart.
    """
    for c in range(offsets.size - 1):
        loss = loss_squared = loss_label = 0.0
        for i in range(offsets[c], offsets[c + 1]):
            times, z = 1.0 if weights is None else weights[i], soft[i]
            row = -complement[i] - z * gain[i]
            loss += times * row
            loss_squared += times * (row * row)
            loss_label += times * (z * (1.0 - z) * gain[i] * gain[i])
        sums[c, 0], sums[c, 1], sums[c, 2] = loss, loss_squared, loss_label
