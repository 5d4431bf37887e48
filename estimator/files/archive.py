"""Arrays and a JSON header in one file: written in one step, read without trust.

The file is a NumPy ``.npz`` archive. Nothing in it can run: no pickle is written or
read. A digest over names, types, shapes and bytes stands beside them, so that a file
that was damaged or changed by other hands is noticed, also where it would still make
sense. No more memory is taken than the file has bytes: archives are written without
compression, and what an entry declares is compared with what it holds before an array
is made.
"""

import hashlib
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from estimator.files.atomic import replacing

Arrays = dict[str, np.ndarray]
# Parsed JSON: whoever reads it refuses what does not fit.
JsonObject = Mapping[str, Any]

_HEADER, _DIGEST = "header", "digest"
_ENDING = ".npy"
# Numbers, texts and times; Python objects ("O") would be pickles, and structures ("V")
# are never written.
_KINDS = "biufSUM"


def write_archive(path: Path, header: JsonObject, arrays: Arrays) -> None:
    """Write arrays and a JSON header to one file, in one step.

    Parameters
    ----------
    path : Path
        File to write; an earlier one is replaced.
    header : mapping
        What JSON can hold, with the entries ``format`` and ``version``.
    arrays : dict of ndarray by name
        Numbers, texts and times.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    if not path.parent.is_dir():
        msg = f"There is no folder {str(path.parent)!r} to save in. Create it first."
        raise FileNotFoundError(msg)
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    content = {_HEADER: text, **arrays}
    content[_DIGEST] = np.frombuffer(_digest(content), dtype=np.uint8)
    # Not `np.savez`: before NumPy 2.1 it cannot be told to write no pickle.
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in content.items():
            with archive.open(name + _ENDING, "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def read_archive(
    path: Path, kind: str, version: int, remedy: str
) -> tuple[JsonObject, Arrays]:
    """Read what `write_archive` wrote, if it is of this kind and version.

    Parameters
    ----------
    path : Path
        File to read.
    kind, version : str, int
        Format that is wanted; its last word says what the file holds.
    remedy : str
        Sentence that says what to do with another file.

    Returns
    -------
    header : dict
    arrays : dict of ndarray by name

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, of another kind or another version.
    """
    if not path.is_file():
        msg = f"There is no file {str(path)!r}. Check the path."
        raise FileNotFoundError(msg)
    noun = kind.rsplit(" ", 1)[-1]
    damaged = f"{str(path)!r} is not a saved {noun}, or it is damaged. {remedy}"
    with path.open("rb") as file:
        try:
            arrays = _read_arrays(file)
            digest = arrays.pop(_DIGEST, None)
            header = json.loads(arrays[_HEADER].tobytes())
            written_by = header["format"], header["version"]
        # What a garbled archive makes zipfile and json raise is not listed anywhere.
        except Exception as error:
            raise ValueError(damaged) from error
    if written_by != (kind, version):
        msg = (
            f"{str(path)!r} is of format {written_by[0]!r}, version {written_by[1]}; "
            f"this version of deadreckon reads {kind!r}, version {version}. {remedy}"
        )
        raise ValueError(msg)
    if digest is None or digest.tobytes() != _digest(arrays):
        raise ValueError(damaged)
    del arrays[_HEADER]
    return header, arrays


@contextmanager
def corrupt_archive_errors(path: Path, remedy: str) -> Iterator[None]:
    """Turn what goes wrong in rebuilding from a file into one clear ValueError."""
    try:
        yield
    # The content comes from outside: what it makes fail, and how, cannot be listed.
    except Exception as error:
        msg = f"{str(path)!r} lacks or garbles a part of its content. {remedy}"
        raise ValueError(msg) from error


def under(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays whose names begin with ``prefix``, without it."""
    return {
        name.removeprefix(prefix): values
        for name, values in arrays.items()
        if name.startswith(prefix)
    }


def check_array(
    array: np.ndarray, name: str, kinds: str, shape: tuple[int, ...]
) -> None:
    """Refuse an array of another type or shape than its place needs.

    Parameters
    ----------
    array : ndarray
    name : str
        Name in the file, for the message.
    kinds : str
        NumPy's letters of the types that are right, such as ``"f"``.
    shape : tuple of int
        Shape that is right; -1 is any length.

    Raises
    ------
    ValueError
        If type or shape differ.
    """
    fits = array.ndim == len(shape) and all(
        wanted in (-1, n) for n, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype.kind not in kinds:
        msg = (
            f"array {name!r} must be of kind {kinds} and shape {shape}, got "
            f"{array.dtype} and {array.shape}"
        )
        raise ValueError(msg)


def _read_arrays(file: BinaryIO) -> Arrays:
    """Read all entries of an archive, none of which may be larger than the file."""
    length = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(set(names)) < len(names):
            msg = "an entry comes twice"
            raise ValueError(msg)
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            msg = "an entry is compressed, which none of ours is"
            raise ValueError(msg)
        if sum(entry.file_size for entry in entries) > length:
            msg = "entries declare more bytes than the file has"
            raise ValueError(msg)
        # Reading an entry to its end checks its CRC.
        return {
            entry.filename.removesuffix(_ENDING): _read_array(archive.read(entry))
            for entry in entries
        }


def _read_array(data: bytes) -> np.ndarray:
    """Read one array, whose declared size must be the size of its bytes."""
    stream = BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran_order, dtype = read_header(stream)
    begin = stream.tell()
    if dtype.kind not in _KINDS or not dtype.isnative:
        msg = f"an array is of type {dtype}"
        raise ValueError(msg)
    if (
        math.prod(shape) * dtype.itemsize != len(data) - begin
        or min(shape, default=0) < 0
    ):
        msg = f"an array declares the shape {shape}, but has {len(data) - begin} bytes"
        raise ValueError(msg)
    order: Literal["C", "F"] = "F" if fortran_order else "C"
    array = np.empty(shape, dtype=dtype, order=order)
    array.ravel(order="K").view(np.uint8)[:] = np.frombuffer(data, np.uint8, -1, begin)
    return array


def _digest(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a digest of names, types, shapes and bytes, whatever their order."""
    digest = hashlib.blake2b(digest_size=32)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(repr((name, array.dtype.str, arrays[name].shape)).encode())
        digest.update(array.tobytes())
    return digest.digest()
