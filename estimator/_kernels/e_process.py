"""Evidence for a step that may be looked at after every chunk."""

import math

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]

_SQRT_HALF = math.sqrt(0.5)


@kernel
def step_e_process(
    y: Floats,
    weight: Floats,
    n_reference: int,
    shared: float,
    scales: Floats,
    out: Floats,
) -> None:
    """Fill ``out`` (n - n_reference) with evidence for a step, after each chunk.

    The mixture over all past and coming places of a step down, each with the evidence
    of its one-sided normal amplitude for a known variance; weights over places are
    fixed beforehand, 1 / ((j + 1) (j + 2)) for the ``j``-th analysis chunk. So the
    entries are a martingale that begins at 1 as long as nothing changes (method.md,
    equation 64).
    """
    n = y.size
    # sums over the reference, then over all chunks so far
    total_w = total_y = 0.0
    for i in range(n_reference):
        total_w += weight[i]
        total_y += weight[i] * y[i]
    after_w = after_y = 0.0
    since_w, since_y = np.zeros(n), np.zeros(n)
    for i in range(n_reference, n):
        total_w += weight[i]
        total_y += weight[i] * y[i]
        after_w += weight[i]
        after_y += weight[i] * y[i]
        for k in range(n_reference, i + 1):
            since_w[k] += weight[i]
            since_y[k] += weight[i] * y[i]
        # precision of level (flat) and of the shared error (unit variance)
        oh, hh = shared * after_w, shared * shared * after_w + 1.0
        determinant = total_w * hh - oh * oh
        value = 1.0 / (i - n_reference + 2.0)  # of the places still to come
        for k in range(n_reference, i + 1):
            gz, go, gh = since_y[k], since_w[k], shared * since_w[k]
            oz, hz = total_y, shared * after_y
            A = (
                since_w[k]
                - (go * (hh * go - oh * gh) + gh * (total_w * gh - oh * go))
                / determinant
            )
            b = (
                gz
                - (go * (hh * oz - oh * hz) + gh * (total_w * hz - oh * oz))
                / determinant
            )
            A = max(A, 0.0)
            evidence = 0.0
            for s in range(scales.size):
                precision = A + 1.0 / (scales[s] * scales[s])
                root = math.sqrt(precision)
                evidence += (
                    math.exp(min(0.5 * b * b / precision, 700.0))
                    / (scales[s] * root)
                    * math.erfc(b / root * _SQRT_HALF)
                )
            j = k - n_reference
            value += evidence / scales.size / ((j + 1.0) * (j + 2.0))
        out[i - n_reference] = value
