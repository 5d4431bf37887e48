"""Which chunk is the newest complete one: one answer, whoever asks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from estimator import PerformanceEstimator
from estimator.charts.newest_chunk import newest_chunk, newest_rows, unfinished_chunk
from tests.estimator.conftest import simulate

MONDAY = pd.Timestamp("2026-01-05")


def timed(n_days, start=MONDAY, per_day=40, seed=0):
    frame = simulate(round(n_days * per_day), seed)
    days = np.sort(np.random.default_rng(seed).random(len(frame))) * n_days
    return frame.assign(time=start + pd.to_timedelta(days, unit="D"))


def weekly(n_days, **options):
    estimator = PerformanceEstimator(chunk="W", timestamp="time", **options)
    estimator.fit(timed(56, MONDAY - pd.Timedelta(days=56), seed=1))
    return estimator.estimate(timed(n_days).drop(columns="y_true"))


@pytest.mark.parametrize(
    ("n_days", "newest", "unfinished"),
    [
        (21, "2026-01-19", None),
        (22, "2026-01-19", "2026-01-26"),  # one day of a week
        (26, "2026-01-19", "2026-01-26"),
        (27, "2026-01-19", "2026-01-26"),  # six days
        (28, "2026-01-26", None),
        (2, "2026-01-05", "2026-01-05"),  # there is no other
    ],
)
def test_a_week_is_complete_with_its_seventh_day(n_days, newest, unfinished):
    performance = weekly(n_days)
    assert newest_chunk(performance) == newest
    assert unfinished_chunk(performance) == unfinished


def test_months_of_different_length_are_complete():
    estimator = PerformanceEstimator(chunk="MS", timestamp="time")
    start = pd.Timestamp("2025-09-01")
    estimator.fit(timed(122, start, seed=1))
    found = estimator.estimate(timed(59, pd.Timestamp("2026-01-01")))
    assert newest_chunk(found) == "2026-02-01"
    assert unfinished_chunk(found) is None


def test_rows_of_one_moment_a_day_are_complete_days():
    def at_noon(n_days, start, seed):
        frame = timed(n_days, start, seed=seed)
        return frame.assign(time=frame["time"].dt.floor("D") + pd.Timedelta(hours=12))

    estimator = PerformanceEstimator(chunk="D", timestamp="time")
    estimator.fit(at_noon(20, MONDAY - pd.Timedelta(days=20), 1))
    found = estimator.estimate(at_noon(5, MONDAY, 0))
    assert unfinished_chunk(found) is None


def test_a_number_of_rows_is_complete_with_the_last():
    estimator = PerformanceEstimator(chunk=500).fit(simulate(5_000, 1))
    for n, newest, unfinished in ((2_000, 3, None), (2_100, 3, 4), (1_990, 3, None)):
        found = estimator.estimate(simulate(n, 0))
        assert (newest_chunk(found), unfinished_chunk(found)) == (newest, unfinished)


def test_segments_stand_beside_all_rows(reference_frame):
    found = weekly(22, segments="region")
    rows = newest_rows(found)
    assert found.segment[rows].tolist() == ["", "region=north", "region=south"]
    assert set(found.chunk[rows]) == {"2026-01-19"}
    gone = (found.segment == "region=south") & (found.chunk == "2026-01-19")
    fewer = replace(found, n_rows=np.where(gone, 0, found.n_rows))
    assert found.segment[newest_rows(fewer)].tolist() == ["", "region=north"]


def test_without_analysis_there_is_none():
    found = weekly(21)
    reference = {
        name: getattr(found, name)[found.period == "reference"]
        for name in found.__slots__
        if isinstance(getattr(found, name), np.ndarray)
    }
    found = replace(found, **reference)
    assert newest_chunk(found) is None
    assert unfinished_chunk(found) is None
    assert newest_rows(found).size == 0
