"""Damage saved estimators and monitors, or make them by hand, and load them.

Every file is refused with a ValueError that names it and says what to do, or says the
same as before. Files whose digest was made anew to fit, by somebody who knows the
format, may say something else, but work.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.reporting import Targets, make_parser, print_table
from trials.damage import run_trials


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--files", type=int, default=2_000, help="files to load")
    options = parser.parse_args()
    targets = Targets(source="a damaged file is refused or says the same as before")
    with tempfile.TemporaryDirectory() as folder:
        trials = []
        for i, outcome in enumerate(
            run_trials(Path(folder), options.files, options.seed), start=1
        ):
            trials.append(outcome)
            if i % 200 == 0:
                print(f"{i} of {options.files} files", file=sys.stderr, flush=True)
    counts = Counter((outcome.kind, outcome.result) for outcome in trials)
    print_table(
        "Damaged files",
        ("damage", "result", "files"),
        [(kind, result, n) for (kind, result), n in sorted(counts.items())],
    )
    for outcome in trials:
        if not outcome.sound:
            print(outcome)
    unsound = sum(not outcome.sound for outcome in trials)
    targets.at_most("files that fail otherwise, or say something else", unsound, 0)
    return targets.finish(check=options.check)


if __name__ == "__main__":
    sys.exit(main())
