"""Archives as somebody makes them who knows the format."""

import io
import json
import zipfile
from collections.abc import Callable

import numpy as np

from trials.archive_parts import any_array, array_of, entry, pack, sealed, unpack


def swap_members(data: bytes, rng: np.random.Generator) -> bytes:
    entries = unpack(data)
    a, b = any_array(entries, rng), any_array(entries, rng)
    entries[a], entries[b] = entries[b], entries[a]
    return pack(entries)


def swap_sealed(data: bytes, rng: np.random.Generator) -> bytes:
    return sealed(unpack(swap_members(data, rng)))


def other_type(data: bytes, rng: np.random.Generator) -> bytes:
    entries = unpack(data)
    name = any_array(entries, rng)
    array = array_of(entries[name])
    kinds = ["f4", "f8", "i8", "i2", "u1", "?", "U3", "S4", "c16", "M8[s]", ">f8"]
    with np.errstate(all="ignore"):
        try:
            changed = array.astype(kinds[int(rng.integers(len(kinds)))])
        except (ValueError, TypeError):
            changed = np.zeros(array.shape, dtype="c16")
    entries[name] = entry(changed)
    return sealed(entries)


def other_shape(data: bytes, rng: np.random.Generator) -> bytes:
    entries = unpack(data)
    name = any_array(entries, rng)
    array = array_of(entries[name])
    shapes = [
        array[None],
        array.ravel(),
        array.T,
        array.ravel()[:-1],
        np.concatenate([array.ravel(), array.ravel()]),
        np.empty(0, dtype=array.dtype),
        np.array(array.ravel()[:1].tolist()[0]) if array.size else np.zeros(3),
    ]
    entries[name] = entry(shapes[int(rng.integers(len(shapes)))])
    return sealed(entries)


def other_values(data: bytes, rng: np.random.Generator) -> bytes:
    entries = unpack(data)
    name = any_array(entries, rng)
    array = array_of(entries[name]).copy()
    if array.size and array.dtype.kind in "if":
        extreme = [0, -1, 2**31 - 1, 127] if array.dtype.kind == "i" else []
        extreme = extreme or [np.nan, np.inf, -np.inf, -1.0, 1e300, 0.0]
        positions = rng.integers(0, array.size, 3)
        value = extreme[int(rng.integers(len(extreme)))]
        array.ravel()[positions] = np.array(value).astype(array.dtype)
    entries[name] = entry(array)
    return sealed(entries)


def missing_member(data: bytes, rng: np.random.Generator) -> bytes:
    entries = unpack(data)
    del entries[any_array(entries, rng)]
    return sealed(entries) if rng.random() < 0.5 else pack(entries)


def huge_shape(data: bytes, rng: np.random.Generator) -> bytes:
    """Declare an array of terabytes, or of less than nothing, in a small entry."""
    entries = unpack(data)
    shapes = [(10**12,), (2**62,), (1 << 31, 1 << 31), (-1,), (300_000_000,), (2**70,)]
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file,
        {
            "descr": "<f8",
            "fortran_order": False,
            "shape": shapes[int(rng.integers(len(shapes)))],
        },
    )
    entries[any_array(entries, rng)] = file.getvalue() + bytes(64)
    return pack(entries)


def bomb(data: bytes, rng: np.random.Generator) -> bytes:
    """Hold a gigabyte of zeros in a megabyte."""
    entries = unpack(data)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        with archive.open("bomb.npy", "w", force_zip64=True) as member:
            n = 2**27
            np.lib.format.write_array_header_1_0(
                member, {"descr": "<f8", "fortran_order": False, "shape": (n,)}
            )
            block = bytes(1 << 24)
            for _ in range(8 * n // len(block)):
                member.write(block)
    return file.getvalue()


def compressed(data: bytes, rng: np.random.Generator) -> bytes:
    return pack(unpack(data), compression=zipfile.ZIP_DEFLATED)


def overlapping(data: bytes, rng: np.random.Generator) -> bytes:
    """Let many directory entries name one member's bytes."""
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive:
        largest = max(archive.infolist(), key=lambda one: one.file_size)
        for i in range(2_000):
            again = zipfile.ZipInfo(f"again{i}.npy")
            for name in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(again, name, getattr(largest, name))
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
        archive._didModify = True
    return file.getvalue()


def nested_pickle(data: bytes, rng: np.random.Generator) -> bytes:
    entries = unpack(data)
    name = "header.npy" if rng.random() < 0.3 else any_array(entries, rng)
    entries[name] = entry(np.array([Trap()], dtype=object), pickled=True)
    return pack(entries)


class Trap:
    """Something that a pickle would run."""

    sprung = False

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return (_spring, ())


def _spring() -> None:
    Trap.sprung = True


def other_header(data: bytes, rng: np.random.Generator) -> bytes:
    """Replace one value of the header, at any depth, or all of it."""
    entries = unpack(data)
    header = json.loads(array_of(entries["header.npy"]).tobytes())
    odd: list[object] = [None, [], {}, "x", -1, 1e308, True, [[]], "\ud800", 10**30]
    texts = [
        b"",
        b"null",
        b"[1]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": 1}',
        b"1" * 5_000,
        json.dumps(header | {"version": "4"}).encode(),
        json.dumps(header | {"version": 99}).encode(),
        json.dumps(header | {"format": "something"}).encode(),
    ]
    if rng.random() < 0.25:
        text = texts[int(rng.integers(len(texts)))]
    else:
        node, path = header, []
        while isinstance(node, dict | list) and node:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            keys = [key for key in keys if key not in ("format", "version")]
            path.append((node, keys[int(rng.integers(len(keys)))]))
            node = path[-1][0][path[-1][1]]
            if rng.random() < 0.3:
                break
        parent, key = path[-1]
        if rng.random() < 0.2:
            del parent[key]
        else:
            parent[key] = odd[int(rng.integers(len(odd)))]
        text = json.dumps(header).encode()
    entries["header.npy"] = entry(np.frombuffer(text, dtype=np.uint8))
    return sealed(entries)


def many_values(data: bytes, rng: np.random.Generator) -> bytes:
    """Ask for a table of a million segment values by a list in the header."""
    entries = unpack(data)
    header = json.loads(array_of(entries["header.npy"]).tobytes())
    owner = header["epochs"][0]["estimator"] if "epochs" in header else header
    owner["delays"] = [{"column": "g", "values": ["v"] * 200_000}]
    text = json.dumps(header).encode()
    entries["header.npy"] = entry(np.frombuffer(text, dtype=np.uint8))
    return sealed(entries)
