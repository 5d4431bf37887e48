"""Natural cubic splines of a score's logit: knots, pieces, and smooth columns."""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from calibration.maps.logistic import weighted_gram

Floats = NDArray[np.float64]


def piecewise_cubics(
    x: Floats, knots: Floats, origins: Floats, tables: Floats, *, out: Floats
) -> None:
    """Write several piecewise cubics with common knots, in columns.

    NumPy is fast enough here: only ``fit`` asks for a basis, and compiling a kernel for
    it would be a tenth of what the first fit after an installation takes.

    Parameters
    ----------
    x : ndarray of shape (n_rows,)
    knots : ndarray of shape (n_knots,)
        Rising; segment ``j`` ends where segment ``j + 1`` begins, at ``knots[j]``.
    origins : ndarray of shape (n_knots + 1,)
        From where each segment counts.
    tables : ndarray of shape (n_knots + 1, 4, n_columns)
        Coefficients of 1, u, u², u³, with u the distance to the segment's origin.
    out : ndarray of shape (n_rows, n_columns)
    """
    segment = np.searchsorted(knots, x, side="right")
    u = (x - origins[segment])[:, None]
    np.take(tables[:, 3], segment, axis=0, out=out)
    for power in (2, 1, 0):
        out *= u
        out += np.take(tables[:, power], segment, axis=0)


def place_knots(x: Floats, weight: Floats, n_knots: int) -> Floats:
    """Return distinct weighted quantiles of ``x``; two knots make the map linear.

    Each knot is an observed value, so that none is without data around it, and a
    row of weight 2 is a row taken twice.
    """
    if n_knots < 2:
        msg = f"`n_knots` must be >= 2, got {n_knots}."
        raise ValueError(msg)
    knots = weighted_quantiles(x, weight, np.linspace(0.02, 0.98, n_knots))
    # Knots closer than this would only make the basis ill-conditioned.
    gap = max(1e-3 * (knots[-1] - knots[0]), 1e-6)
    distinct = [knots[0]]
    for knot in knots[1:]:
        if knot - distinct[-1] > gap:
            distinct.append(knot)
    if len(distinct) > 2:
        return np.array(distinct)
    lowest, highest = float(x.min()), float(x.max())
    if highest - lowest > 1e-6:
        return np.array([lowest, highest])
    return np.array([lowest - 0.5, lowest + 0.5])  # one score: a constant map


def weighted_quantiles(x: Floats, weight: Floats, levels: Floats) -> Floats:
    """Return observed values: a row of weight 2 is a row taken twice."""
    if np.ptp(weight) == 0.0:  # values are sorted several times faster than rows
        ordered, mass = np.sort(x), np.cumsum(weight)
    else:
        order = np.argsort(x)
        ordered, mass = x[order], np.cumsum(weight[order])
    quantiles: Floats = ordered[np.searchsorted(mass, levels * mass[-1])]
    return quantiles


def cardinal_segments(knots: Floats) -> Floats:
    """Return the natural cubic splines that are 1 at one knot and 0 at the others.

    Returns
    -------
    ndarray of shape (n_knots + 1, 4, n_knots)
        Per segment the coefficients of 1, u, u^2, u^3 of each spline, u counted from
        the segment's left knot; the outer segments are linear.
    """
    n = knots.size
    spline = CubicSpline(knots, np.eye(n), bc_type="natural")
    segments = np.zeros((n + 1, 4, n))
    segments[1:-1] = spline.c[::-1].transpose(1, 0, 2)
    for segment, knot in ((0, 0), (-1, n - 1)):
        segments[segment, 0, knot] = 1.0
        segments[segment, 1] = spline(knots[knot], 1)
    return segments


def with_tails(knots: Floats, segments: Floats, ends: tuple[float, float]) -> Floats:
    """Let slopes of their own continue a natural spline beyond two ends.

    Parameters
    ----------
    knots : ndarray of shape (n_knots,)
        Rising, between the ends.
    segments : ndarray of shape (n_knots + 1, 4, n_knots)
        Of `cardinal_segments`.
    ends : (float, float)
        Where the tails begin.

    Returns
    -------
    ndarray of shape (n_knots + 3, 4, n_knots + 2)
        The same at the knots with both ends; the last two columns are 0 between the
        ends, and beyond them the distance to the nearer end, with its sign.
    """
    n = knots.size
    table = np.zeros((n + 3, 4, n + 2))
    table[1:-1, :, :n] = segments
    for side in (0, -1):
        distance = ends[side] - knots[side]
        table[side, 0, :n] = segments[side, 0] + segments[side, 1] * distance
        table[side, 1, n:][side] = 1.0
    # Segments count from their left knot, the first one from where it ends.
    table[1, 0, :n] = table[0, 0, :n]
    return table


def smooth_columns(basis: Floats, knots: Floats, weight: Floats) -> Floats:
    r"""Return knot values of a constant, a line and bends by falling smoothness.

    A penalty on the sum of squares of the bends' coefficients is one on the curvature
    :math:`\int f''(t)^2 dt` between the outer knots, f the log odds: knots may then be
    many [1]_. The scale t is half the logit of the score and half its rank, each from 0
    to 1 between these knots: on the logit alone, long stretches with few rows bend at
    no cost. It is scaled such that bends with coefficients of variance 1 have a
    variance of 1 each over the reference, on average.

    Parameters
    ----------
    basis : ndarray of shape (n_rows, n_knots)
        Splines that are 1 at one knot and 0 at the others.
    knots : ndarray of shape (n_knots,)
        Rising.
    weight : ndarray of shape (n_rows,)
        Weight of each row.

    Returns
    -------
    ndarray of shape (n_knots, n_knots)
        Values at the knots, by column; a constant and the line first.

    References
    ----------
    .. [1] Wood (2017), "Generalized Additive Models", 2nd ed., section 5.3.
    """
    columns = uncorrelated_columns(basis, knots, weight)
    bends = columns[:, 2:]
    if bends.size == 0:
        return columns
    # The second derivative is linear between the knots and 0 at the outer ones.
    second = np.zeros((knots.size, knots.size))
    scale = (knots - knots[0]) / (knots[-1] - knots[0])
    scale = 0.5 * (scale + np.linspace(0.0, 1.0, knots.size))
    second[:-1] = 2.0 * cardinal_segments(scale)[1:-1, 2]
    left, right, width = second[:-1] @ bends, second[1:] @ bends, np.diff(scale)
    across = (left.T * (width / 6.0)) @ right
    curvature = across + across.T
    curvature += (left.T * (width / 3.0)) @ left + (right.T * (width / 3.0)) @ right
    values, vectors = np.linalg.eigh(curvature)
    vectors /= np.sqrt(np.maximum(values, 1e-9 * values[-1]))
    vectors *= np.sqrt(values.size / (vectors**2).sum())
    return np.column_stack([columns[:, :2], bends @ vectors])


def uncorrelated_columns(basis: Floats, knots: Floats, weight: Floats) -> Floats:
    """Return knot values of a constant, a line and bends, orthonormal on the rows.

    Gram-Schmidt in this order, by Cholesky. A line without variance (one distinct
    score) becomes 0, which a penalty then leaves at 0.
    """
    start = np.column_stack([np.ones(knots.size), knots, np.eye(knots.size)[:, 1:-1]])
    if not np.ptp(basis @ knots) > 0.5e-6:
        return start * [1.0, 0.0]
    gram = start.T @ weighted_gram(basis, weight / weight.sum()) @ start
    columns: Floats = np.linalg.solve(np.linalg.cholesky(gram), start.T).T
    return columns
