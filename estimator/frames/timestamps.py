"""Timestamps: a narwhals series → moments in UTC, and the time zone of the column."""

import narwhals as nw
import numpy as np
import pandas as pd

from estimator.frames.datetimes import (
    Moments,
    TimeZone,
    check_years,
    moments,
    number_remedy,
    parse_datetimes,
)
from estimator.frames.series import (
    Series,
    example_text,
    is_pandas,
    python_objects,
    type_text,
)


def read_timestamp(
    series: Series, what: str, *, may_be_missing: bool = False
) -> tuple[Moments, TimeZone]:
    """Moments in UTC (wall-clock time where there is no zone) and the time zone."""
    dtype, zone = series.dtype, None
    native = series.to_native()
    if dtype.is_numeric() or dtype == nw.Boolean:
        numbers = series.drop_nulls()
        remedy = number_remedy(numbers[0]) if len(numbers) else ""
        msg = (
            f"{what} must hold timestamps, but is of type {dtype}"
            f"{example_text(series)}. {remedy or 'Name another column.'}"
        )
        raise TypeError(msg)
    if is_pandas(native) and isinstance(native.dtype, pd.DatetimeTZDtype):
        moment, zone = moments(pd.DatetimeIndex(native))  # to_numpy would copy
    elif isinstance(dtype, nw.Datetime):
        moment = series.to_numpy()
        # The object says more than its name: pytz, fixed offsets.
        zone = native.dt.tz if is_pandas(native) else dtype.time_zone
    elif dtype == nw.Date and not is_pandas(native):
        moment = series.to_numpy().astype("M8[s]")
    elif dtype in (nw.Object, nw.String, nw.Categorical, nw.Enum, nw.Date):
        moment, zone = parse_datetimes(python_objects(series), what)
    elif series.null_count() < len(series):
        msg = (
            f"{what} must hold timestamps, but is of type {type_text(series)}. "
            "Convert it with pd.to_datetime."
        )
        raise TypeError(msg)
    else:
        moment = np.full(len(series), "NaT", dtype="M8[s]")
    if not may_be_missing and np.isnat(
        moment.min()
    ):  # NaT spreads: one pass, no temporary
        gone = np.flatnonzero(np.isnat(moment))
        msg = (
            f"{what} must have a timestamp in every row, but {gone.size} of "
            f"{moment.size} are missing (first: row {gone[0]}). Drop these rows, "
            'frame.dropna(subset=["…"]), or fill in their time.'
        )
        raise ValueError(msg)
    check_years(moment, zone, what)
    return moment, zone
