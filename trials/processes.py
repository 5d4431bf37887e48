"""Commands in processes of their own, to be killed or sent signals."""

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile

from estimator.operations.commands.main import main

# Forked from a process that has imported everything: the command is stopped at work,
# not while Python starts.
PROCESS = multiprocessing.get_context("fork")
SIGNALS = (signal.SIGTERM, signal.SIGINT)
SECONDS_TO_END = 60.0  # then it hangs


def start_command(*arguments, stderr, stdout=None):
    """Start a command as the shell does.

    What it says goes to the file ``stderr``, its output to the descriptor ``stdout``.
    """
    command = [str(argument) for argument in arguments]
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        process = PROCESS.Process(target=_command, args=(command, stderr, stdout))
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return process


def _command(arguments, stderr, stdout):
    if stdout is not None:
        os.dup2(stdout, 1)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    with stderr.open("wb") as file:
        os.dup2(file.fileno(), 2)
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for number in SIGNALS:  # the parent's handlers are not a new process's
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    sys.argv = ["deadreckon", *arguments]
    main()


def send(process, number, after=0.0):
    """Send a signal after some seconds; return whether the process was still there.

    It is halted first: a process that ends at the same instant never gets the signal.
    """
    process.join(after)
    if not process.is_alive():
        return False
    os.kill(process.pid, signal.SIGSTOP)
    states = os.WSTOPPED | os.WEXITED | os.WNOWAIT
    running = os.waitid(os.P_PID, process.pid, states).si_code == os.CLD_STOPPED
    if running:
        os.kill(process.pid, number)
        os.kill(process.pid, signal.SIGCONT)
    return running


def wait_for_end(process):
    """Return the exit code; None if the process had to be killed because it hung."""
    process.join(SECONDS_TO_END)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    return process.exitcode


def is_obeyed(code, number):
    """Whether a process ended by a signal: by itself, or by the system at its ends.

    The shell gives both the same number.
    """
    return code in (128 + number, -number)


@contextlib.contextmanager
def temporary_files_in(folder):
    """Let this process and its children keep their temporary files in a folder."""
    before = tempfile.tempdir
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
