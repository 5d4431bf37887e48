"""What labels say of a chunk's shift, as observations of unit noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observations:
    """Each chunk's information as up to two scalar observations of unit noise.

    Attributes
    ----------
    n_seen : ndarray of int of shape (n_chunks,)
        Number of observations of each chunk: 0, 1 or 2.
    h : ndarray of shape (n_chunks, 2, 2)
        Direction of each observation: ``seen[t, k]`` is ``h[t, k] @ shift`` plus noise.
    seen : ndarray of shape (n_chunks, 2)
        Value of each observation, in standard deviations of its noise.
    """

    n_seen: Integers
    h: Floats
    seen: Floats


def observe(information: Floats, vector: Floats, first: int) -> Observations:
    """Turn each chunk's information into up to two observations of unit noise.

    Raises
    ------
    ValueError
        If ``information`` is not positive semidefinite; ``first`` is the number of the
        first chunk, for the message.
    """
    n = len(vector)
    value, axes = np.linalg.eigh(information)
    wrong = np.flatnonzero(
        value[:, 0] < -1e-6 * (np.abs(information).max(axis=(1, 2), initial=0.0) + 1.0)
    )
    if wrong.size:
        msg = (
            "`information` must be positive semidefinite, but that of chunk "
            f"{first + wrong[0]} has the eigenvalue {value[wrong[0], 0]:g}."
        )
        raise ValueError(msg)
    tells = value > 1e-9
    roots = np.sqrt(np.where(tells, value, 1.0))
    h = np.where(tells[:, :, None], (axes * roots[:, None, :]).transpose(0, 2, 1), 0.0)
    seen = np.where(tells, np.einsum("tik,ti->tk", axes, vector) / roots, 0.0)
    # Eigenvalues rise: where one tells nothing, it is the first.
    second = tells[:, 1] & ~tells[:, 0]
    h[second], seen[second] = h[second][:, ::-1], seen[second][:, ::-1]
    return Observations(
        n_seen=tells.sum(axis=1).astype(np.int64).reshape(n),
        h=np.ascontiguousarray(h),
        seen=np.ascontiguousarray(seen),
    )


def join_observations(first: Observations, second: Observations) -> Observations:
    """Return the observations of some chunks and of those after them."""
    return Observations(
        n_seen=np.concatenate([first.n_seen, second.n_seen]),
        h=np.concatenate([first.h, second.h]),
        seen=np.concatenate([first.seen, second.seen]),
    )
