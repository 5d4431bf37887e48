"""Odd frames, odd parameters and odd calls, drawn at random, and what comes of them.

A call may answer or refuse. What it answers is held against an independent truth:
scikit-learn's metrics over the labelled rows, and rules that hold of any result. What
it refuses it must refuse clearly: with an error of ours that names an argument or a
column. Warnings are ours, and documented; nothing takes longer than the time limit.
"""

import datetime as dt
import signal
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from sklearn.exceptions import NotFittedError
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

import calibration
from estimator import (
    Monitor,
    PerformanceEstimator,
    anytime_alarm,
    classify_degradation,
    follow_degradation,
)
from estimator.estimation.common_mistakes import CommonMistakeWarning
from estimator.metrics.registry import METRIC_NAMES
from estimator.operations.commands.main import warm_up

OURS = tuple(
    str(Path(module.__file__).parent) + "/"
    for module in (calibration, __import__("estimator"))
)
# What the public docstrings name.
REFUSALS = (TypeError, ValueError, NotFittedError, FileNotFoundError)
SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one case: "answered", "refused" or a fault."""

    case: int
    call: str
    result: str
    message: str = ""

    @property
    def sound(self) -> bool:
        return self.result in ("answered", "refused")


class Wrong(Exception):
    """A result that the independent truth contradicts."""


def contradict(message: str) -> None:
    raise Wrong(message)


class Hang(BaseException):
    """A call that took longer than the time limit."""


# ---------------------------------------------------------------------- odd material

NAN = float("nan")
ODD_VALUES: list[Any] = [
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
CHUNKS: list[Any] = [
    None, 1, 7, 50, 100, 250, 10**9, 100.0, np.float64(50), 0, -5, 2.5, "W", "D", "MS",
    "h", "QS", "YS", "2W", "W-WED", "15min", "s", "ms", "us", "ns", "N", "B", "0D",
    "-1D",
    "week", "", ["2026-01-10", "2026-02-01"], ["2026-02-01", "2026-01-01"], [],
    ["2026-01-10T00:00:00+00:00"], ["x"], [None],
    pd.date_range("2026-01-05", periods=5),
    pd.date_range("2026-01-05", periods=3, tz="UTC"), [dt.date(2026, 1, 12)],
    np.array(["2026-01-12", "2026-02-12"], dtype="M8[ns]"), [20260101], ["0001-01-01"],
    ["9999-12-31"], pd.Series(pd.date_range("2026-01-12", periods=3)), {"a"}, "now",
]  # fmt: skip
METRICS: list[Any] = [
    "roc_auc", "accuracy", ["roc_auc", "accuracy"], ("f1",),
    ["log_loss", "brier_score"],
    ["average_precision", "precision", "recall"], ["tn", "fp", "fn", "tp"],
    ["business_value", "accuracy"], list(METRIC_NAMES), "auroc", "f1_score", [],
]  # fmt: skip
COSTS: list[Any] = [
    {"tn": 0, "fp": -1, "fn": -5, "tp": 3}, {"tn": 0.0, "fp": 0, "fn": 0, "tp": 0},
    {"tn": 1e90, "fp": -1e90, "fn": 1, "tp": 0},
    {"tn": 1e200, "fp": 0, "fn": 0, "tp": 0},
    {"tn": 0}, {"tn": NAN, "fp": 0, "fn": 0, "tp": 0}, {"tn": 1e-90, "fp": 0, "fn": 0,
    "tp": 0}, {"tn": Fraction(1, 3), "fp": True, "fn": np.float32(1), "tp": 3},
]  # fmt: skip
THRESHOLDS: list[Any] = [
    {"roc_auc": ("constant", 0.7, None)}, {"accuracy": ("standard_error", 2)},
    {"roc_auc": ("quantile", 0.1, 0.9)}, {"roc_auc": ("constant", NAN, NAN)},
    {"roc_auc": ("standard_error", 1e300)},
    {"roc_auc": ("standard_error", float("inf"))},
    {"roc_auc": ("quantile", 2, 3)}, {"roc_auc": 5}, {"x": ("constant", 0, 1)},
    {"auc": ("constant", 0, 1)}, {"roc_auc": ("constant", 0.9, 0.1)}, {},
]  # fmt: skip
LEVELS: list[Any] = [0.95, 0.5, 1 - 1e-16, 1e-300, np.float32(0.9), 0, 1, 95, "0.9"]
NAMES: list[Any] = [
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


def _objects(values: Any) -> pd.Series:
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


def to_library(draw: Draw, frame: pd.DataFrame) -> Any:
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


def parameters(draw: Draw) -> dict[str, Any]:
    """Return constructor's arguments, up to two of them odd."""
    has_time = draw.chance(0.6)
    chunk = (
        draw.one(["W", "D", "MS", 50, 100, None]) if has_time else draw.one([50, 100])
    )
    out: dict[str, Any] = {"chunk": chunk, "timestamp": "time" if has_time else None}
    out["metrics"] = draw.one(METRICS[:9])
    out["business_costs"] = COSTS[0]
    if draw.chance(0.3):
        out["y_pred"] = "y_pred"
    if draw.chance(0.4):
        out["segments"] = draw.one([["g"], "g", ("g", "y_pred"), ["x"]])
    if draw.chance(0.3):
        out["calibrator"] = draw.one(
            ["isotonic", "platt", "identity", "beta", "select"]
        )
    if draw.chance(0.2) and has_time:
        out["labeled_at"] = "labeled_at"
    if draw.chance(0.1):
        out["features"] = draw.one([["x"], ["x", "g"]])
        out["method"] = draw.one(["auto", "pape", "feature_aware", "cbpe"])
    for _ in range(draw.one([0, 0, 0, 1, 1, 2])):
        out |= _odd_parameters(draw)
    out.pop("progress", None)  # it writes to stderr, which is no odd input
    return out


