"""Odd frames, odd parameters and odd calls, drawn at random, and what comes of them.

A call may answer or refuse. What it answers is held against an independent truth:
scikit-learn's metrics over the labelled rows, and rules that hold of any result. What
it refuses it must refuse clearly: with an error of ours that names an argument or a
column. Warnings are ours, and documented; nothing takes longer than the time limit.
"""

import signal
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.exceptions import NotFittedError

import calibration
from estimator import PerformanceEstimator
from estimator.estimation.common_mistakes import CommonMistakeWarning
from estimator.metrics.registry import METRIC_NAMES
from estimator.operations.commands.main import warm_up
from trials.independent_truth import Wrong
from trials.odd_calls import CALLS
from trials.odd_frames import Draw, plain_frame
from trials.odd_parameters import COSTS

OURS = tuple(
    str(Path(module.__file__).parent) + "/"
    for module in (calibration, __import__("estimator"))
)
# What the public docstrings name.
REFUSALS = (TypeError, ValueError, NotFittedError, FileNotFoundError)
SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one case: "answered", "refused" or a fault."""

    case: int
    call: str
    result: str
    message: str = ""

    @property
    def sound(self) -> bool:
        return self.result in ("answered", "refused")


class Hang(BaseException):
    """A call that took longer than the time limit."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Hang

    # Of work; a machine that others share may take longer, but not wait for ever.
    limits = {
        signal.ITIMER_PROF: (signal.SIGPROF, seconds),
        signal.ITIMER_REAL: (signal.SIGALRM, 10 * seconds),
    }
    before = {kind: signal.signal(kind, ring) for kind, _ in limits.values()}
    for timer, (_, limit) in limits.items():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for timer, (kind, _) in limits.items():
            signal.setitimer(timer, 0)
            # By default a signal that is on its way would end the process.
            default = before[kind] is signal.SIG_DFL
            signal.signal(kind, signal.SIG_IGN if default else before[kind])


def compile_kernels() -> None:
    """Compile before the first case: that is no work of its own."""
    assert warm_up.callback is not None
    warm_up.callback()
    frame = plain_frame(Draw(0, 0), 600)
    options = {"metrics": METRIC_NAMES, "business_costs": COSTS[0], "chunk": 50}
    for features in (None, ["x", "g"]):
        estimator = PerformanceEstimator(features=features, segments="g", **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CommonMistakeWarning)
            estimator.fit(frame).estimate(frame[:300]).degradation()


def is_clear(error: Exception) -> bool:
    """Whether an error was raised by our own code, and names what it is about."""
    text = str(error)
    if type(error) not in REFUSALS:
        return False
    if isinstance(error, NotFittedError):
        return True
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    names = "`" in text or text.startswith("The reference ")
    return last.startswith(OURS) and names and len(text) > 30


def run_case(seed: int, case: int, seconds: int = SECONDS) -> Outcome:
    """Run one case; the same seed and case do the same."""
    draw = Draw(seed, case)
    names = list(CALLS)
    share = np.array([CALLS[name][0] for name in names])
    call = str(draw.rng.choice(names, p=share))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Ours, and documented: common mistakes, and labels of which none is known.
        warnings.simplefilter("ignore", CommonMistakeWarning)
        warnings.filterwarnings("ignore", "None of the .* labels belongs to a row")
        try:
            with time_limit(seconds):
                CALLS[call][1](draw)
        except Hang:
            return Outcome(case=case, call=call, result="hang")
        except Wrong as error:
            return Outcome(case=case, call=call, result="wrong", message=str(error))
        except Exception as error:
            clear = is_clear(error)
            where = " > ".join(
                f"{Path(f.filename).name}:{f.lineno}"
                for f in traceback.extract_tb(error.__traceback__)[-4:]
            )
            return Outcome(
                case=case,
                call=call,
                result="refused" if clear else "foreign",
                message=f"{type(error).__name__}: {str(error)[:300]} [{where}]",
            )
    return Outcome(case=case, call=call, result="answered")
