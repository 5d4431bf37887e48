"""Results as rows of the store, and back."""

import numpy as np
import pandas as pd
import pytest

from estimator import PerformanceEstimator
from estimator.operations.store.result_rows import (
    WORTH_KEEPING,
    performance_of_rows,
    restate,
    result_rows,
)
from estimator.results.performance import Performance


@pytest.fixture(scope="module", params=[None, "Europe/Berlin"])
def performance(request, reference_frame, production_frame):
    frames = []
    for frame in (reference_frame, production_frame):
        timestamp = frame["timestamp"].dt.tz_localize(
            request.param, ambiguous="NaT", nonexistent="shift_forward"
        )
        frames.append(frame.assign(timestamp=timestamp))
    estimator = PerformanceEstimator(
        chunk="W", timestamp="timestamp", segments="region", metrics=("roc_auc", "f1")
    ).fit(frames[0])
    return estimator.estimate(frames[1])


def part_of(performance, period):
    in_period = performance.period == period
    return Performance(
        **{
            name: value[in_period] if isinstance(value, np.ndarray) else value
            for name in Performance.__dataclass_fields__
            for value in [getattr(performance, name)]
        }
    )


def test_there_and_back(performance):
    rows = result_rows(part_of(performance, "analysis"), as_of=1)
    np.random.default_rng(0).shuffle(rows)
    again = performance_of_rows(rows, part_of(performance, "reference"))
    pd.testing.assert_frame_equal(again.to_frame(), performance.to_frame())
    np.testing.assert_array_equal(
        again.calibration_error, performance.calibration_error
    )


def test_without_rows_there_is_the_reference(performance):
    reference = part_of(performance, "reference")
    assert performance_of_rows([], reference) is reference


def stored(rows):
    return restate(rows, [], as_of=1).changed


def remembered(rows):
    return [{k: v for k, v in row.items() if k != "gone"} for row in rows]


def test_what_is_the_same_is_not_written(performance):
    rows = result_rows(part_of(performance, "analysis"), as_of=1)
    before = stored(rows)
    assert [row["revision"] for row in before] == [1] * len(rows)
    for as_of in (1, 2):
        again = result_rows(part_of(performance, "analysis"), as_of)
        written = restate(again, before, as_of)
        assert (written.changed, written.history, written.gone) == ([], [], [])


def test_what_differs_by_rounding_is_not_written(performance):
    rows = result_rows(part_of(performance, "analysis"), as_of=1)
    before = stored(rows)
    for share, n_written in ((1e-14, 0), (1e-9, 1)):
        moved = dict(rows[0], value=rows[0]["value"] * (1.0 + share))
        assert len(restate([moved, *rows[1:]], before, 2).changed) == n_written
    unknown = dict(rows[0], realized=None if rows[0]["realized"] is not None else 0.5)
    assert len(restate([unknown, *rows[1:]], before, 2).changed) == 1


def test_what_is_no_more_leaves_a_last_row_in_the_history(performance):
    rows = result_rows(part_of(performance, "analysis"), as_of=1)
    written = restate(rows[1:], stored(rows), as_of=5)
    key = rows[0]["segment"], rows[0]["chunk"], rows[0]["metric"]
    assert written.gone == [key]
    assert written.changed == []
    (last,) = written.history
    assert (last["gone"], last["as_of"], last["revision"]) == (True, 5, 2)
    assert last["value"] is None


def test_many_small_steps_are_a_large_one(performance):
    rows = result_rows(part_of(performance, "analysis"), as_of=1)
    before = stored(rows)
    half_width = 0.5 * (rows[3]["upper"] - rows[3]["lower"])
    n_remembered = 0
    for _ in range(300):
        rows[3] = {
            **rows[3],
            "value": rows[3]["value"] + 0.9 * WORTH_KEEPING * half_width,
        }
        written = restate(rows, before, as_of=1)
        before = [*before[:3], *written.changed, *before[4:]]
        n_remembered += len(written.history)
        remembered = before[3]["remembered_value"]
        assert abs(remembered - rows[3]["value"]) <= WORTH_KEEPING * half_width
    assert 100 <= n_remembered <= 200


@pytest.mark.parametrize(
    ("share", "is_remembered"),
    [(0.5 * WORTH_KEEPING, False), (2 * WORTH_KEEPING, True)],
)
def test_what_has_hardly_moved_is_written_but_not_remembered(
    performance, share, is_remembered
):
    rows = result_rows(part_of(performance, "analysis"), as_of=1)
    before = stored(rows)
    half_width = 0.5 * (rows[3]["upper"] - rows[3]["lower"])
    rows[3] = {**rows[3], "value": rows[3]["value"] + share * half_width}
    written = restate(rows, before, as_of=1)
    new = {**rows[3], "revision": 2}
    assert new.items() <= written.changed[0].items()
    assert remembered(written.history) == ([new] if is_remembered else [])


@pytest.mark.parametrize("fact", ["n_labels", "note", "trust", "alert", "realized"])
def test_facts_are_always_remembered(performance, fact):
    rows = result_rows(part_of(performance, "analysis"), as_of=1)
    before = stored(rows)
    new = {
        "n_labels": 7,
        "note": "odd",
        "trust": "none",
        "realized": 0.5,
        "alert": not rows[0]["alert"],
    }
    rows[0] = {**rows[0], fact: new[fact]}
    written = restate(rows, before, as_of=1)
    assert remembered(written.history) == [{**rows[0], "revision": 2}]
    assert len(written.changed) == 1
