"""How far each value of a series stands from those around it."""

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]


@kernel
def distances(
    y: Floats, n_neighbours: int, alone: float, in_company: float, out: Floats
) -> None:
    """Fill ``out`` with the distance of each value to the nearer of two medians.

    These are of up to ``n_neighbours`` values before and after it. The distance counts
    in full if no neighbour departs from that median to the same side by a share of more
    than ``alone``; not at all if one departs by a share of ``in_company`` or more.
    """
    n = y.size
    sorted_values = np.empty(n_neighbours)
    for i in range(n):
        departure = np.inf
        for side in range(2):
            first = max(i - n_neighbours, 0) if side == 0 else i + 1
            size = i - first if side == 0 else min(n_neighbours, n - 1 - i)
            if size == 0:
                continue
            for k in range(size):  # sort by insertion
                value, at_rank = y[first + k], k
                while at_rank > 0 and sorted_values[at_rank - 1] > value:
                    sorted_values[at_rank] = sorted_values[at_rank - 1]
                    at_rank -= 1
                sorted_values[at_rank] = value
            median = 0.5 * (sorted_values[(size - 1) // 2] + sorted_values[size // 2])
            if abs(y[i] - median) < abs(departure):
                departure = y[i] - median
        most = 0.0  # share of the departure that a neighbour departs by
        if departure != 0.0 and abs(departure) < np.inf:
            median = y[i] - departure
            if i > 0:
                most = max(most, (y[i - 1] - median) / departure)
            if i < n - 1:
                most = max(most, (y[i + 1] - median) / departure)
        lonely = (in_company - most) / (in_company - alone)
        out[i] = abs(departure) * min(max(lonely, 0.0), 1.0)
