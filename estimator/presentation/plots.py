"""Figures: each takes a result, returns the axes it drew on, and computes nothing."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from estimator._extras import install_hint
from estimator.metric_series import MetricSeries, Overlay
from estimator.presentation.panel import runs_of, value_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

# Colour-blind safe (Okabe & Ito 2008).
ESTIMATED, REALIZED, ALERT = "#0072B2", "#E69F00", "#D55E00"
RECONCILED = "#009E73"
FITTED = "#333333"
_STRIP = 0.22  # height of the strip of label coverage, in panels
_MAX_TICKS = 9
_LEGEND_COLUMNS = (
    6  # more entries do not fit beside each other on a figure of 10 inches
)
_LETTERS = 16  # of small text in an inch


def plot_series(
    several: Sequence[MetricSeries],
    overlays: Mapping[str, Overlay],
    *,
    ax: "Axes | None" = None,
) -> "Axes | NDArray[np.object_]":
    """Draw metrics over time: estimate in its interval, realized, threshold, alerts.

    Once labels have come, the reconciled value is drawn in its interval, the estimate
    thin behind it, realized values of unfinished chunks faint, and beneath it all a
    strip of how many labels each chunk has.

    Parameters
    ----------
    several : sequence of MetricSeries
        Metrics of one segment, one panel each.
    overlays : mapping of str to Overlay
        By metric, what to shade as affected, the fitted shape and the sentence; may
        lack some.
    ax : Axes, optional
        Axes to draw on, for a single metric.

    Returns
    -------
    Axes or ndarray of Axes
        Axes for one metric, an array of them for several.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing; it comes with the ``plot`` extra.
    ValueError
        If ``ax`` is to hold several.
    """
    n = len(several)
    strip = any(series.reconciled or series.partly_labeled for series in several)
    if ax is not None:
        if n > 1:
            msg = f"`ax` holds one metric, got {n}; name one in `metrics`."
            raise ValueError(msg)
        _draw_panel(ax, several[0], overlays.get(several[0].metric))
        if strip:
            low, high = ax.get_ylim()
            ax.set_ylim(low - 0.12 * (high - low), high)  # room beneath the data
            _draw_strip(ax.inset_axes((0.0, 0.0, 1.0, 0.07)), several[0])
        ax.legend(loc="best", edgecolor="none", framealpha=0.8, fontsize="small")
        return ax
    figure, axes = _pyplot().subplots(
        n + strip,
        1,
        sharex=True,
        squeeze=False,
        figsize=(10, 1.2 + 2.4 * (n + _STRIP * strip) + 0.4 * len(overlays)),
        height_ratios=[1.0] * n + [_STRIP] * strip,
        layout="constrained",
    )
    for panel, series in zip(axes[:n, 0], several, strict=True):
        _draw_panel(panel, series, overlays.get(series.metric))
    if strip:
        _draw_strip(axes[-1, 0], several[0])
        _label_chunks(axes[-1, 0], several[0])
        axes = axes[:-1]
    # Room at the right for the last date, which is centred on the last chunk.
    figure.get_layout_engine().set(w_pad=0.15)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=len(labels) if len(labels) <= _LEGEND_COLUMNS else -(-len(labels) // 2),
        frameon=False,
        columnspacing=1.4,
    )
    first: Axes = axes[0, 0]
    column: NDArray[np.object_] = axes[:, 0]
    return first if n == 1 else column


def plot_values(
    values: Floats,
    standard_errors: Floats,
    *,
    name: str,
    chunks: Sequence[str],
    n_reference: int,
    overlay: Overlay,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the values that a verdict was given on, with 95 % error bars, and its shape.

    Parameters
    ----------
    values, standard_errors : ndarray of shape (n_chunks,)
        In units of the metric.
    name : str
        What the values are.
    chunks : sequence of str
        Labels of the chunks, those of the reference first.
    n_reference : int
        Number of chunks of the reference.
    overlay : Overlay
        What the verdict draws.
    ax : Axes, optional
        Axes to draw on; default: a new figure's.

    Returns
    -------
    Axes

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing; it comes with the ``plot`` extra.
    """
    if ax is None:
        _, ax = _pyplot().subplots(figsize=(10, 3.2), layout="constrained")
    n = values.size
    _mark_reference(ax, n_reference)
    ax.errorbar(
        np.arange(n),
        values,
        1.96 * standard_errors,
        color=ESTIMATED,
        ecolor=f"{ESTIMATED}55",
        fmt="o",
        markersize=4.0 if n <= 60 else 2.0,
        label="value, 95 % interval",
    )
    _draw_overlay(ax, overlay)
    most = min(n, _MAX_TICKS, max(2, int(_inches(ax))))
    ticks = np.unique(np.linspace(0, n - 1, most).astype(int))
    ax.set_xticks(ticks, [chunks[i] for i in ticks], parse_math=False)
    ax.set_xlim(-0.5, n - 0.5)
    ax.set_ylabel(name, parse_math=False)
    _quiet(ax)
    return ax


