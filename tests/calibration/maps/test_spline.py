import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.interpolate import CubicSpline
from scipy.special import expit, logit

from calibration import PlattCalibrator, SplineCalibrator
from calibration.maps.logistic import fit_logistic
from calibration.maps.spline import BLOCK
from calibration.maps.spline_basis import (
    cardinal_segments,
    place_knots,
    smooth_columns,
)


def rows(n_rows, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.random(n_rows)
    return score, rng.random(n_rows) < score**2


def test_is_the_natural_spline_through_its_values():
    calibrator = SplineCalibrator().fit(*rows(3000))
    knots = calibrator.knots_[1:-1]
    spline = CubicSpline(knots, calibrator.values_[1:-1], bc_type="natural")
    inside = np.linspace(knots[0], knots[-1], 500)
    assert_allclose(logit(calibrator.predict(expit(inside))), spline(inside))


def test_goes_on_as_a_line_to_the_ends_of_the_reference_and_beyond_as_platt():
    score, y = rows(100_000)
    calibrator = SplineCalibrator().fit(score, y)
    (lowest, *knots, highest), values = calibrator.knots_, calibrator.values_
    quantiles = np.quantile(score, [0.001, 0.999], method="inverted_cdf")
    assert_allclose([lowest, highest], logit(quantiles))
    spline = CubicSpline(knots, values[1:-1], bc_type="natural")
    slope = PlattCalibrator().fit(score, y).coefficients_[1]
    for knot, end, side in ((knots[0], lowest, -1), (knots[-1], highest, 1)):
        to_end = np.linspace(knot, end, 20)
        expected = spline(knot) + spline(knot, 1) * (to_end - knot)
        assert_allclose(logit(calibrator.predict(expit(to_end))), expected, rtol=1e-8)
        beyond = side * np.linspace(0, 3, 20)
        p = calibrator.predict(expit(end + beyond))
        assert_allclose(logit(p) - expected[-1], slope * beyond, rtol=0.02, atol=1e-9)


def test_never_falls_beyond_the_ends():
    """The upper end of the scores turns, and so does the whole: it goes on flat."""
    rng = np.random.default_rng(0)
    x = rng.normal(0.0, 1.0, 20_000)
    calibrator = SplineCalibrator().fit(expit(x), rng.random(20_000) < expit(-x))
    low, high = calibrator.knots_[[0, -1]]
    for end, side in ((low, -1), (high, 1)):
        p = calibrator.predict(expit(end + side * np.linspace(0, 5, 20)))
        assert_allclose(p, p[0])


def test_the_error_beyond_the_ends_grows_as_slopes_differ_within():
    """Tails of maps fitted without them: their slopes lie within the error stated."""
    z, grows = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        amplitude, phase = rng.normal(0.0, 0.6), rng.uniform(0.0, 6.0)
        x = rng.normal(0.0, 1.5, 4_000)
        y = rng.random(x.size) < expit(x + amplitude * np.sin(1.5 * x + phase))
        calibrator = SplineCalibrator().fit(expit(x), y)
        end = calibrator.knots_[-1]
        far = end + np.array([0.0, 0.5, 1.0, 2.0])
        p = calibrator.predict(expit(far))
        error = np.linalg.norm(calibrator.error_factor(expit(far)), axis=1)
        error /= p * (1 - p)
        grows.append((np.diff(error) > 0).all())
        truth = far + amplitude * np.sin(1.5 * far + phase)
        z.append((logit(p) - truth)[2] / error[2])
    assert np.mean(grows) > 0.9
    assert 0.85 <= np.mean(np.abs(z) < 1.96) <= 1.0
    assert np.std(z) > 0.3


def test_a_map_saved_before_maps_had_tails_predicts_as_it_did():
    """Twin: SciPy's natural spline through six values, linear beyond its knots."""
    rng = np.random.default_rng(0)
    knots, values = np.sort(rng.normal(0, 2, 6)), rng.normal(0, 1, 6)
    arrays = {
        "n_knots": np.array(6),
        "l2": np.array(np.nan),
        "clip": np.array(1e-6),
        "knots_": knots,
        "coefficients_": values,
        "covariance_": 0.01 * np.eye(6),
        "segments_": cardinal_segments(knots),
    }
    calibrator = SplineCalibrator.from_arrays(arrays)
    spline = CubicSpline(knots, values, bc_type="natural")
    x = np.linspace(knots[0] - 2, knots[-1] + 2, 100)
    inside = np.clip(x, knots[0], knots[-1])
    expected = spline(inside) + spline(inside, 1) * (x - inside)
    assert_allclose(logit(calibrator.predict(expit(x))), expected, rtol=1e-7)
    ends = np.array([knots[0] - 1, knots[-1] + 1])
    whole = calibrator.with_lines_beyond(expit(ends), 0.3)
    between = np.clip(x, *ends)
    expected = np.interp(between, x, expected) + 0.3 * (x - between)
    assert_allclose(logit(whole.predict(expit(x))), expected, rtol=1e-3, atol=1e-3)
    assert_allclose(
        whole.error_factor([0.5]) @ whole.error_factor([0.5]).T,
        calibrator.error_factor([0.5]) @ calibrator.error_factor([0.5]).T,
    )


def test_bends_where_a_straight_line_cannot():
    score, y = rows(100_000)
    grid = np.linspace(0.02, 0.98, 49)
    spline = SplineCalibrator().fit(score, y).predict(grid)
    platt = PlattCalibrator().fit(score, y).predict(grid)
    assert np.abs(spline - grid**2).max() < 0.015  # about 3 standard errors
    assert np.abs(spline - grid**2).mean() < np.abs(platt - grid**2).mean()


def test_strong_penalty_leaves_a_straight_line():
    score, y = rows(2000)
    straight = SplineCalibrator(l2=1e9).fit(score, y)
    slopes = np.diff(straight.values_) / np.diff(straight.knots_)
    assert_allclose(slopes, slopes[0], atol=1e-3)


def test_bends_go_where_a_line_will_do_and_stay_where_not():
    rng = np.random.default_rng(3)
    score = rng.random(5000)
    x = np.log(score / (1 - score))
    grid = np.linspace(0.01, 0.99, 99)
    distance = []
    for bend in (0.0, 1.0):
        y = rng.random(5000) < 1 / (1 + np.exp(-x + bend * np.sin(2 * x)))
        spline = SplineCalibrator().fit(score, y)
        platt = PlattCalibrator().fit(score, y)
        distance.append(np.abs(spline.predict(grid) - platt.predict(grid)).max())
    assert distance[0] < 0.01
    assert distance[1] > 0.05


def test_a_calibration_that_turns_keeps_its_turn():
    """Rows of the lowest tenth of the scores are likelier positives than the next."""
    off = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.normal(-2.0, 2.0, 20_000)
        truth = expit(0.5 * x - 0.3 + 1.6 * np.exp(-0.5 * ((x + 5.0) / 0.8) ** 2))
        p = (
            SplineCalibrator()
            .fit(expit(x), rng.random(x.size) < truth)
            .predict(expit(x))
        )
        tenth = np.searchsorted(np.quantile(x, np.arange(1, 10) / 10), x)
        off.append([(p - truth)[tenth == k].mean() for k in range(3)])
    # The turn is 0.037; six knots without regard to curvature miss it by up to 0.030.
    assert_allclose(np.mean(off, axis=0), 0.0, atol=0.0185)


def test_the_penalty_is_on_the_curvature():
    """By numerical integration of the second derivative, for any coefficients."""
    rng = np.random.default_rng(0)
    x = rng.normal(0.0, 2.0, 3_000)
    knots = place_knots(x, np.ones(x.size), 8)
    basis = CubicSpline(knots, np.eye(8), bc_type="natural")
    inside = np.clip(x, knots[0], knots[-1])
    rows = basis(inside) + basis(inside, 1) * (x - inside)[:, None]
    columns = smooth_columns(rows, knots, np.ones(x.size))
    span = knots[-1] - knots[0]
    scale = 0.5 * (np.linspace(0.0, 1.0, 8) + (knots - knots[0]) / span)
    fine = np.linspace(0.0, 1.0, 200_001)
    curves = CubicSpline(scale, columns, bc_type="natural")(fine, 2)
    curvature = (curves.T @ curves) * fine[1]
    bends = curvature[2:, 2:]
    assert_allclose(bends, bends[0, 0] * np.eye(6), atol=1e-3 * bends[0, 0])
    assert_allclose((rows @ columns[:, 2:]).var(axis=0).mean(), 1.0)
    line = np.corrcoef(rows @ columns[:, 1], x)[0, 1]
    assert abs(line) == pytest.approx(1.0)


def test_no_penalty_makes_the_map_surer_than_bends_of_a_seventh():
    """Columns of noise: the penalty goes to 300, its bound, and the error does not."""
    rng = np.random.default_rng(1)
    design = np.column_stack([np.ones(4_000), rng.normal(size=(4_000, 5))])
    y = (rng.random(4_000) < 0.3) * 1.0
    penalty = np.array([0.0, 0.01, 1.0, 1.0, 1.0, 1.0])
    fit = fit_logistic(design, y, np.ones(4_000), penalty, n_smooth=4)
    p = expit(design @ fit.coefficients)
    information = (design.T * (p * (1 - p))) @ design
    bread = np.linalg.inv(information + np.diag([0, 0.01, 300, 300, 300, 300]))
    # Bends of precision 50 leave a bias of bread @ 300 * bend.
    variance = information + np.diag([0.0, 0.01, *4 * [300**2 / 50]])
    assert_allclose(fit.covariance, bread @ variance @ bread, rtol=1e-4, atol=1e-9)


def test_two_knots_are_platt():
    score, y = rows(2000)
    grid = np.linspace(0.01, 0.99, 30)
    two = SplineCalibrator(n_knots=2, l2=1e-6).fit(score, y)
    assert_allclose(
        two.predict(grid), PlattCalibrator().fit(score, y).predict(grid), atol=1e-5
    )


def test_error_of_two_distinct_scores_is_binomial():
    score = np.repeat([0.2, 0.7], [400, 600])
    y = np.r_[np.arange(400) < 100, np.arange(600) < 420]
    calibrator = SplineCalibrator(l2=1e-6).fit(score, y)
    factor = calibrator.error_factor([0.2, 0.7])
    assert_allclose(calibrator.predict([0.2, 0.7]), [0.25, 0.7], rtol=1e-6)
    binomial = np.diag([0.25 * 0.75 / 400, 0.7 * 0.3 / 600])
    assert_allclose(factor @ factor.T, binomial, rtol=1e-5, atol=1e-9)


def test_blocks_do_not_show():
    calibrator = SplineCalibrator().fit(*rows(2000))
    score = np.random.default_rng(1).random(2 * BLOCK + 17)
    p = calibrator.predict(score)
    assert_allclose(
        p[BLOCK - 5 : BLOCK + 5], calibrator.predict(score[BLOCK - 5 :])[:10]
    )
    assert_array_equal(p, calibrator.predict(score))


def test_leaves_the_scores_alone_and_takes_any_layout():
    calibrator = SplineCalibrator().fit(*rows(2000))
    score = np.random.default_rng(1).random(100)
    before = score.copy()
    strided = np.column_stack([1 - score, score])[:, 1]
    p = calibrator.predict(score)
    assert_array_equal(score, before)
    assert_array_equal(calibrator.predict(strided), p)
    assert_allclose(calibrator.predict(score.astype(np.float32)), p, atol=1e-5)


def test_stays_off_0_and_1():
    separable = SplineCalibrator().fit([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    p = separable.predict([0.0, 1.0])
    assert 0 < p[0] < 1e-3
    assert 1 - 1e-3 < p[1] < 1


def test_knots_are_quantiles():
    x = np.random.default_rng(0).normal(size=5001)
    knots = place_knots(x, np.ones(5001), 6)
    levels = np.linspace(0.02, 0.98, 6)
    assert_allclose(knots, np.quantile(x, levels, method="inverted_cdf"))


def test_tied_scores_give_fewer_knots():
    score = np.repeat([0.1, 0.3, 0.5, 0.9], [700, 100, 100, 100])
    y = np.arange(1000) % 7 == 0
    knots = SplineCalibrator().fit(score, y).knots_
    assert_allclose(knots, logit([0.1, 0.1, 0.3, 0.5, 0.9, 0.9]))


def test_refuses_one_knot():
    with pytest.raises(ValueError, match="`n_knots` must be >= 2, got 1"):
        SplineCalibrator(n_knots=1).fit([0.1, 0.9], [0, 1])
