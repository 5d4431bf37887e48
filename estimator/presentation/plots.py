"""Figures: each takes a result, returns the axes it drew on, and computes nothing."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration._validation import nearest_name
from estimator.results import Performance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colour-blind safe (Okabe & Ito 2008).
ESTIMATED, REALIZED, ALERT = "#0072B2", "#E69F00", "#D55E00"
_MAX_TICKS = 9


def plot_performance(
    performance: Performance,
    metrics: str | tuple[str, ...] | None = None,
    *,
    segment: str = "",
    ax: "Axes | None" = None,
) -> Any:
    """Draw metrics over time: estimate in its interval, realized, threshold, alerts.

    Parameters
    ----------
    performance : Performance
        What to draw.
    metrics : str or tuple of str, default=all
        One panel each.
    segment : str, default=""
        As in the column of that name; "" is all rows.
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
    names = (metrics,) if isinstance(metrics, str) else metrics or performance.metrics
    for name in names:
        if name not in performance.metrics:
            msg = (
                f"`metrics` must be among {', '.join(performance.metrics)}; got "
                f"{name!r}.{nearest_name(name, performance.metrics)}"
            )
            raise ValueError(msg)
    if segment not in performance.segments:
        msg = (
            f"`segment` must be one of {list(performance.segments)[:10]}, got "
            f"{segment!r}.{nearest_name(segment, performance.segments)}"
        )
        raise ValueError(msg)
    if ax is not None:
        if len(names) > 1:
            msg = f"`ax` holds one metric, got {len(names)}; name one in `metrics`."
            raise ValueError(msg)
        _draw_panel(ax, performance, names[0], segment)
        ax.legend(loc="best", frameon=False, fontsize="small")
        return ax
    figure, axes = _pyplot().subplots(
        len(names),
        1,
        sharex=True,
        squeeze=False,
        figsize=(10, 1.2 + 2.4 * len(names)),
        layout="constrained",
    )
    for panel, name in zip(axes[:, 0], names, strict=True):
        _draw_panel(panel, performance, name, segment)
    # Room at the right for the last date, which is centred on the last chunk.
    figure.get_layout_engine().set(w_pad=0.15)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False)
    return axes[0, 0] if isinstance(metrics, str) or len(names) == 1 else axes[:, 0]


def _draw_panel(
    ax: "Axes", performance: Performance, metric: str, segment: str
) -> None:
    of = np.flatnonzero(performance.segment == segment)
    k = performance.metrics.index(metric)
    x = np.arange(of.size, dtype=np.float64)
    n_reference = int(np.sum(performance.period[of] == "reference"))
    analysis = slice(n_reference, None)

    def column(name: str) -> NDArray[Any]:
        values: NDArray[Any] = getattr(performance, name)[of, k]
        return values

    if n_reference:
        ax.axvspan(-0.5, n_reference - 0.5, color="0.5", alpha=0.1, lw=0)
        for place, text, side in (
            (n_reference - 0.7, "reference", "right"),
            (n_reference - 0.3, "analysis", "left"),
        ):
            ax.text(
                place,
                1.0,
                text,
                ha=side,
                va="bottom",
                transform=ax.get_xaxis_transform(),
                color="0.4",
                fontsize="small",
            )
    marker: dict[str, Any] = {
        "marker": "o",
        "markersize": 4.0 if of.size <= 60 else 2.0,
    }
    band_x, lower, upper = _steps(
        x[analysis], column("lower")[analysis], column("upper")[analysis]
    )
    ax.fill_between(
        band_x,
        lower,
        upper,
        color=ESTIMATED,
        alpha=0.18,
        lw=0,
        label=f"{performance.level:.0%} prediction interval",
    )
    realized = column("realized")
    if np.isfinite(realized).any():
        ax.plot(x, realized, color=REALIZED, lw=1.2, label="realized", **marker)
    ax.plot(
        x, column("estimated"), color=ESTIMATED, lw=1.6, label="estimated", **marker
    )
    label: str | None = "threshold"
    for name in ("lower_threshold", "upper_threshold"):
        line_x, line, _ = _steps(x, column(name), column(name))
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
    ticks = np.unique(np.linspace(0, of.size - 1, min(of.size, _MAX_TICKS)).astype(int))
    ax.set_xticks(ticks, [str(performance.chunk[of[i]]) for i in ticks])
    ax.set_xlim(-0.5, of.size - 0.5)
    ax.set_ylabel(metric + (f"\n{segment}" if segment else ""))
    ax.grid(axis="y", color="0.9", lw=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


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
        msg = (
            "Plots need matplotlib, which is not installed. "
            'Install it: pip install "deadreckon[plot]".'
        )
        raise ModuleNotFoundError(msg) from error
    return plt
