"""What has been announced: that a metric declines, and the end of it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from estimator.degradation.classification import classify_degradation
from estimator.degradation.kinds import CALM_KINDS, Kind
from estimator.degradation.series import ChunkTime, Ints, plain, read_series
from estimator.degradation.verdict import Degradation

# Complete chunks in a row whose verdicts agree that there is a decline, or none, before
# that is announced. One would announce every passing verdict; each more is a chunk
# later: a step of 3 standard errors is announced after 3, 4 and 5 chunks (median of 90
# simulated series) with 1, 2 and 3.
AGREEING: Final = 2
# Least probability of a decline, or of its end, that is announced.
MIN_PROBABILITY: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A decline that was announced, or the end of one (``stable``, ``recovered``).

    Attributes
    ----------
    kind : str
        Kind of decline that the verdict of that time names; ``stable`` or
        ``recovered`` if there is none any more.
    chunk : str, number, date or None
        Label or time of the newest complete chunk at that time.
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
        Announcements, oldest first. Empty: no decline so far.
    candidate : str
        Kind of the last verdict that was probable enough.
    n_agreeing : int
        Number of complete chunks in a row whose verdicts agreed with it that there is
        a decline, or none.
    chunk : str, number, date or None
        Label or time of the newest complete chunk at the last verdict that counted.
    """

    history: tuple[Announcement, ...] = ()
    candidate: Kind = "stable"
    n_agreeing: int = 0
    chunk: ChunkTime | None = None

    @property
    def announced(self) -> Kind:
        """The kind of the last announcement, else ``stable``."""
        return self.history[-1].kind if self.history else "stable"

    def update(
        self,
        verdict: Degradation,
        chunk: ChunkTime | None,
        *,
        min_probability: float = MIN_PROBABILITY,
    ) -> "Announcements":
        """Return the announcements after one more verdict.

        A decline is announced once the verdicts on two complete chunks in a row say,
        each with at least ``min_probability``, that there is one, of whatever kind; its
        end likewise. So there is one announcement per decline and one for its end,
        never both within a chunk; a kind that changes is no second one, unless its
        onset is later than the chunk of the last.

        Parameters
        ----------
        verdict : Degradation
            New verdict.
        chunk : str, number, date or None
            Label or time of the newest complete chunk that it judges; of verdicts on
            the same one only the first counts. None: none is complete, and the verdict
            does not count.
        min_probability : float, default=0.8
            Least probability of a decline, or of its end, in [0, 1].

        Returns
        -------
        Announcements
            With one more announcement if there is news.
        """
        if chunk is None or chunk == self.chunk:
            return self
        declines = verdict.kind not in CALM_KINDS
        probability = sum(
            share
            for kind, share in verdict.probabilities.items()
            if (kind not in CALM_KINDS) == declines
        )
        if probability < min_probability:
            return replace(self, n_agreeing=0, chunk=chunk)
        agrees = (self.candidate not in CALM_KINDS) == declines
        n = self.n_agreeing + 1 if agrees else 1
        updated = replace(self, candidate=verdict.kind, n_agreeing=n, chunk=chunk)
        if n < AGREEING or not self._is_news(verdict, min_probability):
            return updated
        new = Announcement(
            kind=verdict.kind,
            chunk=chunk,
            onset=verdict.onset,
            probability=verdict.probability,
        )
        return replace(updated, history=(*self.history, new))

    def _is_news(self, verdict: Degradation, min_probability: float) -> bool:
        """Whether a decline begins or ends, or another has come since the last news.

        Another one is named as such: both verdicts are of its kind, the last one of
        which is probable enough by itself, and it began after what has been announced.
        """
        declines = verdict.kind not in CALM_KINDS
        if declines != (self.announced not in CALM_KINDS):
            return True
        if verdict.kind == "stable" or verdict.onset is None:
            return False
        if verdict.kind != self.candidate or verdict.probability < min_probability:
            return False
        chunks = [plain(chunk) for chunk in verdict.chunks]
        last = self.history[-1].chunk if self.history else None
        # The chunk is not there if it was before a rebase.
        return last not in chunks or chunks.index(verdict.onset) > chunks.index(last)


def check_min_probability(value: object) -> float:
    """Return the least probability of what is announced, a number in [0, 1].

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it is not in [0, 1].
    """
    msg = (
        f"`min_probability` must be a number from 0 to 1, got {value!r}. The default "
        f"is {MIN_PROBABILITY}."
    )
    if isinstance(value, bool) or not isinstance(value, float | int):
        raise TypeError(msg)
    if not 0.0 <= value <= 1.0:
        raise ValueError(msg)
    return float(value)


def follow_degradation(
    values: ArrayLike,
    standard_errors: ArrayLike,
    *,
    n_reference: int,
    times: ArrayLike | None = None,
    higher_is_better: bool = True,
    shared_error: float = 0.0,
    min_probability: float = MIN_PROBABILITY,
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
    min_probability : float, default=0.8
        Least probability of a decline, or of its end, that is announced, in [0, 1].

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
    min_probability = check_min_probability(min_probability)
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
        announcements = announcements.update(
            verdict, plain(verdict.chunks[-1]), min_probability=min_probability
        )
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
    """Return the announcements that `to_json` took apart.

    Those that were saved without a chunk begin to count verdicts anew.
    """
    has_chunk = "chunk" in saved
    return Announcements(
        history=tuple(Announcement(**one) for one in saved["history"]),
        candidate=saved["candidate"],
        n_agreeing=saved["n_agreeing"] if has_chunk else 0,
        chunk=saved["chunk"] if has_chunk else None,
    )
