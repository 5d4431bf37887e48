"""Pairs of positions in a series: all short ones, ever fewer of the long ones."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairGrid:
    """Blocks of pairs of positions in 0 … n - 1, each with one pair that represents it.

    Attributes
    ----------
    n : int
        Number of positions.
    corner, length, stride : ndarray of int of shape (n_blocks,)
        First position, distance and width of each block: it holds the pairs whose first
        position is ``corner`` or one of the next ``stride - 1``, and whose distance is
        ``length`` or up to ``stride - 1`` more.
    first, last : ndarray of int of shape (n_blocks,)
        Positions of the pair in the middle of each block.
    share : ndarray of shape (n_blocks,)
        Share of all pairs that each block holds; sums to 1.
    """

    n: int
    corner: Ints
    length: Ints
    stride: Ints
    first: Ints
    last: Ints
    share: Floats

    def is_near(self, first: int, last: int) -> NDArray[np.bool_]:
        """Return which blocks hold a pair at most one position from a given one."""
        before, shorter = first - self.corner, last - first - self.length
        near: NDArray[np.bool_] = (before >= -1) & (before <= self.stride)
        near &= (shorter >= -2) & (shorter <= self.stride + 1)
        return near

    def pairs_of(self, blocks: Ints) -> tuple[Ints, Ints, Ints]:
        """Return first, last and block of every pair in some of the blocks."""
        parts = [np.empty((3, 0), dtype=np.int64)]
        for stride in np.unique(self.stride[blocks]).tolist():
            same_stride = blocks[self.stride[blocks] == stride][:, None]
            step = np.arange(stride * stride)
            first = self.corner[same_stride] + step // stride
            last = first + self.length[same_stride] + step % stride
            block = np.broadcast_to(same_stride, first.shape)
            parts.append(np.stack([first, last, block])[:, last < self.n])
        first, last, block = np.concatenate(parts, axis=1)
        return first, last, block


@lru_cache(maxsize=256)
def pair_grid(n: int, shortest: int, exact: int) -> PairGrid:
    """Cover all pairs at least ``shortest`` apart by some 3 n exact / 2 blocks.

    Up to a distance of ``exact`` a block is one pair, up to twice that 2 × 2 pairs, and
    so on: positions are resolved to a share of the distance.
    """
    parts = [np.empty((3, 0), dtype=np.int64)]
    low, high, stride = shortest, max(exact, shortest), 1
    while low < n:
        for apart in range(low, min(high, n - 1) + 1, stride):
            corner = np.arange(0, n - apart, stride)
            parts.append(
                np.stack(
                    [corner, np.full_like(corner, apart), np.full_like(corner, stride)]
                )
            )
            low = apart + stride
        high, stride = 2 * high, 2 * stride
    corner, length, across = np.concatenate(parts, axis=1)
    # Of the square of a block those pairs count whose last position is one of the n.
    room = n - corner - length
    missing = np.maximum(2 * across - 1 - room, 0)
    count = np.where(
        room < across,
        room * (room + 1) // 2,
        across**2 - missing * (missing + 1) // 2,
    )
    middle = np.minimum((across - 1) // 2, (room - 1) // 2)
    first = corner + middle
    return PairGrid(
        n=n,
        corner=corner,
        length=length,
        stride=across,
        first=first,
        last=first + length + middle,
        share=count / max(count.sum(), 1),
    )