def _draw_panel(ax: "Axes", series: MetricSeries, overlay: Overlay | None) -> None:
    n = len(series)
    x = np.arange(n, dtype=np.float64)
    analysis = slice(series.n_reference, None)
    _set_scale(ax, series)
    _mark_reference(ax, series.n_reference)
    marker: dict[str, Any] = {"marker": "o", "markersize": 4.0 if n <= 60 else 2.0}
    band_x, lower, upper = _steps(
        x[analysis], series.lower[analysis], series.upper[analysis]
    )
    ax.fill_between(
        band_x,
        lower,
        upper,
        color=RECONCILED if series.reconciled else ESTIMATED,
        alpha=0.18,
        lw=0,
        label=f"{series.level:.0%} prediction interval",
    )
    realized = series.final_realized
    if np.isfinite(realized).any():
        ax.plot(x, realized, color=REALIZED, lw=1.2, label="realized", **marker)
    if series.reconciled:
        estimate: dict[str, Any] = {"lw": 1.1, "ls": (0, (4, 2)), "alpha": 0.75}
    else:
        estimate = {"lw": 1.6, **marker}
    ax.plot(x, series.estimated, color=ESTIMATED, label="estimated", **estimate)
    if series.reconciled:
        value = np.where(series.in_analysis, series.value, np.nan)
        ax.plot(x, value, color=RECONCILED, lw=1.6, label="reconciled", **marker)
    _draw_thresholds(ax, x, series)
    alerts = np.flatnonzero(series.alert)
    if alerts.size:
        ax.plot(
            x[alerts],
            series.value[alerts],
            color=ALERT,
            lw=0,
            marker="D",
            markersize=7,
            markerfacecolor="none",
            markeredgewidth=1.6,
            label="alert",
        )
    if overlay is not None:
        _draw_overlay(ax, overlay)
    _draw_so_far(ax, x, series.partial_realized)
    _label_chunks(ax, series)
    segment = f"\n{series.segment}" if series.segment else ""
    ax.set_ylabel(f"{series.metric}{segment}", parse_math=False)
    _quiet(ax)


def _draw_thresholds(ax: "Axes", x: Floats, series: MetricSeries) -> None:
    """Draw thresholds in sight, each over the whole width of its chunk."""
    label: str | None = "threshold"
    for threshold in series.thresholds:
        low, high = ax.get_ylim()
        in_sight = (threshold >= low) & (threshold <= high)
        line_x, line = _steps(x, np.where(in_sight, threshold, np.nan))
        if np.isfinite(line).any():
            ax.plot(line_x, line, color=ALERT, lw=1.0, ls=(0, (5, 3)), label=label)
            label = None


def _set_scale(ax: "Axes", series: MetricSeries) -> None:
    """Leave room for all values, and for what chunks of usual size have around them."""
    drawn = value_range([series])
    if drawn is not None:
        low, high = drawn
        margin = 0.05 * (high - low) or 0.01 * max(abs(high), 1.0)
        ax.set_ylim(low - margin, high + margin)


