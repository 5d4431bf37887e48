"""The metrics: one registry, from the sums over a chunk's soft labels to numbers.

A metric is a name, its bounds, its direction and the way it is read off the sums of
:mod:`estimator._kernels.soft_label_sums`. To add one, add a line to ``METRICS``; the
contract tests pick it up by its being listed.

Metrics of the confusion matrix are means of ratios of two linear forms in its expected
cells ``(tn, fp, fn, tp)``: value, label influence, second-order correction and sampling
variance follow from the two forms alone. Losses are means over rows. The kernel itself
finishes what needs ranks.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration._validation import nearest_name
from estimator._kernels.soft_label_sums import N_CHANNELS

Floats = NDArray[np.float64]
Cells = tuple[float, float, float, float]
Ratio = tuple[Cells, Cells]
CELL_NAMES = ("tn", "fp", "fn", "tp")

# A metric that has no value under this share of the possible label draws gets none:
# the number would describe the draws that happen to have one.
MAX_CHANCE_UNDEFINED = 0.05
# Variances are squares of costs, and neither they nor their sums over rows may overflow
# or vanish.
_SMALLEST_COST, _LARGEST_COST = 1e-100, 1e100


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What the rest of the package may ask about a metric.

    Attributes
    ----------
    name : str
        scikit-learn's name where it has one.
    needs : str
        What must be in a chunk for the metric to exist: ``"both classes"``,
        ``"positives"``, ``"negatives"``, ``"predicted positives"``, ``"positives or
        predicted positives"`` or ``"rows"``.
    bounds : tuple of float
        Smallest and largest possible value.
    higher_is_better : bool or None
        None for counts, which have no good direction.
    extensive : bool
        Whether the metric grows with the number of rows: its ratios, which are means
        over rows, are then taken times n.
    ratios : tuple of (numerator, denominator)
        Of a metric of the confusion matrix: the metric is their mean.
    column, channel : int
        Else: the first of the kernel's sums for it, and its calibration channel.
    is_loss : bool
        Whether these sums are of a mean over rows.
    order_columns : tuple of int
        Of a metric that needs the order of the rows: which of the kernel's sums say how
        far below and above its value may be where the order within cells is not known.
    """

    name: str
    needs: str
    bounds: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool | None = True
    extensive: bool = False
    ratios: tuple[Ratio, ...] = ()
    column: int = -1
    channel: int = -1
    is_loss: bool = False
    order_columns: tuple[int, int] | None = None


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
        of = sums[:, metric.column : metric.column + 4].T
        if metric.ratios:
            continue
        if metric.is_loss:
            total, squares, label = of[:3]
            out.value[:, k] = total / n
            out.label_variance[:, k] = label / n**2
            spread = squares / n - (total / n) ** 2
            out.sampling_variance[:, k] = np.maximum(spread, 0.0) / n
            out.channels[:, k, metric.channel] = 1.0 / n
        else:
            value, correction, label, sampling = of
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
    of = form.columns
    out.value[:, of] = (mean(ratio + correction) * scale).T
    out.label_variance[:, of] = ((unknown * h * h).sum(axis=0) * scale**2).T
    # The mean of psi is 0 by construction; rounding may leave less than nothing.
    sampling = np.maximum(psi_squared.sum(axis=0), 0.0)
    out.sampling_variance[:, of] = (sampling * scale**2).T
    out.channels[:, of, 0:2] = (h * scale).T


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


_ALL: Cells = (1, 1, 1, 1)
_RECALL: Ratio = ((0, 0, 0, 1), (0, 0, 1, 1))
_SPECIFICITY: Ratio = ((1, 0, 0, 0), (1, 1, 0, 0))
_PRECISION: Ratio = ((0, 0, 0, 1), (0, 1, 0, 1))
_F1: Ratio = ((0, 0, 0, 2), (0, 1, 1, 2))
_ACCURACY: Ratio = ((1, 0, 0, 1), _ALL)


