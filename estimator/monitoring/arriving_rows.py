"""What features say of rows as they arrive: the features are not kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from estimator.estimation.estimates import ScoreMap, adapt_scores, score_map
from estimator.estimation.reference import Reference
from estimator.frames.columns import Columns
from estimator.frames.features import read_features
from estimator.ledger.adding_rows import RowsByFeatures
from estimator.ledger.ledger import Ledger
from estimator.monitoring.deployments import Deployment, deployment_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Batch:
    """A batch as one estimator reads it.

    Attributes
    ----------
    features : ndarray of shape (n_rows, n_features)
        Features of its rows.
    plain : ScoreMap
        Map of the score for its rows.
    """

    features: NDArray[np.float64]
    plain: ScoreMap


def features_on_arrival(
    deployments: Sequence[Deployment], frame: object, columns: Columns
) -> Callable[[NDArray[np.int64], str | int], RowsByFeatures]:
    """Return what gives rows of a batch their soft labels and strata by features.

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
        From rows of the batch and the label of their chunk to what their features say;
        nothing where the chunk's estimator reads none.
    """
    batches: dict[int, _Batch] = {}

    def read(rows: NDArray[np.int64], label: str | int) -> RowsByFeatures:
        i = deployment_of(deployments, label)
        fitted: Reference = deployments[i].estimator.reference_
        table, strata = fitted.features_on_arrival, fitted.delays.strata
        if table is None:
            return RowsByFeatures()
        if i not in batches:
            batches[i] = _Batch(
                features=read_features(table, frame, name="production"),
                plain=score_map(fitted, columns.segments),
            )
        batch = batches[i]
        features = batch.features[rows]
        adapted = None
        if fitted.adapter is not None:
            adapted = adapt_scores(
                fitted,
                columns.score[rows],
                batch.plain.take(rows),
                features,
                [slice(None)],
            )
        return RowsByFeatures(
            adapted=adapted,
            stratum=None if strata is None else strata.assign(features),
        )

    return read


def forget_strata(ledger: Ledger, deployments: Sequence[Deployment]) -> Ledger:
    """Return a ledger in which chunks of the newest deployment have no strata.

    An estimator before it has given their rows theirs, which mean nothing to it.
    """
    newest = len(deployments) - 1
    return replace(
        ledger,
        chunks=tuple(
            replace(chunk, stratum=None)
            if chunk.stratum is not None
            and deployment_of(deployments, chunk.label) == newest
            else chunk
            for chunk in ledger.chunks
        ),
    )
