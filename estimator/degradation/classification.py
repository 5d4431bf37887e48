"""What kind of decline a series of chunk values shows, and how sure that is."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from estimator._kernels.step_fits import log_total
from estimator.degradation.kinds import KINDS
from estimator.degradation.series import Series, read_series
from estimator.degradation.shapes.candidates import fit_shapes
from estimator.degradation.shapes.fitted_shapes import Fits
from estimator.degradation.shapes.onset_and_size import (
    OnsetAndSize,
    fitted_values,
    locate,
)
from estimator.degradation.shapes.whitening import SETTINGS as NOISE
from estimator.degradation.shapes.whitening import WhitenedSeries, whiten
from estimator.degradation.verdict import Degradation

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSettings:
    """Probabilities of the kinds before the series is seen; judgements, both.

    Attributes
    ----------
    stable : float
        Probability of no decline: most series are stable. The kinds of decline share
        the rest evenly, for none is likelier than another. With more, there are fewer
        false alarms, and declines are named later.
    rise_share : float
        Prior of a shape upwards, an improvement, over that of the same shape downwards.
        With more, a rise explains more of what else would be a decline.
    """

    stable: float = 0.7
    rise_share: float = 0.3

    @property
    def decline(self) -> float:
        """Probability of each kind of decline."""
        return (1.0 - self.stable) / (len(KINDS) - 1)

    @property
    def rise(self) -> float:
        """Prior of the shapes of each kind of decline, upwards."""
        return self.rise_share * self.decline


SETTINGS: Final = PriorSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Evidence:
    """What a series says of each kind: logarithms of prior times evidence.

    Attributes
    ----------
    log_kinds : ndarray of shape (n_kinds,)
        Kinds in the order of `KINDS`; rises count as stable.
    log_flat, log_rise : float
        The two parts of stable: no change, and all shapes upwards.
    shapes : list of Fits
        All shapes downwards, under each autocorrelation.
    whitened : WhitenedSeries
        The series under the first autocorrelation, which is none.
    """

    log_kinds: Floats
    log_flat: float
    log_rise: float
    shapes: list[Fits]
    whitened: WhitenedSeries


def classify_degradation(
    values: ArrayLike,
    standard_errors: ArrayLike,
    *,
    n_reference: int,
    times: ArrayLike | None = None,
    higher_is_better: bool = True,
    shared_error: float = 0.0,
) -> Degradation:
    r"""Say what kind of decline a series of chunk values shows.

    Compares, by Bayes factors, a flat series with one that steps down (once or twice),
    goes down in a ramp, goes down for a while, goes up and down, or is lower from
    deployment on; each averaged over all places, sizes and kinds of noise. What moves
    up is an improvement, and counts as stable.

    Parameters
    ----------
    values : array-like of shape (n_chunks,)
        The metric in each chunk, in time order, the reference's chunks first. NaN where
        it is not known; such chunks are left out.
    standard_errors : array-like of shape (n_chunks,)
        Standard error of each value, in units of the metric. They may be somewhat
        wrong: the series corrects them.
    n_reference : int
        Number of chunks that are reference; 0 if none, then skew cannot be told.
    times : array-like of shape (n_chunks,), optional
        Increasing numbers or timestamps (dates and ISO text will do); default: evenly
        spaced chunks.
    higher_is_better : bool, default=True
        Whether a decline is down. For a loss it is up.
    shared_error : float, default=0.0
        Standard deviation of an error common to all analysis chunks, as that of a
        calibration: it could make all of them look worse than the reference.

    Returns
    -------
    Degradation
        The most probable kind, the probability of each, onset, end and magnitude.

    Raises
    ------
    TypeError, ValueError
        If an argument breaks its rule, or no chunk has a value and a standard error.

    Notes
    -----
    With the whitened residual sum of squares :math:`S` and :math:`\nu` degrees of
    freedom, shape :math:`\theta` of amplitude scale :math:`c` has the evidence

    .. math:: (1 + c^2 A)^{-1/2} \left(S - \frac{b^2}{A + c^{-2}}\right)^{-\nu/2}
        \times \text{second moment of the amplitude, posterior over prior},

    where :math:`A` and :math:`b` are the products of the shape with itself and with the
    series, level and shared error projected out. A common Bayes factor (Kass & Raftery
    1995, "Bayes factors", JASA 90(430)) with the moment prior of Johnson & Rossell
    (2010); cycles as in Bretthorst (1988), "Bayesian Spectrum Analysis and Parameter
    Estimation". Values that stand alone among their neighbours count less, since an
    outlier is no incident of one chunk.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> values = 0.8 + rng.normal(0, 0.01, 40)
    >>> values[24:] -= 0.05
    >>> verdict = classify_degradation(values, np.full(40, 0.01), n_reference=10)
    >>> verdict.kind, int(verdict.onset)
    ('sudden', 24)
    """
    series = read_series(
        values,
        standard_errors,
        n_reference=n_reference,
        times=times,
        higher_is_better=higher_is_better,
        shared_error=shared_error,
    )
    evidence = _weigh_kinds(series)
    probability = np.exp(evidence.log_kinds - evidence.log_kinds.max())
    probability /= probability.sum()
    log_decline = log_total(evidence.log_kinds[1:]) - np.log(1.0 - SETTINGS.stable)
    verdict = Degradation(
        kind=KINDS[int(np.argmax(probability))],
        probabilities=dict(zip(KINDS, probability.tolist(), strict=True)),
        log_bayes_factor=float(
            log_decline - evidence.log_flat + np.log(SETTINGS.stable)
        ),
        higher_is_better=bool(higher_is_better),
        n_reference=int(n_reference),
        chunks=series.chunk_times,
        values=np.array(values, dtype=np.float64),
        standard_errors=np.array(standard_errors, dtype=np.float64),
        shared_error=float(shared_error),
        fitted=fitted_values(series, evidence.whitened, np.zeros(series.y.size)),
        affected=np.zeros(series.chunk_times.size, dtype=np.bool_),
    )
    if verdict.kind != "stable":
        kind_shapes = [fits for fits in evidence.shapes if fits.kind == verdict.kind]
        return replace(verdict, **locate(verdict.kind, series, kind_shapes))
    if evidence.log_rise > evidence.log_flat:
        return replace(verdict, **_improvement(series))
    return verdict


def _weigh_kinds(series: Series) -> _Evidence:
    """Return the evidence of all shapes, averaged over the kinds of noise.

    Method.md, equation 63.
    """
    log_weights: dict[str, list[float]] = {kind: [] for kind in KINDS}
    log_rises, shapes, series_by_rho = [], [], []
    for rho, prior in NOISE.rho_prior.items():
        whitened = whiten(series, rho)
        series_by_rho.append(whitened)
        log_prior = float(np.log(SETTINGS.stable * prior))
        log_weights["stable"].append(log_prior + whitened.log_stable)
        for fits in fit_shapes(series, whitened):
            shapes.append(fits)
            log_weight = log_total(fits.log_weight)
            log_weights[fits.kind].append(log_weight + float(np.log(SETTINGS.decline)))
            log_rises.append(fits.log_rise + float(np.log(SETTINGS.rise)))
    log_flat = log_total(np.array(log_weights["stable"]))
    log_rise = log_total(np.array(log_rises))
    log_kinds = [
        np.logaddexp(log_flat, log_rise)
        if kind == "stable"
        else log_total(np.array(log_weights[kind]))
        for kind in KINDS
    ]
    return _Evidence(
        log_kinds=np.array(log_kinds),
        log_flat=log_flat,
        log_rise=log_rise,
        shapes=shapes,
        whitened=series_by_rho[0],
    )


def _improvement(series: Series) -> OnsetAndSize:
    """Return the fields of a verdict that say where the series went up, and how much.

    An improvement is located as the decline of the series upside down.
    """
    inverted = replace(series, y=-series.y, sign=-series.sign, center=-series.center)
    shapes: dict[str, list[Fits]] = {}
    for rho in NOISE.rho_prior:
        for fits in fit_shapes(inverted, whiten(inverted, rho)):
            if fits.kind != "cyclical":  # which goes down as well
                shapes.setdefault(fits.kind, []).append(fits)
    log_weights = {
        kind: log_total(np.array([log_total(fits.log_weight) for fits in kind_shapes]))
        for kind, kind_shapes in shapes.items()
    }
    kind = max(log_weights, key=lambda name: log_weights[name])
    fields = locate(kind, inverted, shapes[kind])
    unaffected = np.zeros_like(fields["affected"])
    return fields | {"improved": True, "affected": unaffected}
