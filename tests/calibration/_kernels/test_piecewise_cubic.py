import math

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from calibration import SplineCalibrator
from calibration._kernels.piecewise_cubic import bounded_cubic
from calibration.maps.spline_basis import piecewise_cubics
from tests.calibration import reference

KNOTS = np.array([-2.0, -0.5, 0.0, 3.0])
ORIGINS = np.concatenate([KNOTS[:1], KNOTS])
TABLES = np.random.default_rng(0).normal(size=(5, 4, 3))

# On the knots, between them and far outside, in any order.
points = hnp.arrays(
    np.float64,
    st.integers(1, 30),
    elements=st.sampled_from(KNOTS) | st.floats(-28, 28),
)


@given(x=points)
def test_cubics_equal_the_definition(x):
    out = np.empty((x.size, 3))
    piecewise_cubics(x, KNOTS, ORIGINS, TABLES, out=out)
    for column in range(3):
        twin = reference.piecewise_cubic(x, KNOTS, ORIGINS, TABLES[:, :, column])
        assert_allclose(out[:, column], twin, rtol=1e-10, atol=1e-10)


@given(x=points)
def test_bounded_cubic_is_minus_the_clipped_value(x):
    table = np.ascontiguousarray(TABLES[:, :, 0])
    twin = reference.piecewise_cubic(x, KNOTS, ORIGINS, table)
    bounded_cubic(x, KNOTS, ORIGINS, table, 5.0)
    assert_allclose(x, -np.clip(twin, -5, 5), rtol=1e-10, atol=1e-10)


@given(scores=hnp.arrays(np.float64, 20, elements=st.floats(0, 1)))
def test_probabilities_are_those_of_the_basis_at_its_coefficients(scores):
    rng = np.random.default_rng(0)
    fitted_scores = rng.random(2_000)
    spline = SplineCalibrator().fit(fitted_scores, rng.random(2_000) < fitted_scores**2)
    eta = spline.basis(scores) @ spline.coefficients_
    assert_allclose(spline.predict(scores), [1 / (1 + math.exp(-v)) for v in eta])
