"""Soft labels by features, for rows as they arrive: their features are not kept."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from estimator.estimation.estimates import (
    ScoreMap,
    adapt_scores,
    features_of,
    score_map,
)
from estimator.estimation.reference import Reference
from estimator.frames.columns import Columns
from estimator.label_free.shift_adaptive import AdaptedRows
from estimator.monitoring.deployments import Deployment, deployment_of


def soft_labels_on_arrival(
    deployments: Sequence[Deployment], frame: object, columns: Columns
) -> Callable[[NDArray[np.int64], str | int], AdaptedRows | None]:
    """Return what gives rows of a batch their soft labels by features.

    A chunk's rows are read as its own estimator wants them, also late rows of a time
    before the last rebase.

    Parameters
    ----------
    deployments : sequence of Deployment
        All deployments, the earliest first.
    frame : DataFrame (pandas, polars) or pyarrow Table
        The batch, with its features.
    columns : Columns
        The same rows, read.

    Returns
    -------
    callable
        From rows of the batch and the label of their chunk to their soft labels; None
        where the chunk's estimator reads no features.
    """
    features_by_deployment: dict[int, tuple[NDArray[np.float64], ScoreMap]] = {}

    def adapt(rows: NDArray[np.int64], label: str | int) -> AdaptedRows | None:
        i = deployment_of(deployments, label)
        fitted: Reference = deployments[i].estimator.reference_
        if fitted.adapter is None:
            return None
        if i not in features_by_deployment:
            features_by_deployment[i] = (
                features_of(fitted, frame, name="production"),
                score_map(fitted, columns.segments),
            )
        features, plain = features_by_deployment[i]
        return adapt_scores(
            fitted,
            columns.score[rows],
            plain.take(rows),
            features[rows],
            [slice(None)],
        )

    return adapt
