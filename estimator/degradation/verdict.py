"""The verdict on one metric: its fields, its sentence, what a chart draws of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.degradation.alarm import AnytimeAlarm, anytime_alarm
from estimator.degradation.kinds import Kind
from estimator.degradation.series import ChunkTime, plain
from estimator.degradation.shapes.findings import Event, Interval, Season
from estimator.degradation.wording import (
    change_rate,
    chunk_name,
    chunk_text,
    clause_of,
    duration_text,
    during_chunk,
    period_unit,
    probability_text,
    season_text,
    size_text,
)
from estimator.metric_series import Overlay

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Cause = Literal["covariate_shift", "concept_drift", "both", "unknown"]

_CAUSES = {
    "covariate_shift": "other cases (covariate shift)",
    "concept_drift": "other behaviour of the same cases (concept drift)",
    "both": "covariate shift and concept drift",
}

# Periods that a series has room for, from which on a season is named as one.
FEWEST_PERIODS: Final = 1.2
UNKNOWN_INTERVAL: Final = Interval(float("nan"), float("nan"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Degradation:
    """The verdict on one metric: what kind of decline, since when, by how much.

    ``str()`` of it is one sentence.

    Attributes
    ----------
    kind : str
        The most probable of ``stable``, ``sudden`` (one step down, or several),
        ``gradual`` (also unfinished), ``cyclical``, ``training_serving_skew`` (down at
        deployment, and staying) and ``recovered`` (an incident that ended).
    probabilities : dict of str to float
        Probability of each kind; they sum to 1.
    onset : str, number, date or None
        Chunk in which the decline begins: its label, time or index. None if stable, and
        for a cycle.
    end : str, number, date or None
        First chunk after the change: back up (recovered), or at the bottom (gradual).
        None if there is none yet.
    onset_interval, end_interval : Interval or None
        Chunks between which onset and end lie with a probability of 95 %.
    period : float, Timedelta or None
        Length of a regular cycle: in units of the times, a Timedelta if these are
        dates, in chunks if there are none. None if it is irregular.
    period_interval : Interval or None
        Periods between which the true one lies with a probability of 95 %.
    magnitude : float
        Change of the metric, signed: so far (gradual), from top to bottom (cyclical).
        NaN if stable; positive improvements have one, too.
    magnitude_interval : Interval
        Changes between which the true one lies with a probability of 95 %.
    season : Season or None
        Regular cycle that the series has, beside what else happens: its period, its
        swing, and whether the reference shows it. None without one.
    events : tuple of Event
        What happened, in order of time: each with its kind, onset, end, size and
        probability. ``kind`` is the one that matters now.
    improved : bool
        Whether the metric changed for the better: then ``kind`` is ``stable``, and
        onset, end and magnitude are those of the improvement.
    cause : str
        ``covariate_shift``, ``concept_drift``, ``both``; ``unknown`` until labels tell.
    log_bayes_factor : float
        Natural logarithm of how much likelier the series is under some decline than
        under no change.
    metric : str
        Name of the metric, "" if it has none.
    higher_is_better : bool
        Whether a decline is down. For a loss it is up.
    n_reference : int
        Number of the reference's chunks, which come first.
    chunks : ndarray of shape (n_chunks,)
        Labels, times or indices of all chunks.
    values, standard_errors : ndarray of shape (n_chunks,)
        The series as it was given, in units of the metric.
    shared_error : float
        Standard deviation of the error common to all analysis chunks, as it was given.
    fitted : ndarray of shape (n_chunks,)
        The most probable shape, in units of the metric; NaN in unusable chunks.
    affected : ndarray of bool of shape (n_chunks,)
        Chunks that are worse than they were before.
    per_row : bool
        Whether the values are those of a total over rows, divided by their number.
    """

    kind: Kind
    probabilities: dict[str, float]
    onset: ChunkTime | None = None
    end: ChunkTime | None = None
    onset_interval: Interval[ChunkTime] | None = None
    end_interval: Interval[ChunkTime] | None = None
    period: float | pd.Timedelta | None = None
    period_interval: Interval[float | pd.Timedelta] | None = None
    magnitude: float = float("nan")
    magnitude_interval: Interval[float] = UNKNOWN_INTERVAL
    season: Season | None = None
    events: tuple[Event, ...] = ()
    improved: bool = False
    cause: Cause = "unknown"
    log_bayes_factor: float
    metric: str = ""
    higher_is_better: bool
    n_reference: int
    chunks: np.ndarray
    values: Floats
    standard_errors: Floats
    shared_error: float
    fitted: Floats
    affected: NDArray[np.bool_]
    per_row: bool = False

    @property
    def probability(self) -> float:
        """Probability of the kind that is named."""
        return self.probabilities[self.kind]

    def __str__(self) -> str:
        return f"{event_text(self)}; {certainty_text(self)}"

    def alarm(self, alpha: float = 0.01) -> AnytimeAlarm:
        """Return the anytime-valid alarm on the same series: see `anytime_alarm`.

        Parameters
        ----------
        alpha : float, default=0.01
            Probability of ever going off if nothing changes, in (0, 1).

        Returns
        -------
        AnytimeAlarm
            Its ``chunk`` named as those of the verdict.
        """
        alarm = anytime_alarm(
            self.values,
            self.standard_errors,
            n_reference=self.n_reference,
            higher_is_better=self.higher_is_better,
            shared_error=self.shared_error,
            alpha=alpha,
        )
        if not isinstance(alarm.chunk, int):  # it did not go off
            return alarm
        return replace(alarm, chunk=plain(self.chunks[alarm.chunk]))

    def plot(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw values, fitted shape and affected chunks; needs matplotlib.

        Parameters
        ----------
        ax : Axes, optional
            Axes to draw on; default: a new figure's.

        Returns
        -------
        Axes
            The axes that were drawn on.
        """
        from estimator.charts.plots import plot_values  # matplotlib is optional

        return plot_values(
            self.values,
            self.standard_errors,
            name=self.metric or "value",
            chunks=[chunk_text(label) for label in self.chunks],
            n_reference=self.n_reference,
            overlay=overlay_of(self),
            ax=ax,
        )

    def __repr__(self) -> str:
        return f"<Degradation: {self}>"


