"""Which fitted estimator owns which chunk: one deployment of a model after another."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from estimator.chunking.chunks import ChunkSpec, check_chunk
from estimator.estimation.parameters import same_value
from estimator.performance_estimator import PerformanceEstimator

# Parameters that say what a row and a result are: a retrained model keeps them.
_LASTING_PARAMETERS = (
    "metrics",
    "chunk",
    "timestamp",
    "y_pred_proba",
    "y_pred",
    "y_true",
    "labeled_at",
    "segments",
    "level",
)


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


def check_rebase(
    newest: Deployment, estimator: PerformanceEstimator, from_chunk: str | int
) -> None:
    """Refuse an estimator that cannot follow on the newest deployment.

    Raises
    ------
    ValueError
        If the estimator differs in what must stay, or the chunk lies before an
        earlier rebase.
    """
    ours, theirs = newest.estimator.get_params(), estimator.get_params()
    for name in _LASTING_PARAMETERS:
        if not same_value(ours[name], theirs[name]):
            msg = (
                f"`estimator` must have the same `{name}` as before, "
                f"{ours[name]!r}, got {theirs[name]!r}. Fit it with that, or start "
                "a new Monitor."
            )
            raise ValueError(msg)
    spec = chunk_spec_of(newest.estimator)
    by_count = spec is None or isinstance(spec, int)
    if isinstance(from_chunk, str) == by_count:
        kind = "a number" if by_count else "the ISO start of a period"
        msg = f"`from_chunk` must be {kind}, as in the result, got {from_chunk!r}."
        raise ValueError(msg)
    earlier = newest.from_chunk
    if earlier is not None and not _order(from_chunk) > _order(earlier):
        msg = (
            f"`from_chunk` must come after the last rebase at {earlier!r}, got "
            f"{from_chunk!r}."
        )
        raise ValueError(msg)


def chunk_spec_of(estimator: PerformanceEstimator) -> ChunkSpec:
    """Return how an estimator cuts rows into chunks."""
    has_time = estimator.timestamp is not None
    return check_chunk(estimator.chunk, has_timestamp=has_time)


def _order(label: str | int) -> tuple[int, str]:
    """Return what chunk labels of one kind are ordered by: numbers, or texts."""
    return (0, label) if isinstance(label, str) else (label, "")


def _later_starts(deployments: Sequence[Deployment]) -> list[tuple[int, str]]:
    return [
        _order(deployment.from_chunk)
        for deployment in deployments
        if deployment.from_chunk is not None
    ]
