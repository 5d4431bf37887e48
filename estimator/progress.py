"""A progress bar for long work, and silence for short."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from estimator.soft_labels import Advance

_PATIENCE_SECONDS = 2.0


@contextmanager
def progress_bar(label: str, length: int, *, enabled: bool) -> Iterator[Advance | None]:
    """Give a function that takes the work done so far on by its argument.

    The bar appears on stderr once the work has taken two seconds, if stderr is a
    terminal; what is shorter leaves no trace.
    """
    if not enabled or not sys.stderr.isatty():
        yield None
        return
    import click  # a bar is rarely needed; importing this package is not to wait for it

    started = time.monotonic()
    bar = click.progressbar(length=length, label=label, file=sys.stderr)
    pending = 0
    shown = False

    def advance(done: int) -> None:
        nonlocal pending, shown
        pending += done
        if not shown and time.monotonic() - started > _PATIENCE_SECONDS:
            shown = True
            bar.__enter__()
        if shown:
            bar.update(pending)
            pending = 0

    try:
        yield advance
    finally:
        if shown:
            bar.__exit__(None, None, None)
