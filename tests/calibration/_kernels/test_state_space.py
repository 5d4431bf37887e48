"""Filter and smoother against one big Gaussian that is conditioned densely."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from calibration._kernels.state_space import (
    evidence,
    filter_models,
    smooth,
    sum_products,
)
from calibration.maps.logistic import square_root

rng = np.random.default_rng(0)
TURN = 0.9 * np.array([[0.8, 0.6], [-0.6, 0.8]])
MODELS = {
    "still": (np.eye(2), np.zeros((2, 2)), np.diag([0.5, 0.2]), np.eye(2)),
    "random walk": (np.eye(2), np.diag([0.1, 0.3]), np.diag([0.2, 0.0]), np.eye(2)),
    "trend": (
        np.kron(np.array([[1.0, 0.9], [0.0, 0.9]]), np.eye(2)),
        np.diag([0.0, 0.0, 0.1, 0.2]),
        np.diag([0.1, 0.3, 0.2, 0.2]),
        np.kron(np.array([[1.0, 0.0]]), np.eye(2)),
    ),
    "cycle": (
        np.kron(np.block([[np.eye(1), np.zeros((1, 2))], [np.zeros((2, 1)), TURN]]),
                np.eye(2)),
        np.diag([0.0, 0.0, 0.1, 0.1, 0.1, 0.1]),
        np.diag([0.2, 0.1, 0.5, 0.5, 0.5, 0.5]),
        np.kron(np.array([[1.0, 1.0, 0.0]]), np.eye(2)),
    ),
}  # fmt: skip


def observations(n):
    """Return 0, 1 or 2 observations at each step."""
    n_seen = rng.integers(0, 3, n)
    n_seen[-2:] = 0
    return n_seen, rng.normal(size=(n, 2, 2)) * 3, rng.normal(size=(n, 2)) * 2


def dense(n_seen, h, seen, F, Q, P0, Z, jump_at, jump):
    """Condition the joint Gaussian of all states: log likelihood, mean, covariance."""
    n, d = n_seen.size, F.shape[0]
    joint = np.zeros((n * d, n * d))
    marginal, row = P0, []
    for t in range(n):
        marginal = F @ marginal @ F.T + Q + (jump if t == jump_at else 0.0)
        joint[t * d : (t + 1) * d, t * d : (t + 1) * d] = marginal
        step = marginal
        for later in range(t + 1, n):
            step = F @ step
            joint[later * d : (later + 1) * d, t * d : (t + 1) * d] = step
            joint[t * d : (t + 1) * d, later * d : (later + 1) * d] = step.T
    H, y = [], []
    for t in range(n):
        for k in range(n_seen[t]):
            row = np.zeros(n * d)
            row[t * d : (t + 1) * d] = h[t, k] @ Z
            H.append(row)
            y.append(seen[t, k])
    H, y = np.array(H), np.array(y)
    S = H @ joint @ H.T + np.eye(len(y))
    sign, logdet = np.linalg.slogdet(S)
    assert sign > 0
    gain = joint @ H.T @ np.linalg.inv(S)
    out = np.kron(np.eye(n), Z)
    mean = (out @ gain @ y).reshape(n, 2)
    covariance = out @ (joint - gain @ H @ joint) @ out.T
    blocks = np.array(
        [covariance[2 * t : 2 * t + 2, 2 * t : 2 * t + 2] for t in range(n)]
    )
    return -0.5 * (logdet + y @ np.linalg.solve(S, y)), mean, blocks


@pytest.mark.parametrize("name", MODELS)
def test_filter_and_smoother_equal_dense_conditioning(name):
    F, Q, P0, Z = MODELS[name]
    n, d = 9, len(F)
    seen = observations(n)
    nothing = np.zeros_like(P0)
    expected = dense(*seen, F, Q, P0, Z, -1, nothing)
    # Side by side with a model that is none of ours, and in two parts.
    k = d // 2
    transition = np.stack([np.eye(k), F[::2, ::2]], axis=-1)
    noise = np.stack([np.ones(d), np.diag(Q)], axis=-1)
    mean, log_evidences = np.zeros((d, 2)), np.zeros(2)
    covariance = np.stack([np.eye(d), P0], axis=-1)
    for part in (slice(0, 5), slice(5, n)):
        filter_models(
            *(values[part] for values in seen),
            transition, noise, Z[0, ::2].copy(), mean, covariance, log_evidences,
        )  # fmt: skip
        if part.start == 0:
            half = mean[:, 1].copy(), np.ascontiguousarray(covariance[:, :, 1])
    assert_allclose(log_evidences[1], expected[0], rtol=1e-10)
    last = Z @ covariance[:, :, 1] @ Z.T
    assert_allclose(Z @ mean[:, 1], expected[1][-1], atol=1e-10)
    assert_allclose(last, expected[2][-1], atol=1e-10)
    mean, covariance = np.empty((n, 2)), np.empty((n, 2, 2))
    smooth(*seen, F, Q, Z, np.zeros(d), P0, mean, covariance)
    assert_allclose(mean, expected[1], atol=1e-10)
    assert_allclose(covariance, expected[2], atol=1e-10)
    # From the fifth step on, given the state before it.
    later = [values[5:] for values in seen]
    smooth(*later, F, Q, Z, *half, mean[5:], covariance[5:])
    assert_allclose(mean, expected[1], atol=1e-10)
    assert_allclose(covariance, expected[2], atol=1e-10)


@pytest.mark.parametrize("jump_at", [0, 3, 8])
def test_evidence_of_a_level_equals_dense_conditioning(jump_at):
    n = 9
    seen = observations(n)
    prior = np.array([[0.3, 0.1], [0.1, 0.2]])
    deviation = np.array([[0.7, 0.4]])
    jump = np.diag(deviation[0] ** 2)
    expected, *_ = dense(*seen, *MODELS["still"][:2], prior, np.eye(2), jump_at, jump)
    out = np.empty(1)
    columns = np.stack([np.ones(n), np.arange(n) >= jump_at])
    evidence(products(seen, columns), square_root(prior), deviation, out)
    assert_allclose(out[0] - 0.5 * squares(seen), expected, rtol=1e-10)


def log_evidence_of_levels(seen, prior, begin, deviation):
    """Add a level from some step on to one from the first, observation by observation.

    A twin by the chain rule: each observation is predicted from those before it, with
    what is known of the four coefficients conditioned in plain loops.
    """
    n_seen, h, values = seen
    mean, covariance = [0.0] * 4, [[0.0] * 4 for _ in range(4)]
    for i in range(2):
        for j in range(2):
            covariance[i][j] = prior[i][j]
        covariance[2 + i][2 + i] = deviation[i] ** 2
    total = 0.0
    for t in range(len(n_seen)):
        for o in range(n_seen[t]):
            row = [h[t][o][0], h[t][o][1], 0.0, 0.0]
            if t >= begin:
                row[2:] = row[:2]
            gain = [sum(covariance[i][j] * row[j] for j in range(4)) for i in range(4)]
            spread = 1.0 + sum(row[i] * gain[i] for i in range(4))
            error = values[t][o] - sum(row[i] * mean[i] for i in range(4))
            total -= 0.5 * (np.log(spread) + error**2 / spread)
            for i in range(4):
                mean[i] += gain[i] * error / spread
                for j in range(4):
                    covariance[i][j] -= gain[i] * gain[j] / spread
    return total


@settings(deadline=None, max_examples=100)
@given(
    per_step=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    seed=st.integers(0, 2**32 - 1),
    information=st.floats(0.0, 100.0),
    sizes=st.lists(
        st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 3.0)), min_size=1, max_size=4
    ),
    correlation=st.floats(-0.99, 0.99),
)
def test_jumps_equal_plain_loops(per_step, seed, information, sizes, correlation):
    """Several models side by side, each with its own step before which it jumps."""
    rng = np.random.default_rng(seed)
    n = len(per_step)
    seen = (
        np.array(per_step),
        rng.normal(size=(n, 2, 2)) * np.sqrt(information),
        rng.normal(size=(n, 2)) * 2,
    )
    prior = 0.3 * np.array([[1.0, correlation], [correlation, 1.0]])
    begin = rng.integers(0, n, len(sizes))
    columns = [np.stack([np.ones(n), np.arange(n) >= b]) for b in begin]
    summed = np.concatenate([products(seen, each) for each in columns])
    out = np.empty(len(sizes))
    evidence(summed, square_root(prior), np.array(sizes), out)
    expected = [
        log_evidence_of_levels(seen, prior, b, size)
        for b, size in zip(begin, sizes, strict=True)
    ]
    assert_allclose(out - 0.5 * squares(seen), expected, rtol=1e-7, atol=1e-7)


def test_evidence_of_a_cycle_equals_dense_conditioning():
    n, turn = 9, 1.3
    seen = observations(n)
    F = np.eye(3)
    F[1:, 1:] = [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    P0 = np.diag([0.2, 0.1, 0.5, 0.3, 0.5, 0.3])
    Z = np.kron(np.array([[1.0, 1.0, 0.0]]), np.eye(2))
    nothing = np.zeros((6, 6))
    expected, *_ = dense(*seen, np.kron(F, np.eye(2)), nothing, P0, Z, -1, nothing)
    out = np.empty(1)
    t = np.arange(n)
    columns = np.stack([np.ones(n), np.cos(turn * t), np.sin(turn * t)])
    evidence(
        products(seen, columns),
        np.diag(np.sqrt([0.2, 0.1])),
        np.sqrt([[0.5, 0.3]]),
        out,
    )
    assert_allclose(out[0] - 0.5 * squares(seen), expected, rtol=1e-10)


def products(seen, columns):
    """Return sums of information and vector by pairs of columns, of one model."""
    n_seen, h, values = seen
    k = len(columns)
    out = np.zeros((1, k, k, 6))
    for t in range(n_seen.size):
        for o in range(n_seen[t]):
            pair = np.outer(columns[:, t], columns[:, t])[:, :, None]
            out[0, :, :, :4] += pair * np.outer(h[t, o], h[t, o]).ravel()
            out[0, :, :, 4:] += pair * h[t, o] * values[t, o]
    return out


def squares(seen):
    n_seen, _, values = seen
    return sum((values[t, : n_seen[t]] ** 2).sum() for t in range(n_seen.size))


def test_sums_of_products_are_a_matrix_product():
    values, columns = rng.normal(size=(50, 6)), rng.normal(size=(50, 9))
    out = np.empty((6, 9))
    sum_products(values, columns, out)
    assert_allclose(out, values.T @ columns, atol=1e-12)
