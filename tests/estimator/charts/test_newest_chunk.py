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
        (2, None, "2026-01-05"),  # there is no other
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
    performance = estimator.estimate(timed(59, pd.Timestamp("2026-01-01")))
    assert newest_chunk(performance) == "2026-02-01"
    assert unfinished_chunk(performance) is None


def test_rows_of_one_moment_a_day_are_complete_days():
    def at_noon(n_days, start, seed):
        frame = timed(n_days, start, seed=seed)
        return frame.assign(time=frame["time"].dt.floor("D") + pd.Timedelta(hours=12))

    estimator = PerformanceEstimator(chunk="D", timestamp="time")
    estimator.fit(at_noon(20, MONDAY - pd.Timedelta(days=20), 1))
    performance = estimator.estimate(at_noon(5, MONDAY, 0))
    assert unfinished_chunk(performance) is None


def test_a_number_of_rows_is_complete_with_the_last():
    estimator = PerformanceEstimator(chunk=500).fit(simulate(5_000, 1))
    for n, newest, unfinished in ((2_000, 3, None), (2_100, 3, 4), (1_990, 3, None)):
        performance = estimator.estimate(simulate(n, 0))
        assert (newest_chunk(performance), unfinished_chunk(performance)) == (
            newest,
            unfinished,
        )


def test_segments_stand_beside_all_rows(reference_frame):
    performance = weekly(22, segments="region")
    rows = newest_rows(performance)
    assert performance.segment[rows].tolist() == ["", "region=north", "region=south"]
    assert set(performance.chunk[rows]) == {"2026-01-19"}
    gone = (performance.segment == "region=south") & (performance.chunk == "2026-01-19")
    fewer = replace(performance, n_rows=np.where(gone, 0, performance.n_rows))
    assert performance.segment[newest_rows(fewer)].tolist() == ["", "region=north"]


def test_without_analysis_there_is_none():
    performance = weekly(21)
    reference = {
        name: getattr(performance, name)[performance.period == "reference"]
        for name in performance.__slots__
        if isinstance(getattr(performance, name), np.ndarray)
    }
    performance = replace(performance, **reference)
    assert newest_chunk(performance) is None
    assert unfinished_chunk(performance) is None
    assert newest_rows(performance).size == 0
