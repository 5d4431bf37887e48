"""Filter and smoother against one big Gaussian that is conditioned densely."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from calibration._kernels.state_space import log_likelihoods, smooth

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


@pytest.mark.parametrize("jump_at", [-1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_filter_and_smoother_equal_dense_conditioning(name, jump_at):
    F, Q, P0, Z = MODELS[name]
    n = 9
    seen = observations(n)
    jump = np.zeros_like(P0)
    jump[:2, :2] = np.diag([0.7, 0.4])
    expected = dense(*seen, F, Q, P0, Z, jump_at, jump)
    found = np.empty(1)
    stacked = (np.ascontiguousarray(x[None]) for x in (F, Q, P0))
    log_likelihoods(*seen, *stacked, Z, np.array([jump_at]), jump[None], found)
    assert_allclose(found[0], expected[0], rtol=1e-10)
    mean, covariance = np.empty((n, 2)), np.empty((n, 2, 2))
    smooth(*seen, F, Q, P0, Z, jump_at, jump, mean, covariance)
    assert_allclose(mean, expected[1], atol=1e-10)
    assert_allclose(covariance, expected[2], atol=1e-10)
