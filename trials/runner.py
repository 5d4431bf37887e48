"""Call the command line within this process, stdout and stderr apart."""

import inspect

from click.testing import CliRunner, Result

from estimator.operations.commands.main import main

# click 8.1 mixes them unless told not to; 8.2 cannot mix them any more.
MIXES = "mix_stderr" in inspect.signature(CliRunner).parameters
APART = {"mix_stderr": False} if MIXES else {}


def invoke(*arguments: object) -> Result:
    return CliRunner(**APART).invoke(main, [str(argument) for argument in arguments])
