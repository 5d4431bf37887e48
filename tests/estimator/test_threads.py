"""Many threads on one monitor, or one estimator: nothing is lost, nothing differs."""

import copy
import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import pytest

from estimator import Monitor, PerformanceEstimator

N_THREADS = 32
PER_BATCH = 250
DAY = pd.Timedelta(days=1)


def world(n, seed, *, first=0):
    """Draw rows of 500 a day; their labels come up to three days later."""
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    time = pd.Timestamp("2026-01-05") + (first + np.arange(n) / 500) * DAY
    return pd.DataFrame(
        {
            "id": 1_000_000 * seed + np.arange(n),
            "time": time.astype("datetime64[us]"),
            "y_pred_proba": score,
            "y_true": (rng.random(n) < score).astype(int),
            "known": (time + rng.random(n) * 3 * DAY).astype("datetime64[us]"),
        }
    )


REFERENCE = world(4_000, 1, first=-20)
ROWS = world(N_THREADS * PER_BATCH, 2)
UNLABELLED = ROWS.drop(columns=["y_true", "known"])
LABELS = ROWS[["id", "y_true", "known"]]
BATCHES = [slice(a, a + PER_BATCH) for a in range(0, len(ROWS), PER_BATCH)]


@pytest.fixture(scope="module")
def estimator():
    return PerformanceEstimator(chunk="D", timestamp="time", labeled_at="known").fit(
        REFERENCE
    )


def at_once(*calls):
    """Start all calls at one moment, each in a thread; raise what one raised."""
    ready = threading.Barrier(len(calls))
    errors = []

    def run(call):
        ready.wait()
        try:
            call()
        except BaseException as error:  # a thread would swallow it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_32_threads_lose_no_row_and_no_label(estimator):
    alone = Monitor(estimator, "id")
    alone.add_predictions(UNLABELLED)
    alone.add_labels(LABELS)
    together = Monitor(estimator, "id")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # labels may be there before their rows
        at_once(
            *(
                lambda b=batch: together.add_predictions(UNLABELLED[b])
                for batch in BATCHES[::2]
            ),
            *(lambda b=batch: together.add_labels(LABELS[b]) for batch in BATCHES[::2]),
        )
        at_once(
            *(
                lambda b=batch: together.add_predictions(ROWS[b])
                for batch in BATCHES[1::2]
            ),
            *(lambda b=batch: together.add_labels(LABELS[b]) for batch in BATCHES[::2]),
        )
    assert together.ledger.n_rows == len(ROWS)
    assert together.ledger.unmatched_keys.size == 0
    for as_of in (None, pd.Timestamp("2026-01-12")):
        pd.testing.assert_frame_equal(
            together.performance(as_of).to_frame(),
            alone.performance(as_of).to_frame(),
            rtol=1e-9,
        )
    analysis = together.performance().to_frame().query("metric == 'accuracy'")
    analysis = analysis[analysis["period"] == "analysis"]
    assert analysis["n_rows"].sum() == analysis["n_labels"].sum() == len(ROWS)


def test_rows_of_a_count_lose_nothing_either():
    reference = REFERENCE[["y_pred_proba", "y_true"]]
    monitor = Monitor(PerformanceEstimator(chunk=1_000).fit(reference), "id")
    at_once(
        *(lambda b=batch: monitor.add_predictions(UNLABELLED[b]) for batch in BATCHES)
    )
    chunks = monitor.ledger.chunks
    assert [chunk.score.size for chunk in chunks] == [1_000] * 8
    scores = np.concatenate([chunk.score for chunk in chunks])
    np.testing.assert_array_equal(np.sort(scores), np.sort(ROWS["y_pred_proba"]))


