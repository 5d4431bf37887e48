"""From the sums over a chunk's soft labels to metrics, their variances and reasons.

Metrics of the confusion matrix are means of ratios of two linear forms in its expected
cells ``(tn, fp, fn, tp)``: value, label influence, second-order correction and sampling
variance follow from the two forms alone. Losses are means over rows. The kernel itself
finishes what needs ranks.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from estimator._kernels.soft_label_sums import N_CHANNELS
from estimator.metrics.registry import Metric

Floats = NDArray[np.float64]

# A metric that has no value under this share of the possible label draws gets none:
# the number would describe the draws that happen to have one.
MAX_CHANCE_UNDEFINED = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Metrics on each chunk, with what their intervals are made of.

    Attributes
    ----------
    value : ndarray of shape (n_chunks, n_metrics)
        Expected metric, second-order correction included; NaN where it is undefined.
    label_variance : ndarray of shape (n_chunks, n_metrics)
        V_lab: variance of the metric over the labels not yet known.
    sampling_variance : ndarray of shape (n_chunks, n_metrics)
        V_pop: variance of the value around the metric of the chunk's population.
    channels : ndarray of shape (n_chunks, n_metrics, n_channels)
        Weights of the kernel's channels in the metric's response to a shift of the
        calibration map.
    """

    value: Floats
    label_variance: Floats
    sampling_variance: Floats
    channels: Floats


def compute_moments(metrics: tuple[Metric, ...], sums: Floats) -> Moments:
    """Read metrics off the kernel's ``sums``, of shape (n_chunks, n_sums)."""
    shape = len(sums), len(metrics)
    out = Moments(
        value=np.empty(shape),
        label_variance=np.empty(shape),
        sampling_variance=np.empty(shape),
        channels=np.zeros((*shape, N_CHANNELS)),
    )
    n = _or_nan(sums[:, 0] + sums[:, 1])
    _read_ratios(metrics, sums, n, out)
    for k, metric in enumerate(metrics):
        metric_sums = sums[:, metric.column : metric.column + 4].T
        if metric.ratios:
            continue
        if metric.is_loss:
            total, squares, label = metric_sums[:3]
            out.value[:, k] = total / n
            out.label_variance[:, k] = label / n**2
            spread = squares / n - (total / n) ** 2
            out.sampling_variance[:, k] = np.maximum(spread, 0.0) / n
            out.channels[:, k, metric.channel] = 1.0 / n
        else:
            value, correction, label, sampling = metric_sums
            out.value[:, k] = value + correction
            out.label_variance[:, k] = label
            out.sampling_variance[:, k] = sampling
            out.channels[:, k, metric.channel] = 1.0
    return out


def _read_ratios(
    metrics: tuple[Metric, ...], sums: Floats, n: Floats, out: Moments
) -> None:
    """Fill in the metrics of the confusion matrix, all their ratios at once.

    Axes are decisions, ratios, chunks; a row's influence depends on its decision only.
    Method.md, equations 2 to 4, 12 and 13.
    """
    form = _ratio_form(metrics)
    if not form.columns.size:
        return
    rows, soft, unknown = sums[:, :6].T.reshape(3, 2, 1, -1)
    total = _or_nan((form.b_rise * soft + form.b_0 * rows).sum(axis=0))
    ratio = (form.a_rise * soft + form.a_0 * rows).sum(axis=0) / total
    h = (form.a_rise - ratio * form.b_rise) / total
    correction = -(unknown * h * form.b_rise).sum(axis=0) / total
    level = (form.a_0 - ratio * form.b_0) / total  # psi / n = h z + level

    def mean(of_ratios: Floats) -> Floats:
        means: Floats = np.add.reduceat(of_ratios * form.weight, form.first, axis=-2)
        return means

    h, level = mean(h), mean(level)
    psi_squared = (
        h * h * (soft - unknown) + 2.0 * h * level * soft + level * level * rows
    )
    scale = np.where(form.extensive, n, 1.0)
    columns = form.columns
    out.value[:, columns] = (mean(ratio + correction) * scale).T
    out.label_variance[:, columns] = ((unknown * h * h).sum(axis=0) * scale**2).T
    # The mean of psi is 0 by construction; rounding may leave less than nothing.
    sampling = np.maximum(psi_squared.sum(axis=0), 0.0)
    out.sampling_variance[:, columns] = (sampling * scale**2).T
    out.channels[:, columns, 0:2] = (h * scale).T


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _RatioForm:
    """All ratios of some metrics as arrays of shape (2 decisions, n_ratios, 1).

    A row adds ``a_0`` to the numerator, and ``a_rise`` more if its label is 1; ``b`` is
    the denominator. Ratios ``first[j]`` up to the next belong to metric ``columns[j]``.
    """

    a_0: Floats
    a_rise: Floats
    b_0: Floats
    b_rise: Floats
    weight: Floats
    first: NDArray[np.int64]
    columns: NDArray[np.int64]
    extensive: NDArray[np.bool_]


