"""The metrics: one registry, from the sums over a chunk's soft labels to numbers.

A metric is a name, its bounds, its direction and the way it is read off the sums of
:mod:`estimator._kernels.soft_label_sums`. To add one, add a line to ``METRICS``; the
contract tests pick it up by its being listed.

Metrics of the confusion matrix are means of ratios of two linear forms in its expected
cells ``(tn, fp, fn, tp)``: then value, label influence, second-order correction and
sampling variance follow from the two forms alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from calibration._validation import nearest_name
from estimator._kernels.soft_label_sums import N_CHANNELS

Floats = NDArray[np.float64]
Cells = tuple[float, float, float, float]
CELL_NAMES = ("tn", "fp", "fn", "tp")

# A metric that has no value under this share of the possible label draws gets none:
# the number would describe the draws that happen to have one.
MAX_CHANCE_UNDEFINED = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """A metric on each chunk, with what its intervals are made of.

    Attributes
    ----------
    value : ndarray of shape (n_chunks,)
        Expected metric, second-order correction included; NaN where it is undefined.
    label_variance : ndarray of shape (n_chunks,)
        V_lab: variance of the metric over the labels not yet known.
    sampling_variance : ndarray of shape (n_chunks,)
        V_pop: variance of the value around the metric of the chunk's population.
    channels : ndarray of shape (n_chunks, n_channels)
        Weights of the kernel's channels in the metric's response to a shift of the
        calibration map.
    """

    value: Floats
    label_variance: Floats
    sampling_variance: Floats
    channels: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What the rest of the package may ask about a metric.

    Attributes
    ----------
    name : str
        scikit-learn's name where it has one.
    bounds : tuple of float
        Smallest and largest possible value.
    higher_is_better : bool or None
        None for counts, which have no good direction.
    extensive : bool
        Whether the metric grows with the number of rows (counts, business value).
    needs : str
        What must be in a chunk for the metric to exist: ``"both classes"``,
        ``"positives"``, ``"negatives"``, ``"predicted positives"``,
        ``"positives or predicted positives"`` or ``"rows"``.
    moments : callable
        From the kernel's ``sums`` to :class:`Moments`.
    """

    name: str
    bounds: tuple[float, float]
    higher_is_better: bool | None
    extensive: bool
    needs: str
    moments: Callable[[Floats], Moments]


def _ranking(column: int, channel: int) -> Callable[[Floats], Moments]:
    """Read a metric that the kernel finishes itself (ROC AUC, average precision)."""

    def moments(sums: Floats) -> Moments:
        channels = np.zeros((len(sums), N_CHANNELS))
        channels[:, channel] = 1.0
        return Moments(
            value=sums[:, column] + sums[:, column + 1],
            label_variance=sums[:, column + 2],
            sampling_variance=sums[:, column + 3],
            channels=channels,
        )

    return moments


def _mean_loss(column: int, channel: int) -> Callable[[Floats], Moments]:
    """Read a loss that is a mean over rows (Brier, log loss)."""

    def moments(sums: Floats) -> Moments:
        n = _or_nan(sums[:, 0] + sums[:, 1])
        value = sums[:, column] / n
        channels = np.zeros((len(sums), N_CHANNELS))
        channels[:, channel] = 1.0 / n
        return Moments(
            value=value,
            label_variance=sums[:, column + 2] / n**2,
            sampling_variance=np.maximum(sums[:, column + 1] / n - value**2, 0.0) / n,
            channels=channels,
        )

    return moments


def _ratios(*terms: tuple[Cells, Cells]) -> Callable[[Floats], Moments]:
    """Read the mean of ratios (numerator, denominator) of expected cells."""

    def moments(sums: Floats) -> Moments:
        rows = sums[:, 0:2]
        soft = sums[:, 2:4]
        soft_squared = sums[:, 4:6]
        n = _or_nan(rows.sum(axis=1))[:, None]
        value = np.zeros(len(sums))
        correction = np.zeros(len(sums))
        slope = np.zeros_like(rows)  # h: the same for all rows of one decision
        level = np.zeros_like(rows)  # psi = n · slope · z + level
        for numerator, denominator in terms:
            a_0, a_1 = _by_decision(numerator)
            b_0, b_1 = _by_decision(denominator)
            total = ((b_1 - b_0) * soft + b_0 * rows).sum(axis=1)[:, None]
            total = _or_nan(total)
            ratio = ((a_1 - a_0) * soft + a_0 * rows).sum(axis=1)[:, None] / total
            h = ((a_1 - a_0) - ratio * (b_1 - b_0)) / total
            value += ratio[:, 0]
            correction -= ((soft - soft_squared) * h * (b_1 - b_0) / total).sum(axis=1)
            slope += h
            level += n * (a_0 - ratio * b_0) / total
        k = len(terms)
        slope, level = slope / k, level / k
        psi_squared = (
            (n * slope) ** 2 * soft_squared
            + 2.0 * n * slope * level * soft
            + level**2 * rows
        )
        channels = np.zeros((len(sums), N_CHANNELS))
        channels[:, 0:2] = slope
        return Moments(
            value=(value + correction) / k,
            label_variance=((soft - soft_squared) * slope**2).sum(axis=1),
            # The mean of psi is 0 by construction.
            sampling_variance=np.maximum(psi_squared.sum(axis=1), 0.0) / n[:, 0] ** 2,
            channels=channels,
        )

    return moments


