"""Commands as users call them, and what they leave."""

import json

from trials.runner import invoke


def files_in(folder):
    return {
        file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


def call(code, *arguments):
    result = invoke(*arguments)
    assert result.exit_code == code, result.stderr
    return result


def log_lines(code, *arguments):
    """Call a command with a log in JSON; nothing else may be said."""
    result = call(code, *arguments, "--log-format", "json")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert result.stdout == ""
    assert all({"time", "level", "message"} <= set(line) for line in lines)
    assert lines[-1]["process_exit_code"] == code
    return lines
