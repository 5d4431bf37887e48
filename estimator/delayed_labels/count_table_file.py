"""A table of counts as bytes: the same bytes for the same rows.

A JSON header, which names the arrays, a zero byte, and the arrays one after another;
all of it compressed. (A NumPy archive of so small arrays takes ten times as long to
read, and a night reads hundreds.)
"""

import json
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estimator.delayed_labels.count_table import CountTable

VERSION = 1
_LEVEL = 1  # of compression: half the size already, at a tenth of the time of 9
_HEADER = ("label", "first", "last", "latest_label", "remark")
# What is kept more narrowly than it is computed with.
_KINDS = {"score": np.float32, "calibrated": np.float32, "count": np.int32}


def table_to_bytes(table: CountTable) -> bytes:
    """Return a table as bytes; tables of the same content are the same bytes.

    Means are kept as 32-bit numbers.
    """
    header = {
        "version": VERSION,
        **{name: getattr(table, name) for name in _HEADER},
        "values": [[column, list(names)] for column, names in table.values.items()],
    }
    arrays: dict[str, NDArray[Any]] = {}
    for name, cells in table.cells.items():
        kind = _KINDS.get(name, cells.dtype)
        if name == "count" and cells.max() > np.iinfo(np.int32).max:
            kind = cells.dtype
        arrays[f"cells/{name}"] = cells.astype(kind)
    arrays |= {f"arrivals/{name}": found for name, found in table.arrivals.items()}
    # Little-endian, whatever the machine.
    arrays = {k: v.astype(v.dtype.newbyteorder("<")) for k, v in arrays.items()}
    header["arrays"] = [[k, v.dtype.str, v.size] for k, v in arrays.items()]
    text = json.dumps(header, ensure_ascii=False).encode()
    content = b"".join([text, b"\0", *(values.tobytes() for values in arrays.values())])
    return zlib.compress(content, _LEVEL)


def table_from_bytes(content: bytes) -> CountTable:
    """Return the table that `table_to_bytes` wrote; runs no code from it.

    Raises
    ------
    ValueError
        If the bytes are damaged, something else, or of another version.
    """
    try:
        data = zlib.decompress(content)
        end = data.index(b"\0")
        header = json.loads(data[:end])
        version = header["version"]
    except (zlib.error, ValueError, KeyError, TypeError) as error:
        msg = "A stored table of counts is damaged. Restore the store from a backup."
        raise ValueError(msg) from error
    if version != VERSION:
        msg = (
            f"A stored table of counts is of version {version}; this version of "
            f"deadreckon reads {VERSION}. Install the version that wrote it."
        )
        raise ValueError(msg)
    parts: dict[str, dict[str, NDArray[Any]]] = {"cells": {}, "arrivals": {}}
    at = end + 1
    for name, kind, size in header["arrays"]:
        part, _, own = name.partition("/")
        values = np.frombuffer(data, dtype=np.dtype(kind), count=size, offset=at)
        parts[part][own] = values
        at += values.nbytes
    return CountTable(
        **{name: header[name] for name in _HEADER},
        values={column: tuple(names) for column, names in header["values"]},
        cells=parts["cells"],
        arrivals=parts["arrivals"],
    )
