"""Chunks whose labels are all in: what they teach is kept, their rows are left alone.

So a call costs what the touched chunks and those still waiting cost, not the history.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.tracking import FilteredChunks
from estimator.delayed_labels.arrivals import (
    Arrivals,
    arrivals_of_chunks,
    merge_arrivals,
)
from estimator.delayed_labels.ledger import Ledger
from estimator.delayed_labels.reconciliation import Evidence, Reconciliation
from estimator.delayed_labels.snapshot import Snapshot

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SettledChunks:
    """What is kept of settled chunks, by their serial number in the ledger.

    Attributes
    ----------
    serials : ndarray of bool, shape (n_serials,)
        Which chunks are settled.
    information, vector : ndarray of shape (n_serials, 2, 2) and (n_serials, 2)
        As in `Evidence`.
    arrivals : dict of Arrivals
        Of all settled chunks together.
    filtered : FilteredChunks
        Of the chunks before the first that waits, as of the last call.
    """

    serials: NDArray[np.bool_]
    information: Floats
    vector: Floats
    arrivals: Mapping[Hashable | None, Arrivals]
    filtered: FilteredChunks

    def evidence(self, snapshot: Snapshot) -> Evidence:
        """Lay out what is known by place among all chunks there are now."""
        n = snapshot.n_places
        information, vector = np.zeros((n, 2, 2)), np.zeros((n, 2))
        place = snapshot.places[: self.serials.size][self.serials]
        information[place] = self.information[self.serials]
        vector[place] = self.vector[self.serials]
        return Evidence(information=information, vector=vector, arrivals=self.arrivals)


def settle(
    before: SettledChunks | None,
    ledger: Ledger,
    snapshot: Snapshot,
    found: Reconciliation | None,
    bands: Floats,
) -> SettledChunks | None:
    """Keep what chunks of the snapshot teach whose labels have all come since."""
    if found is None:
        return before
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
        for c, serial in enumerate(snapshot.serial.tolist())
        if serial >= 0 and ledger.chunks[serial].is_settled and not serials[serial]
    ]
    if not done:
        if before is None:
            return None
        return replace(before, filtered=found.filtered)
    chunks = np.array(done, dtype=np.int64)
    own = snapshot.serial[chunks]
    serials[own] = True
    information[own], vector[own] = found.information[chunks], found.vector[chunks]
    offsets = snapshot.chunks.offsets
    counted = arrivals_of_chunks(snapshot.columns, offsets, bands, chunks)
    for column, counts in counted.items():
        arrivals[column] = merge_arrivals(counts, arrivals.get(column))
    return SettledChunks(
        serials=serials,
        information=information,
        vector=vector,
        arrivals=arrivals,
        filtered=found.filtered,
    )
