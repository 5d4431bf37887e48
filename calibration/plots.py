"""Figures of calibration: each draws a result, returns the axes, computes nothing."""

from typing import TYPE_CHECKING

from calibration.diagnostics import BrierDecomposition, ReliabilityCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GREY = "#2f3437", "#9aa0a6"
BLUE, ORANGE, GREEN, RED = "#2166ac", "#d98324", "#3a8f5c", "#c0504d"
CURVES = (BLUE, ORANGE, GREEN, RED)


def plot_reliability_curve(
    curve: ReliabilityCurve, ax: "Axes | None" = None, *, label: str | None = None
) -> "Axes":
    """Draw observed frequency against probability, with intervals and the diagonal.

    Parameters
    ----------
    curve : ReliabilityCurve
        From ``compute_reliability_curve``.
    ax : Axes, optional
        Where to draw; a new figure by default.
    label : str, optional
        Name of the curve, for several on the same axes.

    Returns
    -------
    Axes
        The axes that were drawn on.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing; it comes with the ``plot`` extra.
    """
    axes = _axes(ax, figsize=(5.0, 5.0))
    if not axes.lines:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (4, 3)), linewidth=1)
    color = CURVES[len(axes.collections) % len(CURVES)]
    axes.plot(
        curve.predicted,
        curve.observed,
        marker="o",
        markersize=4.5,
        linewidth=1.5,
        color=color,
        label=label or "observed",
    )
    axes.vlines(
        curve.predicted,
        curve.lower,
        curve.upper,
        color=color,
        linewidth=1.5,
        alpha=0.45,
        label=f"{curve.level:.0%} interval" if label is None else "_nolegend_",
    )
    axes.set(
        xlabel="predicted probability",
        ylabel="observed frequency",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
        aspect="equal",
    )
    for text in axes.legend(frameon=False, loc="upper left").get_texts():
        text.set_parse_math(False)  # a name is no formula
    return axes


def plot_brier_decomposition(
    decomposition: BrierDecomposition, ax: "Axes | None" = None
) -> "Axes":
    """Draw the way from uncertainty to the Brier score as a waterfall.

    Parameters
    ----------
    decomposition : BrierDecomposition
        From ``compute_brier_decomposition``.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        The axes that were drawn on.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing; it comes with the ``plot`` extra.
    """
    axes = _axes(ax, figsize=(6.4, 2.6))
    d = decomposition
    recalibrated = d.uncertainty - d.discrimination
    steps = (  # name, sign, where the bar begins, its length, colour
        ("uncertainty", "", 0.0, d.uncertainty, GREY),
        ("− discrimination", "−", recalibrated, d.discrimination, GREEN),
        ("+ miscalibration", "+", recalibrated, d.miscalibration, RED),
        ("Brier score", "", 0.0, d.brier_score, BLUE),
    )
    names = [step[0] for step in steps]
    longest = max(d.uncertainty, d.brier_score)
    for row, (_, sign, left, length, color) in enumerate(steps):
        axes.barh(row, length, left=left, height=0.6, color=color)
        axes.annotate(
            f"{sign}{length:.4f}",
            (left + length, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=INK,
        )
    levels = (d.uncertainty, recalibrated, d.brier_score)
    for row, level in enumerate(levels):  # join each bar to where the next begins
        axes.plot([level, level], [row, row + 1], color=INK, linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="mean squared error", xlim=(0.0, 1.15 * longest or 1.0))
    return axes


def _axes(ax: "Axes | None", *, figsize: tuple[float, float]) -> "Axes":
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt  # optional: needed only for a new figure
    except ModuleNotFoundError as error:
        msg = (
            "Drawing needs matplotlib, which is not installed. Install it from a "
            'checkout of deadreckon: `pip install ".[plot]"`.'
        )
        raise ModuleNotFoundError(msg) from error
    _, axes = plt.subplots(figsize=figsize, layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return axes
