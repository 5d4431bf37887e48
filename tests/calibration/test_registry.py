import subprocess
import sys

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from calibration import CALIBRATORS, SplineCalibrator, make_calibrator


class Plain:
    """Not a scikit-learn estimator, so it cannot be cloned."""

    def __init__(self):
        self.settings = {"shift": 0.1}

    def fit(self, score, y, sample_weight=None):
        return self

    def predict(self, score):
        return np.asarray(score)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_name_gives_a_fresh_instance(name):
    assert type(make_calibrator(name)) is CALIBRATORS[name]
    assert make_calibrator(name) is not make_calibrator(name)


def test_an_estimator_is_cloned():
    mine = SplineCalibrator(n_knots=4).fit([0.1, 0.9], [0, 1])
    fresh = make_calibrator(mine)
    assert fresh.n_knots == 4
    assert not hasattr(fresh, "knots_")
    assert type(make_calibrator(IsotonicRegression())) is IsotonicRegression


def test_what_cannot_be_cloned_is_copied():
    mine = Plain()
    fresh = make_calibrator(mine)
    assert type(fresh) is Plain
    assert fresh.settings is not mine.settings


@pytest.mark.parametrize(
    ("wrong", "right"), [("isotonc", "isotonic"), ("Beta", "beta")]
)
def test_an_unknown_name_gets_the_nearest(wrong, right):
    with pytest.raises(ValueError, match=f"got '{wrong}'. Did you mean '{right}'"):
        make_calibrator(wrong)


@pytest.mark.parametrize("wrong", [None, 3, SplineCalibrator])
def test_anything_else_is_refused(wrong):
    with pytest.raises(
        TypeError, match=r"must be one of 'spline', .* or an object with"
    ):
        make_calibrator(wrong)


def test_import_is_light():
    code = (
        "import sys, calibration;"
        "heavy = {'lightgbm', 'matplotlib', 'estimator'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
