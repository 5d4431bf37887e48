"""Stopped at any moment, the next run ends as if nothing had happened.

A few stops; `python -m benchmarks.crashes` has hundreds.
"""

from trials.crashes import run_trials


def test_killed_on_sqlite(tmp_path):
    trials = list(run_trials(tmp_path, 12))
    assert all(trial.sound for trial in trials)


def test_killed_on_postgres(tmp_path, postgres):
    trials = list(run_trials(tmp_path, 4, store=postgres, n_days=3))
    assert all(trial.sound for trial in trials)


def test_sent_signals(tmp_path):
    trials = list(run_trials(tmp_path, 12, signals=True))
    assert all(trial.sound and trial.obeyed for trial in trials)
