"""Series of chunk values of known shape, to judge verdicts on the kind of decline.

A drop is in units of the typical standard error; `Trouble` is what real series have and
models of series tend to forget. Nothing here is known to the package.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SEVERAL_STEPS = 0.2  # share of sudden declines in two steps


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What goes wrong besides the decline.

    Attributes
    ----------
    outliers : float
        Share of chunks thrown off by 4 to 12 standard errors, to either side.
    understated : float
        True standard deviation over the standard error that is told.
    autocorrelation : float
        Of the errors, at a lag of one chunk.
    missing : float
        Share of chunks that are not there.
    irregular : bool
        Whether chunks come at irregular times.
    """

    outliers: float = 0.0
    understated: float = 1.0
    autocorrelation: float = 0.0
    missing: float = 0.0
    irregular: bool = False


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series and the truth about it; changes as indices into the series."""

    kind: str
    values: Floats
    standard_errors: Floats
    times: Floats
    n_reference: int
    onset: int | None = None
    end: int | None = None
    period: float | None = None  # in units of `times`


NO_TROUBLE = Trouble()
TROUBLES = {
    "2 % outliers": Trouble(outliers=0.02),
    "standard errors understated by 1.3": Trouble(understated=1.3),
    "autocorrelation .3": Trouble(autocorrelation=0.3),
    "20 % missing": Trouble(missing=0.2),
    "irregular times": Trouble(irregular=True),
    "all of these together": Trouble(
        outliers=0.02,
        understated=1.3,
        autocorrelation=0.3,
        missing=0.2,
        irregular=True,
    ),
    "autocorrelation .5": Trouble(autocorrelation=0.5),
}


def draw_series(
    rng: np.random.Generator,
    kind: str,
    n: int,
    drop: float,
    trouble: Trouble = NO_TROUBLE,
) -> Series:
    """Return a series of ``n`` analysis chunks after 8 to 20 reference chunks."""
    n_reference = int(rng.integers(8, 21))
    total = n_reference + n
    times = np.arange(total, dtype=np.float64)
    if trouble.irregular:
        times = np.cumsum(rng.gamma(4.0, 0.25, total))
    shape, truth = draw_shape(rng, kind, times, n_reference)
    level, typical = 0.8, 0.01
    errors = typical * np.exp(rng.normal(0.0, rng.uniform(0.0, 0.3), total))
    noise = _autocorrelated(rng, times, trouble.autocorrelation) * errors
    noise *= trouble.understated
    hit = rng.random(total) < trouble.outliers
    thrown = rng.choice([-1.0, 1.0], total) * rng.uniform(4.0, 12.0, total) * errors
    values = level - drop * typical * shape + noise + hit * thrown
    kept = rng.random(total) >= trouble.missing
    values[~kept] = np.nan
    return Series(
        kind=kind,
        values=values,
        standard_errors=errors,
        times=times,
        n_reference=n_reference,
        onset=truth.get("onset"),
        end=truth.get("end"),
        period=truth.get("period"),
    )


def draw_shape(
    rng: np.random.Generator, kind: str, times: Floats, n_reference: int
) -> tuple[Floats, dict]:
    """Return how far down each chunk is (0 to 1), and the truth about it."""
    total = times.size
    n = total - n_reference
    i = np.arange(total)
    shape = np.zeros(total)
    if kind == "stable":
        return shape, {}
    if kind == "training_serving_skew":
        shape[n_reference:] = 1.0
        return shape, {"onset": n_reference}
    edge = max(3, round(0.12 * n))
    if kind == "sudden":
        k = n_reference + int(rng.integers(edge, n - edge + 1))
        if rng.random() < SEVERAL_STEPS and total - k > 2 * edge:
            second = int(rng.integers(k + edge, total - edge + 1))
            first = rng.uniform(0.35, 0.65)
            return first * (i >= k) + (1.0 - first) * (i >= second), {"onset": k}
        return (i >= k) * 1.0, {"onset": k}
    if kind == "gradual":
        length = int(rng.integers(max(5, round(0.35 * n)), n + 1))
        a = n_reference - 1 + int(rng.integers(0, max(1, n - round(0.7 * length))))
        b = a + length
        end = times[b] if b < total else times[-1] + (b - total + 1)
        ramp = np.clip((times - times[a]) / (end - times[a]), 0.0, 1.0)
        bend = rng.choice(["linear", "smooth", "accelerating", "levelling off"])
        if bend == "smooth":
            ramp = ramp * ramp * (3.0 - 2.0 * ramp)
        elif bend == "accelerating":
            ramp = ramp**1.5
        elif bend == "levelling off":
            ramp = 1.0 - (1.0 - ramp) ** 1.5
        return ramp / ramp[-1], {"onset": a + 1, "end": b if b < total else None}
    if kind == "recovered":
        length = int(rng.integers(edge, max(edge, round(0.6 * n)) + 1))
        k = n_reference + int(rng.integers(2, max(3, n - length - 2)))
        shape[k : k + length] = 1.0
        return shape, {"onset": k, "end": k + length}
    assert kind == "cyclical"
    return _draw_cycle(rng, times, n_reference)


def _draw_cycle(
    rng: np.random.Generator, times: Floats, n_reference: int
) -> tuple[Floats, dict]:
    total = times.size
    n = total - n_reference
    if rng.random() < 0.2:  # back and forth at no fixed period
        shape = np.zeros(total)
        longest = max(3, n // 5)
        chunk, down = n_reference + int(rng.integers(1, longest)), True
        while chunk < total:
            length = int(rng.integers(2, longest + 1))
            shape[chunk : chunk + length] = down
            chunk, down = chunk + length, not down
        if np.abs(np.diff(shape)).sum() >= 3:
            return shape, {}
    span = times[-1] - times[n_reference]
    period = float(np.exp(rng.uniform(np.log(4.0), np.log(span / 2.2))))
    phase = 2.0 * np.pi * (times / period + rng.random())
    form = rng.choice(["sine", "sine", "square", "skewed"])
    if form == "sine":
        shape = 0.5 - 0.5 * np.cos(phase)
    elif form == "square":
        shape = (np.cos(phase) < 0) * 1.0
    else:
        wave = np.sin(phase + 0.5 * np.sin(phase))
        shape = 0.5 - 0.5 * wave
    # A season of which the reference shows a whole period is no decline: such a one
    # starts with production, as half of the longer ones do.
    is_shown = period <= times[n_reference - 1] - times[0] + 1.0
    if rng.random() < 0.5 or is_shown:
        shape[:n_reference] = 0.0
    return shape, {"period": period}


def _autocorrelated(rng: np.random.Generator, times: Floats, rho: float) -> Floats:
    """Return standard normal noise whose autocorrelation at a unit of time is rho."""
    white = rng.normal(size=times.size)
    if rho == 0.0:
        return white
    noise = white.copy()
    for i in range(1, times.size):
        r = rho ** (times[i] - times[i - 1])
        noise[i] = r * noise[i - 1] + np.sqrt(1.0 - r * r) * white[i]
    return noise
