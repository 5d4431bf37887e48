"""Figures: each takes a result, returns the axes it drew on, and computes nothing."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from estimator._extras import install_hint
from estimator.degradation.per_metric import check_names
from estimator.degradation.verdict import Degradation
from estimator.degradation.wording import chunk_text
from estimator.presentation.panel import read_panel, value_range
from estimator.presentation.stages import (
    affected_runs,
    coverage,
    fitted_values,
    has_partial_labels,
    is_final,
    is_reconciled,
)
from estimator.results import Performance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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


def plot_performance(
    performance: Performance,
    metrics: str | Sequence[str] | None = None,
    *,
    segment: str = "",
    verdict: bool | Mapping[str, Degradation] = False,
    ax: "Axes | None" = None,
) -> "Axes | NDArray[np.object_]":
    """Draw metrics over time: estimate in its interval, realized, threshold, alerts.

    Once labels have come, the reconciled value is drawn in its interval, the estimate
    thin behind it, realized values of unfinished chunks faint, and beneath it all a
    strip of how many labels each chunk has.

    Parameters
    ----------
    performance : Performance
        What to draw.
    metrics : str or sequence of str, default=all
        One panel each.
    segment : str, default=""
        As in the column of that name; "" is all rows.
    verdict : bool or mapping of str to Degradation, default=False
        Whether to shade what is affected, draw the fitted shape and say the sentence;
        verdicts by metric, or True for `Performance.degradation`.
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
        If a metric or the segment is not in the result, or ``ax`` is to hold several.
    """
    names = check_names(performance, metrics, segment)
    verdicts: Mapping[str, Degradation] = {}
    if verdict is True:
        verdicts = performance.degradation(names, segment=segment)
    elif verdict is not False:
        verdicts = verdict
    if ax is not None:
        if len(names) > 1:
            msg = f"`ax` holds one metric, got {len(names)}; name one in `metrics`."
            raise ValueError(msg)
        _draw_panel(ax, performance, names[0], segment, verdicts.get(names[0]))
        if _shows_labels(performance):
            low, high = ax.get_ylim()
            ax.set_ylim(low - 0.12 * (high - low), high)  # room beneath the data
            _draw_strip(ax.inset_axes((0.0, 0.0, 1.0, 0.07)), performance, segment)
        ax.legend(loc="best", edgecolor="none", framealpha=0.8, fontsize="small")
        return ax
    strip = _shows_labels(performance)
    figure, axes = _pyplot().subplots(
        len(names) + strip,
        1,
        sharex=True,
        squeeze=False,
        figsize=(10, 1.2 + 2.4 * (len(names) + _STRIP * strip) + 0.4 * len(verdicts)),
        height_ratios=[1.0] * len(names) + [_STRIP] * strip,
        layout="constrained",
    )
    for panel, name in zip(axes[: len(names), 0], names, strict=True):
        _draw_panel(panel, performance, name, segment, verdicts.get(name))
    if strip:
        _draw_strip(axes[-1, 0], performance, segment)
        _label_chunks(axes[-1, 0], performance, segment)
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
    return first if len(names) == 1 else column


def plot_degradation(verdict: Degradation, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the values that a verdict was given on, with 95 % error bars, and its shape.

    Parameters
    ----------
    verdict : Degradation
        What to draw.
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
    n = verdict.values.size
    _mark_reference(ax, verdict.n_reference)
    ax.errorbar(
        np.arange(n),
        verdict.values,
        1.96 * verdict.standard_errors,
        color=ESTIMATED,
        ecolor=f"{ESTIMATED}55",
        fmt="o",
        markersize=4.0 if n <= 60 else 2.0,
        label="value, 95 % interval",
    )
    _draw_shape(ax, np.arange(n), verdict.fitted, affected_runs(verdict, n), verdict)
    most = min(n, _MAX_TICKS, max(2, int(_inches(ax))))
    ticks = np.unique(np.linspace(0, n - 1, most).astype(int))
    labels = [chunk_text(verdict.chunks[i]) for i in ticks]
    ax.set_xticks(ticks, labels, parse_math=False)
    ax.set_xlim(-0.5, n - 0.5)
    ax.set_ylabel(verdict.metric or "value", parse_math=False)
    _quiet(ax)
    return ax


def _draw_panel(
    ax: "Axes",
    performance: Performance,
    metric: str,
    segment: str,
    verdict: Degradation | None,
) -> None:
    of = np.flatnonzero(performance.segment == segment)
    k = performance.metrics.index(metric)
    x = np.arange(of.size, dtype=np.float64)
    n_reference = int(np.sum(performance.period[of] == "reference"))
    analysis = slice(n_reference, None)

    def column(name: str) -> NDArray[Any]:
        values: NDArray[Any] = getattr(performance, name)[of, k]
        return values

    _set_scale(ax, performance, metric, segment)
    _mark_reference(ax, n_reference)
    marker: dict[str, Any] = {
        "marker": "o",
        "markersize": 4.0 if of.size <= 60 else 2.0,
    }
    band_x, lower, upper = _steps(
        x[analysis], column("lower")[analysis], column("upper")[analysis]
    )
    reconciled = is_reconciled(performance)
    ax.fill_between(
        band_x,
        lower,
        upper,
        color=RECONCILED if reconciled else ESTIMATED,
        alpha=0.18,
        lw=0,
        label=f"{performance.level:.0%} prediction interval",
    )
    realized, final = column("realized"), is_final(performance)[of]
    if np.isfinite(realized[final]).any():
        known = np.where(final, realized, np.nan)
        ax.plot(x, known, color=REALIZED, lw=1.2, label="realized", **marker)
    if reconciled:
        estimate: dict[str, Any] = {"lw": 1.1, "ls": (0, (4, 2)), "alpha": 0.75}
    else:
        estimate = {"lw": 1.6, **marker}
    ax.plot(x, column("estimated"), color=ESTIMATED, label="estimated", **estimate)
    if reconciled:
        value = np.where(x >= n_reference, column("value"), np.nan)
        ax.plot(x, value, color=RECONCILED, lw=1.6, label="reconciled", **marker)
    label: str | None = "threshold"
    for name in ("lower_threshold", "upper_threshold"):
        low, high = ax.get_ylim()
        threshold = column(name)
        in_sight = (threshold >= low) & (threshold <= high)
        line_x, line = _steps(x, np.where(in_sight, threshold, np.nan))
        if np.isfinite(line).any():
            ax.plot(line_x, line, color=ALERT, lw=1.0, ls=(0, (5, 3)), label=label)
            label = None
    alerts = np.flatnonzero(column("alert"))
    if alerts.size:
        ax.plot(
            x[alerts],
            column("value")[alerts],
            color=ALERT,
            lw=0,
            marker="D",
            markersize=7,
            markerfacecolor="none",
            markeredgewidth=1.6,
            label="alert",
        )
    if verdict is not None:
        _draw_shape(
            ax,
            x,
            fitted_values(performance, of, verdict),
            affected_runs(verdict, of.size),
            verdict,
        )
    _draw_so_far(ax, x, np.where(final, np.nan, realized))
    _label_chunks(ax, performance, segment)
    ax.set_ylabel(metric + (f"\n{segment}" if segment else ""), parse_math=False)
    _quiet(ax)


def _set_scale(ax: "Axes", performance: Performance, metric: str, segment: str) -> None:
    """Leave room for all values, and for what chunks of usual size have around them."""
    drawn = value_range([read_panel(performance, metric, segment)])
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


def _draw_shape(
    ax: "Axes",
    x: NDArray[Any],
    fitted: NDArray[np.float64],
    affected: list[tuple[int, int]],
    verdict: Degradation,
) -> None:
    """Shade the affected chunks, draw the fitted shape, and say it in words above."""
    label: str | None = "affected"
    for begin, stop in affected:
        ax.axvspan(
            begin - 0.5, stop - 0.5, color=ALERT, alpha=0.1, lw=0, label=label, zorder=0
        )
        label = None
    if verdict.kind != "stable" or verdict.improved:
        dotted = (0, (1, 1))
        ax.plot(x, fitted, color=FITTED, lw=1.3, ls=dotted, label="fitted shape")
    text = fill(str(verdict), max(int(_LETTERS * _inches(ax)), 40))
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


def _draw_so_far(
    ax: "Axes", x: NDArray[np.float64], realized: NDArray[np.float64]
) -> None:
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


def _shows_labels(performance: Performance) -> bool:
    return is_reconciled(performance) or has_partial_labels(performance)


def _draw_strip(ax: "Axes", performance: Performance, segment: str) -> None:
    """Draw the share of labels of each chunk as a bar."""
    of = np.flatnonzero(performance.segment == segment)
    x = np.arange(of.size)
    ax.bar(x, np.ones(of.size), width=1.0, color="0.93", lw=0)
    ax.bar(x, coverage(performance)[of], width=1.0, color=REALIZED, alpha=0.6, lw=0)
    ax.set_xlim(-0.5, of.size - 0.5)
    ax.set_ylim(0.0, 1.0)
    ax.set_yticks([])
    ax.set_xticks([])
    ax.set_ylabel("labels", rotation=0, ha="right", va="center", fontsize="small")
    ax.spines[:].set_visible(False)


def _label_chunks(ax: "Axes", performance: Performance, segment: str) -> None:
    of = np.flatnonzero(performance.segment == segment)
    ticks = np.unique(np.linspace(0, of.size - 1, min(of.size, _MAX_TICKS)).astype(int))
    labels = [str(performance.chunk[of[i]]) for i in ticks]
    ax.set_xticks(ticks, labels, parse_math=False)
    ax.set_xlim(-0.5, of.size - 0.5)


def _steps(
    x: NDArray[np.float64], *columns: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
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