def test_what_is_read_while_others_add_is_one_state(estimator, tmp_path):
    """Saved files, performance and announcements are of a moment between two calls."""
    monitor = Monitor(estimator, "id")
    monitor.add_predictions(ROWS[: 2 * PER_BATCH])
    path = tmp_path / "monitor.npz"
    sizes = []

    def save():
        for _ in range(3):
            monitor.save(path)
            saved = Monitor.load(path)
            sizes.append(saved.ledger.n_rows)
            labeled = sum(chunk.n_labeled for chunk in saved.ledger.chunks)
            assert labeled == saved.ledger.n_rows
            saved.performance()

    def read():
        for _ in range(3):
            performance = monitor.performance()
            is_analysis = performance.period == "analysis"
            np.testing.assert_array_equal(
                performance.n_labels[is_analysis], performance.n_rows[is_analysis]
            )
            assert performance.n_rows[is_analysis].sum() % PER_BATCH == 0
            monitor.degradation(metrics="accuracy")
            repr(monitor), monitor.announced, monitor.nbytes

    at_once(
        save,
        read,
        *(lambda b=batch: monitor.add_predictions(ROWS[b]) for batch in BATCHES[2:]),
    )
    assert all(size % PER_BATCH == 0 for size in sizes)
    assert monitor.ledger.n_rows == len(ROWS)
    monitor.save(path)
    assert Monitor.load(path).ledger.n_rows == len(ROWS)


@pytest.mark.parametrize("clone", [copy.deepcopy, copy.copy, lambda m: _repickle(m)])
def test_a_copy_has_a_state_and_a_lock_of_its_own(estimator, clone):
    monitor = Monitor(estimator, "id")
    monitor.add_predictions(ROWS[:PER_BATCH])
    monitor.degradation()
    other = clone(monitor)
    before = other.performance().to_frame()
    with monitor._lock:  # who holds one lock does not hold the other
        at_once(lambda: other.add_predictions(ROWS[PER_BATCH : 3 * PER_BATCH]))
        at_once(other.degradation)
    assert (monitor.ledger.n_rows, other.ledger.n_rows) == (PER_BATCH, 3 * PER_BATCH)
    assert monitor.announced != other.announced
    pd.testing.assert_frame_equal(monitor.performance().to_frame(), before)


def _repickle(monitor):
    return pickle.loads(pickle.dumps(monitor))  # noqa: S301 - written just here


def test_estimate_from_many_threads_is_what_one_says(estimator):
    expected = estimator.estimate(UNLABELLED).to_frame()
    estimates = [None] * N_THREADS

    def estimate(i):
        estimates[i] = estimator.estimate(UNLABELLED).to_frame()

    at_once(*(lambda i=i: estimate(i) for i in range(N_THREADS)))
    for frame in estimates:
        pd.testing.assert_frame_equal(frame, expected, check_exact=True)


def test_estimate_with_features_from_many_threads():
    rng = np.random.default_rng(0)
    reference, rows = (
        frame.assign(age=rng.normal(size=len(frame))) for frame in (REFERENCE, ROWS)
    )
    estimator = PerformanceEstimator(
        chunk="W", timestamp="time", features="age", method="auto"
    ).fit(reference)
    expected = estimator.estimate(rows).to_frame()
    estimates = []
    at_once(*(lambda: estimates.append(estimator.estimate(rows)) for _ in range(8)))
    for performance in estimates:
        pd.testing.assert_frame_equal(
            performance.to_frame(), expected, check_exact=True
        )


FIRST_CALL = """
import threading, sys
import numpy as np, pandas as pd
from estimator import PerformanceEstimator
rng = np.random.default_rng(0)
score = rng.random(6_000)
frame = pd.DataFrame({"y_pred_proba": score, "y_true": rng.random(6_000) < score})
results, errors, ready = [], [], threading.Barrier(6)
def run():
    ready.wait()
    try:
        estimator = PerformanceEstimator(chunk=1_000).fit(frame[:3_000])
        results.append(estimator.estimate(frame[["y_pred_proba"]][3_000:]).to_frame())
    except BaseException as error:
        errors.append(error)
threads = [threading.Thread(target=run) for _ in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not errors, errors
for result in results:
    pd.testing.assert_frame_equal(result, results[0], check_exact=True)
assert len(results) == 6
"""


def test_the_first_calls_which_compile_may_come_at_once(tmp_path):
    """A process of its own with an empty cache: all threads find nothing compiled."""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PATH": ""}
    finished = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", FIRST_CALL],
        env=environment,
        cwd=".",
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
