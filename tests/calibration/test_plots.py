import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from calibration import (
    compute_brier_decomposition,
    compute_reliability_curve,
    plot_brier_decomposition,
    plot_reliability_curve,
)

P = np.random.default_rng(0).random(500)
Y = np.random.default_rng(1).random(500) < P**2


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def test_draws_the_curve_it_is_given(pyplot):
    curve = compute_reliability_curve(P, Y)
    axes = plot_reliability_curve(curve)
    diagonal, line = axes.lines
    assert_allclose(diagonal.get_xdata(), diagonal.get_ydata())
    assert_allclose(line.get_xdata(), curve.predicted)
    assert_allclose(line.get_ydata(), curve.observed)
    bars = np.array(axes.collections[0].get_segments())
    assert_allclose(bars[:, :, 1], np.column_stack([curve.lower, curve.upper]))


def test_two_curves_share_axes(pyplot):
    curve = compute_reliability_curve(P, Y)
    axes = plot_reliability_curve(curve, label="before")
    assert plot_reliability_curve(curve, ax=axes, label="after") is axes
    assert len(axes.lines) == 3  # one diagonal
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["before", "after"]


def test_a_label_is_no_formula(pyplot):
    label = "$x_{y$ at 5 $"
    axes = plot_reliability_curve(compute_reliability_curve(P, Y), label=label)
    (text,) = axes.get_legend().get_texts()
    assert (text.get_text(), text.get_parse_math()) == (label, False)
    axes.figure.canvas.draw()


def test_draws_the_decomposition_it_is_given(pyplot):
    parts = compute_brier_decomposition(P, Y)
    axes = plot_brier_decomposition(parts)
    widths = [bar.get_width() for bar in axes.patches]
    names = ("uncertainty", "discrimination", "miscalibration", "brier_score")
    assert_allclose(widths, [getattr(parts, name) for name in names])


def test_missing_matplotlib_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "\.\[plot\]"'):
        plot_reliability_curve(compute_reliability_curve(P, Y))
