"""Frames, columns and values that are odd in some way, drawn at random."""

import datetime as dt
import uuid
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

NAN = float("nan")
ODD_VALUES: list[object] = [
    None, NAN, 0, 1, -1, 2.5, 1e308, -1e308, 10**30, float("inf"), "", "x", "0", "W",
    b"x", True, False, (), [], {}, set(), [None], ["x"], ("a", "b"), {"a": 1},
    object(),
    Decimal("0.5"), Fraction(1, 3), 1j, np.nan, np.float32(0.5), np.int8(3),
    np.bool_(1),
    np.array([1.0, 2.0]), np.array([]), np.datetime64("2026-01-01"),
    np.datetime64("NaT"),
    pd.NaT, pd.NA, pd.Timestamp("2026-01-01"), pd.Timedelta("1D"), dt.date(2026, 1, 1),
    "ümlaut", "\ud800", "a\0", "`x`", "{x}", "%s", "$x_{$", "roc_auc", "f1_score",
    ["roc_auc", "roc_auc"], ["roc_auc", None], lambda x: x, int, range(3), iter([1]),
    pd.Series([1, 2]), pd.DataFrame({"a": [1]}), uuid.UUID(int=1), 1 - 1e-16, 5e-324,
]  # fmt: skip
NAMES: list[object] = [
    "y_pred_proba", "score", "", 0, 1.5, ("a", "s"), "a b", "`x`", "{x}", "a=b", None,
    pd.Timestamp("2026-01-01"), "ümlaut", True, "a\0",
]  # fmt: skip


class Draw:
    """Random choices, mostly plain ones: odd cases are odd in a way or two."""

    def __init__(self, seed: int, case: int) -> None:
        self.rng = np.random.default_rng([seed, case])

    def one(self, values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)


def plain_frame(draw: Draw, n: int, first: str = "2026-01-05") -> pd.DataFrame:
    """Return rows whose scores are calibrated, with everything that can be named."""
    rng = draw.rng
    kind = draw.one(["beta", "beta", "ties", "extreme", "separated", "low"])
    score = {
        "beta": lambda: rng.beta(1, 2, n),
        "ties": lambda: rng.integers(0, 4, n) / 4 + 0.1,
        "extreme": lambda: 1 / (1 + np.exp(-rng.normal(0, 12, n))),
        "separated": lambda: rng.integers(0, 2, n) * 0.8 + 0.1,
        "low": lambda: rng.beta(1, 60, n),
    }[kind]()
    label = rng.random(n) < score
    if kind == "separated":
        label = score > 0.5
    days = draw.one([10, 70, 70, 400])
    unit = draw.one(["s", "ms", "us", "ns", "ns"])
    seconds = np.sort(rng.integers(0, days * 86_400, n))
    time = np.datetime64(first, "s") + seconds.astype("m8[s]")
    time = time.astype(f"M8[{unit}]") + rng.integers(0, 1_000, n)
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "y_pred_proba": score,
            "y_pred": score >= 0.4,
            "y_true": label.astype(int),
            "time": time,
            "labeled_at": time + np.timedelta64(3, "D"),
            "g": rng.choice(["a", "b", "c"], n),
            "x": rng.normal(size=n),
        }
    )


def _objects(values: Iterable[object]) -> pd.Series:
    values = list(values)
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return pd.Series(out, dtype=object)


