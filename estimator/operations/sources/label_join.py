"""Labels from a table of their own, joined to rows by id."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelJoin:
    """An analysis frame with its labels, and what did not match.

    Attributes
    ----------
    frame : DataFrame
        The analysis rows in their order, with the label column (NaN: no label yet).
    n_labelled : int
        Analysis rows that found a label.
    n_unlabelled : int
        Analysis rows that found none.
    n_unknown : int
        Labels that belong to no analysis row.
    """

    frame: "pd.DataFrame"
    n_labelled: int
    n_unlabelled: int
    n_unknown: int


def join_labels(
    analysis: "pd.DataFrame", targets: "pd.DataFrame", *, row_id: str, y_true: str
) -> LabelJoin:
    """Give every analysis row its label, by row id.

    Parameters
    ----------
    analysis : DataFrame
        Predictions; ``row_id`` is unique in it.
    targets : DataFrame
        Labels. A row may be delivered twice if both times say the same.
    row_id, y_true : str
        Names of the columns with the row id and the label.

    Returns
    -------
    LabelJoin
        The joined frame and the counts.

    Raises
    ------
    ValueError
        If ids repeat in ``analysis``, have two labels in ``targets``, or are numbers
        in one and text in the other.
    """
    import numpy as np  # heavy, and the command line imports this module for --help

    complete = targets.loc[targets[row_id].notna() & targets[y_true].notna()]
    _check_same_kind(analysis[row_id], complete[row_id], row_id)
    repeated = analysis[row_id].duplicated() & analysis[row_id].notna()
    if repeated.any():
        first = analysis.loc[repeated, row_id].tolist()[0]
        msg = (
            f"`{row_id}` must be unique among the analysis rows, but {repeated.sum()} "
            f"of {len(analysis)} repeat an earlier one (first: {first!r}). "
            "Name a column that identifies the row, not a customer."
        )
        raise ValueError(msg)
    pairs = complete[[row_id, y_true]].drop_duplicates()
    contradicted = pairs[row_id].duplicated()
    if contradicted.any():
        first = pairs.loc[contradicted, row_id].tolist()[0]
        values = pairs.loc[pairs[row_id] == first, y_true].tolist()
        msg = (
            f"`{row_id}` must have one label in the targets, but "
            f"{contradicted.sum()} ids have two (first: {first!r} has {values}). "
            "Keep the latest label of each row."
        )
        raise ValueError(msg)
    labels = pairs.set_index(row_id)[y_true]
    if labels.dtype == bool:
        labels = labels.astype(np.float64)  # room for NaN, where no label is known
    joined_labels = labels.reindex(analysis[row_id].to_numpy())
    joined = analysis.assign(**{y_true: joined_labels.to_numpy()})
    n_labelled = int(joined_labels.notna().sum())
    return LabelJoin(
        frame=joined,
        n_labelled=n_labelled,
        n_unlabelled=len(analysis) - n_labelled,
        n_unknown=len(labels) - n_labelled,
    )


def _check_same_kind(left: "pd.Series", right: "pd.Series", row_id: str) -> None:
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(left.dtype) != is_numeric_dtype(right.dtype):
        msg = (
            f"`{row_id}` must be of one type, but it is {left.dtype} in the analysis "
            f"(first: {left.tolist()[0]!r}) and {right.dtype} in the targets. "
            "Write both as numbers or both as text."
        )
        raise ValueError(msg)