def label_chunks(verdict: Degradation, labels: Sequence[str | int]) -> Degradation:
    """Return the verdict with labels for its chunks, instead of times.

    Parameters
    ----------
    verdict : Degradation
        Verdict whose chunks are times or indices.
    labels : sequence of shape (n_chunks,)
        Label of each chunk, in the order of ``verdict.chunks``.
    """
    label_by_time = dict(zip(map(plain, verdict.chunks), labels, strict=True))

    def label_of(time: ChunkTime | None) -> ChunkTime | None:
        return None if time is None else label_by_time[time]

    def labels_of(ends: Interval[ChunkTime] | None) -> Interval[ChunkTime] | None:
        if ends is None:
            return None
        return Interval(label_by_time[ends.low], label_by_time[ends.high])

    chunks = np.empty(len(labels), dtype=object)
    chunks[:] = labels
    return replace(
        verdict,
        chunks=chunks,
        onset=label_of(verdict.onset),
        end=label_of(verdict.end),
        onset_interval=labels_of(verdict.onset_interval),
        end_interval=labels_of(verdict.end_interval),
        events=tuple(
            replace(one, onset=label_by_time[one.onset], end=label_of(one.end))
            for one in verdict.events
        ),
    )


def event_text(verdict: Degradation) -> str:
    """Say what happened, since when and by how much."""
    return f"{verdict.metric or 'the metric'} {change_text(verdict)}"


def certainty_text(verdict: Degradation) -> str:
    """Say how sure the verdict is, and what the cause is if that is known."""
    cause = _CAUSES.get(verdict.cause)
    cause_text = f"; cause: {cause}" if cause else ""
    return f"probability {probability_text(verdict.probability)}{cause_text}"


def overlay_of(
    verdict: Degradation, n_rows: NDArray[np.int64] | None = None
) -> Overlay:
    """Return what a chart draws of a verdict over the series that it judges.

    Parameters
    ----------
    verdict : Degradation
        Chunks of the reference, and the last ones of the analysis.
    n_rows : ndarray of shape (n_chunks,), optional
        Number of rows of each chunk of the series; more chunks than the verdict has if
        it counts those since a rebase only. Default: the values of the verdict itself
        are drawn.
    """
    changed = verdict.kind != "stable" or verdict.improved
    fitted = verdict.fitted if changed else np.full_like(verdict.fitted, np.nan)
    affected = verdict.affected.astype(np.float64)
    if n_rows is not None:
        fitted = _spread_over_chunks(fitted, verdict.n_reference, n_rows.size, np.nan)
        affected = _spread_over_chunks(affected, verdict.n_reference, n_rows.size, 0.0)
        if verdict.per_row:
            fitted = fitted * n_rows
    return Overlay(sentence=str(verdict), fitted=fitted, affected=affected > 0.0)