def _odd_parameters(draw: Draw) -> dict[str, Any]:
    """Return one odd argument of the constructor, or two that belong together."""
    name = draw.one(
        ["chunk", "chunk", "chunk", "metrics", "level", "thresholds", "decision",
         "costs", "name", "name", "any", "any"]
    )  # fmt: skip
    if name == "costs":
        return {"metrics": "business_value", "business_costs": draw.one(COSTS)}
    if name == "name":
        role = draw.one(["timestamp", "y_pred_proba", "y_pred", "y_true",
                         "labeled_at", "segments", "features"])  # fmt: skip
        return {role: draw.one([*NAMES, *ODD_VALUES])}
    if name == "any":
        value = draw.one(ODD_VALUES)
        return {draw.one(list(PerformanceEstimator._get_param_names())): value}
    parameter, values = {
        "chunk": ("chunk", CHUNKS),
        "metrics": ("metrics", METRICS),
        "level": ("level", LEVELS),
        "thresholds": ("thresholds", THRESHOLDS),
        "decision": ("decision_threshold", [0, 1, 0.3, -1, 2, NAN, "0.5"]),
    }[name]
    return {parameter: draw.one(values)}


# ------------------------------------------------------------------------------ truth


def _realized(metric: str, y: Any, s: Any, d: Any) -> float:
    cells = {
        "tn": (~y & ~d).sum(), "fp": (~y & d).sum(),
        "fn": (y & ~d).sum(), "tp": (y & d).sum(),
    }  # fmt: skip
    if metric in cells:
        return float(cells[metric])
    if metric == "business_value":
        return float(sum(COSTS[0][cell] * n for cell, n in cells.items()))
    of_scores: dict[str, Callable[..., float]] = {
        "roc_auc": roc_auc_score, "average_precision": average_precision_score,
        "brier_score": brier_score_loss,
    }  # fmt: skip
    if metric in of_scores:
        return float(of_scores[metric](y, s))
    if metric == "log_loss":
        return float(log_loss(y, s, labels=[False, True]))
    if metric == "balanced_accuracy":
        return float((cells["tp"] / y.sum() + cells["tn"] / (~y).sum()) / 2)
    if metric == "specificity":
        return float(cells["tn"] / (~y).sum())
    of_decisions: dict[str, Callable[..., float]] = {
        "accuracy": accuracy_score, "f1": f1_score, "precision": precision_score,
        "recall": recall_score,
    }  # fmt: skip
    return float(of_decisions[metric](y, d))


