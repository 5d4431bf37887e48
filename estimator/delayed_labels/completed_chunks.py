"""Chunks whose labels are all in: what they teach is kept, their rows are left alone.

So a call costs what the touched chunks and those still waiting cost, not the history.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.shifts.filtering import FilteredChunks
from estimator.delayed_labels.arrivals import (
    Arrivals,
    arrivals_of_chunks,
    merge_arrivals,
)
from estimator.delayed_labels.evidence import Evidence
from estimator.delayed_labels.reconciliation import Reconciliation
from estimator.ledger.ledger import Ledger
from estimator.ledger.snapshot import Snapshot

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompletedChunks:
    """What is kept of completed chunks, by their serial number in the ledger.

    Attributes
    ----------
    serials : ndarray of bool, shape (n_serials,)
        Which chunks are completed.
    information, vector : ndarray of shape (n_serials, 2, 2) and (n_serials, 2)
        As in `Evidence`.
    arrivals : dict of Arrivals
        Labels of all completed chunks together, by how long they took.
    filtered : FilteredChunks
        What the chunks before the first that waits said of every motion in the last
        call.
    """

    serials: NDArray[np.bool_]
    information: Floats
    vector: Floats
    arrivals: Mapping[Hashable | None, Arrivals]
    filtered: FilteredChunks

    def evidence(
        self, snapshot: Snapshot, among_all: slice, position: NDArray[np.int64]
    ) -> Evidence:
        """Return what these chunks say, by position among one estimator's chunks.

        Parameters
        ----------
        snapshot : Snapshot
            The rows that are read, and where the ledger's chunks lie among all.
        among_all : slice
            The estimator's chunks among all.
        position : ndarray of int64
            Positions, among the estimator's chunks, of those that are read.
        """
        n = among_all.stop - among_all.start
        information, vector = np.zeros((n, 2, 2)), np.zeros((n, 2))
        completed = (
            snapshot.position_by_serial[: self.serials.size][self.serials]
            - among_all.start
        )
        information[completed] = self.information[self.serials]
        vector[completed] = self.vector[self.serials]
        return Evidence(
            information=information,
            vector=vector,
            arrivals=self.arrivals,
            position=position,
            filtered=self.filtered,
        )


def complete_chunks(
    before: CompletedChunks | None,
    ledger: Ledger,
    snapshot: Snapshot,
    which: slice,
    reconciliation: Reconciliation | None,
    bands: Floats,
) -> CompletedChunks | None:
    """Keep what chunks of the snapshot teach whose labels have all come since.

    Parameters
    ----------
    before : CompletedChunks or None
        Chunks of the same estimator that were completed before.
    ledger, snapshot
        Of the rows.
    which : slice
        Chunks of the snapshot that are the estimator's.
    reconciliation : Reconciliation or None
        Reconciliation of these chunks; None as long as no label has come.
    bands : ndarray of shape (N_BANDS - 1,)
        Scores between the bands by which the estimator counts delays.
    """
    if reconciliation is None:
        return before
    filtered = reconciliation.filtered
    if before is not None and not len(filtered):  # all rows were read again
        filtered = before.filtered
    n = len(ledger.chunks)
    serials = np.zeros(n, dtype=np.bool_)
    information, vector = np.zeros((n, 2, 2)), np.zeros((n, 2))
    arrivals: dict[Hashable | None, Arrivals] = {}
    if before is not None:
        old = slice(0, before.serials.size)
        serials[old] = before.serials
        information[old], vector[old] = before.information, before.vector
        arrivals = dict(before.arrivals)
    done = [
        c
        for c, serial in enumerate(snapshot.serial[which].tolist(), which.start)
        if serial >= 0 and ledger.chunks[serial].is_completed and not serials[serial]
    ]
    if not done:
        if before is None:
            return None
        return replace(before, filtered=filtered)
    chunks = np.array(done, dtype=np.int64)
    serials_done = snapshot.serial[chunks]
    serials[serials_done] = True
    information[serials_done] = reconciliation.information[chunks - which.start]
    vector[serials_done] = reconciliation.vector[chunks - which.start]
    offsets = snapshot.chunks.offsets
    counted = arrivals_of_chunks(snapshot.columns, offsets, bands, chunks)
    for column, counts in counted.items():
        arrivals[column] = merge_arrivals(counts, arrivals.get(column))
    return CompletedChunks(
        serials=serials,
        information=information,
        vector=vector,
        arrivals=arrivals,
        filtered=filtered,
    )


def reopen_chunks(
    completed: CompletedChunks,
    snapshot: Snapshot,
    serials: Sequence[int],
    bands: Floats,
) -> CompletedChunks:
    """Forget what some chunks taught, since they have got further rows or labels.

    Parameters
    ----------
    completed : CompletedChunks
        Completed chunks of one estimator.
    snapshot : Snapshot
        Rows of these chunks, as they were when they were completed.
    serials : sequence of int
        Serial numbers, in the ledger, of the chunks to forget.
    bands : ndarray of shape (N_BANDS - 1,)
        Scores between the bands by which the estimator counts delays.
    """
    kept = completed.serials.copy()
    kept[list(serials)] = False
    chunks = np.flatnonzero(np.isin(snapshot.serial, serials))
    offsets = snapshot.chunks.offsets
    arrivals = dict(completed.arrivals)
    counted = arrivals_of_chunks(snapshot.columns, offsets, bands, chunks)
    for column, counts in counted.items():
        # Counts are whole numbers: what remains is exact.
        less = replace(counts, count=-counts.count)
        arrivals[column] = merge_arrivals(less, arrivals[column])
    return replace(completed, serials=kept, arrivals=arrivals)
