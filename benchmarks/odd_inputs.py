"""Draw odd frames, arguments and calls: each is answered rightly or refused clearly.

Estimators, monitors, verdicts and calibrators get frames of pandas, polars and pyarrow
with odd types, values, names and orders, odd arguments, and calls in odd order. Answers
are held against scikit-learn and against rules that hold of any result; refusals must
be errors of ours that name an argument or a column.
"""

import sys
from collections import Counter

from benchmarks.reporting import Targets, make_parser, print_table
from trials.odd_calls import CALLS
from trials.odd_inputs import compile_kernels, run_case


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--cases", type=int, default=12_000, help="cases to draw")
    parser.add_argument("--first", type=int, default=0, help="first case")
    options = parser.parse_args()
    targets = Targets(source="odd input gives an answer or a clear error")
    compile_kernels()
    outcomes = []
    for i in range(options.cases):
        outcome = run_case(options.seed, options.first + i)
        outcomes.append(outcome)
        if not outcome.sound:
            print(outcome, flush=True)
        if (i + 1) % 200 == 0:
            unsound = sum(not one.sound for one in outcomes)
            text = f"{i + 1} of {options.cases} cases, {unsound} unsound"
            print(text, file=sys.stderr, flush=True)
    counts = Counter((outcome.call, outcome.result) for outcome in outcomes)
    results = ("answered", "refused", "foreign", "wrong", "hang")
    print_table(
        "Odd inputs",
        ("call", *results),
        [(call, *(counts[call, result] for result in results)) for call in CALLS],
    )
    for result in results[2:]:
        n_cases = sum(n for (_, kind), n in counts.items() if kind == result)
        targets.at_most(f"cases that end {result}", n_cases, 0)
    return targets.finish(check=options.check)


if __name__ == "__main__":
    sys.exit(main())
