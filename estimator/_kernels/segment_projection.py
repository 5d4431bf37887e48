"""How the errors of the shifts of segments move the metrics of each chunk."""

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]

N_CHANNELS = 6  # as in `soft_label_sums`: numba sees constants of this module only


@kernel
def project_segments(
    cells: Floats,
    reach: Floats,
    common: Floats,
    covariance: Floats,
    new_variance: Floats,
    out: Floats,
) -> None:
    """Fill ``out``, each chunk's covariance of channels by the error of the shifts.

    It is J C J^T (method.md, equation 27) with J the channels times what the common
    coefficients multiply, in each cell, then the channels by slot. Coefficients that
    the chunk has no row of, or that are certain, are left out.

    Parameters
    ----------
    cells : ndarray of shape (n_chunks, N_CHANNELS, n_cells)
        Channels of each chunk by cell of the score, from `soft_label_sums`.
    reach : ndarray of shape (n_chunks, n_slots, 2, N_CHANNELS)
        Channels of each chunk by slot, from `soft_label_sums`.
    common : ndarray of shape (n_common, n_cells)
        What each common coefficient multiplies in each cell.
    covariance : ndarray of shape (n_common + 2 * n_shifts, n_common + 2 * n_shifts)
        Covariance C of the common coefficients, then of intercept and slope of each
        shift.
    new_variance : ndarray of shape (n_new, 2)
        Variances of intercept and slope of the slots after those of the shifts.
    out : ndarray of shape (n_chunks, N_CHANNELS, N_CHANNELS)
        Covariance of the channels of each chunk, filled here.
    """
    n_common = common.shape[0]
    n_known = (covariance.shape[0] - n_common) // 2
    moved = np.empty(covariance.shape[0], dtype=np.int64)
    response = np.empty((covariance.shape[0], N_CHANNELS))
    for c in range(cells.shape[0]):
        n_moved = 0
        for r in range(n_common):
            if covariance[r, r] > 0.0:
                for k in range(N_CHANNELS):
                    total = 0.0
                    for b in range(common.shape[1]):
                        total += cells[c, k, b] * common[r, b]
                    response[n_moved, k] = total
                moved[n_moved] = r
                n_moved += 1
        for k in range(N_CHANNELS):
            for m in range(N_CHANNELS):
                out[c, k, m] = 0.0
        for slot in range(reach.shape[1]):
            if reach[c, slot, 0, 0] == 0.0 and reach[c, slot, 0, 1] == 0.0:
                continue  # no row, or none without a label
            for part in range(2):
                effect = reach[c, slot, part]
                if slot >= n_known:
                    variance = new_variance[slot - n_known, part]
                    for k in range(N_CHANNELS):
                        for m in range(N_CHANNELS):
                            out[c, k, m] += variance * (effect[k] * effect[m])
                    continue
                r = n_common + 2 * slot + part
                if covariance[r, r] > 0.0:
                    for k in range(N_CHANNELS):
                        response[n_moved, k] = effect[k]
                    moved[n_moved] = r
                    n_moved += 1
        for i in range(n_moved):
            for m in range(N_CHANNELS):
                total = 0.0
                for j in range(n_moved):
                    total += covariance[moved[i], moved[j]] * response[j, m]
                for k in range(N_CHANNELS):
                    out[c, k, m] += response[i, k] * total
