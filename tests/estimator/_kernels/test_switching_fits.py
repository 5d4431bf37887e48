"""Fits of two levels to a series, against the sum over all paths."""

from itertools import product

import numpy as np
from numpy.testing import assert_allclose

from estimator._kernels import switching_fits as kernels


def test_switching_sums_over_all_paths_with_five_changes():
    rng = np.random.default_rng(3)
    n, stay, upper, lower, phi = 10, 0.7, 1.0, -1.5, 1.3
    y, weight = rng.normal(size=n) * 2, rng.uniform(0.5, 2.0, n)
    total = 0.0
    for path in product((0, 1), repeat=n):  # 1: at the lower level
        below = np.array(path)
        changes = np.abs(np.diff(below)).sum()
        if changes < 5:
            continue
        prior = (0.25 if path[0] else 0.75) * stay ** (n - 1 - changes)
        prior *= (1.0 - stay) ** changes
        level = np.where(below == 1, lower, upper)
        total += prior * np.exp(-0.5 * np.sum(weight * (y - level) ** 2) / phi)
    log_evidence = kernels.log_switching(y, weight, upper, lower, phi, stay)
    assert_allclose(log_evidence, np.log(total), rtol=1e-10)
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
    assert many[0] == log_evidence
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
