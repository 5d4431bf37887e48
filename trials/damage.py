"""Saved files damaged at random, or made by hand, and what loading makes of them."""

import io
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
from trials.crafted_archives import (
    Trap,
    bomb,
    compressed,
    huge_shape,
    many_values,
    missing_member,
    nested_pickle,
    other_header,
    other_shape,
    other_type,
    other_values,
    overlapping,
    swap_members,
    swap_sealed,
)

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
    # Delays depend on a feature: files hold strata of them, and trees.
    days = 3.0 + 4.0 * (reference["x"] > 0) + rng.random(n)
    reference["labeled_at"] = reference["time"] + pd.to_timedelta(days, unit="D")
    later = pd.Timedelta(days=70)
    production = reference.assign(
        id=reference["id"] + n, time=reference["time"] + later
    ).drop(columns=["y_true", "labeled_at"])
    options: dict[str, Any] = {"timestamp": "time", "segments": ["group"]}
    plain = PerformanceEstimator(**options).fit(reference)
    adaptive = PerformanceEstimator(features=["x", "group"], **options).fit(reference)
    timed = PerformanceEstimator(
        method="cbpe", labeled_at="labeled_at", features="x", **options
    ).fit(reference)
    assert timed.reference_.delays.strata is not None
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
