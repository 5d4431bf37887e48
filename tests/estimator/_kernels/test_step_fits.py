"""Fits of steps, windows and ramps to a series, against dense algebra."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.special import logsumexp

from estimator._kernels import regression
from estimator._kernels import step_fits as kernels
from tests.estimator._kernels.dense_series import (
    DOF,
    N_REFERENCE,
    REST,
    RHOS,
    Dense,
    N,
    a_series,
    root_of,
)


@pytest.mark.parametrize("rho", RHOS)
def test_whitening_is_the_inverse_root_of_the_covariance(rho):
    _, errors, t, gaps = a_series()
    e, d = np.empty(N), np.empty(N)
    log_determinant = regression.whiten(errors, gaps, rho, e, d)
    W, expected = root_of(errors, t, rho)
    assert_allclose(np.diag(e) - np.diag(d[1:], -1), W, atol=1e-12)
    assert_allclose(log_determinant, expected, rtol=1e-12)


@pytest.mark.parametrize("rho", RHOS)
def test_the_regression_is_that_of_dense_algebra(rho):
    dense = Dense(rho)
    columns = np.stack([np.ones(N), dense.shared * dense.deployed, dense.t], axis=1)
    z, X, Q, r = np.empty(N), np.empty((N, 3)), np.empty((N, 3)), np.empty(N)
    inverse = np.empty((3, 3))
    log_root = regression.regress(
        dense.y, columns, dense.e, dense.d, z, X, Q, r, inverse
    )
    expected = dense.W @ columns
    K = np.linalg.inv(expected.T @ expected + np.diag([0.0, 1.0, 1.0]))
    assert_allclose(z, dense.z, atol=1e-12)
    assert_allclose(X, expected, atol=1e-12)
    assert_allclose(Q @ Q.T, X @ K @ X.T, atol=1e-10)
    assert_allclose(r, z - X @ K @ X.T @ z, atol=1e-10)
    assert_allclose(inverse.T @ inverse, K, atol=1e-10)
    assert_allclose(log_root, 0.5 * np.linalg.slogdet(K)[1], rtol=1e-10)


@pytest.mark.parametrize("rho", RHOS)
def test_suffix_sums(rho):
    dense = Dense(rho)
    columns = [dense.o, dense.q, dense.r, *dense.Q.T]
    for sums, one in ((dense.sums, dense.o), (dense.sums_of_times, dense.q)):
        for k, column in enumerate(columns):
            expected = [(one * column)[i:].sum() for i in range(N + 1)]
            assert_allclose(sums[:, k], expected, atol=1e-9)


@pytest.mark.parametrize("rho", RHOS)
def test_products_of_steps(rho):
    dense = Dense(rho)
    steps = np.arange(N_REFERENCE, N)
    out = np.empty((steps.size, 2))
    kernels.step_products(steps, dense.table, out)
    expected = [dense.products((np.arange(N) >= k) * 1.0) for k in steps]
    assert_allclose(out, expected, rtol=1e-9, atol=1e-9)


SHAPES = {
    kernels.WINDOW: lambda i, t, a, b: (i >= a) * 1.0 - (i >= b),
    kernels.RAMP: lambda i, t, a, b: np.clip((t - t[a]) / (t[b] - t[a]), 0, 1),
}


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("kind", SHAPES)
def test_products_of_shapes_of_two_places(kind, rho):
    dense = Dense(rho)
    earliest = N_REFERENCE - 1 if kind == kernels.RAMP else N_REFERENCE
    pairs = [(a, b) for a in range(earliest, N) for b in range(a + 1, N)]
    first, last = np.array(pairs).T
    out = np.empty((first.size, 2))
    kernels.pair_products(
        kind,
        np.ascontiguousarray(first),
        np.ascontiguousarray(last),
        dense.t,
        dense.table,
        dense.sums,
        dense.sums_of_times,
        out,
    )
    i = np.arange(N)
    expected = [dense.products(SHAPES[kind](i, dense.t, a, b)) for a, b in pairs]
    assert_allclose(out, expected, rtol=1e-8, atol=1e-8)


def weigh(dense, shapes, scales):
    products = np.array([dense.products(shape) for shape in shapes])
    out = [np.empty(len(shapes)) for _ in range(4)]
    kernels.one_amplitude(
        products,
        REST,
        DOF,
        np.array(scales),
        *out,
    )
    return out


@pytest.mark.parametrize("rho", RHOS)
def test_evidence_of_an_amplitude_is_its_integral(rho):
    dense = Dense(rho)
    shape = np.clip((dense.t - 4.0) / 5.0, 0.0, 1.0)
    g = dense.W @ shape
    A, b = g @ dense.M @ g, g @ dense.M @ dense.z
    for scale in (0.5, 2.0, 6.0):
        (down,), (up,), (mean,), (variance,) = weigh(dense, [shape], [scale])
        precision = A + scale**-2
        left = REST - b * b / precision
        phi = left / DOF

        tau = scale * np.sqrt(phi)

        def height(x, b=b, precision=precision, phi=phi, tau=tau):
            """Return likelihood at phi, over the best fit's, times 2 (x/τ)² N(0, τ²).

            The prior's exponential is part of ``precision``.
            """
            quadratic = np.exp(-0.5 * precision * (x - b / precision) ** 2 / phi)
            return quadratic * 2 * (x / tau) ** 2 / (tau * np.sqrt(2 * np.pi))

        rest = -0.5 * DOF * np.log(left)
        for side, log_evidence in ((-1.0, down), (1.0, up)):
            integral, _ = quad(lambda x, side=side: height(side * x), 0, np.inf)
            assert_allclose(log_evidence, rest + np.log(integral), rtol=1e-7, atol=1e-7)
        assert_allclose(mean, b / precision, rtol=1e-9)
        assert_allclose(variance, phi / precision, rtol=1e-7)


def test_evidence_is_the_mean_over_scales():
    dense = Dense(0.3)
    shapes = [(np.arange(N) >= k) * 1.0 for k in (5, 8, 11)]
    both = weigh(dense, shapes, [1.0, 4.0])
    apart = [weigh(dense, shapes, [scale]) for scale in (1.0, 4.0)]
    for k in range(2):  # down and up
        expected = logsumexp([one[k] for one in apart], axis=0) - np.log(2.0)
        assert_allclose(both[k], expected, rtol=1e-9)


def test_a_rise_is_a_decline_upside_down():
    dense = Dense(0.3)
    shapes = [(np.arange(N) >= k) * 1.0 for k in (6, 9)]
    down, up, *_ = weigh(dense, shapes, [2.0])
    turned_down, turned_up, *_ = weigh(dense, [-shape for shape in shapes], [2.0])
    assert_allclose(down, turned_up, rtol=1e-12)
    assert_allclose(up, turned_down, rtol=1e-12)


def test_shapes_far_from_the_best_have_no_evidence_and_the_others_theirs():
    products = np.array([[10.0, -60.0], [10.0, -1.0], [10.0, 59.9]])
    rest, dof = 400.0, 200.0
    out = [np.empty(3) for _ in range(4)]
    kernels.one_amplitude(products, rest, dof, np.array([2.0]), *out)
    alone = [np.empty(1) for _ in range(4)]
    for k in (0, 2):
        kernels.one_amplitude(products[[k]], rest, dof, np.array([2.0]), *alone)
        side = 0 if products[k, 1] < 0.0 else 1  # the other side has all but nothing
        for quantity in (side, 2, 3):
            assert_allclose(out[quantity][k], alone[quantity][0], rtol=1e-9)
    kernels.one_amplitude(products[[1]], rest, dof, np.array([2.0]), *alone)
    assert out[0][1] == out[1][1] == -np.inf
    assert alone[0][0] < out[0][0] - 18.0  # so little that it makes no difference


def test_log_total():
    values = np.array([-1000.0, -1001.0, -990.0, -np.inf])
    assert_allclose(kernels.log_total(values), logsumexp(values))
    assert kernels.log_total(np.array([-np.inf])) == -np.inf
    assert kernels.log_total(np.empty(0)) == -np.inf
