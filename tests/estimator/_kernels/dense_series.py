"""A short series and everything that the kernels take of it, by dense algebra."""

import numpy as np

from estimator._kernels import regression, step_fits

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
        regression.whiten(self.errors, self.gaps, rho, self.e, self.d)
        self.o, self.q = self.W @ np.ones(N), self.W @ self.t
        self.r = self.M @ self.z
        self.Q = self.X @ np.linalg.cholesky(self.K)  # Q Q^T = X K X^T
        self.sums, self.sums_of_times = np.empty((2, N + 1, 5))
        step_fits.suffix_sums(
            self.r, self.Q, self.o, self.q, self.sums, self.sums_of_times
        )
        self.table = np.empty((N, 5))
        step_fits.step_table(self.r, self.Q, self.o, self.e, self.sums, self.table)

    def products(self, shape):
        """Return A and b of a shape (method.md, equation 57)."""
        g = self.W @ shape
        return [g @ self.M @ g, g @ self.M @ self.z]
