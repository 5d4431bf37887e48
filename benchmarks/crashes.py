"""Stop the nightly job at random moments; the next run must end as if nothing had been.

Killed 200 times with the store in SQLite, 50 times in PostgreSQL, if the environment
variable DEADRECKON_POSTGRES has the URL of an empty database (`.ci/postgres start
FOLDER`); sent 200 signals, SIGTERM and SIGINT by turns, with the store in SQLite.
"""

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.reporting import Targets, make_parser, print_table
from trials.crashes import run_trials


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--sqlite", type=int, default=200, help="kills")
    parser.add_argument("--postgres", type=int, default=50, help="kills")
    parser.add_argument("--signals", type=int, default=200, help="half of each")
    options = parser.parse_args()
    targets = Targets(source="a run may be stopped at any moment")
    url = os.environ.get("DEADRECKON_POSTGRES")
    if not url:
        print("PostgreSQL left out: DEADRECKON_POSTGRES is not set.")
    rows = []
    for name, store, n_stops, signals in (
        ("killed, SQLite", "deadreckon.db", options.sqlite, False),
        ("killed, PostgreSQL", url, options.postgres if url else 0, False),
        ("signals, SQLite", "deadreckon.db", options.signals, True),
    ):
        if not n_stops:
            continue
        with tempfile.TemporaryDirectory() as folder:
            trials = Counter(
                run_trials(
                    Path(folder),
                    n_stops,
                    signals=signals,
                    store=store,
                    seed=options.seed,
                )
            )
        counts = [
            sum(n for trial, n in trials.items() if is_counted(trial))
            for is_counted in (
                lambda trial: trial.stopped,
                lambda trial: trial.stopped and not trial.stored,
                lambda trial: not trial.stopped,
                lambda trial: not trial.obeyed,
                lambda trial: not trial.sound,
            )
        ]
        rows.append((name, *counts))
        n_stopped, _, _, disobeyed, unsound = counts
        targets.at_least(f"{name}: stopped at work", n_stopped, n_stops)
        targets.at_most(f"{name}: other results, pages or files", unsound, 0)
        targets.at_most(f"{name}: swallowed, hung or with more words", disobeyed, 0)
    print_table(
        "Runs stopped at random moments",
        ("", "stopped", "before storing", "had ended", "disobeyed", "unsound"),
        rows,
    )
    return targets.finish(check=options.check)


if __name__ == "__main__":
    sys.exit(main())
