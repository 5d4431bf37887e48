"""Random effects of segments, against likelihoods maximized by brute force."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit
from sklearn.exceptions import ConvergenceWarning

from calibration import SplineCalibrator
from calibration.maps.spline import SLOPE_SHARE
from calibration.shifts import segment_fit, variance_choice
from calibration.shifts.segment_fit import fit_segment_shifts
from calibration.shifts.segment_shifts import apply_segment_shifts


def draw(n, shifts, seed=0, *, slopes=None, share=None):
    """Draw rows of values with these shifts of the log odds, and the map of all."""
    rng = np.random.default_rng(seed)
    value = rng.choice(len(shifts), n, p=share)
    x = rng.normal(-0.3, 1.2, n)
    slope = np.ones(len(shifts)) if slopes is None else np.asarray(slopes)
    label = (rng.random(n) < expit(np.asarray(shifts)[value] + slope[value] * x)) * 1.0
    p = SplineCalibrator().fit(expit(x), label).predict(expit(x))
    return p, label, value[:, None]


def dense_design(fit, p, slots):
    """Return what each coefficient multiplies in each row."""
    u = fit.standardize(logit(p))
    columns = list(fit.common_basis(u).T)
    for k in range(len(fit.shifts)):
        has = (slots == k).any(axis=1) * 1.0
        columns += [has, has * u]
    return np.column_stack(columns)


def precisions(fit, n_values):
    """Return the inverse variance of each coefficient, infinite where it is 0."""
    with np.errstate(divide="ignore"):
        shift_precisions = 1.0 / np.repeat(fit.variance, n_values, axis=0).ravel()
    n_bends = fit.n_common - 2
    bends = np.full(n_bends, 1.0 / fit.bend_variance)
    return np.concatenate([[0.0, SLOPE_SHARE], bends, shift_precisions])


def penalized_fit(design, penalty, offset, label):
    """Minimize the penalized loss; return coefficients, Hessian and the minimum."""
    active = np.flatnonzero(np.isfinite(penalty))
    X, weight = design[:, active], penalty[active]

    def loss(beta):
        z = offset + X @ beta
        rows = np.logaddexp(0.0, np.where(label > 0.5, -z, z))
        slope = X.T @ (expit(z) - label) + weight * beta
        return rows.sum() + 0.5 * weight @ beta**2, slope

    best = minimize(
        loss, np.zeros(active.size), jac=True, method="BFGS", options={"gtol": 1e-6}
    )
    p = expit(offset + X @ best.x)
    hessian = (X.T * (p * (1.0 - p))) @ X + np.diag(weight)
    coefficients = np.zeros(penalty.size)
    coefficients[active] = best.x
    return coefficients, hessian, best.fun, active


@pytest.mark.parametrize(
    ("shifts", "slopes"),
    [([-0.6, 0.1, 0.7], None), ([0.0, 0.0, 0.0], [0.5, 1.0, 1.6])],
    ids=["levels", "slopes"],
)
def test_coefficients_minimize_the_penalized_loss(shifts, slopes):
    p, label, slots = draw(3_000, shifts, slopes=slopes)
    fit = fit_segment_shifts(p, label, slots, [3])
    expected, hessian, _, active = penalized_fit(
        dense_design(fit, p, slots), precisions(fit, [3]), logit(p), label
    )
    assert_allclose(fit.coefficients, expected, atol=2e-4)
    assert_allclose(
        fit.covariance[np.ix_(active, active)],
        np.linalg.inv(hessian),
        rtol=2e-3,
        atol=1e-6,
    )
    assert_allclose(
        apply_segment_shifts(fit, p, slots),
        expit(logit(p) + dense_design(fit, p, slots) @ expected),
        atol=1e-4,
    )


def test_two_columns_are_fitted_together():
    rng = np.random.default_rng(5)
    n, first, second = 4_000, np.array([-0.5, 0.6]), np.array([0.4, -0.6, 0.1])
    a = rng.integers(0, 2, n)
    b = np.where(rng.random(n) < 0.6, a, rng.integers(0, 3, n))  # they go together
    x = rng.normal(0.0, 1.2, n)
    label = (rng.random(n) < expit(x + first[a] + second[b])) * 1.0
    p = SplineCalibrator().fit(expit(x), label).predict(expit(x))
    slots = np.stack([a, 2 + b], axis=1)
    fit = fit_segment_shifts(p, label, slots, [2, 3])
    expected, *_ = penalized_fit(
        dense_design(fit, p, slots), precisions(fit, [2, 3]), logit(p), label
    )
    assert_allclose(fit.coefficients, expected, atol=2e-4)
    levels = fit.shifts[:, 0]
    assert abs(levels[1] - levels[0] - 1.1) < 0.25
    assert abs(levels[2] - levels[3] - 1.0) < 0.25


def test_the_variance_maximizes_the_restricted_likelihood():
    """Laplace's approximation, maximized over the variance by scipy."""
    rng = np.random.default_rng(1)
    shifts = rng.normal(0.0, 0.5, 12)
    p, label, slots = draw(4_000, shifts, seed=2)
    fit = fit_segment_shifts(p, label, slots, [12])
    assert not fit.variance[0, 1]
    design = dense_design(fit, p, slots)

    def minus_likelihood(log_variance):
        penalty = precisions(fit, [12])
        levels = fit.n_common + 2 * np.arange(12)
        penalty[levels] = np.exp(-log_variance)
        *_, hessian, loss, _ = penalized_fit(design, penalty, logit(p), label)
        return loss + 0.5 * (12 * log_variance + np.linalg.slogdet(hessian)[1])

    best = minimize_scalar(minus_likelihood, bounds=(-4.0, 1.0), method="bounded")
    assert_allclose(fit.variance[0, 0], np.exp(best.x), rtol=0.03)


