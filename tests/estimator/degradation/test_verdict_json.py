"""A verdict as JSON comes back as it was."""

import json
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from estimator import classify_degradation
from estimator.degradation import verdict_json as verdict_file
from estimator.degradation.kinds import KINDS
from estimator.degradation.verdict import Degradation, label_chunks

N, N_REFERENCE = 60, 15


def series(kind):
    rng = np.random.default_rng(0)
    i = np.arange(N)
    values = 0.8 + rng.normal(0, 0.01, N)
    values -= {
        "stable": 0.0,
        "sudden": 0.08 * (i >= 40),
        "gradual": 0.1 * np.clip((i - 25) / 30, 0, 1),
        "cyclical": 0.06 * (i >= N_REFERENCE) * np.sin(2 * np.pi * i / 12) ** 2,
        "training_serving_skew": 0.08 * (i >= N_REFERENCE),
        "recovered": 0.08 * ((i >= 30) & (i < 42)),
        "improved": -0.08 * (i >= 40),
    }[kind]
    return values


def verdict_on(kind, dated):
    times = pd.date_range("2025-01-06", periods=N, freq="W-MON") if dated else None
    verdict = classify_degradation(
        series(kind), np.full(N, 0.01), n_reference=N_REFERENCE, times=times
    )
    if dated:
        verdict = label_chunks(verdict, [f"{t:%Y-%m-%d}" for t in times])
    return verdict


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("kind", [*KINDS, "improved"])
def test_there_and_back(kind, dated):
    verdict = verdict_on(kind, dated)
    assert verdict.kind == ("stable" if kind == "improved" else kind)
    text = json.dumps(verdict_file.to_json(verdict), allow_nan=False)
    again = verdict_file.from_json(json.loads(text))
    assert str(again) == str(verdict)
    for field in fields(Degradation):
        ours, theirs = getattr(verdict, field.name), getattr(again, field.name)
        if isinstance(ours, np.ndarray):
            assert ours.tolist() == pytest.approx(theirs.tolist(), nan_ok=True)
        elif field.name in ("magnitude", "magnitude_interval"):
            assert ours == pytest.approx(theirs, nan_ok=True)
        else:
            assert ours == theirs, field.name


def test_a_verdict_from_before_its_unit_was_saved():
    """Before the field existed, the name alone said that values are per row."""
    verdict = replace(verdict_on("sudden", dated=True), metric="business_value per row")
    for metric, per_row in (("business_value per row", True), ("accuracy", False)):
        saved = verdict_file.to_json(replace(verdict, metric=metric))
        del saved["per_row"]
        assert verdict_file.from_json(saved).per_row is per_row
