"""What the estimators hand back: frozen, columnar, self-describing."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import EllipsisType
from typing import TYPE_CHECKING, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.metric_series import MetricSeries, Overlay
from estimator.results.names import check_names, selected_names
from estimator.results.series import cut_series
from estimator.results.tables import ResultDict, plain_chunks, tidy_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from estimator.degradation.verdict import Degradation

Floats = NDArray[np.float64]
Objects = NDArray[np.object_]

PERIODS = ("reference", "analysis")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Performance:
    """Performance over time: each metric on each chunk, with what is known about it.

    One row of the arrays is one (segment, period, chunk), in time order within its
    segment and period; two-dimensional arrays have a column per metric.

    Attributes
    ----------
    metrics : tuple of str
        Registered names of the metrics.
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
        Limits of the metric, in its units; NaN where there is none.
    breach_probability : ndarray of shape (n_rows, n_metrics)
        Probability that the population value lies beyond the threshold in the bad
        direction.
    alert : ndarray of bool of shape (n_rows, n_metrics)
        ``breach_probability >= 0.5`` on a complete chunk.
    trust : ndarray of str of shape (n_rows, n_metrics)
        How far the estimate can be trusted, judged without labels: ``"good"``,
        ``"doubtful"``, or ``"none"`` where nobody should act on it. It is the same for
        all metrics of a chunk, and ``note`` has the reason.
    note : ndarray of str of shape (n_rows, n_metrics)
        Remarks separated by semicolons, "" if none.
    """

    metrics: tuple[str, ...]
    level: float
    segment: Objects
    period: Objects
    chunk: Objects
    start: np.ndarray
    end: np.ndarray
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
    trust: Objects
    note: Objects

    def __post_init__(self) -> None:
        for name, column in self._arrays().items():
            view = column.view()  # the arrays are ours: lock, do not copy
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    def _arrays(self) -> dict[str, np.ndarray]:
        """Return the columns by name."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: column
            for name, column in columns.items()
            if isinstance(column, np.ndarray)
        }

    def __len__(self) -> int:
        return self.segment.size

    def __repr__(self) -> str:
        first = next(iter(self.segments), "")
        overall = self.segment == first
        counts = [
            f"{np.sum(overall & (self.period == period))} {period}"
            for period in ("reference", "analysis")
        ]
        # The reference's chunks lie beyond its own thresholds now and then: no news.
        n_alerts = int(self.alert[self.period == "analysis"].sum())
        return (
            f"<Performance of {', '.join(self.metrics)}{first and f' ({first})'}: "
            f"{' + '.join(counts)} chunks, {n_alerts} alerts>"
        )

    def _repr_html_(self) -> str:
        from estimator.charts.notebook import performance_html  # needed only there

        in_analysis = self.period[self.segment == self._segment_or_first(None)]
        verdicts = self.degradation() if (in_analysis == "analysis").any() else {}
        return performance_html(self, self._overlays(verdicts, None))

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments in their order; "" is all rows together."""
        return tuple(dict.fromkeys(self.segment.tolist()))

    def filter(
        self,
        *,
        metric: str | Sequence[str] | None = None,
        segment: str | Sequence[str] | None = None,
        period: str | Sequence[str] | None = None,
    ) -> "Performance":
        """Return the result of some metrics, segments and periods only.

        Parameters
        ----------
        metric : str or sequence of str, default=all
            Metrics to keep, in the order given.
        segment : str or sequence of str, default=all
            Segments to keep, as in the column of that name; "" is all rows.
        period : str or sequence of str, default=both
            ``"reference"``, ``"analysis"`` or both.

        Returns
        -------
        Performance
            It has every method; `plot`, `degradation` and `to_html` take its first
            segment where it has no chunks of all rows. Of one period alone
            `degradation` (and so `to_html` and ``plot(verdict=True)``) judges what
            changes within it; without the reference it cannot see what has been worse
            since deployment.

        Raises
        ------
        TypeError
            If an argument is no name and no sequence of names.
        ValueError
            If a name is not in the result, comes twice, or none is given.

        Examples
        --------
        >>> import pandas as pd
        >>> from estimator import PerformanceEstimator
        >>> frame = pd.DataFrame({"y_pred_proba": [0.2, 0.4, 0.6, 0.8] * 500})
        >>> frame["y_true"] = frame.index % 3 == 0
        >>> estimates = PerformanceEstimator(chunk=500).fit(frame).estimate(frame)
        >>> estimates.filter(metric="accuracy", period="analysis")
        <Performance of accuracy: 0 reference + 4 analysis chunks, 0 alerts>
        """
        metrics = selected_names("metric", metric, self.metrics)
        rows = np.isin(self.segment, selected_names("segment", segment, self.segments))
        rows &= np.isin(self.period, selected_names("period", period, PERIODS))
        columns = [self.metrics.index(name) for name in metrics]
        kept = {
            name: array[rows] if array.ndim == 1 else array[rows][:, columns]
            for name, array in self._arrays().items()
        }
        return Performance(
            metrics=metrics, level=self.level, timezone=self.timezone, **kept
        )

    def metric_series(
        self,
        metric: str | Sequence[str] | None = None,
        *,
        segment: str | Sequence[str] | None = None,
    ) -> dict[str, dict[str, MetricSeries]]:
        """Return each metric of each segment as one series over the chunks.

        Parameters
        ----------
        metric : str or sequence of str, default=all
            Metrics to return, in the order given.
        segment : str or sequence of str, default=all
            Segments to return, as in the column of that name; "" is all rows.

        Returns
        -------
        dict of str to dict of str to MetricSeries
            By segment, then by metric.

        Raises
        ------
        TypeError
            If an argument is no name and no sequence of names.
        ValueError
            If a name is not in the result, comes twice, or none is given.

        Examples
        --------
        >>> import pandas as pd
        >>> from estimator import PerformanceEstimator
        >>> frame = pd.DataFrame({"y_pred_proba": [0.2, 0.4, 0.6, 0.8] * 500})
        >>> frame["y_true"] = frame.index % 3 == 0
        >>> estimates = PerformanceEstimator(chunk=500).fit(frame).estimate(frame)
        >>> estimates.metric_series("accuracy", segment="")[""]["accuracy"]
        <MetricSeries of accuracy: 4 reference + 4 analysis chunks>
        """
        metrics = selected_names("metric", metric, self.metrics)
        segments = selected_names("segment", segment, self.segments)
        return cut_series(
            self._arrays(),
            self.metrics,
            metrics,
            segments,
            level=self.level,
            timezone=self.timezone,
        )

    def to_frame(self, *, timezone: str | EllipsisType | None = ...) -> pd.DataFrame:
        """Return a tidy frame: one row per chunk and metric (and segment).

        Parameters
        ----------
        timezone : str or None, optional
            Time zone of ``start`` and ``end``. Default: that of the data. None: its
            wall-clock times without a zone, which ``DataFrame.to_excel`` accepts.

        Returns
        -------
        DataFrame
            Columns ``segment, period, chunk, start, end, metric, n_rows, n_labels``,
            then those in ``METRIC_COLUMNS``.

        Raises
        ------
        ValueError
            If ``timezone`` is a name and the data's times have no zone.
        """
        return tidy_frame(self._arrays(), self.metrics, self.timezone, timezone)

    def to_dict(self) -> ResultDict:
        """Return the result as plain types, ready for ``json.dumps``.

        Returns
        -------
        dict
            ``metrics`` (list of str), ``level`` (float), ``timezone`` (str or None) and
            ``chunks``: a list with one dict per segment, period and chunk, with

            - ``segment``, ``period`` (str), ``chunk`` (str or int);
            - ``start``, ``end``: ISO 8601 text, with the offset from UTC where there is
              a time zone, or row positions (int); None if unknown;
            - ``n_rows``, ``n_labels`` (int);
            - ``metrics``: by metric, a dict with the names in ``METRIC_COLUMNS``:
              ``alert`` (bool), ``note`` (str), and floats, with None for NaN and for
              infinities.

        Examples
        --------
        >>> import json
        >>> import pandas as pd
        >>> from estimator import PerformanceEstimator
        >>> frame = pd.DataFrame({"y_pred_proba": [0.2, 0.4, 0.6, 0.8] * 500})
        >>> frame["y_true"] = frame.index % 3 == 0
        >>> estimates = PerformanceEstimator(chunk=500).fit(frame).estimate(frame)
        >>> chunk = json.loads(json.dumps(estimates.to_dict()))["chunks"][-1]
        >>> chunk["period"], chunk["chunk"], chunk["metrics"]["accuracy"]["realized"]
        ('analysis', 3, 0.502)
        """
        return {
            "metrics": list(self.metrics),
            "level": float(self.level),
            "timezone": self.timezone,
            "chunks": plain_chunks(self._arrays(), self.metrics, self.timezone),
        }

    def to_html(
        self, path: str | os.PathLike[str], *, title: str = "Performance"
    ) -> None:
        """Write the result as one page that needs no network and no other file.

        The page has verdicts, a chart per metric, the segments and all numbers; any
        browser shows it, by day, by night, on a phone and on paper. Readers of the file
        see the old page or the whole new one.

        Parameters
        ----------
        path : str or PathLike
            File to write; its folder must exist.
        title : str, default="Performance"
            Heading of the page.

        Raises
        ------
        ValueError
            If the result has no chunks.
        OSError
            If the file cannot be written.
        """
        from estimator.degradation.per_metric import judge_series  # slow to import
        from estimator.report.page import Report, write_report

        if not self.segments:
            msg = (
                "A page needs at least one chunk, but the result has none. Filter "
                "less, or estimate first."
            )
            raise ValueError(msg)
        shown, first = self, self.segments[0]
        if first:  # a page is about all rows: the first segment stands in their place
            overall = np.where(self.segment == first, "", self.segment)
            shown, title = replace(self, segment=overall), f"{title}: {first}"
        verdicts = {}
        if (shown.period == "analysis").any():
            series = shown.metric_series()
            verdicts = {name: judge_series(series[name]) for name in series}
        report = Report(title=title, performance=shown, verdicts=verdicts, as_of=None)
        write_report(report, path)

    def degradation(
        self,
        metrics: str | Sequence[str] | None = None,
        *,
        segment: str | None = None,
    ) -> dict[str, "Degradation"]:
        """Say of each metric what kind of decline it shows, if any.

        Parameters
        ----------
        metrics : str or sequence of str, default=all
            Metrics to judge.
        segment : str, optional
            Which segment, as in the column of that name; "" is all rows. Default: the
            first of the result, which is all rows unless they were filtered out.

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
        from estimator.degradation.per_metric import judge_series  # slow to import

        segment = self._segment_or_first(segment)
        names = check_names(self, metrics, segment)
        series = self.metric_series(segment=segment)[segment]
        return judge_series({name: series[name] for name in names})

    def _segment_or_first(self, segment: str | None) -> str:
        return next(iter(self.segments), "") if segment is None else segment

    def _overlays(
        self, verdicts: "Mapping[str, Degradation]", segment: str | None
    ) -> dict[str, Overlay]:
        """Return what verdicts draw over the series of a segment, by metric."""
        from estimator.degradation.verdict import overlay_of  # slow to import

        n_rows = self.n_rows[self.segment == self._segment_or_first(segment)]
        return {name: overlay_of(verdicts[name], n_rows) for name in verdicts}

    @overload
    def plot(
        self,
        metrics: str,
        *,
        segment: str | None = None,
        verdict: "bool | Mapping[str, Degradation]" = False,
        ax: "Axes | None" = None,
    ) -> "Axes": ...

    @overload
    def plot(
        self,
        metrics: Sequence[str] | None = None,
        *,
        segment: str | None = None,
        verdict: "bool | Mapping[str, Degradation]" = False,
        ax: "Axes",
    ) -> "Axes": ...

    @overload
    def plot(
        self,
        metrics: Sequence[str] | None = None,
        *,
        segment: str | None = None,
        verdict: "bool | Mapping[str, Degradation]" = False,
        ax: None = None,
    ) -> "Axes | NDArray[np.object_]": ...

    def plot(
        self,
        metrics: str | Sequence[str] | None = None,
        *,
        segment: str | None = None,
        verdict: "bool | Mapping[str, Degradation]" = False,
        ax: "Axes | None" = None,
    ) -> "Axes | NDArray[np.object_]":
        """Draw the metrics over time, one panel each; needs matplotlib.

        Parameters
        ----------
        metrics : str or sequence of str, default=all
            Which of the metrics to draw.
        segment : str, optional
            Which segment, as in the column of that name; "" is all rows. Default: the
            first of the result, which is all rows unless they were filtered out.
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
        from estimator.charts.plots import plot_series  # matplotlib is optional

        segment = self._segment_or_first(segment)
        names = check_names(self, metrics, segment)
        verdicts: Mapping[str, Degradation] = {}
        if verdict is True:
            verdicts = self.degradation(names, segment=segment)
        elif verdict is not False:
            verdicts = {name: verdict[name] for name in names if name in verdict}
        series = self.metric_series(segment=segment)[segment]
        overlays = self._overlays(verdicts, segment)
        return plot_series([series[name] for name in names], overlays, ax=ax)
