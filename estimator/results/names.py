"""Names of metrics, segments and periods that a caller asks a result for."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from calibration._validation import nearest_name
from estimator.metric_series import SeriesTable
from estimator.metrics.metric_names import METRIC_SYNONYMS


def selected_names(
    argument: str, names: str | Sequence[str] | None, existing: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names asked for, all by default, if they exist.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    names : str or sequence of str or None
        What was asked for; None: all.
    existing : tuple of str
        What there is.

    Raises
    ------
    TypeError
        If it is no name and no sequence of names.
    ValueError
        If a name does not exist, comes twice, or none is given.
    """
    if names is None:
        return existing
    if isinstance(names, str):
        names = (names,)
    if not isinstance(names, Sequence | np.ndarray | pd.Index):
        msg = (
            f"`{argument}` must be a name or a sequence of names, got "
            f"{type(names).__name__}. Pass a name or a list of them."
        )
        raise TypeError(msg)
    chosen = tuple(names)
    shown = ", ".join(map(repr, existing[:10]))
    if not chosen:
        msg = f"`{argument}` must have at least one name out of {shown}, got none."
        raise ValueError(msg)
    for i, name in enumerate(chosen):
        if name not in existing:
            msg = (
                f"`{argument}` must be among {shown}, got {name!r}."
                f"{nearest_name(name, existing)}"
            )
            raise ValueError(msg)
        if name in chosen[:i]:
            msg = f"`{argument}` must name each once, but {name!r} comes twice."
            raise ValueError(msg)
    return chosen


def check_names(
    result: SeriesTable, metrics: str | Sequence[str] | None, segment: str
) -> tuple[str, ...]:
    """Return the metrics asked for, all by default, if they and the segment exist.

    Raises
    ------
    ValueError
        If a metric or the segment is not in the result.
    """
    if metrics is None:
        names = result.metrics
    else:
        names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    for name in names:
        if name not in result.metrics:
            msg = (
                f"`metrics` must be among {', '.join(result.metrics)}; got "
                f"{name!r}.{nearest_name(name, result.metrics, METRIC_SYNONYMS)}"
            )
            raise ValueError(msg)
    if segment not in result.segments:
        msg = (
            f"`segment` must be one of {list(result.segments)[:10]}, got "
            f"{segment!r}.{nearest_name(segment, result.segments)}"
        )
        raise ValueError(msg)
    return names