def odd_column(draw: Draw, column: pd.Series) -> Any:
    """Return a column of another type, or with values that do not belong."""
    n, rng = len(column), draw.rng
    change = draw.one(
        ["dtype", "dtype", "missing", "missing", "value", "value", "objects", "text",
         "constant", "all missing", "category", "other"]
    )  # fmt: skip
    if change == "missing":
        out = column.astype(object).copy()
        out[rng.random(n) < draw.one([0.01, 0.3, 0.95])] = draw.one([None, NAN, pd.NaT])
        return out if draw.chance(0.5) else out.convert_dtypes()
    if change == "value":
        out = _objects(column)
        for row in rng.integers(0, n, draw.one([1, 3])):
            out.iat[int(row)] = draw.one(ODD_VALUES)
        return out
    if change == "objects":
        return _objects(column.tolist())
    if change == "text":
        return column.astype(str)
    if change == "constant":
        value = draw.one(ODD_VALUES)
        return _objects([value] * n)
    if change == "all missing":
        return pd.Series([draw.one([None, NAN, pd.NaT])] * n)
    if change == "category":
        return column.astype("category")
    if change == "other":
        return pd.Series(
            draw.one(
                [
                    pd.date_range("2026-01-05", periods=n, freq="h"),
                    pd.date_range(
                        "2026-01-05", periods=n, freq="h", tz="Europe/Berlin"
                    ),
                    pd.date_range("1700-01-05", periods=n, freq="100D", unit="s"),
                    pd.date_range("2026-01-05", periods=n, freq="366D", unit="s"),
                    pd.to_timedelta(np.arange(n), unit="h"),
                    pd.period_range("2026-01-05", periods=n, freq="h"),
                    np.arange(n) + 1_767_571_200,
                    (np.arange(n) + 1_767_571_200) * 1_000,
                    np.arange(n, dtype=np.uint64) + 2**63,
                    np.full(n, 20260105),
                    rng.normal(size=n),
                    100 * rng.random(n),
                    rng.integers(-1, 2, n),
                    rng.choice(["yes", "no"], n),
                    rng.choice(["0", "1"], n),
                    _objects([uuid.UUID(int=i) for i in range(n)]),
                    _objects([2**70 + i for i in range(n)]),
                    _objects([Decimal(i) / n for i in range(n)]),
                    _objects([[i] for i in range(n)]),
                    _objects([f"{i}" for i in range(n)]),
                    pd.cut(pd.Series(rng.random(n)), 3),
                    pd.arrays.SparseArray(rng.integers(0, 2, n)),
                ]
            )
        )
    kinds = ["f4", "f2", "i1", "u1", "bool", "Int64", "Float64", "boolean", "string",
             "complex", "float64[pyarrow]", "int64[pyarrow]"]  # fmt: skip
    return column.astype(draw.one(kinds))


def to_library(draw: Draw, frame: pd.DataFrame) -> object:
    """Return the frame as another library has it, where that can hold it."""
    library = draw.one(["pandas", "pandas", "polars", "pyarrow", "odd"])
    if library == "pandas":
        return frame
    if library == "odd" and draw.chance(0.3):
        odd = ["frame.csv", None, frame[:0], frame.T, frame.to_numpy(), {"a": [1]},
               frame.get("x", frame), pl.LazyFrame(), [frame]]  # fmt: skip
        return draw.one(odd)
    try:
        if library == "polars":
            return pl.from_pandas(frame)
        if library == "pyarrow":
            table = pa.Table.from_pandas(frame, preserve_index=False)
            cut = len(frame) // 3
            return pa.concat_tables([table[:cut], table[cut:]])
    except Exception:  # noqa: S110
        pass  # what this library cannot hold is not ours to judge
    return frame


def odd_frame(draw: Draw, frame: pd.DataFrame) -> Any:
    """Return a frame that is odd in some way, or plain."""
    change = draw.one(
        ["plain", "column", "column", "column", "order", "names", "index"]
    )
    if change == "column":
        name = draw.one(list(frame.columns))
        try:
            frame = frame.assign(**{name: odd_column(draw, frame[name]).to_numpy()})
        except Exception:
            return frame  # pandas cannot make such a column
        if draw.chance(0.3):
            frame = frame.drop(columns=draw.one(list(frame.columns)))
    elif change == "order":
        frame = frame.iloc[draw.rng.permutation(len(frame))]
    elif change == "names":
        labels = list(frame.columns)
        labels[int(draw.rng.integers(len(labels)))] = draw.one([*NAMES, "id", "time"])
        frame = frame.set_axis(pd.Index(labels, tupleize_cols=False), axis=1)
    elif change == "index":
        key = draw.one(list(frame.columns))
        index = frame.set_index(key)
        frame = index.rename_axis(None) if draw.chance(0.3) else index
        if draw.chance(0.3):
            frame = frame.reset_index()
    return to_library(draw, frame)