@lru_cache(maxsize=32)
def _ratio_form(metrics: tuple[Metric, ...]) -> _RatioForm:
    columns = [k for k, metric in enumerate(metrics) if metric.ratios]
    counts = np.array([len(metrics[k].ratios) for k in columns], dtype=np.int64)
    cells = np.array([ratio for k in columns for ratio in metrics[k].ratios])
    # (tn, fp) are the cells of y = 0 by decision, (fn, tp) those of y = 1.
    by_label = cells.reshape(-1, 2, 2, 2, 1).transpose(2, 1, 3, 0, 4)
    (a_0, b_0), (a_1, b_1) = by_label.astype(np.float64)
    return _RatioForm(
        a_0=a_0,
        a_rise=a_1 - a_0,
        b_0=b_0,
        b_rise=b_1 - b_0,
        weight=np.repeat(1.0 / counts, counts)[:, None],
        first=np.cumsum(counts) - counts,
        columns=np.array(columns, dtype=np.int64),
        extensive=np.array([[metrics[k].extensive] for k in columns], dtype=np.bool_),
    )


def _or_nan(denominator: Floats) -> Floats:
    """Turn an empty denominator into NaN: the metric is undefined, not infinite."""
    return np.where(denominator > 0.0, denominator, np.nan)


def undefined_reasons(
    metrics: tuple[Metric, ...], sums: Floats, moments: Moments
) -> NDArray[np.object_]:
    """Say why a metric has no defensible value on a chunk, "" where it has one.

    Undefined is a metric without its denominator, one that would be without it in more
    than ``MAX_CHANCE_UNDEFINED`` of the label draws, and one that no unknown label can
    move (recall, where nothing is predicted positive): its interval would have width
    zero. Method.md, equation 11.
    """
    reasons = np.full(moments.value.shape, "", dtype=object)
    n, predicted = sums[:, 0] + sums[:, 1], sums[:, 1]
    positives = sums[:, 2] + sums[:, 3]
    unknown = sums[:, 4] + sums[:, 5] > 0.0
    few_positives = sums[:, 20] > MAX_CHANCE_UNDEFINED
    few_negatives = sums[:, 21] > MAX_CHANCE_UNDEFINED
    stuck = (moments.label_variance == 0.0) & unknown[:, None]
    suspect = np.isnan(moments.value) | stuck
    suspect |= ((n == 0) | few_positives | few_negatives)[:, None]
    for k in np.flatnonzero(suspect.any(axis=0)).tolist():
        metric = metrics[k]
        cases = [("no rows", n == 0)]
        if metric.needs == "predicted positives":
            cases.append(("no predicted positives", predicted == 0))
        for needs, few, certain, count in (
            ("positives", few_positives, sums[:, 20] == 1.0, positives),
            ("negatives", few_negatives, sums[:, 21] == 1.0, n - positives),
        ):
            if metric.needs in (needs, "both classes"):
                cases.append((f"no {needs}", certain))
                cases += [
                    (
                        f"too few expected {needs} ({count[c]:.1f}): there may be none",
                        np.arange(len(n)) == c,
                    )
                    for c in np.flatnonzero(few & ~certain).tolist()
                ]
        if metric.needs != "rows":
            cases += [
                ("no predicted positives", stuck[:, k] & (predicted == 0)),
                ("no predicted negatives", stuck[:, k] & (predicted == n)),
                ("no label can move it", stuck[:, k]),
            ]
        cases.append(("no denominator", np.isnan(moments.value[:, k])))
        for reason, where in reversed(cases):  # the first that holds is the reason
            reasons[where, k] = reason
    return reasons