def check_result(performance: Any, estimator: Any) -> None:
    """Hold a result against rules that are true of any."""
    p = performance
    for lower, upper in (("lower", "upper"), ("expected_lower", "expected_upper")):
        low, high, value = getattr(p, lower), getattr(p, upper), p.value
        present = np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
        slack = 1e-9 * np.maximum(1.0, np.abs(value[present]))
        if not (low[present] <= value[present] + slack).all():
            contradict(f"{lower} above value")
        if not (value[present] <= high[present] + slack).all():
            contradict(f"{upper} below value")
    share = np.isfinite(p.breach_probability)
    if not (
        (p.breach_probability[share] >= 0) & (p.breach_probability[share] <= 1)
    ).all():
        contradict("breach_probability leaves [0, 1]")
    for k, metric in enumerate(p.metrics):
        bounded = metric not in ("log_loss", "business_value", "tn", "fp", "fn", "tp")
        values = p.value[:, k][np.isfinite(p.value[:, k])]
        if (
            bounded
            and values.size
            and not (-1e-9 <= values.min() <= values.max() <= 1 + 1e-9)
        ):
            contradict(f"{metric} leaves [0, 1]")
    if (p.n_labels > p.n_rows).any():
        contradict("more labels than rows")
    frame = p.to_frame()
    if frame[["segment", "period", "chunk", "metric"]].duplicated().any():
        contradict("a key comes twice")


def check_realized(performance: Any, frame: pd.DataFrame, estimator: Any) -> None:
    """Hold realized metrics of the whole against scikit-learn's: one chunk."""
    p = performance
    row = np.flatnonzero((p.segment == "") & (p.period == "analysis"))
    if row.size != 1 or not isinstance(frame, pd.DataFrame):
        return
    usable = frame.dropna(subset=["y_pred_proba", "y_true"])
    y = usable["y_true"].to_numpy().astype(bool)
    s = usable["y_pred_proba"].to_numpy().astype(np.float64)
    d = s >= float(estimator.decision_threshold)
    if estimator.y_pred is not None:
        d = usable[estimator.y_pred].to_numpy().astype(bool)
    if p.n_labels[row[0]] != y.size:
        contradict(f"{p.n_labels[row[0]]} labels counted of {y.size}")
    for k, metric in enumerate(p.metrics):
        realized = float(p.realized[row[0], k])
        if not np.isfinite(realized):
            continue
        if metric == "business_value" and estimator.business_costs != COSTS[0]:
            continue
        truth = _realized(metric, y, s, d)
        exact = 1e-9 if metric != "log_loss" else 1e-6
        if not np.isclose(realized, truth, rtol=exact, atol=exact):
            contradict(f"realized {metric} is {realized}, scikit-learn says {truth}")


# ------------------------------------------------------------------------------ calls


def use_estimator(draw: Draw) -> None:
    n = draw.one([150, 300, 300, 600])
    reference = plain_frame(draw, n)
    estimator = PerformanceEstimator(**parameters(draw))
    if draw.chance(0.02):
        estimator.estimate(reference)
    estimator.fit(odd_frame(draw, reference) if draw.chance(0.5) else reference)
    check_result(estimator.reference_.performance, estimator)
    m = draw.one([1, 5, 100, 300])
    production = plain_frame(
        draw, m, draw.one(["2026-01-05", "2026-04-01", "2020-01-01"])
    )
    odd = odd_frame(draw, production) if draw.chance(0.6) else production
    if draw.chance(0.05):
        estimator.set_params(
            **{draw.one(["level", "chunk", "metrics"]): draw.one([5, "W"])}
        )
    chunk = {"chunk": draw.one(CHUNKS)} if draw.chance(0.3) else {}
    performance = estimator.estimate(odd, **chunk)
    check_result(performance, estimator)
    whole = estimator.estimate(production, chunk=None)
    if (estimator.y_pred_proba, estimator.y_true) == ("y_pred_proba", "y_true"):
        check_realized(whole, production, estimator)
    for verdict in performance.degradation().values():
        if not np.isclose(sum(verdict.probabilities.values()), 1.0):
            contradict("probabilities do not sum to 1")
        str(verdict)
    repr(performance)
    performance._repr_html_()


