"""The kernel that shifts log odds, against its formula row by row."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from calibration._kernels.segment_shift import shift_log_odds
from tests.calibration import reference

KNOTS = np.array([-1.0, 0.2, 1.5])
ORIGINS = np.array([-1.0, -1.0, 0.2, 1.5])


@pytest.mark.parametrize("n_columns", [0, 1, 3])
def test_rows_are_shifted_by_what_all_have_and_their_slots(n_columns):
    rng = np.random.default_rng(0)
    common = rng.normal(size=(4, 4))
    level, slope = rng.normal(size=(2, 5))
    x = rng.normal(0.5, 3.0, 200)
    slots = rng.integers(0, 8, (n_columns, 200)).astype(np.int32)  # 5 to 7: no shift
    u = np.clip((x - 0.4) / 1.3, -1.8, 2.1)
    expected = x + reference.piecewise_cubic(u, KNOTS, ORIGINS, common)
    for column in slots:
        for i, slot in enumerate(column):
            if slot < 5:
                expected[i] += level[slot] + slope[slot] * u[i]
    shift_log_odds(x, slots, 0.4, 1.3, -1.8, 2.1, KNOTS, ORIGINS, common, level, slope)
    assert_allclose(x, -expected, rtol=1e-12, atol=1e-12)
