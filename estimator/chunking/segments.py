"""Which rows belong to which chunk of which segment: what the kernel runs over.

All rows together are the first part; each segment column cuts the same rows once more,
by value within the same chunks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.threads import share_out
from estimator.chunking.chunks import Chunks, ascending_order, by_segment, keep_rows
from estimator.frames.cell_contents import CellContents
from estimator.frames.columns import Columns

Part = tuple[NDArray[np.int64] | None, NDArray[np.int64]]

# A group takes a kilobyte or two while it is summed up.
_MOST_GROUPS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Groups:
    """Rows by (segment, chunk), segments in their order and chunks within in time.

    Attributes
    ----------
    parts : tuple of (rows, offsets)
        All rows, then each segment column; group ``g`` of a part owns
        ``rows[offsets[g]:offsets[g + 1]]`` (``rows`` None: the rows as they lie).
    segment : ndarray of str of shape (n_groups,)
        "" for all rows, else ``"column=value"``.
    chunk : ndarray of int of shape (n_groups,)
        Position of the group's chunk.
    weight : ndarray of float64, or None
        How many rows of the frame each stands for, by row as in `Columns`; None: one
        each.
    contents : CellContents, or None
        Likewise, what else is known of these.
    """

    parts: tuple[Part, ...]
    segment: NDArray[np.object_]
    chunk: NDArray[np.int64]
    weight: NDArray[np.float64] | None = None
    contents: CellContents | None = None

    @property
    def n_rows(self) -> NDArray[np.int64]:
        """Rows of the frame in each group."""
        if self.weight is None:
            return np.concatenate([np.diff(offsets) for _, offsets in self.parts])
        sizes = []
        for rows, offsets in self.parts:
            taken = self.weight if rows is None else self.weight[rows]
            is_full = np.diff(offsets) > 0
            size = np.zeros(is_full.size, dtype=np.int64)
            # Whole numbers: no order of the sum can lose anything.
            size[is_full] = np.add.reduceat(taken[: offsets[-1]], offsets[:-1][is_full])
            sizes.append(size)
        return np.concatenate(sizes)

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up values, given by row, within each group; weights are not applied."""
        sums = []
        for rows, offsets in self.parts:
            taken = values if rows is None else values[rows]
            so_far = np.concatenate([[0.0], np.cumsum(taken)])
            sums.append(so_far[offsets[1:]] - so_far[offsets[:-1]])
        return np.concatenate(sums)

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weighted mean within each group; 0 in one without rows."""
        weighted = values if self.weight is None else values * self.weight
        mean: NDArray[np.float64] = self.total(weighted) / np.maximum(self.n_rows, 1)
        return mean

    def by_segment(self) -> list[tuple[str, slice]]:
        """Return each segment with the slice of its groups: one per chunk."""
        n = int(self.chunk.max()) + 1
        names = self.segment[::n].tolist()
        return [(name, slice(i * n, (i + 1) * n)) for i, name in enumerate(names)]

    def keep(self, mask: NDArray[np.bool_]) -> "Groups":
        """Return the same groups with only the rows where ``mask`` (by row) is True."""
        return Groups(
            parts=tuple(keep_rows(rows, offsets, mask) for rows, offsets in self.parts),
            segment=self.segment,
            chunk=self.chunk,
            weight=self.weight,
            contents=self.contents,
        )


def _check_groups(n_chunks: int, n_segments: int) -> None:
    if n_chunks * n_segments > _MOST_GROUPS:
        msg = (
            f"`segments` and `chunk` must make at most {_MOST_GROUPS:,} groups, but "
            f"{n_chunks:,} chunks of {n_segments:,} segments are "
            f"{n_chunks * n_segments:,}. Take longer chunks, or bin the segments' "
            "values."
        )
        raise ValueError(msg)


def group_rows(
    columns: Columns,
    chunks: Chunks,
    first_segments: Sequence[str] = (),
    *,
    by_score: bool = False,
) -> Groups:
    """Group the rows of a frame by chunk, and by chunk within each segment.

    Parameters
    ----------
    columns : Columns
        What was read of the frame.
    chunks : Chunks
        How its rows fall into chunks.
    known : sequence of str
        Segments that come first, in this order, even where the chunks have none of
        their rows; others follow that have rows in the chunks.
    by_score : bool
        Whether the rows of each group are to rise by score, which saves sorting them
        for each part where more than the score is read of a row.

    Raises
    ------
    ValueError
        If chunks times segments are more groups than memory holds.
    """
    n_chunks = len(chunks)
    in_order = chunks
    if by_score:
        in_order = replace(chunks, rows=_rows_by_score(columns.score, chunks))
    parts: list[Part] = [(in_order.rows, in_order.offsets)]
    names = [""]
    for column, segment in columns.segments.items():
        prefix = f"{column}="
        earlier = [
            s.removeprefix(prefix) for s in first_segments if s.startswith(prefix)
        ]
        inside = segment.codes[: chunks.offsets[-1]]
        if chunks.rows is not None:
            inside = segment.codes[chunks.rows]
        there = np.flatnonzero(np.bincount(inside, minlength=len(segment.values)))
        new = [segment.values[i] for i in there.tolist()]
        values = list(dict.fromkeys([*earlier, *new]))
        _check_groups(n_chunks, len(names) + len(values))
        position = {value: i for i, value in enumerate(values)}
        renumber = np.zeros(len(segment.values), dtype=np.int64)
        renumber[there] = [position[value] for value in new]
        parts.append(by_segment(in_order, renumber[segment.codes], len(values)))
        names += [prefix + value for value in values]
    return Groups(
        parts=tuple(parts),
        segment=np.repeat(np.array(names, dtype=object), n_chunks),
        chunk=np.tile(np.arange(n_chunks), len(names)),
        weight=columns.weight,
        contents=columns.contents,
    )


def _rows_by_score(score: NDArray[np.floating], chunks: Chunks) -> NDArray[np.int64]:
    """Return the rows of each chunk, rising by score; those without one are last."""
    bounds = chunks.offsets
    out = np.empty(bounds[-1], dtype=np.int64)

    def work(block: slice) -> None:
        inner = bounds[block.start : block.stop + 1]
        begin, stop = inner[0], inner[-1]
        rows = chunks.rows if chunks.rows is None else chunks.rows[begin:stop]
        values = score[begin:stop] if rows is None else score[rows]
        order = ascending_order(np.asarray(values, np.float64), inner - begin)
        if rows is None:
            np.add(order, begin, out=out[begin:stop])
        else:
            rows.take(order, out=out[begin:stop])

    share_out(bounds, work)
    return out
