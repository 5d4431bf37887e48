"""Archives taken apart into their members, and put together, sealed or not."""

import io
import zipfile

import numpy as np

from estimator.files.archive import _digest


def unpack(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(entries: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def entry(array: np.ndarray, *, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def array_of(content: bytes) -> np.ndarray:
    array: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def sealed(entries: dict[str, bytes]) -> bytes:
    """Pack with a digest that fits, as somebody would who knows the format."""
    entries = {name: data for name, data in entries.items() if name != "digest.npy"}
    arrays = {
        name.removesuffix(".npy"): array_of(data) for name, data in entries.items()
    }
    entries["digest.npy"] = entry(np.frombuffer(_digest(arrays), dtype=np.uint8))
    return pack(entries)


def any_array(entries: dict[str, bytes], rng: np.random.Generator) -> str:
    names = [name for name in entries if name not in ("header.npy", "digest.npy")]
    return names[int(rng.integers(len(names)))]
