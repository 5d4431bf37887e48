"""What a caller's mypy infers; read by mypy, run by nobody."""

from datetime import date
from typing import assert_type

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from estimator import Degradation, Monitor, Performance


def check_plot(performance: Performance, ax: Axes) -> None:
    assert_type(performance.plot("roc_auc"), Axes)
    assert_type(performance.plot("roc_auc", segment="", verdict=True), Axes)
    assert_type(performance.plot(ax=ax), Axes)
    assert_type(performance.plot(), Axes | NDArray[np.object_])
    assert_type(performance.plot(["roc_auc", "f1"]), Axes | NDArray[np.object_])


def check_plain_types(performance: Performance) -> None:
    result = performance.to_dict()
    assert_type(result["chunks"][0]["chunk"], str | int)
    assert_type(
        result["chunks"][0]["metrics"]["roc_auc"]["value"], float | bool | str | None
    )


def check_verdict(verdict: Degradation) -> None:
    assert_type(verdict.onset, str | float | date | None)
    assert_type(verdict.period, float | pd.Timedelta | None)
    assert_type(verdict.magnitude_interval.low, float)
    if verdict.onset_interval is not None:
        assert_type(verdict.onset_interval.low, str | float | date)
    assert_type(verdict.alarm().chunk, str | float | date | None)


def check_moments(monitor: Monitor, labels: pd.DataFrame) -> None:
    """Whatever pandas makes a Timestamp of names a time."""
    monitor.add_labels(labels, now="2026-03-09T14:00:00")
    monitor.attribution(as_of=date(2026, 3, 9))
    monitor.label_arrival(as_of=np.datetime64("2026-03-09"))
    assert_type(monitor.performance(as_of=pd.Timestamp("2026-03-09")), Performance)
