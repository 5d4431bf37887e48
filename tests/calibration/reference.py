"""Slow, obvious twins of the kernels: the definition, spelled as loops."""

import math


def piecewise_cubic(x, knots, origins, table):
    """Evaluate the polynomial of the segment that each x falls into."""
    out = []
    for value in x:
        segment = sum(value >= knot for knot in knots)
        u = value - origins[segment]
        out.append(sum(c * u**power for power, c in enumerate(table[segment])))
    return out


def jeffreys_interval(positives, n, level):
    """Solve the two tail equations of the Beta(k + 1/2, n - k + 1/2) posterior."""
    from scipy.integrate import quad
    from scipy.optimize import brentq

    a, b = positives + 0.5, n - positives + 0.5
    norm = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b))

    def below(x):
        return norm * quad(lambda t: t ** (a - 1) * (1 - t) ** (b - 1), 0, x)[0]

    tail = (1 - level) / 2
    return [brentq(lambda x, q=q: below(x) - q, 0, 1) for q in (tail, 1 - tail)]
