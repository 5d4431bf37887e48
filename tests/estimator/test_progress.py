import io
import sys
import time

from estimator import PerformanceEstimator
from estimator.progress import Progress
from tests.estimator.conftest import simulate


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bar_is_drawn_only_after_a_while_and_wiped_at_the_end():
    stream = Terminal()
    with Progress(2, stream, patience=0.05) as progress:
        with progress.stage("reading"):
            time.sleep(0.4)
        with progress.stage("fitting"):
            time.sleep(0.3)
    text = stream.getvalue()
    assert "[------------------------] reading" in text
    assert "[############------------] fitting" in text
    assert text.endswith("\r\x1b[K")


def test_no_bar_for_short_work_or_without_a_terminal():
    for stream, patience in ((Terminal(), 60.0), (io.StringIO(), 0.0)):
        progress = Progress(1, stream, patience=patience)
        with progress, progress.stage("reading"):
            time.sleep(0.01)
        assert stream.getvalue() == ""


def test_the_estimator_counts_its_rows(monkeypatch):
    monkeypatch.setattr("estimator.progress.PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    done = []
    monkeypatch.setattr(Progress, "advance", lambda _, amount: done.append(amount))
    estimator = PerformanceEstimator(chunk=500, progress=True).fit(simulate(1_000, 0))
    fitting = sum(done)
    estimator.estimate(simulate(2_000, 1))
    assert fitting == 9
    assert sum(done) - fitting == 2_001
