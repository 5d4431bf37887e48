"""Numbers and chunks as text: as many digits as their precision bears."""

import re
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.metric_series import MetricSeries

MISSING: Final = "–"
_MOST_DECIMALS: Final = 6
_DAY_LETTERS: Final = len("2025-01-31")
_DAY: Final = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")


def decimals(standard_errors: NDArray[np.float64]) -> int:
    """Return how many decimals show the typical error with two digits, else three.

    Examples
    --------
    >>> decimals(np.array([0.011, 0.012, np.nan]))
    3
    >>> decimals(np.array([41.0]))
    0
    """
    positive = standard_errors[np.isfinite(standard_errors) & (standard_errors > 0.0)]
    if not positive.size:
        return 3
    return int(np.clip(1 - np.floor(np.log10(np.median(positive))), 0, _MOST_DECIMALS))


def number_text(number: float, digits: int) -> str:
    """Return a number with so many decimals, "–" if there is none.

    Examples
    --------
    >>> number_text(-1234.5, 0), number_text(float("nan"), 3), number_text(-1e-9, 2)
    ('−1,234', '–', '0.00')
    """
    if np.isnan(number):
        return MISSING
    if np.isinf(number):
        return "∞" if number > 0 else "−∞"
    text = f"{number + 0.0:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else _minus(text)


def interval_text(low: float, high: float, digits: int) -> str:
    """Return "0.71 to 0.74", one number if both read alike, "–" if there is none."""
    if np.isnan(low) or np.isnan(high):
        return MISSING
    one, other = number_text(low, digits), number_text(high, digits)
    return one if one == other else f"{one} to {other}"


def threshold_text(series: MetricSeries, i: int, digits: int) -> str:
    """Return between which thresholds a chunk's value is normal."""
    low, high = (float(threshold[i]) for threshold in series.thresholds)
    if np.isfinite(low) and np.isfinite(high):
        return interval_text(low, high, digits)
    if np.isfinite(low):
        return f"≥ {number_text(low, digits)}"
    return f"≤ {number_text(high, digits)}" if np.isfinite(high) else MISSING


def prose_html(text: str) -> str:
    """Escape a text; days in it are not to be broken over two lines.

    Examples
    --------
    >>> prose_html("fell <b> in the week of 2025-04-28")
    'fell &lt;b&gt; in the week of <time>2025-04-28</time>'
    """
    return _DAY.sub(r"<time>\g<0></time>", escape(text))


def name_html(name: str) -> str:
    """Escape a name, which may be broken after its underscores."""
    return escape(name).replace("_", "_<wbr>")


def chunk_label(label: object) -> str:
    """Return a chunk's label with a blank between day and time."""
    text = str(label)
    day, rest = text[:_DAY_LETTERS], text[_DAY_LETTERS:]
    return f"{day} {rest[1:]}" if rest.startswith("T") else text


def percentage(share: float) -> str:
    """Return whole per cent, of which 0 and 100 mean none and all.

    Examples
    --------
    >>> percentage(0.999), percentage(0.0004), percentage(1.0)
    ('99 %', '1 %', '100 %')
    """
    if 0.0 < share < 1.0:
        return f"{min(max(round(100 * share), 1), 99)} %"
    return f"{share:.0%}".replace("%", " %")


def _minus(text: str) -> str:
    return text.replace("-", "−")


def numbers_text(series: MetricSeries, i: int) -> str:
    """Return all numbers of a chunk, for those who point at it."""
    in_analysis = bool(series.in_analysis[i])
    about = f"{'analysis' if in_analysis else 'reference'} {series.chunk[i]}: "
    about += f"estimated {series.estimated[i]:.4g}"
    if series.reconciled and in_analysis:
        about += f", reconciled {series.value[i]:.4g}"
    about += f" [{series.lower[i]:.4g}, {series.upper[i]:.4g}]"
    if np.isfinite(series.realized[i]):
        about += f", realized {series.realized[i]:.4g}"
    if series.reconciled and in_analysis:
        about += f", {series.n_labels[i]} of {series.n_rows[i]} labels"
    return about if series.trust[i] == "good" else f"{about}, trust: {series.trust[i]}"
