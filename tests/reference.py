"""Slow, obvious twins of the kernels: one chunk, the definitions, O(n²) and no sorting.

Every function takes one chunk: raw scores ``s``, soft labels ``z`` (a calibrated
probability, an arrived label, or a mixture), decisions ``d``, and ``costs`` per cell
for ``business_value``. A metric with a denominator of 0 is NaN, and so is all that
follows from it. A weighted chunk has no twin of its own: ``repeated`` writes its rows
out. This file imports nothing that is held against it.
"""

import math

import numpy as np

METRICS = (
    "roc_auc",
    "average_precision",
    "accuracy",
    "precision",
    "recall",
    "f1",
    "specificity",
    "balanced_accuracy",
    "brier_score",
    "log_loss",
    "tp",
    "fp",
    "tn",
    "fn",
    "business_value",
)

# A metric that is a sum over rows: what a row is expected to add to it.
CELLS = {
    "tp": lambda z, d: d * z,
    "fp": lambda z, d: d * (1 - z),
    "tn": lambda z, d: (1 - d) * (1 - z),
    "fn": lambda z, d: (1 - d) * z,
}

# A metric that is a ratio of two sums over rows: what a row is expected to add to each.
RATIOS = {
    "accuracy": lambda s, z, d: (d * z + (1 - d) * (1 - z), np.ones(s.size)),
    "precision": lambda s, z, d: (d * z, d),
    "recall": lambda s, z, d: (d * z, z),
    "f1": lambda s, z, d: (2 * d * z, d + z),
    "specificity": lambda s, z, d: ((1 - d) * (1 - z), 1 - z),
    "brier_score": lambda s, z, d: (z * (1 - s) ** 2 + (1 - z) * s**2, np.ones(s.size)),
    "log_loss": lambda s, z, d: (
        -z * np.log(clipped(s)) - (1 - z) * np.log(1 - clipped(s)),
        np.ones(s.size),
    ),
}


def plug_in(metric, s, z, d, costs=None):
    """Return the ratio of expectations: the metric with ``z`` for the labels."""
    s, z, d = as_floats(s, z, d)
    if metric == "balanced_accuracy":
        return (plug_in("recall", s, z, d) + plug_in("specificity", s, z, d)) / 2
    if metric in CELLS or metric == "business_value":
        return float(summand(metric, z, d, costs).sum())
    if metric == "roc_auc":
        above, pairs = pairs_above(s), pairs_expected(z)
        return ratio((pairs * above).sum(), pairs.sum())
    if metric == "average_precision":
        at_or_above = rows_at_or_above(s)
        both_positive = np.outer(z, z)
        np.fill_diagonal(both_positive, z)  # E[y²] = z
        hits = (both_positive * at_or_above).sum(axis=1)
        return ratio((hits / at_or_above.sum(axis=1)).sum(), z.sum())
    numerator, denominator = RATIOS[metric](s, z, d)
    return ratio(numerator.sum(), denominator.sum())


def influence(metric, s, z, d, costs=None):
    """Return h_i = ∂M/∂y_i by the closed forms."""
    s, z, d = as_floats(s, z, d)
    n, P, N, D = s.size, z.sum(), (1 - z).sum(), d.sum()
    M = plug_in(metric, s, z, d, costs)
    if math.isnan(M):
        return np.full(n, math.nan)
    if metric == "balanced_accuracy":
        return (influence("recall", s, z, d) + influence("specificity", s, z, d)) / 2
    if metric in CELLS or metric == "business_value":
        # The summand is linear in the label: its slope is its rise from 0 to 1.
        ones, zeros = np.ones(n), np.zeros(n)
        return summand(metric, ones, d, costs) - summand(metric, zeros, d, costs)
    if metric == "roc_auc":
        above, pairs = pairs_above(s), pairs_expected(z).sum()
        gained = above @ (1 - z)  # as a positive: negatives below
        lost = above.T @ z  # as a negative: positives above
        return (gained - lost - M * pairs_slope(z)) / pairs
    if metric == "average_precision":
        at_or_above = rows_at_or_above(s)
        K, T = at_or_above.sum(axis=1), at_or_above @ z
        W = at_or_above.T @ (z / K)  # over the rows at or below
        return ((1 + T - 2 * z) / K + W - M) / P
    if metric == "accuracy":
        return (2 * d - 1) / n
    if metric == "precision":
        return d / D
    if metric == "recall":
        return (d - M) / P
    if metric == "f1":
        return (2 * d - M) / (D + P)
    if metric == "specificity":
        return (d - 1 + M) / N
    if metric == "brier_score":
        return (1 - 2 * s) / n
    if metric == "log_loss":
        return -np.log(clipped(s) / (1 - clipped(s))) / n
    raise ValueError(metric)


def numeric_influence(metric, s, z, d, costs=None, step=1e-5):
    """Return h by central differences: the plug-in is rational in each label."""
    s, z, d = as_floats(s, z, d)
    h = np.empty(s.size)
    for i in range(s.size):
        nudge = np.zeros(s.size)
        nudge[i] = step
        rise = plug_in(metric, s, z + nudge, d, costs)
        fall = plug_in(metric, s, z - nudge, d, costs)
        h[i] = (rise - fall) / (2 * step)
    return h


