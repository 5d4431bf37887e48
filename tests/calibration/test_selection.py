import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss

from calibration import CALIBRATORS, cross_fit, select_calibrator


def rows(truth, n_rows=6000, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.01, 0.99, n_rows)
    return score, rng.random(n_rows) < truth(score)


def test_losses_are_cross_validated_log_losses():
    score, y = rows(lambda s: s**2, 1000)
    weight = np.random.default_rng(1).exponential(size=1000)
    selection = select_calibrator(score, y, sample_weight=weight)
    assert list(selection.losses) == list(CALIBRATORS)
    for name in ("spline", "platt", "identity"):
        p = cross_fit(name, score, y, sample_weight=weight).probabilities
        expected = log_loss(y, p, sample_weight=weight)
        assert_allclose(selection.losses[name], expected)


def test_prefers_the_map_that_is_true_when_the_default_cannot_be():
    score, y = rows(lambda s: np.where(s < 0.5, 0.1, 0.9))
    selection = select_calibrator(score, y, candidates=("platt", "isotonic"))
    assert selection.best == "isotonic"
    assert type(selection.cross_fit.calibrators[0]).__name__ == "IsotonicCalibrator"


def test_a_tie_goes_to_the_default():
    # On two distinct scores both maps are straight lines, but for their tiny ridges.
    score, y = rows(lambda s: s)
    score = np.where(score < 0.4, 0.2, 0.7)
    for candidates in (("spline", "platt"), ("platt", "spline")):
        selection = select_calibrator(score, y, candidates=candidates)
        assert selection.best == candidates[0]


@pytest.mark.parametrize("candidates", [(), "spline"])
def test_candidates_must_be_a_sequence_of_names(candidates):
    with pytest.raises(ValueError, match="`candidates` must be a sequence of names"):
        select_calibrator(*rows(lambda s: s, 100), candidates=candidates)


def test_an_unknown_candidate_is_refused():
    with pytest.raises(ValueError, match="Did you mean 'beta'"):
        select_calibrator(*rows(lambda s: s, 100), candidates=("spline", "betta"))
