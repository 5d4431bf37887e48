"""Clear series of each kind, whose truth is obvious."""

import numpy as np

N_REFERENCE, N = 12, 42
LEVEL, ERROR = 0.80, 0.01
ONSET, END = 26, 36


def noise(seed=0, n=N):
    return np.random.default_rng(seed).normal(0.0, ERROR, n)


def shape_of(kind, i=None):
    """Return how far down each chunk is, from 0 to 1."""
    i = np.arange(N) if i is None else i
    return {
        "stable": np.zeros(i.size),
        "sudden": (i >= ONSET) * 1.0,
        "gradual": np.clip((i - 17) / (N - 1 - 17), 0, 1),
        # the reference does not show it: such a season is a decline
        "cyclical": (i >= N_REFERENCE)
        * (0.5 - 0.5 * np.cos(2 * np.pi * (i - N_REFERENCE) / 8.0)),
        "training_serving_skew": (i >= N_REFERENCE) * 1.0,
        "recovered": (i >= ONSET) * 1.0 - (i >= END),
    }[kind]


def clear(kind, seed=0, drop=0.07):
    """Return the values of a series of the kind."""
    return LEVEL - drop * shape_of(kind) + noise(seed)


ERRORS = np.full(N, ERROR)
