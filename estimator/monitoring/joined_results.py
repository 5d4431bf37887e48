"""Results of all deployments, one after the other."""

from collections.abc import Sequence
from functools import reduce

import pandas as pd

from estimator.monitoring.attribution import attribution_of
from estimator.monitoring.deployments import Deployment
from estimator.monitoring.evaluation import ChunkEvaluation, performance_of
from estimator.results.assembly import concatenate_periods
from estimator.results.performance import Performance

Evaluations = list[tuple[Deployment, ChunkEvaluation]]


def join_performance(
    evaluations: Evaluations, deployments: Sequence[Deployment]
) -> Performance:
    """Return the newest reference and all evaluated chunks, one after the other."""
    reference = deployments[-1].estimator.reference_.performance
    parts = _performances(evaluations, deployments)
    return reduce(concatenate_periods, [reference, *parts])


def join_analysis(
    evaluations: Evaluations, deployments: Sequence[Deployment]
) -> Performance:
    """Return all evaluated chunks, of which there is one at least."""
    return reduce(concatenate_periods, _performances(evaluations, deployments))


def _performances(
    evaluations: Evaluations, deployments: Sequence[Deployment]
) -> list[Performance]:
    newest = deployments[-1]
    return [
        performance_of(
            deployment.estimator, evaluation, earlier=deployment is not newest
        )
        for deployment, evaluation in evaluations
    ]


def join_attribution(evaluations: Evaluations) -> pd.DataFrame:
    """Return the attribution of all evaluated chunks; without columns if none."""
    parts = [
        attribution_of(deployment.estimator, evaluation)
        for deployment, evaluation in evaluations
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
