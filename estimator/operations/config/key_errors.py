"""What is wrong with the nightly job's file: a sentence for each error."""

import functools
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from calibration._validation import find_nearest
from estimator.operations.config import checks as checks
from estimator.operations.config.keys import (
    Database,
    Estimator,
    Job,
    Model,
    Nightly,
    Notify,
    Retrained,
    Table,
)
from estimator.operations.config.redaction import below

Place = tuple[str | int, ...]  # ("models", "credit", "labels", "url")
_NOUNS = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}
# What keys are called elsewhere, in lower case; each is used in tables with the key.
_KEY_SYNONYMS = {
    name: key
    for key, names in {
        "business_costs": ("costs", "cost_matrix"),
        "chunk": ("chunk_period", "chunk_size", "freq", "frequency", "period"),
        "decision_threshold": ("cutoff", "threshold"),
        "labels": ("actuals", "ground_truth", "outcomes", "targets"),
        "memory_limit": ("memory", "ram"),
        "predictions": ("analysis", "data", "production", "scores"),
        "prometheus": ("gauges", "textfile"),
        "random_state": ("seed",),
        "reference": ("baseline", "train", "training"),
        "report": ("html", "output", "pages"),
        "row_id": ("id", "index", "key", "primary_key"),
        "segments": ("by", "group_by", "groups", "slices"),
        "store": ("database", "db", "sqlite"),
        "threads": ("cores", "n_jobs", "workers"),
        "timestamp": ("date", "datetime", "time"),
        "webhook": ("slack", "teams"),
        "y_pred": ("class", "decision"),
        "y_pred_proba": ("probability", "score", "y_prob", "y_proba", "y_score"),
        "y_true": ("label", "outcome", "target", "y"),
    }.items()
    for name in names
}
_EMPTY = {"too_short", "string_pattern_mismatch"}


def read_layout(
    document: dict[str, object], folder: Path
) -> tuple[Nightly | None, list[str]]:
    """Return the document as tables, or a sentence for each thing that is wrong."""
    try:
        return Nightly.model_validate(document, context=folder), []
    except ValidationError as error:
        all_errors = error.errors(include_url=False)
    by_place: dict[Place, list[ErrorDetails]] = {}
    for one in all_errors:
        path = _place_of(one["loc"], one["type"], document)
        by_place.setdefault(path, []).append(one)
    # Of a union, the member that came furthest knows best.
    above = {path[:n] for path in by_place for n in range(len(path))}
    return None, [
        _sentence(path, errors)
        for path, errors in by_place.items()
        if path not in above
    ]


def _place_of(loc: Place, kind: str, document: Any) -> Place:
    """Return pydantic's location without the members of unions, which it counts."""
    keys: Place = ()
    node = document
    for part in loc:
        inside = isinstance(node, dict) and part in node
        if inside or (isinstance(node, list) and isinstance(part, int)):
            node, keys = node[part], (*keys, part)
    return (*keys, loc[-1]) if kind == "missing" else keys


def _sentence(path: Place, errors: list[ErrorDetails]) -> str:
    """Say where something is wrong, the rule, what came, and what to do."""
    where = functools.reduce(below, path, "")
    types = {error["type"]: error for error in errors}
    table, key = _table_at(path[:-1]), str(path[-1])
    keys = table.model_fields if table else {}
    if "value_error" in types:
        text = str(types["value_error"]["ctx"]["error"])
        return f"`{where}.{text[1:]}" if text[0] == "`" else f"`{where}` {text}"
    if "extra_forbidden" in types:
        meant = {name: other for name, other in _KEY_SYNONYMS.items() if other in keys}
        near = find_nearest(key, keys, meant)
        hint = f"nearest: `{near}`" if near else f"known: {', '.join(keys)}"
        return f"`{where}` is no key here; {hint}."
    if "missing" in types:
        rule = "is missing"
    elif types.keys() & _EMPTY:
        rule = "must not be empty"
    else:
        nouns = dict.fromkeys(_NOUNS[x] for x in types if x in _NOUNS)  # ordered
        other = errors[0]["msg"].replace("Input should", "must")
        rule = f"must be {' or '.join(nouns)}" if nouns else other
        rule += f", got {errors[0]['input']!r}"
    if key not in keys:
        return f"`{where}` {rule}."
    example = (keys[key].examples or [keys[key].default])[0]
    written = isinstance(example, str | int | float)
    remedy = f" For example: {key} = {json.dumps(example)}." if written else ""
    return f"`{where}` {rule}. {keys[key].description}{remedy}"


def _table_at(path: Place) -> type[Table] | None:
    match path:
        case ():
            return Nightly
        case ("job",):
            return Job
        case ("notify",):
            return Notify
        case ("models", _):
            return Model
        case ("models", _, "estimator"):
            return Estimator
        case ("models", _, "retrained", int()):
            return Retrained
        case ("models", _, *_, "reference" | "predictions" | "labels"):
            return Database
    return None
