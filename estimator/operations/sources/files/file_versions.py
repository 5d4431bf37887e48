"""Whether a file is as it was: by its content, which is read only if that is in doubt.

A size and a time of change can be restored, and are, by ``cp -p``, ``rsync -t`` and
archives. The system's own mark of a change (ctime) and the file's number (inode)
cannot. So a version is the hash of the content and what the system says of the file;
if the system says what it said, the content is not read again.
"""

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

# Clocks of file systems tick in up to two seconds (FAT, some network drives): a file
# that changed within the last tick may change again without a mark ("racy" in Git).
_TICK_NANOSECONDS = 2_000_000_000
_IN_DOUBT = "?"


def version_of(path: Path, before: str | None = None) -> str:
    r"""Return what tells the versions of a local file apart.

    Parameters
    ----------
    path : Path
    before : str, optional
        The version that was seen before.

    Returns
    -------
    str
        SHA-256 of the content, and marks of the file; compare with `is_same_content`.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "labels.csv"
    ...     _ = file.write_text("id,y_true\n1,0\n")
    ...     old, status = version_of(file), file.stat()
    ...     _ = file.write_text("id,y_true\n1,1\n")
    ...     os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    ...     is_same_content(version_of(file, old), old)
    False
    """
    status = path.stat()
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    marks = _marks(status)
    if before is not None and before.endswith(f" {marks}"):
        return before
    if not 0 <= changed < time.time_ns() - _TICK_NANOSECONDS:
        marks = _IN_DOUBT
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{digest} {marks}"


def marks_of(path: Path) -> str:
    """Return what the system says of a file that can be opened, and is not read."""
    with path.open("rb"):
        return _marks(path.stat())


def _marks(status: os.stat_result) -> str:
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"


def versions_as_before(
    files: Mapping[str, Mapping[str, str]], before: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """Return versions of files by source, those of before where these hold."""
    versions_by_source: dict[str, dict[str, str]] = {}
    for source, versions in files.items():
        earlier = before.get(source, {})
        versions_by_source[source] = {
            path: earlier[path]
            if is_same_content(version, earlier.get(path))
            else version
            for path, version in versions.items()
        }
    return versions_by_source


def is_same_content(version: str, before: str | None) -> bool:
    """Whether two versions are of the same content.

    Of what lies elsewhere than on this machine, size and time of change must be equal.
    """
    if before is None:
        return False
    return version.partition(" ")[0] == before.partition(" ")[0]
