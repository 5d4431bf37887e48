"""Write the lowest versions that ``pyproject.toml`` promises, as pip requirements.

Every ``name>=version`` of the core and of the chosen extras becomes ``name==version``,
so that the floors are installed exactly as they are written, from one place.

    python .ci/floors.py plot job test > floors.txt
"""

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
# Tools that look at the source; nothing imports them, so they have no floor to test.
TOOLS = {"mypy", "pandas-stubs", "ruff", "scipy-stubs"}
# matplotlib before 3.10.8 calls what pyparsing 3.3 deprecated. Users never see that
# warning, but our tests take every warning for an error.
COMPANIONS = ["pyparsing<3.3"]


def pin(requirement: str) -> str:
    """Turn ``name>=version`` into ``name==version``.

    Raises
    ------
    ValueError
        If the requirement is not a bare floor: caps and markers have no floor to test.
    """
    match = re.fullmatch(r"([\w.-]+)(\[[\w,.-]+\])?\s*>=\s*([\w.]+)", requirement)
    if match is None:
        msg = f"`{requirement}` in pyproject.toml must read `name>=version`."
        raise ValueError(msg)
    name, extra, version = match.groups()
    return f"{name}{extra or ''}=={version}"


def floors(extras: list[str]) -> list[str]:
    """Return the pinned requirements of the core and of ``extras``."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(r for name in extras for r in optional[name])]
    return [pin(r) for r in wanted if re.split(r"[\[><=]", r)[0] not in TOOLS]


if __name__ == "__main__":
    sys.stdout.write("\n".join([*floors(sys.argv[1:]), *COMPANIONS]) + "\n")
