"""Frames of any library, and columns read of them."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from estimator.frames.columns import ColumnNames, read_columns

NAN = float("nan")
NAMES = {"timestamp": None, "y_pred_proba": "score", "y_pred": None, "y_true": "y"}


def read(frame, *, name="production", label_required=False, **names):
    column_names = ColumnNames(**(NAMES | names))
    return read_columns(frame, column_names, name=name, label_required=label_required)


def arrow(data):
    """Three chunks where there are rows enough, as a file's row groups give."""
    table = pa.table(data)
    return pa.concat_tables([table[:1], table[1:2], table[2:]])


def nullable(data):
    with np.errstate(invalid="ignore"):  # pandas 2 tries infinity as an integer
        return pd.DataFrame(data).convert_dtypes()


def arrow_backed(data):
    return pa.table(data).to_pandas(types_mapper=pd.ArrowDtype)


LIBRARIES = [pd.DataFrame, nullable, arrow_backed, pl.DataFrame, arrow]
every_library = pytest.mark.parametrize("frame", LIBRARIES)
