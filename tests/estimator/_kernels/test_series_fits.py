"""Fits of shapes to a series, against dense algebra, quadrature and enumeration."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.special import erfc, logsumexp
from scipy.stats import multivariate_normal

from estimator._kernels import series_fits as kernels

N, N_REFERENCE = 13, 5
RHOS = (0.0, 0.3, 0.6)
DOF, REST = 20.0, 40.0


def a_series(seed=0, *, even=False):
    """Return y, errors, t, gaps of a short series, as a rule at irregular times."""
    rng = np.random.default_rng(seed)
    gaps = np.ones(N) if even else rng.uniform(0.3, 2.0, N)
    gaps[0] = 0.0
    return rng.normal(size=N), rng.uniform(0.5, 2.0, N), np.cumsum(gaps), gaps


def root_of(errors, t, rho):
    """Return the inverse Cholesky root of the covariance, and its log determinant."""
    lag = np.abs(t[:, None] - t[None, :])
    correlation = np.eye(t.size) if rho == 0.0 else rho**lag
    root = np.linalg.cholesky(correlation * np.outer(errors, errors))
    return np.linalg.inv(root), -np.log(np.diag(root)).sum()


class Dense:
    """Everything the kernels take, by dense algebra."""

    def __init__(self, rho, shared=0.7, *, even=False):
        self.y, self.errors, self.t, self.gaps = a_series(even=even)
        self.W, self.log_determinant = root_of(self.errors, self.t, rho)
        self.shared = shared
        self.deployed = (np.arange(N) >= N_REFERENCE) * 1.0
        self.X = self.W @ np.stack([np.ones(N), shared * self.deployed], axis=1)
        self.K = np.linalg.inv(self.X.T @ self.X + np.diag([0.0, 1.0]))
        self.M = np.eye(N) - self.X @ self.K @ self.X.T
        self.z = self.W @ self.y
        self.e, self.d = np.empty(N), np.empty(N)
        kernels.whiten(self.errors, self.gaps, rho, self.e, self.d)
        self.o, self.q = self.W @ np.ones(N), self.W @ self.t
        self.sums = np.empty((5, N + 1))
        kernels.suffix_sums(self.z, self.o, self.q, self.sums)

    def products(self, shape):
        g = self.W @ shape
        return [g @ g, g @ self.z, g @ self.o, g @ (self.W @ self.deployed)]


@pytest.mark.parametrize("rho", RHOS)
def test_whitening_is_the_inverse_root_of_the_covariance(rho):
    _, errors, t, gaps = a_series()
    e, d = np.empty(N), np.empty(N)
    log_determinant = kernels.whiten(errors, gaps, rho, e, d)
    W, expected = root_of(errors, t, rho)
    assert_allclose(np.diag(e) - np.diag(d[1:], -1), W, atol=1e-12)
    assert_allclose(log_determinant, expected, rtol=1e-12)


@pytest.mark.parametrize("rho", RHOS)
def test_suffix_sums(rho):
    dense = Dense(rho)
    o, z, q = dense.o, dense.z, dense.q
    for k, of in enumerate((o * o, o * z, o * q, q * q, q * z)):
        expected = [of[i:].sum() for i in range(N + 1)]
        assert_allclose(dense.sums[k], expected, atol=1e-9)


@pytest.mark.parametrize("rho", RHOS)
def test_products_of_steps(rho):
    dense = Dense(rho)
    at = np.arange(N_REFERENCE, N)
    out = np.empty((at.size, 4))
    kernels.step_products(at, dense.z, dense.o, dense.e, dense.sums, N_REFERENCE, out)
    expected = [dense.products((np.arange(N) >= k) * 1.0) for k in at]
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
    out = np.empty((first.size, 4))
    kernels.pair_products(
        kind,
        np.ascontiguousarray(first),
        np.ascontiguousarray(last),
        dense.z,
        dense.o,
        dense.q,
        dense.e,
        dense.t,
        dense.sums,
        N_REFERENCE,
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
        dense.K,
        dense.X.T @ dense.z,
        dense.shared,
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
        for side, found in ((-1.0, down), (1.0, up)):
            integral, _ = quad(lambda x, side=side: height(side * x), 0, np.inf)
            assert_allclose(found, rest + np.log(integral), rtol=1e-7, atol=1e-7)
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


@pytest.mark.parametrize("rho", RHOS)
def test_two_steps_against_dense_algebra(rho):
    dense = Dense(rho)
    pairs = [(a, b) for a in range(N_REFERENCE + 1, N) for b in range(a + 1, N)]
    first, last = (np.array(places) for places in zip(*pairs, strict=True))
    scales = np.array([1.5, 5.0])
    out = [np.empty(first.size) for _ in range(5)]
    kernels.two_steps(
        first,
        last,
        dense.z,
        dense.o,
        dense.e,
        dense.sums,
        dense.K,
        dense.X.T @ dense.z,
        dense.shared,
        REST,
        DOF,
        scales,
        *out,
    )
    i = np.arange(N)
    for p, (a, b) in enumerate(pairs):
        G = dense.W @ np.stack([i >= a, i >= b], axis=1)
        down, up, means, variances, firsts = [], [], [], [], []
        for scale in scales:
            covariance = np.linalg.inv(G.T @ dense.M @ G + np.eye(2) / scale**2)
            target = G.T @ dense.M @ dense.z
            mean = covariance @ target
            left = REST - target @ mean
            spread = covariance * left / DOF
            value = 0.5 * np.linalg.slogdet(covariance / scale**2)[1]
            value -= 0.5 * DOF * np.log(left)
            # E[x² y²] of a normal pair (Isserlis' theorem)
            (v, c), (_, w) = spread
            x, y = mean
            moment = (x**2 + v) * (y**2 + w) + 4 * x * y * c + 2 * c**2
            value += np.log(moment) - 2 * np.log(scale**2 * left / DOF)
            deviation = np.sqrt(2 * np.diag(spread))
            down.append(value + np.log(erfc(mean / deviation)).sum())
            up.append(value + np.log(erfc(-mean / deviation)).sum())
            means.append(mean.sum())
            variances.append(spread.sum())
            firsts.append(mean[0])
        assert_allclose(out[0][p], logsumexp(down) - np.log(2), rtol=1e-8, atol=1e-8)
        assert_allclose(out[1][p], logsumexp(up) - np.log(2), rtol=1e-8, atol=1e-8)
        weight = np.exp(down - logsumexp(down))
        mean = weight @ means
        assert_allclose(out[2][p], mean, rtol=1e-8)
        second = weight @ (np.array(variances) + np.square(means))
        assert_allclose(out[3][p], second - mean**2, rtol=1e-7)
        assert_allclose(out[4][p], weight @ firsts / mean, rtol=1e-7)


def test_log_total():
    values = np.array([-1000.0, -1001.0, -990.0, -np.inf])
    assert_allclose(kernels.log_total(values), logsumexp(values))
    assert kernels.log_total(np.array([-np.inf])) == -np.inf
    assert kernels.log_total(np.empty(0)) == -np.inf


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("rho", RHOS)
def test_harmonics_against_dense_regression(rho, even):
    dense = Dense(rho, even=even)
    frequencies = np.array([0.11, 0.23, 0.37])
    scales = np.array([1.5, 5.0])
    out = np.empty((3, 4))
    coefficients = np.empty((3, 4, 5))
    kernels.harmonics(
        frequencies,
        dense.z,
        dense.o,
        dense.e,
        dense.d,
        dense.t,
        N_REFERENCE,
        dense.K,
        dense.X.T @ dense.z,
        dense.shared,
        REST,
        DOF,
        scales,
        out,
        coefficients,
    )
    for f, frequency in enumerate(frequencies):
        phase = 2 * np.pi * frequency * dense.t
        waves = [np.cos(phase), np.sin(phase), np.cos(2 * phase), np.sin(2 * phase)]
        for variant, (n_waves, since) in enumerate(
            [(2, False), (4, False), (2, True), (4, True)]
        ):
            columns, deviations = waves[:n_waves], [0.5, 0.5, 0.25, 0.25][:n_waves]
            if since:
                columns = [w * dense.deployed for w in columns] + [dense.deployed]
                deviations = [*deviations, 0.5]
            G = dense.W @ np.stack(columns, axis=1)
            found, best = [], None
            for scale in scales:
                prior = np.diag((scale * np.array(deviations)) ** -2.0)
                precision = G.T @ dense.M @ G + prior
                covariance = np.linalg.inv(precision)
                b = G.T @ dense.M @ dense.z
                mean = covariance @ b
                left = REST - b @ mean
                value = 0.5 * np.linalg.slogdet(covariance @ prior)[1]
                value -= 0.5 * DOF * np.log(left)
                phi = left / DOF
                moment = mean[:2] @ mean[:2] + phi * np.trace(covariance[:2, :2])
                value += np.log(moment / (2 * phi * (0.5 * scale) ** 2))
                if since:
                    x = mean[-1] / np.sqrt(phi * covariance[-1, -1])
                    value += np.log(erfc(x / np.sqrt(2)))
                if best is None or value > max(found):
                    best = mean
                found.append(value)
            assert_allclose(
                out[f, variant], logsumexp(found) - np.log(2), rtol=1e-9, atol=1e-9
            )
            expected = np.zeros(5)
            expected[:n_waves] = best[:n_waves]
            if since:
                expected[4] = best[-1]
            assert_allclose(coefficients[f, variant], expected, atol=1e-9)


def test_switching_sums_over_all_paths_with_three_changes():
    rng = np.random.default_rng(3)
    n, stay, upper, lower, phi = 8, 0.7, 1.0, -1.5, 1.3
    y, weight = rng.normal(size=n) * 2, rng.uniform(0.5, 2.0, n)
    total = 0.0
    for path in product((0, 1), repeat=n):  # 1: at the lower level
        below = np.array(path)
        changes = np.abs(np.diff(below)).sum()
        if changes < 3:
            continue
        prior = (0.25 if path[0] else 0.75) * stay ** (n - 1 - changes)
        prior *= (1.0 - stay) ** changes
        level = np.where(below == 1, lower, upper)
        total += prior * np.exp(-0.5 * np.sum(weight * (y - level) ** 2) / phi)
    found = kernels.log_switching(y, weight, upper, lower, phi, stay)
    assert_allclose(found, np.log(total), rtol=1e-10)
    many = np.empty(2)
    kernels.log_switchings(
        y,
        weight,
        np.array([upper, 2.0]),
        np.array([lower, 0.0]),
        np.array([phi, 1.0]),
        stay,
        many,
    )
    assert many[0] == found
    assert many[1] == kernels.log_switching(y, weight, 2.0, 0.0, 1.0, stay)


def test_two_levels_are_found():
    rng = np.random.default_rng(4)
    below = np.repeat([0, 1, 0, 1, 0], 8)
    y = np.where(below == 1, -3.0, 1.0) + rng.normal(size=40)
    estimate, chance = np.array([2.0, -1.0, 1.5]), np.empty(40)
    kernels.fit_two_levels(y, np.ones(40), 0.75, 12.0, 20, estimate, chance)
    assert_allclose(
        estimate[:2], [y[below == 0].mean(), y[below == 1].mean()], atol=0.2
    )
    assert 0.6 < estimate[2] < 1.5
    assert np.mean((chance > 0.5) == below) > 0.95


def test_more_rounds_of_expectation_maximization_fit_better():
    rng = np.random.default_rng(5)
    y, weight = rng.normal(size=30) * 2, np.ones(30)

    def log_posterior(n_rounds):
        estimate, below = np.array([1.0, -0.5, 1.5]), np.empty(30)
        kernels.fit_two_levels(y, weight, 0.75, 12.0, n_rounds, estimate, below)
        upper, lower, phi = estimate
        up = np.exp(-0.5 * (y - upper) ** 2 / phi)
        down = np.exp(-0.5 * (y - lower) ** 2 / phi)
        ahead = np.array([0.75 * up[0], 0.25 * down[0]])
        for i in range(1, 30):
            ahead = np.array([[0.75, 0.25], [0.25, 0.75]]) @ ahead
            ahead *= [up[i], down[i]]
        return np.log(ahead.sum()) - 15.0 * np.log(phi) - 6.0 * (np.log(phi) + 1 / phi)

    heights = [log_posterior(n) for n in (1, 3, 6, 12, 24)]
    assert (np.diff(heights) > -1e-9).all()


def test_e_process_is_a_mixture_of_likelihood_ratios():
    rng = np.random.default_rng(6)
    n, n_reference, shared, scales = 9, 4, 0.6, np.array([1.5, 4.0])
    y, errors = rng.normal(size=n) * 2, rng.uniform(0.5, 1.5, n)
    out = np.empty(n - n_reference)
    kernels.step_e_process(y, errors**-2.0, n_reference, shared, scales, out)

    def log_likelihood(stop, at=None, amplitude=0.0):
        i = np.arange(stop)
        flat = 1e3  # standard deviation of the level
        deployed = (i >= n_reference) * shared
        covariance = np.diag(errors[:stop] ** 2) + flat**2
        covariance += np.outer(deployed, deployed)
        mean = np.zeros(stop) if at is None else amplitude * (i >= at)
        return multivariate_normal(mean, covariance).logpdf(y[:stop])

    for stop in range(n_reference + 1, n + 1):
        flat = log_likelihood(stop)
        n_places = stop - n_reference
        expected = 1.0 / (n_places + 1.0)
        for j in range(n_places):

            def height(x, scale, at=n_reference + j, stop=stop, flat=flat):
                density = 2 * np.exp(-0.5 * (x / scale) ** 2)
                density /= scale * np.sqrt(2 * np.pi)
                return density * np.exp(log_likelihood(stop, at, -x) - flat)

            ratio = np.mean([quad(height, 0, 60, args=(c,))[0] for c in scales])
            expected += ratio / ((j + 1) * (j + 2))
        assert_allclose(out[n_places - 1], expected, rtol=1e-4)