def test_little_evidence_is_shrunk_and_much_is_believed():
    share = np.array([0.495, 0.494, 0.01, 0.001])
    p, label, slots = draw(20_000, [-0.5, 0.5, 0.5, 0.5], share=share, seed=4)
    fit = fit_segment_shifts(p, label, slots, [4])
    shifts = fit.shifts[:, 0]
    assert abs(shifts[1] - shifts[0] - 1.0) < 0.1
    errors = np.sqrt(np.diag(fit.covariance))[fit.n_common :: 2]
    assert errors[3] > errors[2] > errors[1]
    # Twenty rows of one label: alone they would tell an infinite shift.
    last = slots[:, 0] == 3
    certain = np.where(last, 1.0, label)
    fit = fit_segment_shifts(p, certain, slots, [4])
    assert 0.0 < fit.shifts[3, 0] < 3.0 * np.sqrt(fit.variance[0, 0])


@pytest.mark.parametrize("n_values", [1, 2, 10])
def test_segments_that_do_not_differ_have_no_shift(n_values):
    fits = [
        fit_segment_shifts(*draw(3_000, np.zeros(n_values), seed), [n_values])
        for seed in range(20)
    ]
    n_shifted = sum(fit is not None for fit in fits)
    # By chance, each of two variances gains enough in about one of twelve.
    assert n_shifted == 0 if n_values == 1 else n_shifted <= 8


def test_names_and_order_do_not_matter():
    p, label, slots = draw(5_000, [-0.5, 0.0, 0.8])
    fit = fit_segment_shifts(p, label, slots, [3])
    swapped = fit_segment_shifts(p, label, 2 - slots, [3])
    assert_allclose(swapped.shifts, fit.shifts[::-1], atol=1e-6)
    order = np.random.default_rng(0).permutation(label.size)
    mixed = fit_segment_shifts(p[order], label[order], slots[order], [3])
    assert_allclose(mixed.coefficients, fit.coefficients, atol=1e-6)
    # What is moved is moved for these rows, whatever the others.
    alone = apply_segment_shifts(fit, p[:7], slots[:7])
    assert_array_equal(alone, apply_segment_shifts(fit, p, slots)[:7])


def test_a_value_without_a_shift_gets_what_all_have_in_common():
    p, label, slots = draw(5_000, [-0.5, 0.5])
    fit = fit_segment_shifts(p, label, slots, [2])
    u = fit.standardize(logit(p))
    common = fit.common_basis(u) @ fit.coefficients[: fit.n_common]
    for unknown in (2, 9):
        moved = apply_segment_shifts(fit, p, np.full_like(slots, unknown))
        assert_allclose(logit(moved), logit(p) + common, atol=1e-8)


