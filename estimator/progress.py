"""A progress bar for long work, and silence for short."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Self

# What is called with the number of rows, or of steps, whenever some are done.
Advance = Callable[[int], None]

PATIENCE = 2.0  # seconds before a progress bar is worth its line
TICK = 0.1
BAR = 24


class Progress:
    """A bar over named stages, from the third second on, in a terminal only.

    Parameters
    ----------
    total : int
        The work to be done, in any unit.
    stream : text file, optional
        Where to draw; nothing is drawn unless it is a terminal.
    patience : float, default=2.0
        Seconds to wait before the first drawing.

    Examples
    --------
    >>> import io
    >>> stream = io.StringIO()
    >>> with Progress(2, stream) as progress:
    ...     with progress.stage("reading"):
    ...         pass
    >>> stream.getvalue()
    ''
    """

    def __init__(
        self, total: int, stream: IO[str] | None, *, patience: float = PATIENCE
    ) -> None:
        self.total = total
        self.stream = stream
        self.patience = patience
        self._done = 0
        self._name = ""
        self._drawn = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self.stream is not None and self.stream.isatty():
            self._thread = threading.Thread(target=self._draw, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._drawn:
            self._write("")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Name what is going on until the block ends: one unit of work."""
        self._name = name
        yield
        self.advance(1)

    def advance(self, amount: int) -> None:
        """Count work as done."""
        with self._lock:
            self._done += amount

    def _draw(self) -> None:
        begun = time.monotonic()
        if self._stop.wait(self.patience):
            return
        while not self._stop.wait(TICK):
            filled = min(BAR * self._done // self.total, BAR)
            seconds = time.monotonic() - begun
            self._write(
                f"[{'#' * filled}{'-' * (BAR - filled)}] {self._name} ({seconds:.0f} s)"
            )
            self._drawn = True

    def _write(self, line: str) -> None:
        if self.stream is not None:
            self.stream.write(f"\r\x1b[K{line}")
            self.stream.flush()
