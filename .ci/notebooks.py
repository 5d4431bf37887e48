"""Run the notebooks, and check that each ``.ipynb`` shows its ``.py``.

python .ci/notebooks.py            # as CI does: nothing is written
python .ci/notebooks.py --write    # execute and store the outputs
"""

import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
TIMEOUT = 600
# The kernel warns that it talks over unencrypted TCP: to this process, on this machine.
QUIET = ["--IPKernelApp.log_level=ERROR"]


def cells(notebook: Any) -> list[tuple[str, str]]:
    """Return what a notebook says, without what came out."""
    return [(cell.cell_type, cell.source.strip()) for cell in notebook.cells]


def execute(notebook: Any) -> None:
    """Run all cells in place.

    Raises
    ------
    RuntimeError
        If something was written to stderr: the notebook shows no warnings.
    """
    NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        extra_arguments=QUIET,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
    ).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise RuntimeError(output["text"])


def store(notebook: Any, path: Path) -> None:
    """Write the executed notebook without what differs from run to run."""
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        cell["metadata"] = {}
    notebook["metadata"] = {
        "jupytext": {"formats": "ipynb,py:percent"},
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    nbformat.write(notebook, path)


def main(*, write: bool) -> None:
    """Run every notebook; end with the list of those that are out of step."""
    stale = []
    for source in sorted(NOTEBOOKS.glob("*.py")):
        notebook: Any = jupytext.read(source)
        paired = source.with_suffix(".ipynb")
        execute(notebook)
        if write:
            store(notebook, paired)
        elif not paired.exists() or cells(notebook) != cells(jupytext.read(paired)):
            stale.append(paired.name)
        sys.stdout.write(f"{source.name}: {len(notebook.cells)} cells, no error\n")
    if stale:
        sys.exit(
            f"{', '.join(stale)} differs from its .py. "
            "Run `python .ci/notebooks.py --write`."
        )


if __name__ == "__main__":
    main(write="--write" in sys.argv[1:])
