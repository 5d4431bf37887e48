"""Cycles over any number of chunks are the cosines and sines of their angles."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from calibration.shifts.motions import cycles


@pytest.mark.parametrize("n", [1, 2, 12, 52, 100, 1_023, 1_024, 5_000])
def test_cycles_are_cosines_and_sines(n):
    waves = cycles(n, any_at_all=True)
    angle = 2.0 * np.pi * np.outer(np.arange(n), waves.frequency)
    cosine, sine = np.cos(angle), np.sin(angle)
    products = waves.products.reshape(n, 6, -1)
    expected = [np.ones_like(sine), cosine, sine, cosine**2, cosine * sine, sine**2]
    assert_allclose(products, np.stack(expected, axis=1), atol=1e-11)
    assert cycles(n, any_at_all=False).frequency.size == 0
