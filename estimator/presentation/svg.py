"""A small chart as inline SVG: no library, no script, colours of the page around it."""

from html import escape

import numpy as np
from numpy.typing import NDArray

from estimator.results import Performance

Floats = NDArray[np.float64]

_WIDTH, _HEIGHT = 640, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 18, 22


def performance_svg(performance: Performance, metric: str, *, segment: str = "") -> str:
    """Draw one metric of one segment over time.

    Parameters
    ----------
    performance : Performance
        What to draw.
    metric, segment : str
        Which of its metrics, and which of its segments ("" is all rows).

    Returns
    -------
    str
        An ``<svg>`` element whose classes (``band``, ``estimated``, ``realized``,
        ``threshold``, ``alert``, ``reference``) the page colours; each chunk has a
        ``<title>`` that browsers show on hover.
    """
    of = np.flatnonzero(performance.segment == segment)
    k = performance.metrics.index(metric)

    def column(name: str) -> Floats:
        values: Floats = getattr(performance, name)[of, k].astype(np.float64)
        return values

    value, lower, upper = column("value"), column("lower"), column("upper")
    estimated, realized = column("estimated"), column("realized")
    thresholds = column("lower_threshold"), column("upper_threshold")
    drawn = np.concatenate([estimated, realized, lower, upper, *thresholds])
    drawn = drawn[np.isfinite(drawn)]
    low, high = (drawn.min(), drawn.max()) if drawn.size else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.01
    low, high = low - margin, high + margin
    step = (_WIDTH - _LEFT - _RIGHT) / max(of.size, 1)

    def x(i: float) -> float:
        return _LEFT + (i + 0.5) * step

    def y(v: float) -> float:
        return _TOP + (high - v) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def line(values: Floats, name: str) -> str:
        path, pen_up = "", True
        for i, v in enumerate(values):
            if np.isfinite(v):
                path += f"{'M' if pen_up else 'L'}{x(i):.1f} {y(v):.1f}"
            pen_up = not np.isfinite(v)
        dots = "".join(
            f'<circle cx="{x(i):.1f}" cy="{y(v):.1f}" r="1.8"/>'
            for i, v in enumerate(values)
            if np.isfinite(v)
        )
        return f'<g class="{name}"><path d="{path}"/>{dots}</g>' if path else ""

    is_reference = performance.period[of] == "reference"
    n_reference = int(is_reference.sum())
    parts = [
        f'<rect class="reference" x="{_LEFT}" y="{_TOP}" '
        f'width="{n_reference * step:.1f}" height="{_HEIGHT - _TOP - _BOTTOM}"/>'
    ]
    parts += [
        f'<rect class="band" x="{x(i) - step / 2:.1f}" y="{y(upper[i]):.1f}" '
        f'width="{step:.1f}" height="{y(lower[i]) - y(upper[i]):.1f}"/>'
        for i in np.flatnonzero(np.isfinite(lower) & ~is_reference).tolist()
    ]
    for threshold in thresholds:
        path = "".join(
            f"M{x(i) - step / 2:.1f} {y(v):.1f}h{step:.1f}"
            for i, v in enumerate(threshold)
            if np.isfinite(v)
        )
        if path:
            parts.append(f'<path class="threshold" d="{path}"/>')
    parts += [line(realized, "realized"), line(estimated, "estimated")]
    parts += [
        f'<circle class="alert" cx="{x(i):.1f}" cy="{y(value[i]):.1f}" r="5"/>'
        for i in np.flatnonzero(column("alert")).tolist()
    ]
    for v in (low + margin, high - margin):
        parts.append(f'<text x="{_LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">')
        parts.append(f"{v:.4g}</text>")
    parts.append(f'<text class="name" x="{_LEFT}" y="12">{escape(metric)}</text>')
    for i, anchor in ((0, "start"), (of.size - 1, "end")):
        if of.size and (i or anchor == "start"):
            at = x(i) + (step / 2 if i else -step / 2)
            text = escape(str(performance.chunk[of[i]]))
            parts.append(
                f'<text x="{at:.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{text}'
                "</text>"
            )
    for i in range(of.size):
        known = f", realized {realized[i]:.4g}" if np.isfinite(realized[i]) else ""
        about = (
            f"{performance.period[of[i]]} {performance.chunk[of[i]]}: estimated "
            f"{estimated[i]:.4g} [{lower[i]:.4g}, {upper[i]:.4g}]{known}"
        )
        parts.append(
            f'<rect class="hover" x="{x(i) - step / 2:.1f}" y="{_TOP}" '
            f'width="{step:.1f}" height="{_HEIGHT - _TOP - _BOTTOM}">'
            f"<title>{escape(about)}</title></rect>"
        )
    label = escape(f"{metric} over {of.size} chunks")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        + "".join(parts)
        + "</svg>"
    )
