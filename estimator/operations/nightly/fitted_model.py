"""A model with its fitted estimators, and which stored chunks were counted for them."""

import warnings
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from estimator.estimation.common_mistakes import CommonMistakeWarning
from estimator.monitoring.deployments import Deployment, deployment_of
from estimator.operations.config.settings import ModelSettings
from estimator.operations.errors import ConfigurationError
from estimator.operations.nightly.changed_chunks import StoredCounts
from estimator.operations.nightly.estimators import REFERENCE, fit_deployments
from estimator.operations.store.model_state import ModelState
from estimator.results.performance import Performance

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedModel:
    """A model's settings, what earlier runs left of it, and its fitted estimators.

    Attributes
    ----------
    settings : ModelSettings
        Sources and parameters of the model.
    state : ModelState
        What earlier runs left.
    deployments : tuple of Deployment
        Chunks of each trained model with their estimator, the earliest first.
    estimators : mapping of str to (str, bytes)
        Fingerprint and file of each estimator, by first chunk, as the store has them.
    reference_versions : mapping of str to str
        Versions of the references' files, by path.
    mistakes : sequence of str
        Sentences without a period on what the fit warned of.
    """

    settings: ModelSettings
    state: ModelState
    deployments: tuple[Deployment, ...]
    estimators: Mapping[str, tuple[str, bytes]]
    reference_versions: Mapping[str, str]
    mistakes: Sequence[str]

    @property
    def reference(self) -> Performance:
        """Performance on the newest reference."""
        return self.deployments[-1].estimator.reference_.performance

    @property
    def is_refitted(self) -> bool:
        """Whether the estimators differ from those of the run before."""
        return _fingerprints(self.estimators) != _fingerprints(self.state.estimators)

    def fingerprint_of(self, label: str) -> str:
        """Return the fingerprint of the estimator to which a chunk belongs."""
        owner = self.deployments[deployment_of(self.deployments, label)]
        return self.estimators[str(owner.from_chunk or "")][0]


def fit_model(
    engine: "duckdb.DuckDBPyConnection", settings: ModelSettings, state: ModelState
) -> FittedModel:
    """Fit a model's estimators, where those stored are of something else."""
    with mistakes_as_remarks() as mistakes:
        deployments, estimators, versions = fit_deployments(
            engine, settings, state.estimators, state.files.get(REFERENCE)
        )
    return FittedModel(
        settings=settings,
        state=state,
        deployments=deployments,
        estimators=estimators,
        reference_versions=versions,
        mistakes=mistakes,
    )


def valid_counts(model: FittedModel, counts: Mapping[str, bytes]) -> StoredCounts:
    """Return what is stored of chunks that were counted for their estimator.

    Chunks counted for another estimator count no more, nor do files read for it.
    """
    chunks = {
        label: chunk
        for label, chunk in model.state.chunks.items()
        if chunk.fingerprint == model.fingerprint_of(label)
    }
    return StoredCounts(
        chunks=chunks,
        counts={label: data for label, data in counts.items() if label in chunks},
        outdated=frozenset(model.state.chunks.keys() - chunks.keys()),
    )


@contextmanager
def mistakes_as_remarks() -> Iterator[list[str]]:
    """Collect what a fit warns of as remarks for the log."""
    remarks: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CommonMistakeWarning)
        yield remarks
    for warning in caught:
        if issubclass(warning.category, CommonMistakeWarning):
            remarks.append(str(warning.message).removesuffix("."))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def _fingerprints(stored: Mapping[str, tuple[str, bytes]]) -> dict[str, str]:
    return {first: fingerprint for first, (fingerprint, _) in stored.items()}


def check_outdated(left: Set[str], model: str) -> None:
    """Refuse outdated chunks whose rows are no longer in the sources.

    Raises
    ------
    ConfigurationError
        If there are any.
    """
    if left:
        msg = (
            f"The configuration or the reference of `{model}` has changed, or this "
            f"version of deadreckon counts otherwise: {len(left)} chunks ({min(left)} "
            f"to {max(left)}) must be counted anew, but their rows are no longer in "
            "the sources. Nothing was changed. Name another store to begin anew (this "
            "one keeps what was said), bring the rows back, or go back to what was "
            "configured or installed."
        )
        raise ConfigurationError(msg)