def _mark_reference(ax: "Axes", n_reference: int) -> None:
    """Shade the reference, draw where it ends, and say on which side it is."""
    if not n_reference:
        return
    ax.axvspan(-0.5, n_reference - 0.5, color="0.5", alpha=0.1, lw=0)
    ax.axvline(n_reference - 0.5, color="0.6", lw=0.8)
    for text, points, side in (("◂ reference", -5, "right"), ("analysis ▸", 5, "left")):
        ax.annotate(
            text,
            (n_reference - 0.5, 1.0),
            xytext=(points, 2),
            textcoords="offset points",
            ha=side,
            va="bottom",
            xycoords=ax.get_xaxis_transform(),
            color="0.4",
            fontsize="small",
        )


def _draw_overlay(ax: "Axes", overlay: Overlay) -> None:
    """Shade the affected chunks, draw the fitted shape, and say it in words above."""
    label: str | None = "affected"
    for begin, stop in runs_of(overlay.affected):
        ax.axvspan(
            begin - 0.5, stop - 0.5, color=ALERT, alpha=0.1, lw=0, label=label, zorder=0
        )
        label = None
    if np.isfinite(overlay.fitted).any():
        x = np.arange(overlay.fitted.size)
        dotted = (0, (1, 1))
        ax.plot(
            x, overlay.fitted, color=FITTED, lw=1.3, ls=dotted, label="fitted shape"
        )
    text = fill(overlay.sentence, max(int(_LETTERS * _inches(ax)), 40))
    ax.set_title(text, loc="left", fontsize="small", pad=16, parse_math=False)


def _inches(ax: "Axes") -> float:
    """Return how wide the axes are."""
    width: float = ax.get_window_extent().width / ax.figure.get_dpi()
    return width


def _quiet(ax: "Axes") -> None:
    """Leave of axes and grid what is needed to read values."""
    ax.grid(axis="y", color="0.9", lw=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_so_far(ax: "Axes", x: Floats, realized: Floats) -> None:
    """Draw unfinished realized values faint, and arrows to those out of sight.

    Labels that come first are a selection: such values may be far off, and must not
    squeeze what is known into a line.
    """
    known = np.isfinite(realized)
    if not known.any():
        return
    low, high = ax.get_ylim()
    style: dict[str, Any] = {
        "color": REALIZED,
        "alpha": 0.6,
        "lw": 0,
        "markerfacecolor": "none",
        "markersize": 5.0 if x.size <= 60 else 3.0,
    }
    label: str | None = "realized so far"
    for where, y, marker in (
        (known & (realized >= low) & (realized <= high), realized, "o"),
        (known & (realized < low), np.full(x.size, low), 7),  # caret down, its tip at y
        (known & (realized > high), np.full(x.size, high), 6),
    ):
        if where.any():
            ax.plot(x[where], y[where], marker=marker, label=label, **style)
            label = None
    ax.set_ylim(low, high)


def _draw_strip(ax: "Axes", series: MetricSeries) -> None:
    """Draw the share of labels of each chunk as a bar."""
    n = len(series)
    x = np.arange(n)
    ax.bar(x, np.ones(n), width=1.0, color="0.93", lw=0)
    ax.bar(x, series.coverage, width=1.0, color=REALIZED, alpha=0.6, lw=0)
    ax.set_xlim(-0.5, n - 0.5)
    ax.set_ylim(0.0, 1.0)
    ax.set_yticks([])
    ax.set_xticks([])
    ax.set_ylabel("labels", rotation=0, ha="right", va="center", fontsize="small")
    ax.spines[:].set_visible(False)


def _label_chunks(ax: "Axes", series: MetricSeries) -> None:
    n = len(series)
    ticks = np.unique(np.linspace(0, n - 1, min(n, _MAX_TICKS)).astype(int))
    ax.set_xticks(ticks, [str(series.chunk[i]) for i in ticks], parse_math=False)
    ax.set_xlim(-0.5, n - 0.5)


def _steps(x: Floats, *columns: Floats) -> tuple[Floats, ...]:
    """Let each value hold for the whole width of its chunk."""
    edges = np.stack([x - 0.5, x + 0.5], axis=1).ravel()
    return (edges, *(np.repeat(column, 2) for column in columns))


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt  # optional: needed only for a new figure
    except ModuleNotFoundError as error:
        hint = install_hint("plot")
        msg = f"Plots need matplotlib, which is not installed. {hint}"
        raise ModuleNotFoundError(msg) from error
    return plt
