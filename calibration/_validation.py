"""Checks at the boundary: array-likes in, contiguous float64 out, or a clear error."""

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
LARGEST_WEIGHT = 1e100


def check_vector(values: ArrayLike, *, name: str) -> Floats:
    """Return ``values`` as a contiguous float64 vector with at least one row.

    Raises
    ------
    TypeError
        If ``values`` does not convert to numbers.
    ValueError
        If it is not one-dimensional, or empty.
    """
    try:
        if np.iscomplexobj(values):
            raise TypeError  # noqa: TRY301
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        cells = np.asarray(values, dtype=object).ravel()
        example = f" (first: {name}[0] = {cells[0]!r})" if cells.size else ""
        msg = (
            f"`{name}` must be numeric, got values that are not{example}. "
            "Convert them to numbers first."
        )
        raise TypeError(msg) from error
    if np.ndim(values) != 1 or array.size == 0:
        msg = (
            f"`{name}` must have shape (n_rows,) with n_rows >= 1, got "
            f"{np.shape(values)}. For a binary classifier pass "
            "`predict_proba(X)[:, 1]`."
        )
        raise ValueError(msg)
    return array


def check_probabilities(values: ArrayLike, name: str) -> Floats:
    """Return ``values`` as a contiguous vector of finite numbers in [0, 1].

    Parameters
    ----------
    values : array-like of shape (n_rows,)
        Probability of the positive class.
    name : str
        Name the caller's user knows the argument by; it opens every message.

    Returns
    -------
    ndarray of shape (n_rows,)
        Not a copy where ``values`` already is a contiguous float64 array.

    Raises
    ------
    TypeError
        If ``values`` is not numeric.
    ValueError
        If it is not one-dimensional, is empty, holds a NaN or leaves [0, 1].

    Examples
    --------
    >>> check_probabilities([0.2, 1.7], "score")
    Traceback (most recent call last):
        ...
    ValueError: `score` must lie in [0, 1], but 1 of 2 values do not (first: \
score[1] = 1.7). This looks like margins: pass `predict_proba(X)[:, 1]`, or map them \
through the logistic function 1 / (1 + exp(-margin)).
    """
    array = check_vector(values, name=name)
    # NaN fails both comparisons, and two reductions cost less than any mask.
    if array.min() >= 0.0 and array.max() <= 1.0:
        return array
    missing = np.flatnonzero(np.isnan(array))
    if missing.size:
        msg = (
            f"`{name}` must not be missing, but {missing.size} of {array.size} values "
            f"are NaN (first: {name}[{missing[0]}]). Drop these rows or impute them."
        )
        raise ValueError(msg)
    outside = np.flatnonzero((array < 0.0) | (array > 1.0))
    first = outside[0]
    remedy = (
        "This looks like margins: pass `predict_proba(X)[:, 1]`, or map them through "
        "the logistic function 1 / (1 + exp(-margin))."
    )
    if np.isinf(array[outside]).all():
        remedy = (
            "Infinite values come from a division by zero or an overflow: mend what "
            "computes them, or drop these rows."
        )
    msg = (
        f"`{name}` must lie in [0, 1], but {outside.size} of {array.size} values do "
        f"not (first: {name}[{first}] = {array[first]:g}). {remedy}"
    )
    raise ValueError(msg)


def check_labels(values: ArrayLike, name: str) -> Floats:
    """Return 0/1 or boolean labels as a contiguous float64 vector.

    Raises
    ------
    TypeError
        If ``values`` is not numeric.
    ValueError
        If it is not one-dimensional, is empty, or holds anything but 0 and 1.

    Examples
    --------
    >>> check_labels([True, False], "y")
    array([1., 0.])
    >>> check_labels([1, -1], "y")
    Traceback (most recent call last):
        ...
    ValueError: `y` must hold 0 and 1 only, but y[1] = -1. Labels -1 and +1 are not \
mapped silently: pass `(y + 1) // 2`.
    """
    array = check_vector(values, name=name)
    wrong = np.flatnonzero((array != 0.0) & (array != 1.0))
    if wrong.size == 0:
        return array
    first = wrong[0]
    if np.isnan(array[first]):
        problem = f"{name}[{first}] is missing"
        remedy = "Drop the rows whose label has not arrived."
    elif np.isin(array, (-1.0, 1.0)).all():
        problem = f"{name}[{first}] = {array[first]:g}"
        remedy = f"Labels -1 and +1 are not mapped silently: pass `({name} + 1) // 2`."
    else:
        problem = f"{name}[{first}] = {array[first]:g}"
        remedy = f"Binarize first, e.g. `{name} == positive_class`."
    msg = f"`{name}` must hold 0 and 1 only, but {problem}. {remedy}"
    raise ValueError(msg)


