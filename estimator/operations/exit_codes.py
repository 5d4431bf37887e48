"""How a process of the command line ends, as a number."""

from typing import Final, Literal, get_args

RAN, WARNING, ALERT = 0, 10, 20
# How grave what a run has to say is, the less grave first, and the code that says so.
Severity = Literal["warning", "alert"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
CODE_OF_SEVERITY: Final[dict[Severity, int]] = {"warning": WARNING, "alert": ALERT}
# 65 and 75 as in sysexits.h: bad data; a failure that will pass.
CRASHED, MISUSED, BAD_DATA, LOCKED, NOTHING_NEW = 1, 2, 65, 75, 99
BROKEN_PIPE = 128 + 13  # what the shell says of a process that SIGPIPE ends

# Of several models the gravest counts.
GRAVITY = (CRASHED, MISUSED, BAD_DATA, ALERT, WARNING, RAN, NOTHING_NEW)
# A model's own run: warnings and alerts are of its figures, not of its run.
WENT_WELL = (RAN, NOTHING_NEW)
HELP = """\b
Exit codes:
  0   ran
  10  warning: a decline, or an alert in a segment  (only with --fail-on warning)
  20  alert: beyond a threshold in the newest complete chunk  (only with --fail-on)
  1   crash: disk, database, network, or a bug
  2   wrong usage or configuration
  65  bad data; the old results stay
  75  another run works on the store
  99  nothing new
  130, 143  stopped by SIGINT, SIGTERM; the next run takes up from there
Of several models the gravest counts.
"""


def of_signal(number: int) -> int:
    """Return the exit code of a process that a signal ends."""
    return 128 + number
