"""What the estimators hand back: frozen, columnar, self-describing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from estimator.degradation.verdict import Degradation

Floats = NDArray[np.float64]
Objects = NDArray[np.object_]

KEY_COLUMNS = ("segment", "period", "chunk", "start", "end")
METRIC_COLUMNS = (
    "value",
    "lower",
    "upper",
    "expected_lower",
    "expected_upper",
    "standard_error",
    "estimated",
    "realized",
    "lower_threshold",
    "upper_threshold",
    "breach_probability",
    "alert",
    "note",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Performance:
    """Performance over time: each metric on each chunk, with what is known about it.

    One row of the arrays is one (segment, period, chunk), in time order within its
    segment and period; two-dimensional arrays have a column per metric.

    Attributes
    ----------
    metrics : tuple of str
        Registered names.
    level : float
        Coverage that both intervals claim, in (0, 1).
    segment, period, chunk : ndarray of shape (n_rows,)
        The key: "" or ``"column=value"``; ``"reference"`` or ``"analysis"``; the ISO
        start of the chunk's period, or 0, 1, ….
    start, end : ndarray of shape (n_rows,)
        First and last timestamp of the chunk, inclusive, else row positions.
    timezone : str or None
        Zone in which to show ``start`` and ``end``, which are then in UTC.
    n_rows, n_labels : ndarray of shape (n_rows,)
        Rows with a usable score, and how many of them have a label.
    value : ndarray of shape (n_rows, n_metrics)
        The best current answer; NaN where the metric is undefined.
    lower, upper : ndarray of shape (n_rows, n_metrics)
        Prediction interval of the fully labelled value; width 0 when all labels are in.
    expected_lower, expected_upper : ndarray of shape (n_rows, n_metrics)
        Interval of the metric in the population the chunk was drawn from.
    standard_error : ndarray of shape (n_rows, n_metrics)
        The chunk's own noise around that population value.
    calibration_error : ndarray of shape (n_rows, n_metrics)
        Standard deviation of the error that all analysis chunks share, √V_cal.
    estimated, realized : ndarray of shape (n_rows, n_metrics)
        What is said without labels, and the metric over the labelled rows.
    lower_threshold, upper_threshold : ndarray of shape (n_rows, n_metrics)
        NaN where there is none.
    breach_probability : ndarray of shape (n_rows, n_metrics)
        That the population value lies beyond the threshold in the bad direction.
    alert : ndarray of bool of shape (n_rows, n_metrics)
        ``breach_probability >= 0.5`` on a complete chunk.
    note : ndarray of str of shape (n_rows, n_metrics)
        Remarks separated by semicolons, "" if none.
    """

    metrics: tuple[str, ...]
    level: float
    segment: Objects
    period: Objects
    chunk: Objects
    start: NDArray[Any]
    end: NDArray[Any]
    timezone: str | None
    n_rows: NDArray[np.int64]
    n_labels: NDArray[np.int64]
    value: Floats
    lower: Floats
    upper: Floats
    expected_lower: Floats
    expected_upper: Floats
    standard_error: Floats
    calibration_error: Floats
    estimated: Floats
    realized: Floats
    lower_threshold: Floats
    upper_threshold: Floats
    breach_probability: Floats
    alert: NDArray[np.bool_]
    note: Objects

    def __post_init__(self) -> None:
        for field in fields(self):
            column = getattr(self, field.name)
            if isinstance(column, np.ndarray):
                view = column.view()  # the arrays are ours: lock, do not copy
                view.flags.writeable = False
                object.__setattr__(self, field.name, view)

    def __len__(self) -> int:
        return self.segment.size

    def __repr__(self) -> str:
        overall = self.segment == ""
        counts = [
            f"{np.sum(overall & (self.period == period))} {period}"
            for period in ("reference", "analysis")
        ]
        # The reference's chunks lie beyond its own thresholds now and then: no news.
        n_alerts = int(self.alert[self.period == "analysis"].sum())
        return (
            f"<Performance of {', '.join(self.metrics)}: "
            f"{' + '.join(counts)} chunks, {n_alerts} alerts>"
        )

    def _repr_html_(self) -> str:
        from estimator.presentation.html import performance_html  # needed only there

        return performance_html(self)

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments in their order; "" is all rows together."""
        return tuple(dict.fromkeys(self.segment.tolist()))

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy frame: one row per chunk and metric (and segment).

        Returns
        -------
        DataFrame
            Columns ``segment, period, chunk, start, end, metric, n_rows, n_labels``,
            then those in ``METRIC_COLUMNS``.
        """
        k = len(self.metrics)
        columns: dict[str, Any] = {
            name: _repeat(getattr(self, name), k) for name in KEY_COLUMNS
        }
        if self.timezone is not None:
            for name in ("start", "end"):
                utc = pd.DatetimeIndex(columns[name]).tz_localize("UTC")
                columns[name] = utc.tz_convert(self.timezone)
        columns["metric"] = list(self.metrics) * len(self)
        columns["n_rows"] = np.repeat(self.n_rows, k)
        columns["n_labels"] = np.repeat(self.n_labels, k)
        for name in METRIC_COLUMNS:
            columns[name] = getattr(self, name).ravel()
        return pd.DataFrame(columns)

    def degradation(
        self, metrics: str | Sequence[str] | None = None, *, segment: str = ""
    ) -> dict[str, "Degradation"]:
        """Say of each metric what kind of decline it shows, if any.

        Parameters
        ----------
        metrics : str or sequence of str, default=all
        segment : str, default=""
            Which segment, as in the column of that name; "" is all rows.

        Returns
        -------
        dict of str to Degradation
            By metric; counts, which have no good direction, are left out, and so are
            metrics without any value. The cause is ``unknown``: only a `Monitor`, which
            learns from labels, tells it.

        Raises
        ------
        ValueError
            If a metric or the segment is not in the result.
        """
        from estimator.degradation.per_metric import judge_performance  # needs this

        return judge_performance(self, metrics, segment=segment)

    def plot(
        self,
        metrics: str | tuple[str, ...] | None = None,
        *,
        segment: str = "",
        verdict: "bool | Mapping[str, Degradation]" = False,
        ax: "Axes | None" = None,
    ) -> Any:
        """Draw the metrics over time, one panel each; needs matplotlib.

        Parameters
        ----------
        metrics : str or tuple of str, default=all
            Which of the metrics to draw.
        segment : str, default=""
            Which segment, as in the column of that name; "" is all rows.
        verdict : bool or mapping of str to Degradation, default=False
            Whether to draw what kind of decline it is, and in words above: True asks
            `degradation`, a mapping is what it or a `Monitor` said.
        ax : Axes, optional
            Axes to draw on, for a single metric.

        Returns
        -------
        Axes or ndarray of Axes
            What was drawn on: Axes for one metric, an array of them for several.
        """
        from estimator.presentation.plots import plot_performance  # stays optional

        return plot_performance(self, metrics, segment=segment, verdict=verdict, ax=ax)


def _repeat(column: NDArray[Any], k: int) -> Any:
    """Repeat each element ``k`` times; chunk numbers come out as integers."""
    repeated = np.repeat(column, k)
    if column.dtype == object and set(map(type, column.tolist())) == {int}:
        return repeated.astype(np.int64)
    return repeated
