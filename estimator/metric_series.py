"""One metric of one segment over the chunks: what verdicts judge and charts draw."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Objects = NDArray[np.object_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class MetricSeries:
    """One metric of one segment over the chunks, those of the reference first.

    Attributes
    ----------
    metric : str
        Registered name of the metric.
    segment : str
        ``"column=value"``; "" is all rows.
    level : float
        Coverage that the intervals claim, in (0, 1).
    timezone : str or None
        Time zone in which to show ``start`` and ``end``, which are then in UTC.
    n_reference : int
        Number of chunks of the reference.
    reconciled : bool
        Whether labels have moved any value of the whole result away from its estimate.
    partly_labeled : bool
        Whether any chunk of the whole result has some of its labels, but not all.
    chunk : ndarray of shape (n_chunks,)
        Labels of the chunks: the ISO start of the period, or 0, 1, ….
    start, end : ndarray of shape (n_chunks,)
        First and last timestamp of each chunk, inclusive, else row positions.
    n_rows, n_labels : ndarray of shape (n_chunks,)
        Number of rows with a usable score, and of those that have a label.
    value : ndarray of shape (n_chunks,)
        The best current answer, in units of the metric, like all that follow.
    lower, upper : ndarray of shape (n_chunks,)
        Prediction interval of the fully labelled value.
    standard_error : ndarray of shape (n_chunks,)
        Each chunk's own noise around the population value.
    calibration_error : ndarray of shape (n_chunks,)
        Standard deviation of the error that all analysis chunks share.
    estimated, realized : ndarray of shape (n_chunks,)
        The value without labels, and the one over the labelled rows.
    lower_threshold, upper_threshold : ndarray of shape (n_chunks,)
        NaN where there is none.
    breach_probability : ndarray of shape (n_chunks,)
        Probability that the population value is worse than the threshold.
    alert : ndarray of bool of shape (n_chunks,)
        Whether the metric alarms in the chunk.
    trust : ndarray of str of shape (n_chunks,)
        ``"good"``, ``"doubtful"`` or ``"none"``.
    note : ndarray of str of shape (n_chunks,)
        Remarks separated by semicolons, "" if none.
    """

    metric: str
    segment: str
    level: float
    timezone: str | None
    n_reference: int
    reconciled: bool
    partly_labeled: bool
    chunk: Objects
    start: np.ndarray
    end: np.ndarray
    n_rows: Ints
    n_labels: Ints
    value: Floats
    lower: Floats
    upper: Floats
    standard_error: Floats
    calibration_error: Floats
    estimated: Floats
    realized: Floats
    lower_threshold: Floats
    upper_threshold: Floats
    breach_probability: Floats
    alert: Bools
    trust: Objects
    note: Objects

    def __len__(self) -> int:
        return self.chunk.size

    def __repr__(self) -> str:
        of_segment = f" of {self.segment}" if self.segment else ""
        n_analysis = len(self) - self.n_reference
        return (
            f"<MetricSeries of {self.metric}{of_segment}: "
            f"{self.n_reference} reference + {n_analysis} analysis chunks>"
        )

    @property
    def in_analysis(self) -> Bools:
        """Whether each chunk is one of the analysis."""
        return np.arange(len(self)) >= self.n_reference

    @property
    def coverage(self) -> Floats:
        """Share of rows that have a label, by chunk, in [0, 1]."""
        return label_coverage(self.n_rows, self.n_labels)

    @property
    def final_realized(self) -> Floats:
        """Realized values of chunks that have all their labels, NaN elsewhere."""
        return np.where(
            has_all_labels(self.n_rows, self.n_labels), self.realized, np.nan
        )

    @property
    def partial_realized(self) -> Floats:
        """Realized values that more labels will move, NaN elsewhere."""
        return np.where(
            has_all_labels(self.n_rows, self.n_labels), np.nan, self.realized
        )

    @property
    def thresholds(self) -> tuple[Floats, Floats]:
        """Lower and upper thresholds."""
        return self.lower_threshold, self.upper_threshold

    def since(self, label: str | int | None) -> "MetricSeries":
        """Return the series without the analysis chunks before one; None: all of it."""
        if label is None:
            return self
        reference = ~self.in_analysis
        kept = [
            bool(first) or name >= label
            for first, name in zip(reference, self.chunk, strict=True)
        ]
        columns: dict[str, Any] = {
            field.name: getattr(self, field.name)[np.array(kept, dtype=np.bool_)]
            for field in fields(self)
            if isinstance(getattr(self, field.name), np.ndarray)
        }
        return replace(self, **columns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overlay:
    """What a chart draws over a series to show the verdict on it.

    Attributes
    ----------
    sentence : str
        The verdict in words.
    fitted : ndarray of shape (n_chunks,)
        The most probable shape, in units of the series; NaN where there is none, and
        everywhere if the verdict names no change.
    affected : ndarray of bool of shape (n_chunks,)
        Chunks that are worse than they were before.
    """

    sentence: str
    fitted: Floats
    affected: Bools


class ChunkColumns(Protocol):
    """What a result says of its chunks, an entry per segment, period and chunk.

    `Performance` has it. Modules that it calls ask for this, not for the class.
    """

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments in their order; "" is all rows together."""

    @property
    def segment(self) -> Objects:
        """Segment of each entry."""

    @property
    def period(self) -> Objects:
        """Period of each entry, ``"reference"`` or ``"analysis"``."""

    @property
    def chunk(self) -> Objects:
        """Label of each entry's chunk."""

    @property
    def start(self) -> np.ndarray:
        """First timestamp of each chunk, else its first row position."""

    @property
    def end(self) -> np.ndarray:
        """Last timestamp of each chunk, else its last row position."""

    @property
    def n_rows(self) -> Ints:
        """Number of rows with a usable score."""


class SeriesTable(ChunkColumns, Protocol):
    """A result as pages read it: its chunks, and each metric of each segment."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics."""

    @property
    def level(self) -> float:
        """Coverage that the intervals claim, in (0, 1)."""

    @property
    def timezone(self) -> str | None:
        """Time zone in which to show times."""

    def metric_series(
        self,
        metric: str | Sequence[str] | None = None,
        *,
        segment: str | Sequence[str] | None = None,
    ) -> dict[str, dict[str, MetricSeries]]:
        """Return series by segment, then by metric."""


def label_coverage(n_rows: Ints, n_labels: Ints) -> Floats:
    """Return the share of rows that have a label, by chunk, in [0, 1]."""
    share: Floats = n_labels / np.maximum(n_rows, 1)
    return share


def has_all_labels(n_rows: Ints, n_labels: Ints) -> Bools:
    """Return, by chunk, whether there are rows and each of them has its label."""
    complete: Bools = (n_labels == n_rows) & (n_rows > 0)
    return complete
