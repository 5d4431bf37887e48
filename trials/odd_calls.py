"""Calls of estimators, monitors, verdicts and calibrators with odd material."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import calibration
from estimator import (
    Monitor,
    PerformanceEstimator,
    anytime_alarm,
    classify_degradation,
    follow_degradation,
)
from trials.independent_truth import check_realized, check_result, contradict
from trials.odd_frames import (
    NAMES,
    NAN,
    ODD_VALUES,
    Draw,
    odd_column,
    odd_frame,
    plain_frame,
)
from trials.odd_parameters import CHUNKS, parameters


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