def test_segments_and_scores_that_go_together_bend_the_map_of_all():
    """One value has the high scores: the map of all bends, each value's does not."""
    rng = np.random.default_rng(3)
    n = 30_000
    value = rng.integers(0, 2, n)
    x = rng.normal(2.0 * value - 1.0, 0.8, n)
    truth = expit(x + np.where(value == 1, 1.0, -1.0))
    label = (rng.random(n) < truth) * 1.0
    p = SplineCalibrator().fit(expit(x), label).predict(expit(x))
    fit = fit_segment_shifts(p, label, value[:, None], [2])
    moved = apply_segment_shifts(fit, p, value[:, None])
    assert np.sqrt(np.mean((moved - truth) ** 2)) < 0.01
    assert np.sqrt(np.mean((p - truth) ** 2)) > 0.05


def draw_columns(seed, n, n_values, spread):
    """Draw rows with several segment columns, and the map of all."""
    rng = np.random.default_rng(seed)
    x = rng.normal(rng.normal(0.0, 1.5), rng.uniform(0.3, 3.0), n)
    truth = x.copy()
    slots = []
    begin = 0
    for k in n_values:
        value = rng.integers(0, k, n)
        truth += rng.normal(0.0, spread, k)[value]
        slots.append(begin + value)
        begin += k
    label = (rng.random(n) < expit(truth)) * 1.0
    p = SplineCalibrator().fit(expit(x), label).predict(expit(x))
    return p, label, np.stack(slots, axis=1)


@pytest.mark.parametrize(("seed", "n_values"), [(84, [23, 20, 20]), (91, [15, 20])])
def test_a_variance_that_gains_as_much_as_it_costs_comes_and_goes_once(
    seed, n_values, monkeypatch
):
    """Each Newton step would take it in or leave it out, for ever."""
    data = draw_columns(seed, 300, n_values, 0.4)
    sizes = []

    def choose(*arguments, choose=variance_choice.choose_variances):
        variance = choose(*arguments)
        sizes.append(np.count_nonzero(variance[:-1]))
        return variance

    monkeypatch.setattr(segment_fit, "choose_variances", choose)
    assert fit_segment_shifts(*data, n_values) is not None
    assert np.count_nonzero(np.diff(sizes)) <= 4
    assert len(sizes) < 25


def test_of_many_columns_none_is_kept_that_gains_too_little(monkeypatch):
    n_values = [3] * 14
    data = draw_columns(0, 3_000, n_values, 0.5)
    fit = fit_segment_shifts(*data, n_values)
    assert np.count_nonzero(fit.variance) >= 10
    settings = replace(variance_choice.SETTINGS, least_gain=np.inf)
    monkeypatch.setattr(variance_choice, "SETTINGS", settings)
    assert fit_segment_shifts(*data, n_values) is None


def test_a_fit_that_does_not_settle_says_so(monkeypatch):
    p, label, slots = draw(3_000, [-0.6, 0.1, 0.7])
    settings = replace(segment_fit.SETTINGS, max_passes=1)
    monkeypatch.setattr(segment_fit, "SETTINGS", settings)
    with pytest.warns(ConvergenceWarning, match="still changes after 1 steps.*Take a"):
        fit_segment_shifts(p, label, slots, [3])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": np.zeros(3)}, r"`label` must have shape \(4,\), got \(3,\)"),
        ({"slots": np.zeros(4, int)}, r"`slots` must have shape \(4, 1\)"),
        (
            {"slots": np.full((4, 1), 3)},
            r"`slots` must lie between 0 and 2.*got 3 to 3",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    arguments = {
        "probability": np.full(4, 0.5),
        "label": np.array([0.0, 1.0, 0.0, 1.0]),
        "slots": np.zeros((4, 1), int),
        "n_values": [2],
    }
    with pytest.raises(ValueError, match=message):
        fit_segment_shifts(**arguments | changed)
