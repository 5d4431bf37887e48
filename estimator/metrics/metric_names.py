"""Which metrics a user names: by the registered names, which a hint helps to find."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np

from calibration._validation import nearest_name
from estimator.metrics.registry import (
    BUSINESS_VALUE,
    CELL_NAMES,
    METRIC_NAMES,
    METRICS,
    Metric,
    sum_over_rows,
)

_LISTED_NAMES = ", ".join(METRIC_NAMES)
# Variances are squares of costs, and neither they nor their sums over rows may overflow
# or vanish.
_SMALLEST_COST, _LARGEST_COST = 1e-100, 1e100
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
        given: object = costs[cell]
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
    return sum_over_rows(
        BUSINESS_VALUE, (tn, fp, fn, tp), bounds, higher_is_better=True
    )


def _is_below(number: Any, size: float) -> bool:
    """Whether a number is smaller than that in size; NaN is not."""
    return bool(abs(number) < size)