def check_same_length(
    values: Floats, name: str, other: Floats, other_name: str
) -> None:
    """Raise ``ValueError`` unless both vectors have one value per row."""
    if values.size != other.size:
        msg = (
            f"`{name}` must have one value per row of `{other_name}`: got {values.size}"
            f" and {other.size} rows. Take both from one table."
        )
        raise ValueError(msg)


def check_sample_weight(
    values: ArrayLike | None, n_rows: int, name: str = "sample_weight"
) -> Floats:
    """Return one finite weight >= 0 per row, all ones for ``None``.

    Raises
    ------
    TypeError
        If ``values`` is not numeric.
    ValueError
        If it has another length, holds a negative or non-finite weight, or sums to 0.
    """
    if values is None:
        return np.ones(n_rows)
    array = check_vector(values, name=name)
    if array.size != n_rows:
        msg = (
            f"`{name}` must have one value per row: got {array.size} weights for "
            f"{n_rows} rows."
        )
        raise ValueError(msg)
    wrong = np.flatnonzero(~((array >= 0.0) & (array < np.inf)))
    if wrong.size:
        first = wrong[0]
        msg = (
            f"`{name}` must be finite and >= 0, but {name}[{first}] = {array[first]:g}."
            " Clip the weights, and give rows to be left out the weight 0."
        )
        raise ValueError(msg)
    if array.max() > LARGEST_WEIGHT:
        msg = (
            f"`{name}` must be at most {LARGEST_WEIGHT:g}, whose square times the rows "
            f"is still a number, but the largest is {array.max():g}. Divide the "
            "weights by their mean."
        )
        raise ValueError(msg)
    if not array.any():
        msg = (
            f"`{name}` must have a positive sum, but every weight is 0. "
            "Pass `None` to count each row once."
        )
        raise ValueError(msg)
    return array


def check_both_classes(labels: Floats, weight: Floats, name: str) -> None:
    """Raise ``ValueError`` unless rows of both classes carry weight."""
    for label, other in ((0, 1), (1, 0)):
        if not weight[labels == label].any():
            msg = (
                f"`{name}` must hold both classes, but all of its {labels.size} rows "
                f"{'with positive weight ' if not weight.all() else ''}have label "
                f"{other}. Take a longer reference period that holds rows with label "
                f"{label}."
            )
            raise ValueError(msg)


def check_training_rows(
    score: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Return checked scores, labels and weights of the rows that carry weight.

    Raises
    ------
    TypeError
        If one of them is not numeric.
    ValueError
        If one of them breaks its rule, or only one class carries weight.
    """
    scores = check_probabilities(score, "score")
    labels = check_labels(y, "y")
    check_same_length(labels, "y", scores, "score")
    weight = check_sample_weight(sample_weight, scores.size)
    check_both_classes(labels, weight, "y")
    if weight.all():
        return scores, labels, weight
    kept = weight > 0.0
    return scores[kept], labels[kept], weight[kept]


def nearest_name(
    name: object,
    valid_names: Iterable[object],
    synonyms: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return ``" Did you mean '…'?"`` for another's or a misspelt name.

    Parameters
    ----------
    name : object
        Name that is not valid.
    valid_names : iterable of object
        Names that are valid.
    synonyms : mapping of str to str, optional
        What a name in lower case, with underscores, is called here: it goes before the
        nearest spelling; "" where nothing here is meant.

    Returns
    -------
    str
        "" if no name is near.

    Examples
    --------
    >>> nearest_name("ROC-AUC", ["roc_auc", "f1"])
    " Did you mean 'roc_auc'?"
    >>> valid_names = ["specificity", "recall"]
    >>> nearest_name("sensitivity", valid_names, {"sensitivity": "recall"})
    " Did you mean 'recall'?"
    """
    nearest = find_nearest(name, valid_names, synonyms)
    return f" Did you mean {nearest!r}?" if nearest else ""


def find_nearest(
    name: object,
    valid_names: Iterable[object],
    synonyms: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the valid name that is meant, as in `nearest_name`; "" if none is near."""
    names = {str(other).lower(): str(other) for other in valid_names}
    plain = "_".join(str(name).lower().replace("-", " ").replace("_", " ").split())
    if plain in synonyms:
        near = [synonyms[plain]] if synonyms[plain] in names else []
    else:
        spelling = plain if plain in names else str(name).lower()
        near = difflib.get_close_matches(spelling, names, n=1)
    return names[near[0]] if near else ""
