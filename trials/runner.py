"""Call the command line, within this process or in one of its own."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from estimator.operations.commands.main import main

ROOT = Path(__file__).parents[1]
# click 8.1 mixes them unless told not to; 8.2 cannot mix them any more.
MIXES = "mix_stderr" in inspect.signature(CliRunner).parameters
APART = {"mix_stderr": False} if MIXES else {}


def invoke(*arguments: object) -> Result:
    """Call a command within this process, stdout and stderr apart."""
    return CliRunner(**APART).invoke(main, [str(argument) for argument in arguments])


def run(*arguments, code=0):
    """Run a command that must end with an exit code; raise what it raises."""
    result = invoke(*arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def program(*arguments, **environment):
    """Run the command as users do, in a process of its own."""
    return subprocess.run(  # noqa: S603
        [
            sys.executable,
            "-c",
            "from estimator.operations.commands.main import main; main()",
        ]
        + [str(a) for a in arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