def _total(cells: Cells) -> Callable[[Floats], Moments]:
    """Read a sum over rows: its mean (a ratio to all rows) times their number."""
    mean = _ratios((cells, (1.0, 1.0, 1.0, 1.0)))

    def moments(sums: Floats) -> Moments:
        n = sums[:, 0] + sums[:, 1]
        per_row = mean(sums)
        return Moments(
            value=np.where(n > 0, per_row.value * n, 0.0),
            label_variance=np.where(n > 0, per_row.label_variance * n**2, 0.0),
            sampling_variance=np.where(n > 0, per_row.sampling_variance * n**2, 0.0),
            channels=np.where(n[:, None] > 0, per_row.channels * n[:, None], 0.0),
        )

    return moments


def _by_decision(cells: Cells) -> tuple[Floats, Floats]:
    """Split cells (tn, fp, fn, tp) into those of y = 0 and y = 1, by decision 0, 1."""
    tn, fp, fn, tp = cells
    return np.array([tn, fp]), np.array([fn, tp])


def _or_nan(denominator: Floats) -> Floats:
    """Turn an empty denominator into NaN: the metric is undefined, not infinite."""
    return np.where(denominator > 0.0, denominator, np.nan)


_RECALL: tuple[Cells, Cells] = ((0, 0, 0, 1), (0, 0, 1, 1))
_SPECIFICITY: tuple[Cells, Cells] = ((1, 0, 0, 0), (1, 1, 0, 0))
_PRECISION: tuple[Cells, Cells] = ((0, 0, 0, 1), (0, 1, 0, 1))
_F1: tuple[Cells, Cells] = ((0, 0, 0, 2), (0, 1, 1, 2))
_ACCURACY: tuple[Cells, Cells] = ((1, 0, 0, 1), (1, 1, 1, 1))


def _metric(
    name: str,
    needs: str,
    moments: Callable[[Floats], Moments],
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    higher_is_better: bool | None = True,
    extensive: bool = False,
) -> tuple[str, Metric]:
    metric = Metric(
        name=name,
        bounds=bounds,
        higher_is_better=higher_is_better,
        extensive=extensive,
        needs=needs,
        moments=moments,
    )
    return name, metric


def _count(name: str, cells: Cells) -> tuple[str, Metric]:
    return _metric(
        name,
        "rows",
        _total(cells),
        bounds=(0.0, np.inf),
        higher_is_better=None,
        extensive=True,
    )


METRICS: Mapping[str, Metric] = MappingProxyType(
    dict(
        (
            _metric("roc_auc", "both classes", _ranking(6, 2)),
            _metric("average_precision", "positives", _ranking(10, 3)),
            _metric("accuracy", "rows", _ratios(_ACCURACY)),
            _metric("f1", "positives or predicted positives", _ratios(_F1)),
            _metric("precision", "predicted positives", _ratios(_PRECISION)),
            _metric("recall", "positives", _ratios(_RECALL)),
            _metric("specificity", "negatives", _ratios(_SPECIFICITY)),
            _metric(
                "balanced_accuracy", "both classes", _ratios(_RECALL, _SPECIFICITY)
            ),
            _metric("brier_score", "rows", _mean_loss(14, 4), higher_is_better=False),
            _metric(
                "log_loss",
                "rows",
                _mean_loss(17, 5),
                bounds=(0.0, np.inf),
                higher_is_better=False,
            ),
            _count("tn", (1, 0, 0, 0)),
            _count("fp", (0, 1, 0, 0)),
            _count("fn", (0, 0, 1, 0)),
            _count("tp", (0, 0, 0, 1)),
        )
    )
)
BUSINESS_VALUE = "business_value"
METRIC_NAMES = (*METRICS, BUSINESS_VALUE)


