"""Arguments of the estimator: their rules, copies, and what JSON keeps of them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from calibration import make_calibrator
from calibration._validation import nearest_name
from estimator.chunking.chunks import check_chunk
from estimator.frames.column_names import (
    column_names,
    is_column_name,
    name_from_json,
    name_to_json,
)
from estimator.metrics.metric_names import resolve_metrics
from estimator.metrics.registry import Metric
from estimator.results.thresholds import ThresholdSpec, check_thresholds

Parameters = Mapping[str, Any]
METHODS = ("auto", "cbpe", "feature_aware", "pape")
# What other libraries and papers call them.
_METHOD_SYNONYMS: Final = MappingProxyType(
    {
        "confidence_based": "cbpe",
        "confidence_based_performance_estimation": "cbpe",
        "m_cbpe": "pape",
        "iw": "pape",
        "importance_weighting": "pape",
        "multicalibration": "feature_aware",
        "features": "feature_aware",
        "default": "auto",
        "none": "auto",
    }
)
COLUMN_ROLES: Final = ("timestamp", "y_pred_proba", "y_pred", "y_true", "labeled_at")


def check_parameters(
    parameters: Parameters,
) -> tuple[tuple[Metric, ...], dict[str, ThresholdSpec]]:
    """Refuse what is wrong whatever the data.

    Parameters
    ----------
    parameters : mapping of str to object
        Arguments of the constructor of `PerformanceEstimator`, by name.

    Returns
    -------
    metrics : tuple of Metric
    thresholds : dict of tuple by name of the metric

    Raises
    ------
    TypeError, ValueError
        If a parameter breaks its rule.
    """
    _check_columns(parameters)
    _check_method(parameters)
    _check_features(parameters)
    _check_numbers(parameters)
    has_timestamp = parameters["timestamp"] is not None
    check_chunk(parameters["chunk"], has_timestamp=has_timestamp)
    calibrator = parameters["calibrator"]
    if not isinstance(calibrator, str) or calibrator != "select":
        make_calibrator(calibrator)
    metrics = resolve_metrics(parameters["metrics"], parameters["business_costs"])
    return metrics, check_thresholds(parameters["thresholds"], metrics)


def _check_columns(parameters: Parameters) -> None:
    """Refuse what cannot be the name of a column, or several."""
    for role in COLUMN_ROLES:
        name = parameters[role]
        needed = role in ("y_pred_proba", "y_true")
        if (name is None and needed) or not is_column_name(name):
            rule = "the name of a column" + ("" if needed else " or None")
            msg = f"`{role}` must be {rule}, got {name!r}. Name a column."
            raise TypeError(msg)
    for role in ("segments", "features"):
        names = parameters[role]
        if isinstance(names, (Set, Iterator)):
            msg = (
                f"`{role}` must be a list of column names, whose order stays, got "
                f"a {type(names).__name__}. Pass a list."
            )
            raise TypeError(msg)
        wrong = [n for n in column_names(names) if n is None or not is_column_name(n)]
        if wrong:
            msg = (
                f"`{role}` must be names of columns, got {wrong[0]!r} among them. "
                "Name columns of the frame."
            )
            raise TypeError(msg)


def _check_method(parameters: Parameters) -> None:
    method = parameters["method"]
    if not isinstance(method, str) or method not in METHODS:
        *others, last = (f'"{name}"' for name in METHODS)
        msg = (
            f"`method` must be {', '.join(others)} or {last}, got {method!r}."
            f"{nearest_name(method, METHODS, _METHOD_SYNONYMS)}"
        )
        raise ValueError(msg)
    if method in ("feature_aware", "pape") and not column_names(parameters["features"]):
        msg = (
            f'`features` must name columns for method="{method}", got none. '
            'Name what the model reads, or take method="auto", which does without.'
        )
        raise ValueError(msg)


def _check_features(parameters: Parameters) -> None:
    names = column_names(parameters["features"])
    for column, role in (
        (parameters["y_true"], "the label"),
        (parameters["labeled_at"], "when the label came"),
        (parameters["timestamp"], "the time"),
    ):
        if column is not None and column in names:
            msg = (
                f"`features` must be known when a row is scored and not tell its "
                f"time, but {column!r} is {role}. Leave it out."
            )
            raise ValueError(msg)
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        msg = f"`features` must name each column once, but {twice[0]!r} comes twice."
        raise ValueError(msg)


def _check_numbers(parameters: Parameters) -> None:
    seed = parameters["random_state"]
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
        msg = (
            f"`random_state` must be a whole number from 0 on, got {seed!r}: results "
            "must not differ from night to night."
        )
        raise ValueError(msg)
    level, threshold = parameters["level"], parameters["decision_threshold"]
    for name, value, bounds, inside in (
        ("level", level, "(0, 1)", _is_number(level) and 0.0 < level < 1.0),
        (
            "decision_threshold",
            threshold,
            "[0, 1]",
            _is_number(threshold) and 0.0 <= threshold <= 1.0,
        ),
    ):
        if not inside:
            msg = f"`{name}` must be a number in {bounds}, got {value!r}."
            raise ValueError(msg)


def snapshot_parameters(parameters: Parameters) -> dict[str, object]:
    """Return the parameters that ``fit`` reads, safe from later changes in place."""
    kinds = (list, dict, np.ndarray)
    return {
        name: value.copy() if isinstance(value, kinds) else value
        for name, value in parameters.items()
        if name != "progress"
    }


def same_value(ours: object, theirs: object) -> bool:
    """Whether two parameters are the same, be they arrays, lists or objects."""
    if ours is theirs:
        return True
    if isinstance(ours, str) or isinstance(theirs, str):
        return bool(np.all(ours == theirs)) if isinstance(ours, type(theirs)) else False
    return bool(np.array_equal(np.asarray(ours, object), np.asarray(theirs, object)))


def parameters_to_json(given: Parameters) -> dict[str, object]:
    """Return the constructor's arguments as JSON has them: edges as ISO strings.

    Raises
    ------
    TypeError
        If JSON cannot hold one of them.
    """
    parameters = dict(given)
    chunk = parameters["chunk"]
    if isinstance(chunk, Real):
        parameters["chunk"] = int(float(chunk))
    elif chunk is not None and not isinstance(chunk, str):
        parameters["chunk"] = [pd.Timestamp(edge).isoformat() for edge in chunk]
    for role in COLUMN_ROLES:
        parameters[role] = name_to_json(parameters[role])
    for role in ("segments", "features"):
        names = parameters[role]
        parameters[role] = (
            name_to_json(names)
            if isinstance(names, str) or not isinstance(names, Iterable)
            else [name_to_json(name) for name in names]
        )
    try:
        return dict(json.loads(json.dumps(parameters, default=_plain)))
    except TypeError as error:
        msg = f"A parameter cannot be saved: {error}. Use numbers and strings."
        raise TypeError(msg) from error


def parameters_from_json(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor's arguments that `parameters_to_json` has written."""
    parameters = dict(saved)
    for role in COLUMN_ROLES:
        parameters[role] = name_from_json(parameters[role])
    for role in ("segments", "features"):
        names = parameters[role]
        parameters[role] = (
            tuple(map(name_from_json, names))
            if isinstance(names, list)
            else name_from_json(names)
        )
    if isinstance(parameters["metrics"], list):
        parameters["metrics"] = tuple(parameters["metrics"])
    if parameters["thresholds"] is not None:
        parameters["thresholds"] = {
            metric: tuple(spec) for metric, spec in parameters["thresholds"].items()
        }
    return parameters


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (np.ndarray, pd.Index)):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"{value!r} is a {type(value).__name__}"
    raise TypeError(msg)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
