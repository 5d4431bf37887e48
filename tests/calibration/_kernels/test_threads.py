"""Work that is shared out: all of it done, or none of it still going on."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from calibration._kernels import threads as _threads
from calibration._kernels.threads import for_each, share_out


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch):
    monkeypatch.setattr(_threads, "n_cores", lambda: 4)
    _threads._pool.cache_clear()
    yield
    _threads._pool().shutdown()
    _threads._pool.cache_clear()


class Work:
    """Notes which items were begun and ended, and fails at some."""

    def __init__(self, seconds=0.0, fails=lambda item: False):
        self.seconds, self.fails = seconds, fails
        self.begun, self.ended = [], []

    def __call__(self, item):
        self.begun.append(item)
        try:
            time.sleep(self.seconds)
            if self.fails(item):
                msg = f"item {item}"
                raise RuntimeError(msg)
        finally:
            self.ended.append(item)


def assert_over(work):
    """Nobody works any more, now or later."""
    begun = sorted(work.begun)
    assert begun == sorted(work.ended)
    time.sleep(3 * work.seconds)
    assert sorted(work.begun) == begun


def test_every_item_once():
    work = Work()
    for_each(range(1_000), work)
    assert sorted(work.ended) == list(range(1_000))
    rows = np.zeros(300_000, dtype=np.int64)

    def count(block):
        rows[block.start * 1_000 : block.stop * 1_000] += 1

    share_out(np.arange(0, 300_001, 1_000), count)
    assert (rows == 1).all()


def test_an_error_on_the_callers_thread_waits_for_the_helpers():
    caller = threading.get_ident()
    work = Work(0.05, fails=lambda _: threading.get_ident() == caller)
    with pytest.raises(RuntimeError, match="item"):
        for_each(range(100), work)
    assert_over(work)
    assert len(work.begun) <= 8  # not all of them: each thread at most ended its own


def test_an_error_of_a_helper_is_raised_and_ends_the_work():
    caller = threading.get_ident()
    work = Work(0.05, fails=lambda _: threading.get_ident() != caller)
    with pytest.raises(RuntimeError, match="item"):
        for_each(range(100), work)
    assert_over(work)
    assert len(work.begun) <= 8


def test_work_within_work_does_not_wait_for_itself():
    inner = Work(0.001)
    for_each(range(8), lambda item: for_each(range(10 * item, 10 * item + 10), inner))
    assert sorted(inner.ended) == list(range(80))


def test_interrupted_at_any_moment_nobody_works_on():
    """As by Ctrl+C in a notebook: the interrupt is raised, after the helpers' end."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        work = Work(0.002)
        alarm = threading.Timer(
            rng.uniform(0.0, 0.03), os.kill, (os.getpid(), signal.SIGINT)
        )
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it may come late
            alarm.start()
            for_each(range(60), work)
            alarm.join()
            time.sleep(0.1)
        assert_over(work)
