"""Writing a file whole or not at all, and temporary files that never stay.

A temporary file or folder is locked as long as its process lives. So what a killed
process has left can be told from what another process is writing, and be removed.
"""

import errno
import os
import re
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":  # has no such locks: there leftovers stay
    import fcntl

_TEMPORARY = re.compile(r"\.(deadreckon-[0-9a-f]{32}.*|[0-9a-f]{32}(\..*)?)", re.DOTALL)
_LONGEST_ENDING = 32  # characters: a name may have 255 bytes
# What a folder answers that cannot be synchronized: no right to list it, or a file
# system that knows no such thing.
_NO_SYNC = (errno.EACCES, errno.EINVAL, errno.ENOTSUP)
_in_use: set[Path] = set()


@contextmanager
def replacing(
    path: str | os.PathLike[str], *, ending: str | None = None
) -> Iterator[Path]:
    """Give a file to write beside ``path``, and move it there if all went well.

    Readers see the old file or the whole new one; after an error there is neither a
    half-written nor a temporary file. After a power cut, too: both the file and its
    name are on the disk when the block has ended.

    Parameters
    ----------
    path : path-like
        The file to make or to replace.
    ending : str, optional
        Ending of the temporary file's name; by default that of ``path``. Needed where
        somebody reads all files of the folder that have a certain ending.

    Yields
    ------
    Path
        Where to write: an empty file in the same folder.

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
    if ending is None:
        ending = "".join(path.suffixes[-2:])[-_LONGEST_ENDING:]
    with _temporary(path.parent, ending=ending) as temporary:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())  # the rename must not overtake the data
        temporary.replace(path)
        _sync_folder(path.parent)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give an empty folder among the system's temporary files, and remove it after.

    What killed processes have left there of their own is removed, too.

    Examples
    --------
    >>> with temporary_folder() as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    root = Path(tempfile.gettempdir())
    remove_leftovers(root)
    with _temporary(root, is_folder=True) as folder:
        yield folder


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders in ``folder`` that killed processes left.

    Those of processes at work, and of other users, stay; so do all of a folder that
    this process may not list.
    """
    try:
        paths = list(folder.iterdir())
    except PermissionError:
        return
    for path in paths:
        if _TEMPORARY.fullmatch(path.name) and path not in _in_use:
            _remove_if_abandoned(path)


def remove_temporaries() -> None:
    """Remove the temporary files and folders of this process, which is about to end.

    Its other threads may still be writing there: what they add stays, for the next
    process to remove.
    """
    for path in list(_in_use):
        _remove(path, ignore_errors=True)


@contextmanager
def _temporary(
    parent: Path, *, ending: str = "", is_folder: bool = False
) -> Iterator[Path]:
    """Make a temporary file or folder that is locked until the block ends."""
    path = parent / f".deadreckon-{uuid.uuid4().hex}{ending}"
    _in_use.add(path)
    try:
        lock = _make_locked(path, is_folder=is_folder)
        try:
            yield path
        finally:
            _remove(path)
            if lock is not None:
                os.close(lock)
    finally:
        _in_use.discard(path)


def _make_locked(path: Path, *, is_folder: bool) -> int | None:
    """Make a file or folder; return what holds its lock, None without locks."""
    while True:
        if is_folder:
            path.mkdir(mode=0o700)
        else:
            path.touch(exist_ok=False)
        if sys.platform == "win32":
            return None
        # Somebody who removes leftovers may be faster than the lock: then once more.
        with suppress(FileNotFoundError):
            lock = os.open(path, _access(is_folder=is_folder))
            # Where the file system has no locks, nobody takes it for a leftover.
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_ino == _inode(path):
                return lock
            os.close(lock)


def _remove_if_abandoned(path: Path) -> None:
    if sys.platform == "win32":
        return
    try:
        lock = os.open(path, _access(is_folder=path.is_dir()) | os.O_NOFOLLOW)
    except OSError:  # gone meanwhile, another user's, or a link
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # its process is at work, or the file system has no locks
        return
    else:
        # What cannot be removed is no reason not to work.
        _remove(path, ignore_errors=True)
    finally:
        os.close(lock)


def _access(*, is_folder: bool) -> int:
    """Return how to open what is to be locked; NFS locks only what can be written."""
    return os.O_RDONLY if is_folder else os.O_RDWR


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _remove(path: Path, *, ignore_errors: bool = False) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=ignore_errors)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        if not ignore_errors:
            raise


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)
