"""The inverse against NumPy's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from calibration._kernels.positive_definite import invert_positive_definite


@pytest.mark.parametrize("n", [1, 2, 3, 17, 60])
def test_inverse_and_determinant_equal_numpy(n):
    root = np.random.default_rng(n).normal(size=(n, n + 3))
    matrix = root @ root.T + 0.1 * np.eye(n)
    inverse = np.empty((n, n))
    log_determinant = invert_positive_definite(matrix.copy(), inverse)
    assert_allclose(inverse @ matrix, np.eye(n), atol=1e-9)
    assert_allclose(inverse, inverse.T)
    assert_allclose(log_determinant, np.linalg.slogdet(matrix)[1], rtol=1e-10)


def test_only_the_lower_triangle_is_read():
    matrix = np.array([[4.0, np.nan], [2.0, 3.0]])
    inverse = np.empty((2, 2))
    invert_positive_definite(matrix, inverse)
    assert_allclose(inverse, np.linalg.inv([[4.0, 2.0], [2.0, 3.0]]))


def test_what_cannot_be_told_has_no_variance():
    column = np.array([1.0, 2.0])
    matrix = np.outer(column, column)  # singular: the second is twice the first
    inverse = np.empty((2, 2))
    invert_positive_definite(matrix, inverse)
    assert_allclose(inverse, [[1.0, 0.0], [0.0, 0.0]])
