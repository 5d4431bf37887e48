"""Features of a frame → a matrix of numbers, as the reference taught to read them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estimator.frames.categories import read_category
from estimator.frames.column_names import name_from_json, name_to_json
from estimator.frames.frame import open_frame, require_names
from estimator.frames.numbers import read_number
from estimator.frames.series import Series

Floats = NDArray[np.float64]

# Of a column with more texts than this the most frequent count, the others as one: an
# id or a free text would otherwise tell every row apart.
MAX_CATEGORIES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """How one column is read.

    Attributes
    ----------
    name : Hashable
    categories : tuple of str or None
        Texts by code, the most frequent first; None for numbers.
    has_rare : bool
        Whether the code after the last stands for all other texts.
    """

    name: Hashable
    categories: tuple[str, ...] | None = None
    has_rare: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTable:
    """Which columns are used, and how.

    Attributes
    ----------
    features : tuple of Feature
        A column of the matrix each.
    left_out : dict of str by Hashable
        Columns that cannot tell anything, and why.
    """

    features: tuple[Feature, ...]
    left_out: Mapping[Hashable, str]

    @property
    def categorical(self) -> list[int]:
        """Columns of the matrix that hold codes."""
        return [i for i, f in enumerate(self.features) if f.categories is not None]


def table_to_json(table: FeatureTable) -> dict[str, object]:
    """Return a table as JSON can hold it."""
    return {
        "features": [
            {
                "name": name_to_json(feature.name),
                "categories": feature.categories,
                "has_rare": feature.has_rare,
            }
            for feature in table.features
        ],
        "left_out": [[name_to_json(name), why] for name, why in table.left_out.items()],
    }


def table_from_json(saved: Mapping[str, Any]) -> FeatureTable:
    """Return the table that `table_to_json` has written."""
    features = [
        Feature(
            name=name_from_json(feature["name"]),
            categories=None
            if feature["categories"] is None
            else tuple(feature["categories"]),
            has_rare=feature["has_rare"],
        )
        for feature in saved["features"]
    ]
    left_out = {name_from_json(name): str(why) for name, why in saved["left_out"]}
    return FeatureTable(features=tuple(features), left_out=left_out)


def learn_features(
    frame: object, names: Sequence[Hashable], *, name: str = "reference"
) -> tuple[FeatureTable, Floats]:
    """Learn from a frame how its features are read, and read them.

    Numbers and booleans are numbers; texts and categories are codes, by how frequent
    they are. Columns with one value only, or none, are left out.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame or pyarrow.Table
    names : sequence of Hashable
        Columns to read.
    name : str, default="reference"
        The argument's name in error messages.

    Returns
    -------
    table : FeatureTable
    matrix : ndarray of shape (n_rows, n_features)
        NaN where missing.

    Raises
    ------
    TypeError
        If a column holds neither numbers nor texts: times, lists.
    ValueError
        If a column is missing or doubled, or none tells anything.
    """
    columns, column = open_frame(frame, name)
    require_names(list(names), columns, name, frame)
    features: list[Feature] = []
    left_out: dict[Hashable, str] = {}
    read: list[Floats] = []
    for key in names:
        what = f"`{name}[{key!r}]` (features)"
        series = column(key)
        if series.null_count() == len(series):
            left_out[key] = "no value"
            continue
        feature = _learn(series, key, what)
        values = _read(series, feature, what)
        present = values[~np.isnan(values)]
        if present.size == 0:
            left_out[key] = "no value"
        elif present.min() == present.max() and present.size == values.size:
            left_out[key] = "one value only"
        else:
            features.append(feature)
            read.append(values)
    if not features:
        msg = (
            f"`features` must tell rows apart, but none of {list(names)} does: "
            f"{', '.join(f'{key!r} has {why}' for key, why in left_out.items())}."
        )
        raise ValueError(msg)
    table = FeatureTable(features=tuple(features), left_out=left_out)
    return table, np.column_stack(read)


def read_features(table: FeatureTable, frame: object, *, name: str) -> Floats:
    """Read the features of another frame as those of the reference.

    The order of the columns does not matter, nor whether whole numbers come as floats
    or codes as numbers instead of texts. A text that the reference did not have counts
    as a rare one, or as missing if there are none.

    Returns
    -------
    ndarray of shape (n_rows, n_features)

    Raises
    ------
    TypeError
        If a column that held numbers holds something else.
    ValueError
        If a column is missing or doubled.
    """
    columns, column = open_frame(frame, name)
    try:
        require_names(
            [feature.name for feature in table.features], columns, name, frame
        )
    except ValueError as error:
        msg = (
            f"{error} These are `features` of the reference: where one cannot be had, "
            "let it be a column of missing values, or fit again without it."
        )
        raise ValueError(msg) from error
    return np.column_stack(
        [
            _read(column(f.name), f, f"`{name}[{f.name!r}]` (features)")
            for f in table.features
        ]
    )


def _learn(series: Series, key: Hashable, what: str) -> Feature:
    try:
        read_number(series, what)
    except TypeError:
        codes, texts = read_category(series, what)
    else:
        return Feature(name=key)
    count = np.bincount(codes[codes >= 0], minlength=len(texts))
    # Of equally frequent texts the first by name: the order of the rows must not count.
    order = sorted(range(len(texts)), key=lambda i: (-count[i], texts[i]))
    frequent = [texts[i] for i in order if count[i]]
    return Feature(
        name=key,
        categories=tuple(frequent[:MAX_CATEGORIES]),
        has_rare=len(frequent) > MAX_CATEGORIES,
    )


def _read(series: Series, feature: Feature, what: str) -> Floats:
    if series.null_count() == len(series):
        return np.full(len(series), np.nan)
    if feature.categories is None:
        # Trees only ask what is larger: infinity is the largest number there is.
        return np.nan_to_num(read_number(series, what), nan=np.nan)
    code_by_text = {text: float(i) for i, text in enumerate(feature.categories)}
    unknown = float(len(code_by_text)) if feature.has_rare else np.nan
    codes, texts = read_category(series, what)
    table = np.array([*(code_by_text.get(text, unknown) for text in texts), np.nan])
    values: Floats = table[codes]
    return values