def resolve_metrics(
    names: str | Sequence[str], business_costs: Mapping[str, float] | None
) -> tuple[Metric, ...]:
    """Return the metrics called ``names``.

    Parameters
    ----------
    names : str or sequence of str
        Registered names, or ``"business_value"``.
    business_costs : mapping of str to float, or None
        What one row is worth in each cell ``tn``, ``fp``, ``fn``, ``tp``; a cost is
        negative. Needed by ``"business_value"``, the sum over the chunk's rows.

    Raises
    ------
    ValueError
        If a name is unknown or comes twice, or the costs are missing or incomplete.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    if not names:
        msg = "`metrics` must name at least one metric, got none."
        raise ValueError(msg)
    doubled = [name for i, name in enumerate(names) if name in names[:i]]
    if doubled:
        msg = f"`metrics` must be distinct, but {doubled[0]!r} comes twice."
        raise ValueError(msg)
    metrics = []
    for name in names:
        if name == BUSINESS_VALUE:
            metrics.append(_business_value(business_costs))
        elif name in METRICS:
            metrics.append(METRICS[name])
        else:
            msg = (
                f"`metrics` must be names out of {', '.join(METRIC_NAMES)}; got "
                f"{name!r}.{nearest_name(name, METRIC_NAMES)}"
            )
            raise ValueError(msg)
    return tuple(metrics)


def _business_value(costs: Mapping[str, float] | None) -> Metric:
    example = 'business_costs={"tn": 0, "fp": -5, "fn": -100, "tp": 20}'
    if costs is None:
        msg = f"`business_costs` is needed by the metric business_value: {example}."
        raise ValueError(msg)
    if set(costs) != set(CELL_NAMES):
        msg = (
            "`business_costs` must have exactly the keys tn, fp, fn and tp, got "
            f"{sorted(map(str, costs))}. For example: {example}."
        )
        raise ValueError(msg)
    for cell in CELL_NAMES:
        if not np.isfinite(costs[cell]):
            msg = (
                f"`business_costs` must be finite numbers, got {cell}={costs[cell]}. "
                f"For example: {example}."
            )
            raise ValueError(msg)
    tn, fp, fn, tp = (float(costs[cell]) for cell in CELL_NAMES)
    _, metric = _metric(
        BUSINESS_VALUE,
        "rows",
        _total((tn, fp, fn, tp)),
        bounds=(-np.inf, np.inf),
        extensive=True,
    )
    return metric


def undefined_reasons(
    metric: Metric, sums: Floats, moments: Moments
) -> NDArray[np.object_]:
    """Say why ``metric`` has no defensible value on a chunk, "" where it has one.

    Undefined is a metric without its denominator, one that would be without it in more
    than ``MAX_CHANCE_UNDEFINED`` of the label draws, and one that no unknown label can
    move (recall, where nothing is predicted positive): its interval would have width
    zero.
    """
    reasons = np.full(len(sums), "", dtype=object)
    rows = sums[:, 0] + sums[:, 1]
    positives = sums[:, 2] + sums[:, 3]
    unknown = (positives - (sums[:, 4] + sums[:, 5])) > 0.0
    no_positive, no_negative = sums[:, 20], sums[:, 21]

    def give(reason: str, where: NDArray[np.bool_]) -> None:
        reasons[where & (reasons == "")] = reason

    give("no rows", rows == 0)
    if metric.needs == "rows":
        return reasons
    if metric.needs == "predicted positives":
        give("no predicted positives", sums[:, 1] == 0)
    for needs, chance, kind, count in (
        ("positives", no_positive, "positives", positives),
        ("negatives", no_negative, "negatives", rows - positives),
    ):
        if metric.needs in (needs, "both classes"):
            give(f"no {kind}", chance == 1.0)
            few = chance > MAX_CHANCE_UNDEFINED
            for i in np.flatnonzero(few & (reasons == "")):
                reasons[i] = (
                    f"too few expected {kind} ({count[i]:.1f}): it has no value in "
                    f"{chance[i]:.0%} of the possible outcomes"
                )
    if not metric.extensive:
        stuck = unknown & (moments.label_variance == 0.0)
        give("no predicted positives", stuck & (sums[:, 1] == 0))
        give("no predicted negatives", stuck & (sums[:, 0] == 0))
        give("no label can move it", stuck)
    give("no denominator", np.isnan(moments.value))
    return reasons