def _spread_over_chunks(
    values: Floats, n_reference: int, n_chunks: int, missing: float
) -> Floats:
    """Return values of the reference and of the last chunks as values of all chunks.

    Chunks between them were before a rebase: they have the ``missing`` value.
    """
    chunk_values = np.full(n_chunks, missing)
    chunk_values[:n_reference] = values[:n_reference]
    n_last = values.size - n_reference
    chunk_values[n_chunks - n_last :] = values[n_reference:]
    return chunk_values


def change_text(verdict: Degradation) -> str:
    """Return the sentence about what happened, without the name of the metric."""
    text = _main_text(verdict)
    season = verdict.season
    if season is not None and verdict.kind != "cyclical":
        is_possible = season.n_periods < FEWEST_PERIODS
        text += season_text(season, verdict.chunks, is_possible=is_possible)
    others = [clause_of(one, verdict.chunks) for one in _other_events(verdict)]
    return f"{text}; also {', '.join(others)}" if others else text


def _other_events(verdict: Degradation) -> list[Event]:
    """Return the events that the sentence is not about yet."""
    of_kind = [one for one in verdict.events if one.kind == verdict.kind]
    if verdict.kind == "stable":
        return [one for one in verdict.events if one.onset != verdict.onset]
    main = of_kind[-1:] if verdict.kind == "recovered" else of_kind[:1]
    return [one for one in verdict.events if one not in main]


def _has_partly_returned(verdict: Degradation) -> bool:
    """Return whether part of a step came back."""
    edges = {
        edge
        for one in verdict.events
        if one.kind == "recovered" and one.size * verdict.magnitude > 0.0
        for edge in (one.onset, one.end)
    }
    return any(
        one.kind == "sudden"
        and (one.size * verdict.magnitude < 0.0 or one.onset in edges)
        for one in verdict.events
    )


def _main_text(verdict: Degradation) -> str:
    """Return the sentence about what matters now."""
    declined = "rose" if not verdict.higher_is_better else "fell"
    worse = "higher" if not verdict.higher_is_better else "lower"
    size = size_text(verdict.magnitude, verdict.magnitude_interval)
    in_part = f" and recovered in part: {size} is missing"
    onset = end = in_onset = in_end = ""
    if verdict.onset is not None:
        onset = chunk_name(verdict.chunks, verdict.onset)
        in_onset = during_chunk(verdict.chunks, verdict.onset)
    if verdict.end is not None:
        end = chunk_name(verdict.chunks, verdict.end)
        in_end = during_chunk(verdict.chunks, verdict.end)
    if verdict.kind == "sudden":
        is_back = _has_partly_returned(verdict)
        return f"{declined} suddenly {in_onset}{in_part if is_back else f', by {size}'}"
    if verdict.kind == "training_serving_skew":
        return f"has been {worse} since deployment, by {size}: training-serving skew"
    if verdict.kind == "recovered":
        return f"was {worse} by {size} from {onset}, and recovered {in_end}"
    if verdict.kind == "gradual":
        if verdict.end is not None:
            return f"{declined} gradually from {onset} to {end}, by {size}"
        declines = "declines" if verdict.higher_is_better else "rises"
        return f"{declines} gradually since {onset}, {_rate(verdict)}, by {size} so far"
    if verdict.kind == "cyclical":
        timing = "at irregular intervals"
        if verdict.period is not None and verdict.period_interval is not None:
            low, high = verdict.period_interval
            unit = period_unit(verdict.chunks, verdict.period)
            period = duration_text(verdict.period)
            limits = f"{duration_text(low)} to {duration_text(high)}"
            timing = f"with a period of {period} ({limits}){unit}"
        return f"goes down and up {timing}, by {size}"
    if verdict.improved:
        return f"improved {in_onset}, by {size}, and does not degrade"
    return "is stable"


def _rate(verdict: Degradation) -> str:
    """Return the change per month, or per chunk where there are no dates."""
    onset = int(np.argmax(verdict.affected))
    return change_rate(verdict.magnitude, onset, verdict.chunks)
