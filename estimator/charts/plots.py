"""Figures: each takes a result, returns the axes it drew on, and computes nothing."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from estimator.charts.panel import Line, Panel, Region, panel_of, regions_of
from estimator.charts.scale import axis_range
from estimator.charts.ticks import even_ticks
from estimator.files.optional_packages import install_hint
from estimator.metric_series import MetricSeries, Overlay

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Style = dict[str, Any]  # matplotlib's keyword arguments, which differ by artist

# Colour-blind safe (Okabe & Ito 2008).
ESTIMATED, REALIZED, ALERT = "#0072B2", "#E69F00", "#D55E00"
RECONCILED = "#009E73"
FITTED = "#333333"
_LINES: Final[dict[str, Style]] = {
    "realized": {"color": REALIZED, "lw": 1.2, "label": "realized"},
    "estimated": {"color": ESTIMATED, "lw": 1.6, "label": "estimated"},
    "before": {
        "color": ESTIMATED,
        "lw": 1.1,
        "ls": (0, (4, 2)),
        "alpha": 0.75,
        "label": "estimated",
    },
    "reconciled": {"color": RECONCILED, "lw": 1.6, "label": "reconciled"},
    "fitted": {"color": FITTED, "lw": 1.3, "ls": (0, (1, 1)), "label": "fitted shape"},
}
_ALERTS: Final[Style] = {
    "color": ALERT,
    "lw": 0,
    "marker": "D",
    "markersize": 7,
    "markeredgewidth": 1.6,
}
# A stroke through the value, and a cross.
_TRUST: Final[Style] = {
    "color": "black",
    "lw": 0,
    "markersize": 9,
    "markeredgewidth": 1.4,
}
_TRUST_MARKERS: Final = {"doubtful": (2, 2, -45), "no-trust": (4, 2, 45)}
_MARK_NAMES: Final = {"alert": "alert", "doubtful": "doubtful", "no-trust": "no trust"}
_SO_FAR: Final[Style] = {"color": REALIZED, "lw": 0, "alpha": 0.6}
# Numbers are carets, down and up, whose tip is on the value.
_SO_FAR_MARKERS: Final[dict[str, str | int]] = {"so-far": "o", "below": 7, "above": 6}
# Order of the legend, after the interval.
_KEY: Final = (
    "realized",
    "estimated",
    "reconciled",
    "threshold",
    "alert",
    "doubtful",
    "no trust",
    "affected",
    "fitted shape",
    "realized so far",
)
_MARGIN = 0.05  # above and below the values, as a share of their range
_FEW = 60  # chunks, up to which markers are of full size
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
    panels = [
        panel_of(series, overlays.get(series.metric), axis_range([series], _MARGIN))
        for series in several
    ]
    if ax is not None:
        if n > 1:
            msg = f"`ax` holds one metric, got {n}; name one in `metrics`."
            raise ValueError(msg)
        _draw_panel(ax, panels[0])
        if strip:
            low, high = ax.get_ylim()
            ax.set_ylim(low - 0.12 * (high - low), high)  # room beneath the data
            _draw_strip(ax.inset_axes((0.0, 0.0, 1.0, 0.07)), panels[0])
        style: Style = {"edgecolor": "none", "fontsize": "small"}
        ax.legend(*_key(ax), loc="best", framealpha=0.8, **style)
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
    for drawn, panel in zip(axes[:n, 0], panels, strict=True):
        _draw_panel(drawn, panel)
    if strip:
        _draw_strip(axes[-1, 0], panels[0])
        _label_chunks(axes[-1, 0], panels[0].labels, _MAX_TICKS)
        axes = axes[:-1]
    # Room at the right for the last date, which is centred on the last chunk.
    figure.get_layout_engine().set(w_pad=0.15)
    handles, labels = _key(axes[0, 0])
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
    regions = regions_of(n_reference, overlay, np.arange(n))
    _draw_regions(ax, regions)
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
    if np.isfinite(overlay.fitted).any():
        fitted = Line(role="fitted", values=overlay.fitted, has_dots=False)
        _draw_line(ax, np.arange(n), fitted)
    _say(ax, overlay.sentence)
    _label_chunks(ax, chunks, min(_MAX_TICKS, max(2, int(_inches(ax)))))
    ax.set_ylabel(name, parse_math=False)
    _quiet(ax)
    return ax


def _draw_panel(ax: "Axes", panel: Panel) -> None:
    ax.set_ylim(panel.scale)
    _draw_regions(ax, panel.regions)
    x = panel.positions
    analysis = slice(panel.n_reference, None)
    edges, lower, upper = _steps(
        x[analysis], panel.lower[analysis], panel.upper[analysis]
    )
    ax.fill_between(
        edges,
        lower,
        upper,
        color=RECONCILED if panel.reconciled else ESTIMATED,
        alpha=0.18,
        lw=0,
        label=f"{panel.level:.0%} prediction interval",
    )
    for values in panel.thresholds:
        label = _once(ax, "threshold")
        ax.plot(*_steps(x, values), color=ALERT, lw=1.0, ls=(0, (5, 3)), label=label)
    for line in panel.lines:
        _draw_line(ax, x, line)
    for mark in panel.marks:
        shown = np.isfinite(mark.values)
        label = _once(ax, _MARK_NAMES.get(mark.role, "realized so far"))
        ax.plot(
            x[shown],
            mark.values[shown],
            label=label,
            markerfacecolor="none",
            **_mark_style(mark.role, x.size),
        )
    if panel.sentence:
        _say(ax, panel.sentence)
    _label_chunks(ax, panel.labels, _MAX_TICKS)
    segment = f"\n{panel.segment}" if panel.segment else ""
    ax.set_ylabel(f"{panel.metric}{segment}", parse_math=False)
    _quiet(ax)


def _mark_style(role: str, n_chunks: int) -> Style:
    """Return how marks are drawn among so many chunks."""
    if role == "alert":
        return _ALERTS
    if role in _TRUST_MARKERS:
        return _TRUST | {"marker": _TRUST_MARKERS[role]}
    size = 5.0 if n_chunks <= _FEW else 3.0
    return _SO_FAR | {"marker": _SO_FAR_MARKERS[role], "markersize": size}


def _draw_line(ax: "Axes", x: Ints, line: Line) -> None:
    style = dict(_LINES[line.role])
    if line.has_dots:
        style |= {"marker": "o", "markersize": 4.0 if x.size <= _FEW else 2.0}
    ax.plot(x, line.values, **style)


def _draw_regions(ax: "Axes", regions: Sequence[Region]) -> None:
    """Shade affected chunks and the reference, and say on which side that is."""
    for region in regions:
        begin, stop = region.begin - 0.5, region.stop - 0.5
        if region.role == "affected":
            label = _once(ax, "affected")
            ax.axvspan(begin, stop, color=ALERT, alpha=0.1, lw=0, label=label, zorder=0)
            continue
        ax.axvspan(begin, stop, color="0.5", alpha=0.1, lw=0)
        ax.axvline(stop, color="0.6", lw=0.8)
        for text, points, side in (
            ("◂ reference", -5, "right"),
            ("analysis ▸", 5, "left"),
        ):
            ax.annotate(
                text,
                (stop, 1.0),
                xytext=(points, 2),
                textcoords="offset points",
                ha=side,
                va="bottom",
                xycoords=ax.get_xaxis_transform(),
                color="0.4",
                fontsize="small",
            )


def _key(ax: "Axes") -> tuple[list["Artist"], list[str]]:
    """Return what the legend shows: the values first, then what qualifies them."""
    entries = list(zip(*ax.get_legend_handles_labels(), strict=True))
    entries.sort(key=lambda entry: _KEY.index(entry[1]) if entry[1] in _KEY else -1)
    return [handle for handle, _ in entries], [label for _, label in entries]


def _once(ax: "Axes", label: str) -> str | None:
    """Return a label unless the legend has it."""
    return None if label in ax.get_legend_handles_labels()[1] else label


def _say(ax: "Axes", sentence: str) -> None:
    """Say the verdict above the axes."""
    text = fill(sentence, max(int(_LETTERS * _inches(ax)), 40))
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


def _draw_strip(ax: "Axes", panel: Panel) -> None:
    """Draw the share of labels of each chunk as a bar."""
    x = panel.positions
    ax.bar(x, np.ones(x.size), width=1.0, color="0.93", lw=0)
    ax.bar(x, panel.coverage, width=1.0, color=REALIZED, alpha=0.6, lw=0)
    ax.set_xlim(-0.5, x.size - 0.5)
    ax.set_ylim(0.0, 1.0)
    ax.set_yticks([])
    ax.set_xticks([])
    ax.set_ylabel("labels", rotation=0, ha="right", va="center", fontsize="small")
    ax.spines[:].set_visible(False)


def _label_chunks(ax: "Axes", labels: Sequence[object], most: int) -> None:
    ticks = even_ticks(labels, most)
    ax.set_xticks(
        [tick.position for tick in ticks],
        [tick.text for tick in ticks],
        parse_math=False,
    )
    ax.set_xlim(-0.5, len(labels) - 0.5)


def _steps(x: Ints, *columns: Floats) -> tuple[Floats, ...]:
    """Let each value hold for the whole width of its chunk."""
    edges = np.stack([x - 0.5, x + 0.5], axis=1).ravel()
    return (edges, *(np.repeat(column, 2) for column in columns))


def _pyplot() -> ModuleType:
    try:
        import matplotlib.pyplot as plt  # optional: needed only for a new figure
    except ModuleNotFoundError as error:
        hint = install_hint("plot")
        msg = f"Plots need matplotlib, which is not installed. {hint}"
        raise ModuleNotFoundError(msg) from error
    return plt
