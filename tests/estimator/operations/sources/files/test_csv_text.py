"""What the text of a CSV cell means: DuckDB held against pandas, both against this."""

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.operations.sources.files import csv_text
from estimator.operations.sources.row_source import open_engine

CELLS = [
    "01", "1", "1.0", "-7.00", "0.5", ".5", "1e-3", "NA", "nan", "NaN", "null", "None",
    "", " ", " 1 ", "true", "TRUE", "False", "10:00", "10:00:00", "2026-01-05", "inf",
    "north", " x ", 'a "b"', "a,b", "a\nb", "é", "+1", "1.0.0", "#1", "0x10", "1.", "t",
    "+-1", "++1", "+-nan", "1e+-3", "1_0",
]  # fmt: skip


@pytest.fixture(scope="module")
def engine():
    with open_engine("500MB", 1) as engine:
        yield engine


def in_duckdb(engine, expression, cells):
    query = f"SELECT {expression('x')} FROM (SELECT unnest(?::VARCHAR[]) AS x)"  # noqa: S608
    return [row[0] for row in engine.execute(query, [list(cells)]).fetchall()]


def missing_as_none(values):
    return [None if value is None or value != value else value for value in values]


def same_number(engine, cell):
    try:
        expected = csv_text.read_numbers(pd.Series([cell], dtype=object)).tolist()
    except ValueError:
        with pytest.raises(duckdb.Error):
            in_duckdb(engine, csv_text.number_sql, [cell])
        assert in_duckdb(engine, csv_text.is_number_sql, [cell]) == [False]
    else:
        in_sql = in_duckdb(engine, csv_text.number_sql, [cell or None])
        assert missing_as_none(in_sql) == missing_as_none(expected)
        assert in_duckdb(engine, csv_text.is_number_sql, [cell or None]) == [True]


@pytest.mark.parametrize("cell", CELLS)
def test_numbers(engine, cell):
    same_number(engine, cell)


@settings(deadline=None, max_examples=150)
@given(st.text("0123456789.eE+- NAntrufls", max_size=8))
def test_any_number(engine, cell):
    same_number(engine, cell)


def test_texts(engine):
    expected = csv_text.read_texts(pd.Series(CELLS, dtype=object)).tolist()
    in_sql = in_duckdb(engine, csv_text.text_sql, [cell or None for cell in CELLS])
    assert missing_as_none(in_sql) == missing_as_none(expected)
    as_written = dict(zip(CELLS, expected, strict=True))
    for cell in ("01", "NA", "10:00", "10:00:00", " x ", "1.0.0", "null", " 1 "):
        assert as_written[cell] == cell
    assert as_written["1.0"] == "1"  # as pandas writes 1 where another cell is missing
    assert as_written["TRUE"] == "True"
    assert as_written[""] is None


LONG = "x" * 119 + "é" * 300
ODD = ["north", "x" * 200, "x" * 201, LONG, LONG + "a", LONG + "b", "a\0b", "\0", "a␀b"]


def test_texts_that_no_database_indexes_are_shortened(engine):
    expected = [csv_text.shortened(text) for text in ODD]
    assert in_duckdb(engine, csv_text.shortened_sql, ODD) == expected
    assert len(set(expected)) == len(ODD)  # also where they differ but at the end
    assert expected[:2] == ODD[:2]
    assert all("\0" not in text for text in expected)
    assert max(len(text.encode()) for text in expected) < 1_000


@pytest.mark.parametrize(
    ("cell", "zoned"),
    [
        ("2026-01-05", False),
        ("2026-01-05 10:00", False),
        ("2026-01-05T10:00:00.123456", False),
        ("2026-01-05 10:00:00+02:00", True),
        ("2026-01-05T10:00:00Z", True),
        ("2026-01-05T10:00-05", True),
    ],
)
def test_times(engine, cell, zoned):
    assert csv_text.is_zoned(cell) == zoned

    def reading(x):
        return f"epoch_us({csv_text.time_sql(x, 'time', zoned=zoned)})"

    truth = pd.Timestamp(cell).tz_localize(None) if not zoned else pd.Timestamp(cell)
    micros = truth.value // 1_000
    assert in_duckdb(engine, reading, [cell, "NaT", ""]) == [micros, None, None]

    def otherwise(x):
        return csv_text.time_sql(x, "time", zoned=not zoned)

    with pytest.raises(duckdb.Error, match="column `time` must hold ISO times with"):
        in_duckdb(engine, otherwise, [cell])


@pytest.mark.parametrize("cell", ["05/01/2026", "2026-01-05 10:00 Europe/Berlin", "7"])
def test_times_that_may_mean_two_things_are_refused(engine, cell):
    with pytest.raises(duckdb.Error, match="must hold ISO times"):
        in_duckdb(engine, lambda x: csv_text.time_sql(x, "time", zoned=False), [cell])


@pytest.mark.parametrize(("cell", "number"), [("12", 12), ("-3.0", -3), ("007", 7)])
def test_ids_that_are_joined_with_whole_numbers(engine, cell, number):
    in_sql = in_duckdb(engine, lambda x: csv_text.whole_sql(x, "id"), [cell])
    assert in_sql == [number]


@pytest.mark.parametrize("cell", ["12.5", "A1", "1e3"])
def test_ids_that_are_no_whole_numbers(engine, cell):
    with pytest.raises(duckdb.Error, match=f"column `id` must hold whole.*{cell}"):
        in_duckdb(engine, lambda x: csv_text.whole_sql(x, "id"), [cell])


def test_a_number_that_is_none_is_named():
    with pytest.raises(ValueError, match="`score` must hold numbers, but holds 'abc'"):
        csv_text.read_numbers(pd.Series(["0.5", "abc"], name="score"))
    numbers = csv_text.read_numbers(pd.Series(["0.5", ""], name="score"))
    np.testing.assert_array_equal(numbers, [0.5, np.nan])
