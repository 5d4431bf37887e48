"""Which fitted estimator owns which chunk: one deployment of a model after another."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from estimator.performance_estimator import PerformanceEstimator


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The chunks that one trained model scored, and the estimator fitted on it.

    Attributes
    ----------
    estimator : PerformanceEstimator
        Estimator fitted on the reference of this model.
    from_chunk : str, int or None
        Label of the first chunk that the model scored; None is the beginning.
    """

    estimator: PerformanceEstimator
    from_chunk: str | int | None = None


def deployment_of(deployments: Sequence[Deployment], label: str | int) -> int:
    """Return the position of the deployment that owns a chunk.

    Parameters
    ----------
    deployments : sequence of Deployment
        All deployments, the earliest first; the first has no first chunk.
    label : str or int
        Label of the chunk: the ISO start of a period, or a number.
    """
    return bisect_right(_later_starts(deployments), _order(label))


def slices_of(
    deployments: Sequence[Deployment], labels: Sequence[str | int]
) -> list[slice]:
    """Return the chunks of each deployment, as slices of all labels in their order."""
    starts = [
        bisect_left(labels, start, key=_order) for start in _later_starts(deployments)
    ]
    edges = [0, *starts, len(labels)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def check_deployments(deployments: Sequence[Deployment]) -> None:
    """Refuse deployments that do not follow one another.

    Raises
    ------
    ValueError
        If the first has a first chunk, or those of the others do not rise.
    """
    first, *later = [deployment.from_chunk for deployment in deployments]
    kinds = {type(label) for label in later}
    starts = [_order(label) for label in later if isinstance(label, str | int)]
    is_rising = all(start < following for start, following in pairwise(starts))
    if first is not None or len(kinds) > 1 or not kinds <= {str, int} or not is_rising:
        msg = f"estimators begin at the chunks {[first, *later]}"
        raise ValueError(msg)


def comes_after(label: str | int, earlier: str | int) -> bool:
    """Whether one chunk label lies after another of the same kind."""
    return _order(label) > _order(earlier)


def _order(label: str | int) -> tuple[int, str]:
    """Return what chunk labels of one kind are ordered by: numbers, or texts."""
    return (0, label) if isinstance(label, str) else (label, "")


def _later_starts(deployments: Sequence[Deployment]) -> list[tuple[int, str]]:
    return [
        _order(deployment.from_chunk)
        for deployment in deployments
        if deployment.from_chunk is not None
    ]