def use_monitor(draw: Draw) -> None:
    reference = plain_frame(draw, 300)
    chosen = parameters(draw)
    if draw.chance(0.7):
        for name in ("features", "method"):
            chosen.pop(name, None)
    estimator = PerformanceEstimator(**chosen).fit(reference)
    row_id = "id" if draw.chance(0.9) else draw.one([*NAMES, *ODD_VALUES])
    monitor = Monitor(estimator, row_id=row_id)
    production = plain_frame(draw, 200, "2026-04-01")
    labels = production[["id", "y_true", "labeled_at"]]
    unlabelled = production.drop(columns="y_true")
    parts = [unlabelled[:120], unlabelled[120:], unlabelled[100:150]]
    for _ in range(draw.one([2, 4, 6])):
        call = draw.one(
            ["predictions", "predictions", "labels", "labels", "performance", "odd now",
             "attribution", "arrival", "degradation"]
        )  # fmt: skip
        if call == "predictions":
            part = draw.one(parts)
            part = odd_frame(draw, part) if draw.chance(0.3) else part
            check_result(monitor.add_predictions(part), estimator)
        elif call == "labels":
            some = labels[: draw.one([0, 1, 50, 200])]
            some = odd_frame(draw, some) if draw.chance(0.3) and len(some) > 2 else some
            monitor.add_labels(some)
        elif call == "odd now":
            monitor.add_labels(labels[:5], now=draw.one(ODD_VALUES))
        elif call == "attribution":
            monitor.attribution()
        elif call == "arrival":
            monitor.label_arrival()
        elif call == "degradation":
            monitor.degradation()
        else:
            as_of = draw.one(ODD_VALUES) if draw.chance(0.3) else None
            check_result(monitor.performance(as_of=as_of), estimator)
    repr(monitor)


