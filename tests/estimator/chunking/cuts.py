"""Times to cut into chunks, and which rows a chunk has."""

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

BERLIN = "Europe/Berlin"
ALIASES = ["h", "15min", "6h", "7h", "90s", "D", "3D", "W", "2W", "W-WED", "MS", "ME"]
ZONES = [None, "UTC", BERLIN, "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana"]
# Hours around both clock changes of 2026, on a grid of 10 minutes: ties are common.
HOURS = st.sampled_from(["2026-03-28", "2026-10-24", "1969-12-30", "2026-04-04"])


@st.composite
def timestamps(draw, max_hours=72):
    minutes = hnp.arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 432))
    unit = draw(st.sampled_from(["s", "ms", "us", "ns"]))
    start = np.datetime64(draw(HOURS)).astype("M8[m]")
    return (start + draw(minutes) * 10).astype(f"M8[{unit}]")


def moments(*texts, unit="us"):
    return np.array(texts, dtype=f"M8[{unit}]")


def order_of(chunks, n):
    return np.arange(n) if chunks.rows is None else chunks.rows


def members(chunks, n):
    """Label → positions of its rows."""
    parts = np.split(order_of(chunks, n), chunks.offsets[1:-1])
    return dict(zip(chunks.label.tolist(), map(np.sort, parts), strict=True))


def label_by_row(chunks, n):
    out = np.empty(n, dtype=object)
    for label, rows in members(chunks, n).items():
        out[rows] = label
    return out
