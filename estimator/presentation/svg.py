"""A small chart as inline SVG: no library, no script, colours of the page around it."""

from html import escape

import numpy as np
from numpy.typing import NDArray

from estimator.metric_series import MetricSeries, Overlay
from estimator.presentation.panel import runs_of, value_range

Floats = NDArray[np.float64]

_WIDTH, _HEIGHT = 640, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 18, 22


def series_svg(series: MetricSeries, overlay: Overlay | None = None) -> str:
    """Draw one metric of one segment over time.

    Parameters
    ----------
    series : MetricSeries
        What to draw.
    overlay : Overlay, optional
        What the verdict on it draws.

    Returns
    -------
    str
        An ``<svg>`` element whose classes (``band``, ``estimated``, ``reconciled``,
        ``realized``, ``so-far``, ``threshold``, ``alert``, ``reference``, ``labels``,
        ``affected``, ``fitted``) the page colours; each chunk has a ``<title>`` that
        browsers show on hover.
    """
    n_chunks, n_reference = len(series), series.n_reference
    reconciled, partial = series.reconciled, series.partial_realized
    value, lower, upper = series.value, series.lower, series.upper
    estimated, realized = series.estimated, series.realized
    drawn = value_range([series])
    low, high = drawn or (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.01
    low, high = low - margin * (3.0 if reconciled else 1.0), high + margin
    step = (_WIDTH - _LEFT - _RIGHT) / max(n_chunks, 1)

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

    is_reference = np.arange(n_chunks) < n_reference
    parts = [
        f'<rect class="reference" x="{_LEFT}" y="{_TOP}" '
        f'width="{n_reference * step:.1f}" height="{_HEIGHT - _TOP - _BOTTOM}"/>'
    ]
    if overlay is not None:
        parts += [
            f'<rect class="affected" x="{_LEFT + begin * step:.1f}" y="{_TOP}" '
            f'width="{(stop - begin) * step:.1f}" height="{_HEIGHT - _TOP - _BOTTOM}"/>'
            for begin, stop in runs_of(overlay.affected)
        ]
    lower, upper = np.clip(lower, low, high), np.clip(upper, low, high)
    parts += [
        f'<rect class="band" x="{x(i) - step / 2:.1f}" y="{y(upper[i]):.1f}" '
        f'width="{step:.1f}" height="{y(lower[i]) - y(upper[i]):.1f}"/>'
        for i in np.flatnonzero(np.isfinite(lower) & ~is_reference).tolist()
    ]
    for threshold in series.thresholds:
        path = "".join(
            f"M{x(i) - step / 2:.1f} {y(v):.1f}h{step:.1f}"
            for i, v in enumerate(threshold)
            if low <= v <= high
        )
        if path:
            parts.append(f'<path class="threshold" d="{path}"/>')
    parts.append(line(series.final_realized, "realized"))
    in_sight = (partial >= low) & (partial <= high)
    parts += [
        f'<circle class="so-far" cx="{x(i):.1f}" cy="{y(realized[i]):.1f}" r="2.2"/>'
        for i in np.flatnonzero(in_sight).tolist()
    ]
    parts.append(line(estimated, "before" if reconciled else "estimated"))
    if reconciled:
        parts.append(line(np.where(is_reference, np.nan, value), "reconciled"))
        parts += [
            f'<rect class="labels" x="{x(i) - step / 2:.1f}" width="{step:.1f}" '
            f'y="{_HEIGHT - _BOTTOM - 6 * share:.1f}" height="{6 * share:.1f}"/>'
            for i, share in enumerate(series.coverage.tolist())
            if share
        ]
    if overlay is not None:
        parts.append(line(overlay.fitted, "fitted"))
    parts += [
        f'<circle class="alert" cx="{x(i):.1f}" cy="{y(value[i]):.1f}" r="5"/>'
        for i in np.flatnonzero(series.alert).tolist()
    ]
    for v in drawn or (low, high):
        parts.append(f'<text x="{_LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">')
        parts.append(f"{v:.4g}</text>")
    metric = series.metric
    segment = f", {series.segment}" if series.segment else ""
    name = escape(f"{metric}{segment}")
    parts.append(f'<text class="name" x="{_LEFT}" y="12">{name}</text>')
    for i, anchor in ((0, "start"), (n_chunks - 1, "end")):
        if n_chunks and (i or anchor == "start"):
            at = x(i) + (step / 2 if i else -step / 2)
            text = escape(str(series.chunk[i]))
            parts.append(
                f'<text x="{at:.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{text}'
                "</text>"
            )
    for i in range(n_chunks):
        said = f", realized {realized[i]:.4g}" if np.isfinite(realized[i]) else ""
        about = f"{'reference' if is_reference[i] else 'analysis'} {series.chunk[i]}: "
        if reconciled and not is_reference[i]:
            labels = f", {series.n_labels[i]} of {series.n_rows[i]}"
            said += f"{labels} labels"
            about += f"estimated {estimated[i]:.4g}, reconciled {value[i]:.4g} "
        else:
            about += f"estimated {estimated[i]:.4g} "
        about += f"[{series.lower[i]:.4g}, {series.upper[i]:.4g}]{said}"
        parts.append(
            f'<rect class="hover" x="{x(i) - step / 2:.1f}" y="{_TOP}" '
            f'width="{step:.1f}" height="{_HEIGHT - _TOP - _BOTTOM}">'
            f"<title>{escape(about)}</title></rect>"
        )
    label = escape(f"{metric} over {n_chunks} chunks")
    kind = ' class="reconciles"' if reconciled else ""
    return (
        f'<svg{kind} viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        + "".join(parts)
        + "</svg>"
    )