def use_classification(draw: Draw) -> None:
    n = draw.one([1, 2, 3, 10, 30, 60])
    rng = draw.rng
    values: Any = 0.8 + rng.normal(0, 0.01, n) * draw.one([1, 0, 1e-300, 1e300])
    errors: Any = np.full(n, draw.one([0.01, 0.0, 1e-300, 1e300, 5e-324]))
    if draw.chance(0.5):
        values[rng.integers(0, n, max(n // 5, 1))] = draw.one(
            [NAN, np.inf, -np.inf, 0, 5]
        )
    if draw.chance(0.3):
        errors[rng.integers(0, n)] = draw.one([NAN, np.inf, 0, -1, 1e9])
    options: dict[str, Any] = {"n_reference": draw.one([0, n // 3, n // 2, n])}
    if draw.chance(0.4):
        options["times"] = draw.one(
            [np.arange(n), np.arange(n) * 1e300, pd.date_range("2026", periods=n),
             np.arange(n)[::-1], np.sort(rng.normal(size=n)), ["x"] * n, np.zeros(n),
             [f"2026-01-{i % 28 + 1:02}" for i in range(n)], np.arange(n) * 1e-300,
             pd.date_range("2026", periods=n, tz="UTC"), [None] * n]
        )  # fmt: skip
    if draw.chance(0.3):
        options["shared_error"] = draw.one([0.0, 0.01, 1e300, NAN, -1, "x", np.inf])
    if draw.chance(0.3):
        options[draw.one(["n_reference", "times", "shared_error"])] = draw.one(
            ODD_VALUES
        )
    if draw.chance(0.15):
        values = draw.one(
            [*ODD_VALUES, values.tolist(), pd.Series(values), values[:, None]]
        )
    if draw.chance(0.15):
        errors = draw.one([*ODD_VALUES, errors.tolist(), errors[:-1]])
    if draw.chance(0.3):
        follow_degradation(values, errors, **options)
    elif draw.chance(0.3):
        options.pop("times", None)
        anytime_alarm(values, errors, **options)
    verdict = classify_degradation(values, errors, **options)
    if not np.isclose(sum(verdict.probabilities.values()), 1.0):
        contradict("probabilities do not sum to 1")
    str(verdict)


def use_calibration(draw: Draw) -> None:
    n, rng = draw.one([20, 100, 400]), draw.rng
    frame = plain_frame(draw, n)
    score: Any = frame["y_pred_proba"].to_numpy()
    label: Any = frame["y_true"].to_numpy()
    weight: Any = None
    if draw.chance(0.3):
        weight = draw.one([np.ones(n), np.zeros(n), rng.random(n), np.full(n, 1e300),
                           np.full(n, 1e-300), -np.ones(n), [1], NAN])  # fmt: skip
    if draw.chance(0.4):
        name = draw.one(["score", "label"])
        column = pd.Series(score if name == "score" else label)
        try:
            column = odd_column(draw, column)
        except Exception:
            return  # pandas cannot make such a column
        column = column if draw.chance(0.5) else column.tolist()
        score, label = (column, label) if name == "score" else (score, column)
    if draw.chance(0.1):
        score = draw.one(ODD_VALUES)
    call = draw.one(["fit", "fit", "cross_fit", "select", "make"])
    if call == "make":
        calibration.make_calibrator(draw.one([*ODD_VALUES, "isotonc", "sigmoid"]))
        return
    if call == "cross_fit":
        n_splits = draw.one([2, 5, n, 1, 0, 2.5, "x"])
        folds = calibration.cross_fit("platt", score, label, n_splits=n_splits)
        probability = folds.probabilities
    elif call == "select":
        return
    else:
        fitted = calibration.make_calibrator(draw.one(list(calibration.CALIBRATORS)))
        fitted.fit(score, label, sample_weight=weight)
        probability = fitted.predict(
            draw.one([score, rng.random(5), [], [2.0], [NAN], "x", [[0.5]], None])
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        contradict("a probability leaves [0, 1]")


CALLS: dict[str, tuple[float, Callable[[Draw], None]]] = {
    "estimator": (0.5, use_estimator),
    "monitor": (0.2, use_monitor),
    "classification": (0.15, use_classification),
    "calibration": (0.15, use_calibration),
}


# ------------------------------------------------------------------------------ trials


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise Hang

    # Of work; a machine that others share may take longer, but not wait for ever.
    limits = {
        signal.ITIMER_PROF: (signal.SIGPROF, seconds),
        signal.ITIMER_REAL: (signal.SIGALRM, 10 * seconds),
    }
    before = {kind: signal.signal(kind, ring) for kind, _ in limits.values()}
    for timer, (_, limit) in limits.items():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for timer, (kind, _) in limits.items():
            signal.setitimer(timer, 0)
            # By default a signal that is on its way would end the process.
            default = before[kind] is signal.SIG_DFL
            signal.signal(kind, signal.SIG_IGN if default else before[kind])


def compile_kernels() -> None:
    """Compile before the first case: that is no work of its own."""
    assert warm_up.callback is not None
    warm_up.callback()
    frame = plain_frame(Draw(0, 0), 600)
    options = {"metrics": METRIC_NAMES, "business_costs": COSTS[0], "chunk": 50}
    for features in (None, ["x", "g"]):
        estimator = PerformanceEstimator(features=features, segments="g", **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CommonMistakeWarning)
            estimator.fit(frame).estimate(frame[:300]).degradation()


def is_clear(error: Exception) -> bool:
    """Whether an error was raised by our own code, and names what it is about."""
    text = str(error)
    if type(error) not in REFUSALS:
        return False
    if isinstance(error, NotFittedError):
        return True
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    names = "`" in text or text.startswith("The reference ")
    return last.startswith(OURS) and names and len(text) > 30


def run_case(seed: int, case: int, seconds: int = SECONDS) -> Outcome:
    """Run one case; the same seed and case do the same."""
    draw = Draw(seed, case)
    names = list(CALLS)
    share = np.array([CALLS[name][0] for name in names])
    call = str(draw.rng.choice(names, p=share))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Ours, and documented: common mistakes, and labels of which none is known.
        warnings.simplefilter("ignore", CommonMistakeWarning)
        warnings.filterwarnings("ignore", "None of the .* labels belongs to a row")
        try:
            with time_limit(seconds):
                CALLS[call][1](draw)
        except Hang:
            return Outcome(case=case, call=call, result="hang")
        except Wrong as error:
            return Outcome(case=case, call=call, result="wrong", message=str(error))
        except Exception as error:
            clear = is_clear(error)
            where = " > ".join(
                f"{Path(f.filename).name}:{f.lineno}"
                for f in traceback.extract_tb(error.__traceback__)[-4:]
            )
            return Outcome(
                case=case,
                call=call,
                result="refused" if clear else "foreign",
                message=f"{type(error).__name__}: {str(error)[:300]} [{where}]",
            )
    return Outcome(case=case, call=call, result="answered")
