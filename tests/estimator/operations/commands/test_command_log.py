import io
import json
import logging
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.operations.commands.command_log import JsonLines


def refuse(constant):
    msg = f"{constant} is not JSON"
    raise ValueError(msg)


def read_strictly(text):
    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def log():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.Logger("nightly")
    logger.addHandler(handler)
    logger.stream = stream
    return logger


def test_a_line_has_time_level_message_and_fields(log):
    before = time.time()
    log.warning("%d of %d rows", 2, 3, extra={"model": "credit", "seconds": 0.25})
    entry = read_strictly(log.stream.getvalue())
    milliseconds = np.datetime64(entry.pop("time").removesuffix("+00:00"), "ms").astype(
        float
    )
    assert before - 0.001 <= milliseconds / 1_000 <= time.time()
    assert entry == {
        "level": "WARNING",
        "message": "2 of 3 rows",
        "model": "credit",
        "seconds": 0.25,
    }


def test_a_traceback_stays_on_its_line(log):
    try:
        refuse("NaN")
    except ValueError:
        log.exception("it\nfailed", stack_info=True)
    (line,) = log.stream.getvalue().splitlines()
    entry = read_strictly(line)
    assert entry["message"] == "it\nfailed"
    assert entry["exception"].endswith("ValueError: NaN is not JSON")
    assert "test_a_traceback_stays_on_its_line" in entry["stack"]


def test_numpy_and_the_rest(log):
    contains_itself = [1]
    contains_itself.append(contains_itself)
    log.info(
        "x",
        extra={
            "numbers": (np.int64(3), np.float32(0.5), np.float64("nan"), True),
            "infinite": float("inf"),
            "nested": {1: {"a": [float("-inf")]}},
            "path": io.StringIO,
            "endless": contains_itself,
            "level": "extra",
        },
    )
    entry = read_strictly(log.stream.getvalue())
    assert entry["numbers"] == [3, 0.5, None, True]
    assert entry["numbers"][3] is True
    assert entry["infinite"] is None
    assert entry["nested"] == {"1": {"a": [None]}}
    assert entry["path"] == "<class '_io.StringIO'>"
    assert entry["endless"][:1] == [1]
    assert (entry["level"], entry["level_"]) == ("INFO", "extra")


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(st.text(), values)
def test_always_one_line_of_strict_json(message, value):
    record = logging.makeLogRecord({"msg": message, "value": value})
    line = JsonLines().format(record)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert read_strictly(line)["message"] == message
