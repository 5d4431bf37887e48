"""Distances of values from those around them, against the definition."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from estimator._kernels import lone_values as kernels


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_distances_are_those_of_the_definition(k):
    rng = np.random.default_rng(k)
    for _ in range(20):
        n = int(rng.integers(2 * k + 1, 30))
        y = np.round(rng.standard_t(2, n), 1)
        out = np.empty(n)
        kernels.distances(y, k, 0.3, 0.5, out)
        for i in range(n):
            sides = [y[max(i - k, 0) : i], y[i + 1 : i + 1 + k]]
            medians = [np.median(side) for side in sides if side.size]
            # the nearer median; that of the values before it where both are as far
            median = min(medians, key=lambda m, value=y[i]: abs(value - m))
            share = 0.0
            if y[i] != median:
                beside = [y[j] for j in (i - 1, i + 1) if 0 <= j < n]
                share = max((v - median) / (y[i] - median) for v in beside)
            lonely = np.interp(max(share, 0.0), [0.3, 0.5], [1.0, 0.0])
            assert_allclose(out[i], lonely * abs(y[i] - median), atol=1e-9)
