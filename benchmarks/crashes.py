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
    parser.add_argument("--sqlite", type=int, default=200, help="kills")
    parser.add_argument("--postgres", type=int, default=50, help="kills")
    options = parser.parse_args()
    bars = Bars(source="issue 6, “What it must reach”, second point")
    stores = {"SQLite": ("deadreckon.db", options.sqlite)}
    url = os.environ.get("DEADRECKON_POSTGRES")
    if url:
        stores["PostgreSQL"] = (url, options.postgres)
    else:
        print("PostgreSQL left out: DEADRECKON_POSTGRES is not set.")
    rows = []
    for name, (store, n_kills) in stores.items():
        with tempfile.TemporaryDirectory() as folder:
            found = Counter(
                run_trials(Path(folder), n_kills, store=store, seed=options.seed)
            )
        before = sum(n for t, n in found.items() if t.killed and not t.stored)
        after = sum(n for t, n in found.items() if t.killed and t.stored)
        ended = sum(n for t, n in found.items() if not t.killed)
        unsound = sum(n for t, n in found.items() if not t.sound)
        rows.append((name, before + after, before, after, ended, unsound))
        bars.at_most(f"{name}: another end than undisturbed", unsound, 0)
        bars.at_least(f"{name}: killed at work", before + after, n_kills)
    print_table(
        "Runs killed at random moments",
        ("store", "killed", "before storing", "after", "had ended", "unsound"),
        rows,
    )
    return bars.finish(check=options.check)


if __name__ == "__main__":
    sys.exit(main())
