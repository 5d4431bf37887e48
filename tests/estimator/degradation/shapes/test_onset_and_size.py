"""Where a decline is, and how sure that is."""

import pytest
from scipy.special import ndtri

from estimator.degradation.shapes.onset_and_size import SETTINGS


def test_intervals_of_sizes_and_of_chunks_have_the_same_level():
    assert ndtri(0.5 + SETTINGS.level / 2.0) == pytest.approx(
        SETTINGS.normal_quantile, abs=0.005
    )
