import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from estimator import classify_degradation
from estimator.degradation.series import SETTINGS, read_series, soften_outliers


def read(values, errors, **changes):
    options = {
        "n_reference": 2,
        "times": None,
        "higher_is_better": True,
        "shared_error": 0.0,
    }
    return read_series(values, errors, **(options | changes))


def test_units_are_those_of_the_typical_chunk():
    values, errors = (
        np.array([0.8, 0.82, 0.7, 0.75]),
        np.array([0.01, 0.02, 0.02, 0.04]),
    )
    series = read(values, errors, shared_error=0.01)
    assert series.unit == 0.02
    assert_allclose(series.center + series.unit * series.y, values)
    pooled = SETTINGS.pooled + (1 - SETTINGS.pooled) * (errors / 0.02) ** 2
    assert_allclose(series.pooled_errors**2, pooled)
    assert series.shared == 0.5
    assert_array_equal(
        series.robust_errors, series.pooled_errors
    )  # too short for outliers


def test_a_loss_is_turned_round():
    series = read([0.2, 0.3, 0.1], [0.1] * 3, higher_is_better=False)
    assert_allclose(
        series.sign * (series.center + series.unit * series.y), [0.2, 0.3, 0.1]
    )
    assert series.y[1] < series.y[2]


def test_errors_of_zero_and_constants_are_no_division_by_zero():
    series = read([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    assert np.isfinite(series.y).all()
    assert (series.pooled_errors > 0).all()


def test_times_may_be_numbers_or_dates():
    days = [0, 7, 14, 28]
    start = pd.Timestamp("2026-01-05")
    as_dates = pd.DatetimeIndex([start + pd.Timedelta(days=d) for d in days])
    for times, spacing in (
        (days, 7.0),
        (as_dates, pd.Timedelta(days=7)),
        (as_dates.tz_localize("Europe/Berlin"), pd.Timedelta(days=7)),
        (as_dates.to_numpy(), pd.Timedelta(days=7)),
        (pd.Series(as_dates), pd.Timedelta(days=7)),
        (as_dates.strftime("%Y-%m-%d").tolist(), pd.Timedelta(days=7)),
        ([moment.date() for moment in as_dates], pd.Timedelta(days=7)),
    ):
        series = read([1.0, 2.0, 3.0, 4.0], [0.1] * 4, times=times)
        assert_allclose(series.t, [0, 1, 2, 4])
        assert series.spacing == spacing
        assert_allclose(series.gaps[1:], [1, 1, 2])


def test_a_value_alone_counts_less_a_step_and_a_cycle_do_not():
    rng = np.random.default_rng(0)
    calm = rng.normal(size=40)
    ones = np.ones(40)
    alone = calm.copy()
    alone[[10, 25]] += [12.0, -12.0]
    softened = soften_outliers(alone, ones)
    assert (softened[[10, 25]] > 4.0).all()
    assert np.delete(softened, [10, 25]).max() < 2.0
    assert abs(alone[10] / softened[10]) < 3.0
    step = calm - 8.0 * (np.arange(40) >= 20)
    assert soften_outliers(step, ones).max() < 2.0
    cycle = calm + 6.0 * np.cos(2 * np.pi * np.arange(40) / 4.0)
    assert np.mean(soften_outliers(cycle, ones) > 1.5) < 0.1


@pytest.mark.parametrize("size", [5.0, 10.0, 40.0])
def test_two_neighbours_that_agree_are_no_outliers(size):
    y = np.random.default_rng(0).normal(size=40)
    y[[20, 21]] -= size
    assert soften_outliers(y, np.ones(40)).max() < 1.5
    y[21] += size
    assert soften_outliers(y, np.ones(40))[20] > 2.0


def test_a_reference_of_one_chunk_is_no_outlier():
    y = np.random.default_rng(0).normal(size=40)
    y[0] += 20.0
    assert soften_outliers(y, np.ones(40), n_reference=2)[0] > 10.0
    assert soften_outliers(y, np.ones(40), n_reference=1)[0] == 1.0


def test_softening_is_that_of_medians():
    """Against the definition, one chunk at a time."""
    rng = np.random.default_rng(1)
    y = rng.standard_t(2, 25) * 2
    softened = soften_outliers(y, np.ones(25))
    distance = []
    for i in range(25):
        sides = [y[max(i - 3, 0) : i], y[i + 1 : i + 4]]
        medians = [np.median(side) for side in sides if side.size]
        median = min(medians, key=lambda m: abs(y[i] - m))
        # the share that the nearest neighbours depart by, to the same side
        beside = [y[k] for k in (i - 1, i + 1) if 0 <= k < 25]
        share = max(0.0, *[(value - median) / (y[i] - median) for value in beside])
        lonely = np.interp(share, SETTINGS.company, [1.0, 0.0])
        distance.append(lonely * abs(y[i] - median))
    z = np.array(distance) / 1.2
    far = np.maximum(1.0, z / (2.5 * max(1.0, np.median(z) / 0.41)))
    assert_allclose(softened, far**2)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"values": [[1.0, 2.0]]}, ValueError, "`values` must have one dimension"),
        ({"values": ["a", "b", "c"]}, ValueError, "`values` must be an array of numb"),
        ({"errors": [0.1, 0.1]}, ValueError, "one entry per chunk each, got 3 and 2"),
        (
            {"errors": [0.1, -0.1, 0.1]},
            ValueError,
            "not be negative, got .* at position 1",
        ),
        ({"values": [np.nan] * 3}, ValueError, "finite in at least one chunk"),
        (
            {"n_reference": 4},
            ValueError,
            "between 0 and the number of chunks, 3; got 4",
        ),
        ({"n_reference": -1}, ValueError, "between 0 and the number of chunks"),
        ({"n_reference": 1.0}, TypeError, "`n_reference` must be a whole number"),
        ({"n_reference": True}, TypeError, "`n_reference` must be a whole number"),
        (
            {"shared_error": -0.1},
            ValueError,
            "`shared_error` must be a finite standard",
        ),
        ({"shared_error": np.nan}, ValueError, "`shared_error` must be a finite"),
        ({"shared_error": [0.1]}, ValueError, "`shared_error` must be a finite"),
        ({"times": [1, 2]}, ValueError, "one entry per chunk, got 2 for 3"),
        ({"times": [1, 3, 2]}, ValueError, "increasing .* got .*2.* at position 2"),
        ({"times": [1, 1, 2]}, ValueError, "increasing .* at position 1"),
        (
            {"times": ["a", "b", "c"]},
            ValueError,
            "`times` must be numbers or timestamps",
        ),
        (
            {"times": pd.DatetimeIndex(["2026-01-05", "NaT", "2026-01-07"])},
            ValueError,
            "`times` must be known .* at position 1",
        ),
    ],
)
def test_bad_input_is_refused(changes, kind, message):
    arguments = {"values": [1.0, 2.0, 3.0], "errors": [0.1] * 3} | changes
    with pytest.raises(kind, match=message):
        read(**arguments)


def test_errors_of_any_two_sizes_have_a_ratio():
    """The second chunk weighs nothing, whether its error is 1e9 or 1e300 times."""
    values = [0.8, 0.8, 0.8]
    for large in (1e9, 1e300):
        verdict = classify_degradation(values, [5e-324, large, 5e-324], n_reference=1)
        assert verdict.kind == "stable"
