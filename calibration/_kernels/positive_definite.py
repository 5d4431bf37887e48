"""Inverse of a small symmetric positive definite matrix, on the caller's thread.

LAPACK starts its threads from about a hundred columns on: on a busy machine they wait
for one another a hundred times as long as the inverse takes.
"""

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]


@kernel
def invert_positive_definite(matrix: Floats, inverse: Floats) -> float:
    """Fill ``inverse``; of ``matrix`` the lower triangle is read, and overwritten.

    Returns ln of the determinant.

    Cholesky's ``L`` with ``L @ L.T`` the matrix, its inverse by forward substitution,
    and ``inv(L).T @ inv(L)`` (Golub & Van Loan, "Matrix Computations", section 4.2). A
    pivot that is not positive in floating point is taken for infinite: what cannot be
    told has no variance.
    """
    n = matrix.shape[0]
    log_determinant = 0.0
    for j in range(n):
        largest = matrix[j, j]
        pivot = largest
        for k in range(j):
            pivot -= matrix[j, k] * matrix[j, k]
        root = np.inf
        if pivot > 1e-13 * largest:
            root = np.sqrt(pivot)
            log_determinant += np.log(pivot)
        matrix[j, j] = root
        for i in range(j + 1, n):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = total / root
    for j in range(n):  # inv(L), in place
        matrix[j, j] = 1.0 / matrix[j, j]
        for i in range(j + 1, n):
            total = 0.0
            for k in range(j, i):
                total += matrix[i, k] * matrix[k, j]
            matrix[i, j] = -total / matrix[i, i]
    for i in range(n):
        for j in range(i + 1):
            inverse[i, j] = 0.0
    for k in range(n):  # row by row, as they lie in memory
        for i in range(k + 1):
            factor = matrix[k, i]
            for j in range(i + 1):
                inverse[i, j] += factor * matrix[k, j]
    for i in range(n):
        for j in range(i):
            inverse[j, i] = inverse[i, j]
    return log_determinant
