"""Evidence for a step that may be looked at after every chunk."""

import math

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel, kernel_part

Floats = NDArray[np.float64]

_NORMAL = 1.0 / math.sqrt(2.0 * math.pi)
_LEAST = 1e-300  # what has underflowed counts as this: its logarithm is finite


@kernel
def step_e_process(
    y: Floats,
    errors: Floats,
    n_reference: int,
    levels: Floats,
    transition: Floats,
    laws: Floats,
    sizes: Floats,
    position_prior: Floats,
) -> tuple[Floats, Floats]:
    """Return the logarithms of the evidence for no step and for a step, by law.

    The numerator and the denominators of method.md, equation 65; the sum over
    positions is a recursion, so time is linear in the number of chunks.

    Parameters
    ----------
    y, errors : ndarray of shape (n,)
        Values and their standard errors.
    n_reference : int
        Number of chunks that are reference.
    levels : ndarray of shape (n_levels,)
        Evenly spaced levels, over which evidence is summed.
    transition : ndarray of shape (n_levels, n_levels)
        Probability of each level of the analysis (column), by that of the reference.
    laws : ndarray of shape (n_laws, 3)
        Laws of the noise: share of outliers, their width, and scale, the latter two in
        standard errors.
    sizes : ndarray of shape (n_sizes, 3)
        Sizes of a step down: mean, spread between chunks, and prior.
    position_prior : ndarray of shape (n - n_reference,)
        Prior of a step at each analysis chunk.

    Returns
    -------
    log_flat, log_step : ndarray of shape (n - n_reference, n_laws)
        After each analysis chunk, of no step, and of a step so far or to come.
    """
    n_levels, n_sizes = levels.size, sizes.shape[0]
    log_flat = np.empty((y.size - n_reference, laws.shape[0]))
    log_step = np.empty((y.size - n_reference, laws.shape[0]))
    for law in range(laws.shape[0]):
        share, width, scale = laws[law, 0], laws[law, 1], laws[law, 2]
        flat = np.ones(n_levels)  # likelihood of each level, without a step
        step = np.zeros((n_sizes, n_levels))  # times the prior, over all positions
        log_scale, prior, to_come = 0.0, 0.0, 1.0
        for i in range(y.size):
            largest = 0.0
            if i == n_reference:
                flat = _move(flat, transition)
            if i >= n_reference:
                prior = position_prior[i - n_reference]
                to_come -= prior
                for d in range(n_sizes):
                    shift, spread = scale * sizes[d, 0], scale * sizes[d, 1]
                    s = math.sqrt((scale * errors[i]) ** 2 + spread**2)
                    for j in range(n_levels):
                        evidence = step[d, j] + prior * sizes[d, 2] * flat[j]
                        z = (y[i] - levels[j] + shift) / s
                        step[d, j] = evidence * _density(z, share, width) / s
                        largest = max(largest, step[d, j])
            s = scale * errors[i]
            for j in range(n_levels):
                flat[j] *= _density((y[i] - levels[j]) / s, share, width) / s
                largest = max(largest, flat[j])
            largest = max(largest, _LEAST)
            log_scale += math.log(largest)
            flat_sum = step_sum = 0.0
            for j in range(n_levels):
                flat[j] /= largest
                flat_sum += flat[j]
                for d in range(n_sizes):
                    step[d, j] /= largest
                    step_sum += step[d, j]
            if i >= n_reference:
                step_sum += to_come * flat_sum
                k = i - n_reference
                log_flat[k, law] = log_scale + math.log(max(flat_sum, _LEAST))
                log_step[k, law] = log_scale + math.log(max(step_sum, _LEAST))
    return log_flat, log_step


@kernel_part
def _density(z: float, share: float, width: float) -> float:
    """Return that of normal noise with a share of Cauchy's, ``width`` times as wide."""
    wide = width * (1.0 + (z / width) ** 2) * math.pi
    return (1.0 - share) * _NORMAL * math.exp(-0.5 * z * z) + share / wide


@kernel_part
def _move(likelihood: Floats, transition: Floats) -> Floats:
    moved = np.zeros(likelihood.size)
    for a in range(likelihood.size):
        for b in range(likelihood.size):
            moved[b] += likelihood[a] * transition[a, b]
    return moved
