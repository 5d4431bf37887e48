"""Kill the nightly job at random moments; the next run must end as if nothing had been.

200 times with the store in SQLite, 50 times in PostgreSQL, if the environment variable
DEADRECKON_POSTGRES has the URL of an empty database (`.ci/postgres start FOLDER`).
"""

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.reporting import Bars, make_parser, print_table
from tests.estimator.operations.crashes import run_trials


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--sqlite", type=int, default=200, help="trials")
    parser.add_argument("--postgres", type=int, default=50, help="trials")
    options = parser.parse_args()
    bars = Bars(source="issue 6, “What it must reach”, second point")
    stores = {"SQLite": ("deadreckon.db", options.sqlite)}
    url = os.environ.get("DEADRECKON_POSTGRES")
    if url:
        stores["PostgreSQL"] = (url, options.postgres)
    else:
        print("PostgreSQL left out: DEADRECKON_POSTGRES is not set.")
    rows = []
    for name, (store, n_trials) in stores.items():
        with tempfile.TemporaryDirectory() as folder:
            found = Counter(
                run_trials(Path(folder), n_trials, store=store, seed=options.seed)
            )
        killed = sum(n for trial, n in found.items() if trial.killed)
        before = sum(
            n for trial, n in found.items() if trial.killed and not trial.stored
        )
        unsound = sum(n for trial, n in found.items() if not trial.sound)
        rows.append(
            (name, n_trials, before, killed - before, n_trials - killed, unsound)
        )
        bars.at_most(f"{name}: another end than undisturbed", unsound, 0)
        bars.at_least(f"{name}: killed at work", killed, 0.5 * n_trials)
    print_table(
        "Runs killed at random moments",
        ("store", "runs", "before storing", "after", "had ended", "unsound"),
        rows,
    )
    return bars.finish(check=options.check)


if __name__ == "__main__":
    sys.exit(main())
