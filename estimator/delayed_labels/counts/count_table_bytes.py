"""A table of counts as bytes: the same bytes for the same rows.

A JSON header, which names the arrays, a zero byte, and the arrays one after another;
all of it compressed. (A NumPy archive of so small arrays takes ten times as long to
read, and a night reads hundreds.)
"""

import json
import zlib

import numpy as np

from estimator.delayed_labels.counts.count_table import CountTable
from estimator.delayed_labels.strata.delay_cells import LEARNED

VERSION = 3
_LEVEL = 1  # of compression: half the size already, at a tenth of the time of 9
_HEADER = ("label", "first", "last", "latest_label", "remark")
_PARTS = ("scores", "cells", "arrivals")
# Whole numbers are kept as narrowly as their range allows; they are widened by sums.
_WHOLE = (np.int8, np.int16, np.int32, np.int64)


def table_to_bytes(table: CountTable) -> bytes:
    """Return a table as bytes; tables of the same content are the same bytes.

    Soft labels are kept as 32-bit numbers.
    """
    header = {
        "version": VERSION,
        **{name: getattr(table, name) for name in _HEADER},
        # JSON has null for the learned strata: no column has such a name.
        "values": [
            [None if column is LEARNED else column, list(names)]
            for column, names in table.values.items()
        ],
    }
    arrays = {
        f"{part}/{name}": _narrow(name, values)
        for part in _PARTS
        for name, values in getattr(table, part).items()
    }
    # Little-endian, whatever the machine.
    arrays = {k: v.astype(v.dtype.newbyteorder("<")) for k, v in arrays.items()}
    header["arrays"] = [[k, v.dtype.str, v.size] for k, v in arrays.items()]
    text = json.dumps(header, ensure_ascii=False).encode()
    content = b"".join([text, b"\0", *(values.tobytes() for values in arrays.values())])
    return zlib.compress(content, _LEVEL)


def _narrow(name: str, values: np.ndarray) -> np.ndarray:
    if name == "calibrated":
        return values.astype(np.float32)
    if values.dtype.kind != "i" or not values.size:
        return values
    low, high = values.min(), values.max()
    fits = [np.iinfo(k).min <= low and high <= np.iinfo(k).max for k in _WHOLE]
    return values.astype(_WHOLE[fits.index(True)])


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
    parts: dict[str, dict[str, np.ndarray]] = {part: {} for part in _PARTS}
    position = end + 1
    for name, kind, size in header["arrays"]:
        part, _, key = name.partition("/")
        values = np.frombuffer(data, dtype=np.dtype(kind), count=size, offset=position)
        parts[part][key] = values
        position += values.nbytes
    return CountTable(
        **{name: header[name] for name in _HEADER},
        values={
            LEARNED if column is None else column: tuple(names)
            for column, names in header["values"]
        },
        scores=parts["scores"],
        cells=parts["cells"],
        arrivals=parts["arrivals"],
    )
