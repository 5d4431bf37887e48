"""What has been announced: a kind of decline, once two verdicts running agree."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from estimator.degradation.classification import classify_degradation
from estimator.degradation.kinds import Kind
from estimator.degradation.series import ChunkTime, Ints, plain, read_series
from estimator.degradation.verdict import Degradation

# Verdicts in a row that agree, before a kind is announced. One would announce every
# passing verdict; each more is a chunk later.
AGREEING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A kind of decline that was announced, or the end of one (``stable``).

    Attributes
    ----------
    kind : str
        Kind of decline, or ``stable``.
    chunk : str, number, date or None
        Label or time of the newest chunk at that time; None if none was complete.
    onset : str, number, date or None
        Label or time of the chunk in which the decline began, as the verdict of that
        time says; None if it says none.
    probability : float
        Probability of the kind in that verdict.
    """

    kind: Kind
    chunk: ChunkTime | None
    onset: ChunkTime | None
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcements:
    """All announcements so far; a new one is made by `update`.

    Attributes
    ----------
    history : tuple of Announcement
        Announcements, oldest first. Empty: nothing but ``stable`` so far.
    candidate : str
        Kind of the last verdict.
    n_agreeing : int
        Number of verdicts in a row that were of that kind.
    state : tuple of int, optional
        Counts of rows and labels at the last verdict, or others that grow with them.
    """

    history: tuple[Announcement, ...] = ()
    candidate: Kind = "stable"
    n_agreeing: int = 0
    state: tuple[int, ...] | None = None

    @property
    def announced(self) -> Kind:
        """The kind that holds now: of the last announcement, else ``stable``."""
        return self.history[-1].kind if self.history else "stable"

    def update(
        self,
        verdict: Degradation,
        chunk: ChunkTime | None,
        state: tuple[int, ...] | None = None,
    ) -> "Announcements":
        """Return the announcements after one more verdict.

        Parameters
        ----------
        verdict : Degradation
            New verdict.
        chunk : str, number, date or None
            Label or time of the newest chunk that it judges.
        state : tuple of int, optional
            Counts of rows and labels now: a verdict on the same as the last does not
            count.

        Returns
        -------
        Announcements
            With one more announcement if enough verdicts agree on a new kind.
        """
        if state is not None and state == self.state:
            return self
        n = self.n_agreeing + 1 if verdict.kind == self.candidate else 1
        updated = replace(self, candidate=verdict.kind, n_agreeing=n, state=state)
        if n < AGREEING or verdict.kind == self.announced:
            return updated
        new = Announcement(
            kind=verdict.kind,
            chunk=chunk,
            onset=verdict.onset,
            probability=verdict.probability,
        )
        return replace(updated, history=(*self.history, new))


def follow_degradation(
    values: ArrayLike,
    standard_errors: ArrayLike,
    *,
    n_reference: int,
    times: ArrayLike | None = None,
    higher_is_better: bool = True,
    shared_error: float = 0.0,
) -> Announcements:
    """Return what would have been announced, had a verdict been given chunk by chunk.

    Parameters
    ----------
    values : array-like of shape (n_chunks,)
        The metric in each chunk, in time order, the reference's chunks first; NaN where
        it is not known.
    standard_errors : array-like of shape (n_chunks,)
        Standard error of each value, in units of the metric.
    n_reference : int
        Number of chunks that are reference.
    times : array-like of shape (n_chunks,), optional
        Increasing numbers or timestamps; default: evenly spaced chunks.
    higher_is_better : bool, default=True
        Whether a decline is down. For a loss it is up.
    shared_error : float, default=0.0
        Standard deviation of an error common to all analysis chunks, in units of the
        metric.

    Returns
    -------
    Announcements
        After a verdict on each usable analysis chunk with those before it.

    Raises
    ------
    TypeError, ValueError
        If an argument breaks its rule, or no chunk has a value and a standard error.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> values = 0.8 + rng.normal(0, 0.01, 30)
    >>> values[20:] -= 0.05
    >>> announced = follow_degradation(values, np.full(30, 0.01), n_reference=10)
    >>> [(one.kind, int(one.chunk), int(one.onset)) for one in announced.history]
    [('sudden', 22, 20)]
    """
    series = read_series(
        values,
        standard_errors,
        n_reference=n_reference,
        times=times,
        higher_is_better=higher_is_better,
        shared_error=shared_error,
    )
    announcements = Announcements()
    for stop in _arrivals(series.index, n_reference):
        verdict = classify_degradation(
            np.asarray(values, dtype=np.float64)[:stop],
            np.asarray(standard_errors, dtype=np.float64)[:stop],
            n_reference=n_reference,
            times=None if times is None else pd.Index(times)[:stop],  # type: ignore[arg-type]
            higher_is_better=higher_is_better,
            shared_error=shared_error,
        )
        announcements = announcements.update(verdict, plain(verdict.chunks[-1]))
    return announcements


def _arrivals(index: Ints, n_reference: int) -> Iterator[int]:
    """Yield how many chunks there were after each usable analysis chunk."""
    for position in index.tolist():
        if position >= n_reference:
            yield position + 1


def to_json(announcements: Announcements) -> dict[str, object]:
    """Return what `from_json` makes announcements of: numbers and strings only."""
    return asdict(announcements)


def from_json(saved: Mapping[str, Any]) -> Announcements:
    """Return the announcements that `to_json` took apart."""
    state = saved["state"]
    return Announcements(
        history=tuple(Announcement(**one) for one in saved["history"]),
        candidate=saved["candidate"],
        n_agreeing=saved["n_agreeing"],
        state=None if state is None else tuple(state),
    )
