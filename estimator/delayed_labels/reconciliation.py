"""From labels that have come to soft labels of the rows that still wait.

Three things are learned from the labels, each chunk's own and all the others': how long
labels take (:mod:`estimator.delayed_labels.delay_model`), how far the calibration has
shifted in each chunk (:mod:`calibration.shifts.tracking`), and so what a row that waits
is likely to be. Delays and shift are learned together, by a few rounds of expectation
maximization: the soft labels say how many of each class are waiting.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.threads import share_out
from calibration.shifts.filtering import FilteredChunks, filter_chunks
from calibration.shifts.tracking import (
    ShiftPath,
    track_shift,
)
from estimator._kernels.late_labels import (
    count_waiting,
    shift_information,
    soften,
    waiting_spread,
)
from estimator.chunking.chunks import Chunks
from estimator.delayed_labels.arrivals import (
    MAX_VALUES,
    N_AGES,
    N_BANDS,
    Arrivals,
    arrivals_by_column,
    choose_column,
    merge_arrivals,
    places_of,
)
from estimator.delayed_labels.delay_model import DelayModel, fit_delays, no_delays
from estimator.delayed_labels.reference_delays import ReferenceDelays
from estimator.frames.columns import Columns
from estimator.metrics.calibration_shift import ShiftFrame, log_odds_of
from estimator.metrics.soft_labels import ShiftedSoftLabel, SoftLabel

Floats = NDArray[np.float64]
Places = NDArray[np.int32]

_ROUNDS = 2
_NEWTON_STEPS = 6
# Precision of the weak prior under which a chunk's own mode is sought: (1/.5)².
_MODE_PRECISION = 4.0
# Which labels have come first is modelled, but never well enough: what an unfinished
# chunk says of its own shift counts by this power of its completeness.
_TEMPER = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """What chunks whose labels are all in say of shift and delays.

    They need not be read again as long as no label is restated.

    Attributes
    ----------
    information : ndarray of shape (n_chunks, 2, 2)
        What each chunk's labels say of its shift; 0 for chunks that still wait.
    vector : ndarray of shape (n_chunks, 2)
        Information times estimate.
    arrivals : dict of Arrivals
        Their labels by how long they took; empty without times. Labels of rows that
        do not say when they came are counted here, too: a table of counts keeps how
        long labels took apart from its rows.
    """

    information: Floats
    vector: Floats
    arrivals: Mapping[Hashable | None, Arrivals]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reconciliation:
    """What is made of the labels that have come.

    Attributes
    ----------
    soft : ndarray of shape (n_rows,)
        The label where it has come, else its posterior probability.
    log_odds : ndarray of shape (n_rows,)
        Calibrated on the reference.
    place : ndarray of int32, shape (n_rows,)
        Of each row in the tables of ``delays``.
    shift : ShiftPath
        Of the chunks; the covariance includes how much a chunk's delays may differ.
    slope : ndarray of shape (n_chunks,)
        Of the shifted log odds over the calibrated ones.
    delays : DelayModel
    information, vector : ndarray of shape (n_chunks, 2, 2) and (n_chunks, 2)
        What each chunk's labels say of its own shift.
    filtered : FilteredChunks
        What the chunks before the first of these say of every motion: a shortcut.
    frame : ShiftFrame
        In which the shift is measured.
    """

    soft: Floats
    log_odds: Floats
    place: Places
    shift: ShiftPath
    slope: Floats
    delays: DelayModel
    information: Floats
    vector: Floats
    filtered: FilteredChunks
    frame: ShiftFrame

    def expected_labels(self) -> Floats:
        """P(y = 1 | score, label has come by now), had the calibration not shifted.

        Method.md, equation 37.
        """
        return _expit(self.log_odds + self.delays.arrived_log_ratio[self.place])

    def chance_of_label(self) -> Floats:
        """P(label has come by now), by row."""
        came = self.delays.arrived
        chance: Floats = self.soft * came[1, self.place]
        chance += (1.0 - self.soft) * came[0, self.place]
        return chance


def reconcile(
    columns: Columns,
    chunks: Chunks,
    *,
    now: np.datetime64 | None,
    unlabelled: SoftLabel | ShiftedSoftLabel | Floats,
    frame: ShiftFrame,
    learned: ReferenceDelays,
    others: Evidence | None = None,
    position: NDArray[np.int64] | None = None,
    filtered: FilteredChunks | None = None,
) -> Reconciliation:
    """Give every row its soft label, given all labels that have come by ``now``.

    Parameters
    ----------
    columns, chunks : Columns, Chunks
        Rows in order of their chunks, with the labels known by then.
    now : datetime64[us] or None
        None where rows have no time: then waiting tells nothing.
    unlabelled : callable or ndarray of shape (n_rows,)
        Soft labels as if no label had come.
    frame, learned
        What the reference taught.
    others : Evidence, optional
        What chunks say that are not among these, by place among all; its counts of
        delays are believed for these, too.
    position : ndarray of shape (n_chunks,), optional
        Place of these chunks among all.
    filtered : FilteredChunks, optional
        Of an earlier call: where it is of the same chunks, they are not filtered again.
    """
    label = np.asarray(columns.label, dtype=np.float64)
    score = np.asarray(columns.score, dtype=np.float64)
    offsets = chunks.offsets
    x = log_odds_of(unlabelled, score)
    n_chunks = len(chunks)
    weight = columns.weight
    arrivals: dict[Hashable | None, Arrivals] = {}
    told = {} if others is None else others.arrivals
    if columns.timestamp is not None and (columns.labeled_at is not None or told):
        if columns.labeled_at is not None:
            came = ~np.isnan(label) & ~np.isnan(score)
            arrivals = arrivals_by_column(columns, learned.bands, came)
        for before in (learned.arrivals, told):
            for column, counts in before.items():
                arrivals[column] = merge_arrivals(counts, arrivals.get(column))
        for column, segment in columns.segments.items():
            if len(segment.values) > MAX_VALUES:
                arrivals.pop(column, None)
    timed = now is not None and any(counts.count.any() for counts in arrivals.values())
    place = np.zeros(label.size, dtype=np.int32)
    by: Hashable | None = None
    if timed and now is not None:
        by = choose_column(arrivals)
        place = places_of(columns, learned.bands, by, arrivals[by].values, now)
    soft = _expit(x)
    delays = no_delays()
    shift = np.zeros((n_chunks, 2))
    full = np.diff(offsets) > 0
    at = np.arange(n_chunks) if position is None else position
    if others is None:
        others = Evidence(
            information=np.zeros((n_chunks, 2, 2)),
            vector=np.zeros((n_chunks, 2)),
            arrivals={},
        )
    # Chunks before the first of these have said all they will.
    first = int(at.min(initial=len(others.vector)))
    filtered = filter_chunks(
        others.information[:first],
        others.vector[:first],
        prior_covariance=frame.prior,
        before=filtered,
    )
    for _ in range(_ROUNDS):
        if timed:
            counts = arrivals[by]
            waiting = np.zeros((2, len(counts.values) + 1, N_BANDS, N_AGES))
            count_waiting(label, soft, place, weight, waiting.reshape(2, -1))
            delays = fit_delays(by, learned.bands, counts, waiting)
        information, vector, completeness = _chunk_information(
            x, label, place, weight, delays, offsets, frame
        )
        trust = completeness**_TEMPER
        all_information, all_vector = others.information.copy(), others.vector.copy()
        all_information[at[full]] = (information * trust[:, None, None])[full]
        all_vector[at[full]] = (vector * trust[:, None])[full]
        path = track_shift(
            all_information,
            all_vector,
            prior_covariance=frame.prior,
            filtered=filtered,
        )
        shift = path.mean[at - first]
        soft = _soften(x, label, place, delays, offsets, frame, shift)
    covariance = path.covariance[at - first]
    if timed and learned.spread.any():
        waits = np.empty_like(covariance)
        waiting_spread(x, label, place, N_AGES, weight, learned.spread, offsets, waits)
        covariance += waits
    path = ShiftPath(mean=shift, covariance=covariance, weights=path.weights)
    return Reconciliation(
        soft=soft,
        log_odds=x,
        place=place,
        shift=path,
        slope=1.0 + shift[:, 1] / frame.scale,
        delays=delays,
        information=information,
        vector=vector,
        filtered=filtered,
        frame=frame,
    )


def _expit(x: Floats) -> Floats:
    out = np.negative(x)  # one temporary: there may be millions of rows
    np.exp(out, out=out)
    out += 1.0
    return np.reciprocal(out, out=out)


def _chunk_information(
    x: Floats,
    label: Floats,
    place: Places,
    weight: Floats | None,
    delays: DelayModel,
    offsets: NDArray[np.int64],
    frame: ShiftFrame,
) -> tuple[Floats, Floats, Floats]:
    n = offsets.size - 1
    information, vector, completeness = (
        np.zeros((n, 2, 2)),
        np.zeros((n, 2)),
        np.ones(n),
    )
    log_ratio, to_come = delays.log_ratio, delays.to_come

    def work(block: slice) -> None:
        shift_information(
            x,
            frame.centre,
            frame.scale,
            label,
            place,
            weight,
            log_ratio,
            to_come,
            offsets[block.start : block.stop + 1],
            _NEWTON_STEPS,
            _MODE_PRECISION,
            information[block],
            vector[block],
            completeness[block],
        )

    share_out(offsets, work)
    return information, vector, completeness


def _soften(
    x: Floats,
    label: Floats,
    place: Places,
    delays: DelayModel,
    offsets: NDArray[np.int64],
    frame: ShiftFrame,
    shift: Floats,
) -> Floats:
    out = np.empty(x.size)
    log_ratio = delays.log_ratio

    def work(block: slice) -> None:
        bounds = offsets[block.start : block.stop + 1]
        soften(
            x, frame.centre, frame.scale, label, place, log_ratio, bounds,
            shift[block], out,
        )  # fmt: skip

    share_out(offsets, work)
    return out
