"""What has been announced: a kind of decline, once two verdicts running agree."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from estimator.degradation.classification import classify_degradation
from estimator.degradation.series import plain, read_series
from estimator.degradation.verdict import Degradation, Kind

AGREEING = 2  # verdicts in a row, before a kind is announced


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A kind of decline that was announced, or the end of one (``stable``).

    Attributes
    ----------
    kind : str
    chunk : Any
        The newest chunk at that time.
    onset : Any
        Chunk in which the decline began, as far as was known then.
    probability : float
    """

    kind: Kind
    chunk: Any
    onset: Any
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcements:
    """All announcements so far; a new one is made by `update`.

    Attributes
    ----------
    history : tuple of Announcement
        Oldest first. Empty: nothing but ``stable`` so far.
    candidate : str
        Kind of the last verdict.
    n_agreeing : int
        How many verdicts in a row were of that kind.
    state : tuple of int, optional
        What was known at the last verdict, in numbers that grow with knowledge.
    """

    history: tuple[Announcement, ...] = ()
    candidate: Kind = "stable"
    n_agreeing: int = 0
    state: tuple[int, ...] | None = None

    @property
    def announced(self) -> Kind:
        """The kind that holds now."""
        return self.history[-1].kind if self.history else "stable"

    def update(
        self, verdict: Degradation, chunk: Any, state: tuple[int, ...] | None = None
    ) -> "Announcements":
        """Return the announcements after one more verdict.

        Parameters
        ----------
        verdict : Degradation
        chunk : Any
            The newest chunk that it knows of.
        state : tuple of int, optional
            What is known now: a verdict on nothing new does not count.
        """
        if state is not None and state == self.state:
            return self
        n = self.n_agreeing + 1 if verdict.kind == self.candidate else 1
        known = replace(self, candidate=verdict.kind, n_agreeing=n, state=state)
        if n < AGREEING or verdict.kind == self.announced:
            return known
        new = Announcement(
            kind=verdict.kind,
            chunk=chunk,
            onset=verdict.onset,
            probability=verdict.probability,
        )
        return replace(known, history=(*self.history, new))


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

    Parameters are those of `classify_degradation`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> values = 0.8 + rng.normal(0, 0.01, 30)
    >>> values[20:] -= 0.05
    >>> found = follow_degradation(values, np.full(30, 0.01), n_reference=10)
    >>> [(a.kind, int(a.chunk), int(a.onset)) for a in found.history]
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
    found = Announcements()
    for stop in _arrivals(series.index, n_reference):
        verdict = classify_degradation(
            np.asarray(values, dtype=np.float64)[:stop],
            np.asarray(standard_errors, dtype=np.float64)[:stop],
            n_reference=n_reference,
            times=None if times is None else pd.Index(times)[:stop],  # type: ignore[arg-type]
            higher_is_better=higher_is_better,
            shared_error=shared_error,
        )
        found = found.update(verdict, plain(verdict.chunks[-1]))
    return found


def _arrivals(index: Any, n_reference: int) -> Iterator[int]:
    """Yield how many chunks there were after each usable analysis chunk."""
    for at in index.tolist():
        if at >= n_reference:
            yield at + 1


def to_json(announcements: Announcements) -> dict[str, Any]:
    """Return what `from_json` makes announcements of: numbers and strings only."""
    return asdict(announcements)


def from_json(saved: dict[str, Any]) -> Announcements:
    """Return the announcements that `to_json` took apart."""
    state = saved["state"]
    return Announcements(
        history=tuple(Announcement(**one) for one in saved["history"]),
        candidate=saved["candidate"],
        n_agreeing=saved["n_agreeing"],
        state=None if state is None else tuple(state),
    )
