"""What a caller's mypy infers; read by mypy, run by nobody."""

from typing import assert_type

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from estimator import Performance


def check_plot(performance: Performance, ax: Axes) -> None:
    assert_type(performance.plot("roc_auc"), Axes)
    assert_type(performance.plot("roc_auc", segment="", verdict=True), Axes)
    assert_type(performance.plot(ax=ax), Axes)
    assert_type(performance.plot(), Axes | NDArray[np.object_])
    assert_type(performance.plot(["roc_auc", "f1"]), Axes | NDArray[np.object_])
