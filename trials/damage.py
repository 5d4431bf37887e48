"""Saved files damaged at random, or made by hand, and what loading makes of them."""

import io
import json
import re
import resource
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from estimator import Monitor, PerformanceEstimator
from estimator.files.archive import _digest

Use = Callable[[Any], pd.DataFrame]  # of what was loaded: an estimator or a monitor

LIMIT = 400 << 20  # bytes of memory that all loads together may ask for


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of loading one file: "refused", "identical", "usable" or a fault."""

    kind: str
    result: str
    message: str = ""

    @property
    def sound(self) -> bool:
        return self.result in ("refused", "identical", "usable")


def make_files(folder: Path) -> dict[str, tuple[Path, Use]]:
    """Save a plain estimator, one with features, and a monitor with labels."""
    rng = np.random.default_rng(0)
    n = 1_200
    score = rng.beta(1, 2, n)
    reference = pd.DataFrame(
        {
            "id": np.arange(n),
            "y_pred_proba": score,
            "y_true": (rng.random(n) < score).astype(int),
            "time": pd.Timestamp("2026-01-05")
            + pd.to_timedelta(np.sort(rng.uniform(0, 70, n)), unit="D"),
            "group": rng.choice(["a", "b"], n),
            "x": rng.normal(size=n),
        }
    )
    reference["labeled_at"] = reference["time"] + pd.Timedelta(days=3)
    later = pd.Timedelta(days=70)
    production = reference.assign(
        id=reference["id"] + n, time=reference["time"] + later
    ).drop(columns=["y_true", "labeled_at"])
    options: dict[str, Any] = {"timestamp": "time", "segments": ["group"]}
    plain = PerformanceEstimator(**options).fit(reference)
    adaptive = PerformanceEstimator(features=["x", "group"], **options).fit(reference)
    timed = PerformanceEstimator(labeled_at="labeled_at", **options).fit(reference)
    monitor = Monitor(timed, row_id="id")
    monitor.add_predictions(production)
    labels = reference[["id", "y_true", "labeled_at"]][:500]
    labels = labels.assign(id=labels["id"] + n, labeled_at=labels["labeled_at"] + later)
    monitor.add_labels(labels)

    def estimate(loaded: PerformanceEstimator) -> pd.DataFrame:
        return loaded.estimate(production).to_frame()

    def follow(loaded: Monitor) -> pd.DataFrame:
        again = loaded.add_labels(labels)
        assert again.n_new == 0 or again.n_new == len(labels)
        return loaded.performance().to_frame()

    files: dict[str, tuple[Path, Use]] = {}
    for name, saved, use in (
        ("estimator", plain, estimate),
        ("adaptive", adaptive, estimate),
        ("monitor", monitor, follow),
    ):
        saved.save(folder / f"{name}.npz")
        files[name] = (folder / f"{name}.npz", use)
    return files


def load(name: str, path: Path) -> PerformanceEstimator | Monitor:
    return (Monitor if name == "monitor" else PerformanceEstimator).load(path)


# ------------------------------------------------------------------------------ damage


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    out = np.frombuffer(data, np.uint8).copy()
    positions = rng.integers(0, out.size, int(rng.integers(1, 9)))
    out[positions] ^= (1 << rng.integers(0, 8, positions.size)).astype(np.uint8)
    return out.tobytes()


def flip_directory(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits of the zip directory at the end, where names and sizes stand."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        begin = archive.start_dir
    return data[:begin] + flip_bits(data[begin:], rng)


def overwrite(data: bytes, rng: np.random.Generator) -> bytes:
    a = int(rng.integers(0, len(data)))
    b = min(len(data), a + int(rng.integers(1, 4096)))
    block = bytes(b - a) if rng.random() < 0.5 else rng.bytes(b - a)
    return data[:a] + block + data[b:]


def shift(data: bytes, rng: np.random.Generator) -> bytes:
    a = int(rng.integers(0, len(data)))
    if rng.random() < 0.5:
        return data[:a] + rng.bytes(int(rng.integers(1, 64))) + data[a:]
    return data[:a] + data[a + int(rng.integers(1, 64)) :]


def not_an_archive(data: bytes, rng: np.random.Generator) -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(5))
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    others = [b"", b"hello", file.getvalue(), pickled.getvalue(), empty.getvalue()]
    others += [b"PK\x03\x04" + rng.bytes(500), b"PAR1" + data[:500], b"a,b\n1,2\n"]
    return others[int(rng.integers(len(others)))]


# ------------------------------------------------------------------ archives made anew


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


# The digest must notice what these do: if a file is loaded, it says the same as before.
DAMAGES: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "truncated": truncate,
    "bits flipped": flip_bits,
    "directory flipped": flip_directory,
    "block overwritten": overwrite,
    "bytes shifted": shift,
    "not an archive": not_an_archive,
    "members swapped": swap_members,
    "huge shape": huge_shape,
    "decompression bomb": bomb,
    "compressed": compressed,
    "overlapping entries": overlapping,
    "nested pickle": nested_pickle,
}
# Made by somebody who knows the format: refused, or of use.
CRAFTS: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "swapped, sealed": swap_sealed,
    "other type": other_type,
    "other shape": other_shape,
    "other values": other_values,
    "member missing": missing_member,
    "other header": other_header,
    "many values": many_values,
}
RARE = {"decompression bomb": 0.01, "overlapping entries": 0.05, "many values": 0.05}


# ------------------------------------------------------------------------------ trials


@contextmanager
def bounded_memory(limit: int) -> Iterator[None]:
    """Let this process ask for so many bytes more than it has, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def run_trials(folder: Path, n_files: int, seed: int) -> Iterator[Outcome]:
    """Damage saved files and load them, in memory that is bounded."""
    rng = np.random.default_rng(seed)
    files = make_files(folder)
    whole = {name: path.read_bytes() for name, (path, _) in files.items()}
    expected = {}
    for name, (path, use) in files.items():
        expected[name] = use(load(name, path))
    kinds = {**DAMAGES, **CRAFTS}
    share = np.array([RARE.get(kind, 1.0) for kind in kinds])
    first = list(kinds)  # each once, then at random
    for i in range(n_files):
        kind = str(rng.choice(list(kinds), p=share / share.sum()))
        kind = first[i] if i < len(first) else kind
        name = list(files)[int(rng.integers(len(files)))]
        path = folder / "damaged.npz"
        path.write_bytes(kinds[kind](whole[name], rng))
        before = peak_memory()
        with bounded_memory(LIMIT):
            outcome = _try(kind, name, path, files[name][1], expected[name])
        if peak_memory() - before > LIMIT // 2:
            outcome = Outcome(kind=kind, result="memory")
        yield Outcome(kind=kind, result="ran code") if Trap.sprung else outcome


def _try(
    kind: str,
    name: str,
    path: Path,
    use: Use,
    expected: pd.DataFrame,
) -> Outcome:
    noun = "monitor" if name == "monitor" else "estimator"
    try:
        loaded = load(name, path)
    except ValueError as error:
        text = str(error)
        clear = repr(str(path)) in text and f"Save the {noun} again" in text
        return Outcome(
            kind=kind, result="refused" if clear else "unclear", message=text
        )
    except Exception as error:
        return Outcome(kind=kind, result="foreign", message=_where(error))
    try:
        answer = use(loaded)
    except Exception as error:
        # Another column's name in the header is asked for, clearly.
        asked = kind in CRAFTS and re.match(r"`\w+[`\[]", str(error))
        result = "usable" if asked else "foreign in use"
        return Outcome(kind=kind, result=result, message=_where(error))
    if answer.equals(expected):
        return Outcome(kind=kind, result="identical")
    return Outcome(kind=kind, result="usable" if kind in CRAFTS else "differs")


def _where(error: Exception) -> str:
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)[-4:]
    ]
    return f"{error!r} at {' > '.join(frames)}"