def _total(
    name: str,
    cells: Cells,
    bounds: tuple[float, float],
    *,
    higher_is_better: bool | None,
) -> Metric:
    """Make a sum over rows."""
    return Metric(
        name=name,
        needs="rows",
        bounds=bounds,
        higher_is_better=higher_is_better,
        extensive=True,
        ratios=((cells, _ALL),),
    )


def _count(name: str, cells: Cells) -> Metric:
    return _total(name, cells, (0.0, np.inf), higher_is_better=None)


_LISTED = (
    Metric(
        name="roc_auc",
        needs="both classes",
        column=6,
        channel=2,
        order_columns=(23, 23),
    ),
    Metric(
        name="average_precision",
        needs="positives",
        column=10,
        channel=3,
        order_columns=(24, 25),
    ),
    Metric(name="accuracy", needs="rows", ratios=(_ACCURACY,)),
    Metric(name="f1", needs="positives or predicted positives", ratios=(_F1,)),
    Metric(name="precision", needs="predicted positives", ratios=(_PRECISION,)),
    Metric(name="recall", needs="positives", ratios=(_RECALL,)),
    Metric(name="specificity", needs="negatives", ratios=(_SPECIFICITY,)),
    Metric(
        name="balanced_accuracy",
        needs="both classes",
        ratios=(_RECALL, _SPECIFICITY),
    ),
    Metric(
        name="brier_score",
        needs="rows",
        higher_is_better=False,
        column=14,
        channel=4,
        is_loss=True,
    ),
    Metric(
        name="log_loss",
        needs="rows",
        bounds=(0.0, np.inf),
        higher_is_better=False,
        column=17,
        channel=5,
        is_loss=True,
    ),
    _count("tn", (1, 0, 0, 0)),
    _count("fp", (0, 1, 0, 0)),
    _count("fn", (0, 0, 1, 0)),
    _count("tp", (0, 0, 0, 1)),
)
METRICS: Mapping[str, Metric] = MappingProxyType({m.name: m for m in _LISTED})
BUSINESS_VALUE = "business_value"
METRIC_NAMES = (*METRICS, BUSINESS_VALUE)
_LISTED_NAMES = ", ".join(METRIC_NAMES)
# What scikit-learn, other libraries and other fields call them; "" is a metric that is
# not computed here, of which the nearest spelling would be another metric.
METRIC_SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("auc", "auroc", "roc", "rocauc", "roc_auc_score", "area_under_roc"),
            "roc_auc",
        ),
        **dict.fromkeys(
            ("c_statistic", "c_index", "concordance", "auc_roc"), "roc_auc"
        ),
        **dict.fromkeys(
            ("ap", "aucpr", "auc_pr", "auprc", "prauc", "pr_auc", "map"),
            "average_precision",
        ),
        "average_precision_score": "average_precision",
        **dict.fromkeys(("acc", "accuracy_score"), "accuracy"),
        **dict.fromkeys(
            ("f1_score", "f1score", "f_1", "f_score", "f_measure", "dice"), "f1"
        ),
        **dict.fromkeys(
            ("precision_score", "ppv", "positive_predictive_value"), "precision"
        ),
        **dict.fromkeys(
            ("recall_score", "sensitivity", "tpr", "true_positive_rate", "hit_rate"),
            "recall",
        ),
        **dict.fromkeys(
            ("specificity_score", "tnr", "true_negative_rate", "selectivity"),
            "specificity",
        ),
        **dict.fromkeys(
            ("balanced_accuracy_score", "bacc", "bal_acc"), "balanced_accuracy"
        ),
        **dict.fromkeys(
            ("brier", "brier_loss", "brier_score_loss", "mse", "mean_squared_error"),
            "brier_score",
        ),
        "neg_brier_score": "brier_score",
        **dict.fromkeys(
            ("logloss", "cross_entropy", "binary_cross_entropy", "bce", "nll"),
            "log_loss",
        ),
        **dict.fromkeys(("deviance", "neg_log_loss"), "log_loss"),
        **dict.fromkeys(("true_negatives", "true_negative"), "tn"),
        **dict.fromkeys(("false_positives", "false_positive"), "fp"),
        **dict.fromkeys(("false_negatives", "false_negative"), "fn"),
        **dict.fromkeys(("true_positives", "true_positive"), "tp"),
        **dict.fromkeys(
            ("cost", "profit", "business", "business_cost", "expected_cost"),
            BUSINESS_VALUE,
        ),
        **dict.fromkeys(
            ("fpr", "fnr", "fdr", "npv", "mcc", "kappa", "gini", "ks", "rmse"), ""
        ),
        **dict.fromkeys(("false_positive_rate", "false_negative_rate"), ""),
        **dict.fromkeys(("matthews_corrcoef", "cohen_kappa_score", "fbeta"), ""),
        **dict.fromkeys(("r2", "r2_score", "mae", "jaccard", "jaccard_score"), ""),
    }
)


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
    TypeError
        If the names are neither a text nor a list of texts, or the costs no mapping.
    ValueError
        If a name is unknown or comes twice, or the costs are missing or incomplete.
    """
    rule = f"`metrics` must be a name, or a list of names, out of {_LISTED_NAMES}"
    if isinstance(names, str):
        names = (names,)
    elif isinstance(names, Mapping | Set | Iterator) or not isinstance(names, Iterable):
        msg = f'{rule}; got {names!r}. For example: ["roc_auc", "accuracy"].'
        raise TypeError(msg)
    names = tuple(names)
    other = [name for name in names if not isinstance(name, str)]
    if other:
        msg = f'{rule}; got {other[0]!r} in it. For example: ["roc_auc", "accuracy"].'
        raise TypeError(msg)
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
                f"`metrics` must be names out of {_LISTED_NAMES}; got {name!r}."
                f"{nearest_name(name, METRIC_NAMES, METRIC_SYNONYMS)}"
            )
            raise ValueError(msg)
    return tuple(metrics)


def _business_value(costs: Mapping[str, float] | None) -> Metric:
    example = 'business_costs={"tn": 0, "fp": -5, "fn": -100, "tp": 20}'
    if costs is None:
        msg = f"`business_costs` is needed by the metric business_value: {example}."
        raise ValueError(msg)
    if not isinstance(costs, Mapping):
        msg = (
            "`business_costs` must be a mapping of the cells tn, fp, fn and tp to "
            f"numbers, got {costs!r}. For example: {example}."
        )
        raise TypeError(msg)
    if set(costs) != set(CELL_NAMES):
        msg = (
            "`business_costs` must have exactly the keys tn, fp, fn and tp, got "
            f"{sorted(map(str, costs))}. For example: {example}."
        )
        raise ValueError(msg)
    for cell in CELL_NAMES:
        given: Any = costs[cell]
        # NumPy compares its own numbers in their type, where 1e100 may not exist.
        number = given.item() if isinstance(given, np.generic) else given
        if not isinstance(number, Real) or not _is_below(number, np.inf):
            msg = (
                f"`business_costs` must be finite numbers, got {cell}={given!r}. "
                f"For example: {example}."
            )
            raise ValueError(msg)
        if number != 0 and (
            _is_below(number, _SMALLEST_COST) or not _is_below(number, _LARGEST_COST)
        ):
            msg = (
                "`business_costs` must be 0 or between 1e-100 and 1e100 in size, whose "
                f"squares are still numbers, but {cell} is not. Count in another unit "
                "of money."
            )
            raise ValueError(msg)
    tn, fp, fn, tp = (float(costs[cell]) for cell in CELL_NAMES)
    bounds = -np.inf, np.inf
    return _total(BUSINESS_VALUE, (tn, fp, fn, tp), bounds, higher_is_better=True)


def _is_below(number: Any, size: float) -> bool:
    """Whether a number is smaller than that in size; NaN is not."""
    return bool(abs(number) < size)


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