def correction(metric, s, z, d, costs=None):
    """Return −Σ z(1−z) h g / B with B the metric's denominator and g_i = ∂B/∂y_i.

    Labels are independent and numerator and denominator linear in each, so that
    ∂²M/∂y_i² = −2 h_i g_i / B, and half of it times Var(y_i) is the second-order term.
    Where both hold products of two labels (ROC AUC: −y_i y_j in the numerator and
    −2 y_i y_j in the denominator) these covary, too: −Cov/B² + M·Var/B² over pairs.
    """
    s, z, d = as_floats(s, z, d)
    if math.isnan(plug_in(metric, s, z, d, costs)):
        return math.nan
    if metric == "balanced_accuracy":
        return (correction("recall", s, z, d) + correction("specificity", s, z, d)) / 2
    slope_and_denominator = {
        "roc_auc": (pairs_slope(z), pairs_expected(z).sum()),
        "average_precision": (1, z.sum()),
        "recall": (1, z.sum()),
        "f1": (1, d.sum() + z.sum()),
        "specificity": (-1, (1 - z).sum()),
    }
    if metric not in slope_and_denominator:
        return 0.0  # the denominator does not depend on the labels
    g, B = slope_and_denominator[metric]
    v = z * (1 - z)
    shift = -(v * influence(metric, s, z, d) * g).sum() / B
    if metric == "roc_auc":
        both_unknown = sum(v[i] * v[j] for j in range(s.size) for i in range(j))
        M = plug_in(metric, s, z, d)
        shift += (M * 4 - 2) * both_unknown / B**2
    return float(shift)


def label_variance(metric, s, z, d, costs=None):
    """Return V_lab: the variance left in the labels that have not arrived."""
    s, z, d = as_floats(s, z, d)
    return float((z * (1 - z) * influence(metric, s, z, d, costs) ** 2).sum())


def row_influence(metric, s, z, d, costs=None):
    """Return ψ: what a row contributes to the error of having drawn these rows."""
    s, z, d = as_floats(s, z, d)
    n, P, N = s.size, z.sum(), (1 - z).sum()
    M = plug_in(metric, s, z, d, costs)
    if math.isnan(M):
        return np.full(n, math.nan)
    if metric == "balanced_accuracy":
        sensitivity = row_influence("recall", s, z, d)
        return (sensitivity + row_influence("specificity", s, z, d)) / 2
    if metric in CELLS or metric == "business_value":
        a = summand(metric, z, d, costs)
        return n * (a - a.mean())
    if metric == "roc_auc":
        above, pairs = pairs_above(s), pairs_expected(z).sum()
        won = z * (above @ (1 - z)) + (1 - z) * (above.T @ z)
        played = z * (N - (1 - z)) + (1 - z) * (P - z)
        return n * (won - M * played) / pairs
    if metric == "average_precision":
        # The functional E[(z T(s) + u)/K(s)] / E[z], with T(s) = E[z 1{s' ≥ s}],
        # K(s) = P(s' ≥ s) and u what E[y²] = z adds, of order 1/n.
        at_or_above = rows_at_or_above(s)
        K, T = at_or_above.mean(axis=1), at_or_above @ z / n
        u = z * (1 - z) / n
        W = at_or_above.T @ (z / K) / n
        Q = at_or_above.T @ ((z * T + u) / K**2) / n
        return (z * (T / K + W - M) + u / K - Q) / z.mean()
    a, b = RATIOS[metric](s, z, d)
    return (a - M * b) / b.mean()


def sampling_variance(metric, s, z, d, costs=None):
    """Return V_pop: the chunk's value around its population's, at the labels ``z``."""
    psi = row_influence(metric, s, z, d, costs)
    return float(((psi**2).mean() - psi.mean() ** 2) / psi.size)


def summand(metric, z, d, costs):
    if metric == "business_value":
        return sum(costs[name] * cell(z, d) for name, cell in CELLS.items())
    return CELLS[metric](z, d)


def pairs_above(s):
    """Return k_ij = 1{s_i > s_j} + ½·1{s_i = s_j}, with no row paired with itself."""
    k = (s[:, None] > s) + 0.5 * (s[:, None] == s)
    np.fill_diagonal(k, 0.0)
    return k


def pairs_expected(z):
    """Return P(y_i = 1, y_j = 0), which is 0 for a row and itself."""
    pairs = np.outer(z, 1 - z)
    np.fill_diagonal(pairs, 0.0)
    return pairs


def pairs_slope(z):
    """Return the derivative in each label of the expected number of pairs."""
    return ((1 - z).sum() - (1 - z)) - (z.sum() - z)


def rows_at_or_above(s):
    """Return 1{s_j ≥ s_i}: row i's threshold, column j's row."""
    return (s >= s[:, None]).astype(float)


def clipped(s):
    eps = np.finfo(float).eps  # as sklearn.metrics.log_loss
    return np.clip(s, eps, 1 - eps)


def repeated(weight, *columns):
    """Return the rows that weighted ones stand for, one by one."""
    times = np.asarray(weight).astype(int)
    return tuple(np.repeat(column, times) for column in columns)


def ratio(numerator, denominator):
    return float(numerator / denominator) if denominator else math.nan


def as_floats(*columns):
    return tuple(np.asarray(column, dtype=float) for column in columns)
