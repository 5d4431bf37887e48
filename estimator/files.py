"""Writing a file whole or not at all."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = re.compile(r"\.[0-9a-f]{32}(\.\w+){0,2}")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a file to write beside ``path``, and move it there if all went well.

    Readers see the old file or the whole new one; after an error there is neither a
    half-written nor a temporary file.

    Yields
    ------
    Path
        Where to write: in the same folder, with the same ending.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "greeting.txt") as temporary:
    ...         _ = temporary.write_text("hello")
    ...     [file.name for file in Path(folder).iterdir()]
    ['greeting.txt']
    """
    path = Path(path)
    endings = "".join(path.suffixes[-2:])
    temporary = path.with_name(f".{uuid.uuid4().hex}{endings}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())  # the rename must not overtake the data
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what `replacing` has left where its process was killed.

    Only for a folder in which nobody else is writing.
    """
    for file in folder.iterdir():
        if _TEMPORARY.fullmatch(file.name):
            file.unlink(missing_ok=True)
