"""SIGTERM and SIGINT end a command at once, whatever it is doing.

A handler that raises an exception does not: compiled code delays it, ``__del__`` and
callbacks drop it, libraries turn it into errors of their own, and a lock that is held
at that moment is never given back. So a thread waits for the signal. It says so,
removes temporary files and ends the process. What has been stored is then as after a
crash, which the job is built for: a model's results are one transaction, files are
written whole or not at all, and the system gives back the lock.
"""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from estimator.files.atomic import remove_temporaries
from estimator.operations import exit_codes

SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS = 3.0  # for the message and the temporary files; then it ends without
MESSAGE = "Stopped by {}. Nothing is half-written; the next run takes up from here."
_ending = threading.Lock()


@contextmanager
def obeyed_signals() -> Iterator[None]:
    """End the process with 143 at SIGTERM and with 130 at SIGINT, during the block.

    A second signal does not wait for the message and the temporary files. A signal that
    was ignored when the process began, as of jobs in the background, stays so. Only for
    the main thread of a process whose whole work is the block: afterwards signals do
    what the system does.
    """
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)

    obeyed = [x for x in SIGNALS if signal.getsignal(x) is not signal.SIG_IGN]
    listening, waking = socket.socketpair()
    waking.settimeout(0)
    # Python writes the number of each signal into it, whatever the main thread does.
    signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    for number in obeyed:
        signal.signal(number, note)
    threading.Thread(target=_watch, args=(listening, obeyed), daemon=True).start()
    try:
        yield
    finally:
        for number in obeyed:
            signal.signal(number, signal.SIG_DFL)
        if received:  # while the block ended: the thread may not get its turn any more
            _end(received[0])
        signal.set_wakeup_fd(-1)
        waking.close()


def _watch(listening: socket.socket, obeyed: list[signal.Signals]) -> None:
    """Wait for a signal, and end the process."""
    number = 0
    while number not in obeyed:
        received = listening.recv(1)
        if not received:  # the block has ended
            listening.close()
            return
        number = received[0]
    threading.Thread(target=_end, args=(number,), daemon=True).start()
    # Where nobody reads what the message is written to, it never ends.
    listening.settimeout(GRACE_SECONDS)
    try:
        listening.recv(1)
    finally:
        os._exit(exit_codes.of_signal(number))


def _end(number: int) -> None:
    """Say which signal came, remove temporary files and end the process."""
    if not _ending.acquire(blocking=False):
        threading.Event().wait()  # until the thread that was first ends the process
    try:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")  # the progress bar's line
        text = MESSAGE.format(signal.Signals(number).name)
        log = logging.getLogger("deadreckon")
        if log.handlers:
            log.error(text, extra={"process_exit_code": exit_codes.of_signal(number)})
        else:  # a command without a log
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        logging.disable()  # what else fails, fails because the process ends
        remove_temporaries()
    finally:
        os._exit(exit_codes.of_signal(number))


def wait_if_ending() -> None:
    """Return at once, but never again once a signal is ending the process.

    What fails while temporary files are being removed fails because they are gone. Who
    would write a failure down asks here first: the signal is known before any file is
    removed.
    """
    if _ending.locked():
        threading.Event().wait()  # until the thread that ends the process has done so
