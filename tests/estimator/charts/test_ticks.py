"""Ticks of values and chunks, and decimals, on any scale and any dates."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.charts.formats import decimals, number_text
from estimator.charts.ticks import chunk_ticks, value_ticks
from tests.estimator.report.pages import number


@given(
    st.floats(-1e9, 1e9),
    st.floats(1e-6, 1e9),
    st.integers(2, 8),
)
def test_ticks_of_values_are_round_and_lie_between_the_ends(low, width, most):
    high = low + width
    if high - low < 1e-6 * abs(low):
        return
    ticks = value_ticks(low, high, most)
    values = [value for value, _ in ticks]
    assert len(ticks) <= most
    assert values == sorted(set(values))
    slack = 1e-9 * max(abs(low), abs(high))
    assert all(low - slack <= value <= high + slack for value in values)
    assert len({text for _, text in ticks}) == len(ticks)
    factor = {"k": 1e3, "M": 1e6, "G": 1e9}
    for value, text in ticks:
        unit = factor.get(text[-1], 1.0)
        tick_value = number(text.rstrip("kMG")) * unit
        assert tick_value == pytest.approx(value, rel=1e-9, abs=1e-9 * width)


@given(st.integers(1, 500), st.integers(0, 40), st.integers(2, 9))
def test_ticks_of_chunks_leave_room_and_name_their_chunk(n, n_reference, most):
    labels = [*range(min(n_reference, n)), *range(max(n - n_reference, 0))]
    ticks = chunk_ticks(labels, min(n_reference, n), most)
    places = [tick.position for tick in ticks]
    assert ticks
    assert places == sorted(set(places))
    assert all(b - a >= n / (most + 1) for a, b in pairwise(places))
    assert [tick.text for tick in ticks] == [str(labels[i]) for i in places]


@pytest.mark.parametrize("step", ["1h", "6h", "1D", "7D", "31D"])
@pytest.mark.parametrize("n", [1, 2, 20, 70, 300])
def test_ticks_of_dates_stand_where_a_unit_begins(step, n):
    dates = pd.date_range("2025-11-28", periods=n, freq=step)
    unit = "s" if "h" in step else "D"
    labels = np.datetime_as_string(dates.to_numpy(), unit=unit).tolist()
    ticks = chunk_ticks(labels, 0, 7)
    assert 1 <= len(ticks) <= 8
    below = ""
    for tick in ticks:
        below = tick.below or below
        date = dates[tick.position]
        tick_text = f"{tick.text} {below}"
        for form in ("%H:%M %d %b", "%d %b %Y", "%b %Y", "%Y"):
            expected = date.strftime(form).replace(" 0", " ").strip()
            if tick_text.strip() in (expected, expected.removeprefix("0")):
                break
        else:
            pytest.fail(f"{tick_text} is not {date}")


@given(st.floats(1e-5, 1e5))
def test_decimals_show_two_digits_of_the_error(error):
    shown = number_text(error, decimals(np.array([error, error])))
    assert number(shown) == pytest.approx(error, rel=0.05, abs=0.5 if error > 9 else 0)
