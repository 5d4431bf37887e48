"""From labels that have come to soft labels of the rows that still wait.

Three things are learned from the labels, each chunk's own and all the others': how long
labels take (:mod:`estimator.delayed_labels.delay_model`), how far the calibration has
shifted in each chunk (:mod:`calibration.shifts.tracking`), and so what a row that waits
is likely to be. Delays and shift are learned together, by a few rounds of expectation
maximization: the soft labels say how many of each class are waiting.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

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
    Arrivals,
    arrivals_by_column,
    choose_column,
    merge_arrivals,
)
from estimator.delayed_labels.delay_model import DelayModel, fit_delays, no_delays
from estimator.delayed_labels.evidence import Evidence, no_evidence
from estimator.delayed_labels.reference_delays import ReferenceDelays
from estimator.delayed_labels.strata import MAX_VALUES, N_AGES, N_BANDS, delay_cells_of
from estimator.frames.columns import Columns
from estimator.metrics.calibration_shift import ShiftFrame, log_odds_of
from estimator.metrics.soft_labels import ShiftedSoftLabel, SoftLabel

Floats = NDArray[np.float64]
DelayCells = NDArray[np.int32]

# A log ratio beyond it is certain, and its exponential would not be a number.
_LARGEST_LOG: Final = 700.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationSettings:
    """How delays and shift are learned together, and how far early labels count.

    Attributes
    ----------
    n_rounds : int
        Rounds of expectation maximization: delays given soft labels, then the shift
        given delays. The second is the first whose delays know of the shift.
    n_newton_steps : int
        Most steps of Newton's method towards a chunk's own mode; it ends before once a
        step is small.
    mode_precision : float
        Precision of the weak prior under which that mode is sought: (1 / 0.5)², for
        shifts of about 0.5 in log odds.
    temper : float
        Power of an unfinished chunk's completeness by which what it says of its own
        shift counts. Which labels have come first is modelled, but never well enough;
        with a higher one, chunks say less until their labels are in.
    """

    n_rounds: int = 2
    n_newton_steps: int = 6
    mode_precision: float = 4.0
    temper: float = 2.0


SETTINGS: Final = ReconciliationSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _LateRows:
    """Rows whose labels come late, in the order of their chunks.

    Attributes
    ----------
    log_odds : ndarray of shape (n_rows,)
        Log odds calibrated on the reference.
    label : ndarray of shape (n_rows,)
        Label, NaN where it has not come.
    delay_cell : ndarray of int32, shape (n_rows,)
        Flat index (stratum, age) into the tables of the delay model.
    weight : ndarray of shape (n_rows,), or None
        How many rows each stands for; None: one.
    offsets : ndarray of int64, shape (n_chunks + 1,)
        Where each chunk begins.
    frame : ShiftFrame
        Coordinates of the shift, and its prior.
    """

    log_odds: Floats
    label: Floats
    delay_cell: DelayCells
    weight: Floats | None
    offsets: NDArray[np.int64]
    frame: ShiftFrame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reconciliation:
    """What is made of the labels that have come.

    Attributes
    ----------
    soft : ndarray of shape (n_rows,)
        The label where it has come, else its posterior probability.
    log_odds : ndarray of shape (n_rows,)
        Log odds calibrated on the reference.
    delay_cell : ndarray of int32, shape (n_rows,)
        Flat index (stratum, age) of each row into the tables of ``delays``.
    shift : ShiftPath
        Shift of the chunks; its covariance includes how much their delays may differ.
    slope : ndarray of shape (n_chunks,)
        Slope of the shifted log odds over the calibrated ones.
    delays : DelayModel
        Delays learned from the reference's labels and all that have come.
    information, vector : ndarray of shape (n_chunks, 2, 2) and (n_chunks, 2)
        What each chunk's labels say of its own shift.
    filtered : FilteredChunks
        What the chunks before the first of these say of every motion: a shortcut.
    frame : ShiftFrame
        Coordinates of the shift, and its prior.
    """

    soft: Floats
    log_odds: Floats
    delay_cell: DelayCells
    shift: ShiftPath
    slope: Floats
    delays: DelayModel
    information: Floats
    vector: Floats
    filtered: FilteredChunks
    frame: ShiftFrame

    def expected_labels(self) -> Floats:
        """P(y = 1 | score, label has come by now), had the calibration not shifted.

        Method.md, equation 39.
        """
        return _expit(self.log_odds + self.delays.arrived_log_ratio[self.delay_cell])

    def chance_of_label(self) -> Floats:
        """P(label has come by now), by row."""
        came = self.delays.arrived
        chance: Floats = self.soft * came[1, self.delay_cell]
        chance += (1.0 - self.soft) * came[0, self.delay_cell]
        return chance


def reconcile(
    columns: Columns,
    chunks: Chunks,
    *,
    now: np.datetime64 | None,
    soft_labels: SoftLabel | ShiftedSoftLabel | Floats,
    frame: ShiftFrame,
    learned: ReferenceDelays,
    others: Evidence | None = None,
) -> Reconciliation:
    """Give every row its soft label, given all labels that have come by ``now``.

    Parameters
    ----------
    columns, chunks : Columns, Chunks
        Rows in order of their chunks, with the labels known by then.
    now : datetime64[us] or None
        Moment until which labels have been looked for. None where rows have no time:
        then waiting tells nothing.
    soft_labels : callable or ndarray of shape (n_rows,)
        Soft labels as if no label had come.
    frame : ShiftFrame
        Coordinates of the shift, and its prior, as the reference has them.
    learned : ReferenceDelays
        Delays of the reference's labels.
    others : Evidence, optional
        Evidence of chunks that are not among these, by position among all; its counts
        of delays are believed for these, too.
    """
    label = np.asarray(columns.label, dtype=np.float64)
    n_chunks = len(chunks)
    if others is None:
        others = no_evidence(n_chunks)
    arrivals = _all_arrivals(columns, label, learned, others)
    column: Hashable | None = None
    counts: Arrivals | None = None
    delay_cell = np.zeros(label.size, dtype=np.int32)
    if now is not None and any(one.count.any() for one in arrivals.values()):
        column = choose_column(arrivals)
        counts = arrivals[column]
        delay_cell = delay_cells_of(columns, learned.bands, column, counts.values, now)
    rows = _LateRows(
        log_odds=log_odds_of(soft_labels, np.asarray(columns.score, dtype=np.float64)),
        label=label,
        delay_cell=delay_cell,
        weight=columns.weight,
        offsets=chunks.offsets,
        frame=frame,
    )
    soft = _expit(rows.log_odds)
    delays = no_delays()
    full = np.diff(chunks.offsets) > 0
    position = np.arange(n_chunks) if others.position is None else others.position
    first = int(position.min(initial=len(others.vector)))
    filtered = _filter_before(first, others, frame)
    for _ in range(SETTINGS.n_rounds):
        if counts is not None:
            waiting = _count_waiting(rows, soft, counts)
            delays = fit_delays(column, learned.bands, counts, waiting)
        information, vector, completeness = _chunk_information(rows, delays)
        trust = completeness**SETTINGS.temper
        all_information, all_vector = others.information.copy(), others.vector.copy()
        all_information[position[full]] = (information * trust[:, None, None])[full]
        all_vector[position[full]] = (vector * trust[:, None])[full]
        path = track_shift(
            all_information,
            all_vector,
            prior_covariance=frame.prior,
            filtered=filtered,
        )
        shift = path.mean[position - first]
        soft = _soften(rows, delays, shift)
    covariance = path.covariance[position - first]
    if counts is not None and learned.spread.any():
        covariance += _waiting_spread(rows, learned.spread)
    return Reconciliation(
        soft=soft,
        log_odds=rows.log_odds,
        delay_cell=delay_cell,
        shift=ShiftPath(mean=shift, covariance=covariance, weights=path.weights),
        slope=1.0 + shift[:, 1] / frame.scale,
        delays=delays,
        information=information,
        vector=vector,
        filtered=filtered,
        frame=frame,
    )


def _all_arrivals(
    columns: Columns, label: Floats, learned: ReferenceDelays, others: Evidence
) -> dict[Hashable | None, Arrivals]:
    """Count how long all labels took: the rows', the others' and the reference's.

    Empty if the rows do not say. Left out are columns of more values than can tell
    much about each.
    """
    arrivals: dict[Hashable | None, Arrivals] = {}
    is_timed = columns.labeled_at is not None or bool(others.arrivals)
    if columns.timestamp is None or not is_timed:
        return arrivals
    if columns.labeled_at is not None:
        came = ~np.isnan(label) & ~np.isnan(columns.score)
        arrivals = arrivals_by_column(columns, learned.bands, came)
    for before in (learned.arrivals, others.arrivals):
        for column, counts in before.items():
            arrivals[column] = merge_arrivals(counts, arrivals.get(column))
    for column, segment in columns.segments.items():
        if len(segment.values) > MAX_VALUES:
            arrivals.pop(column, None)
    return arrivals


def _filter_before(first: int, others: Evidence, frame: ShiftFrame) -> FilteredChunks:
    """Return what the chunks before the first that is read say: it does not change."""
    return filter_chunks(
        others.information[:first],
        others.vector[:first],
        prior_covariance=frame.prior,
        before=others.filtered,
    )


def _count_waiting(rows: _LateRows, soft: Floats, counts: Arrivals) -> Floats:
    """Count rows that wait, by soft label; shape (2, n_values + 1, N_BANDS, N_AGES)."""
    waiting = np.zeros((2, len(counts.values) + 1, N_BANDS, N_AGES))
    count_waiting(
        rows.label, soft, rows.delay_cell, rows.weight, waiting.reshape(2, -1)
    )
    return waiting


def _waiting_spread(rows: _LateRows, spread: Floats) -> Floats:
    """Return how much a chunk's delays may differ; (n_chunks, 2, 2)."""
    covariance = np.empty((rows.offsets.size - 1, 2, 2))
    waiting_spread(
        rows.log_odds,
        rows.label,
        rows.delay_cell,
        N_AGES,
        rows.weight,
        spread,
        rows.offsets,
        covariance,
    )
    return covariance


def _expit(x: Floats) -> Floats:
    out = np.negative(x)  # one temporary: there may be millions of rows
    np.exp(out, out=out)
    out += 1.0
    return np.reciprocal(out, out=out)


def _chunk_information(
    rows: _LateRows, delays: DelayModel
) -> tuple[Floats, Floats, Floats]:
    """Return what each chunk's labels say of its shift, and how complete they are.

    Information of shape (n_chunks, 2, 2), information times estimate of shape
    (n_chunks, 2), and the share of the labels that have come, of shape (n_chunks,).
    """
    n = rows.offsets.size - 1
    information, vector, completeness = (
        np.zeros((n, 2, 2)),
        np.zeros((n, 2)),
        np.ones(n),
    )
    to_come = delays.to_come
    waiting_ratio = np.exp(-np.maximum(delays.log_ratio, -_LARGEST_LOG))

    def work(block: slice) -> None:
        shift_information(
            rows.log_odds,
            rows.frame.centre,
            rows.frame.scale,
            rows.label,
            rows.delay_cell,
            rows.weight,
            waiting_ratio,
            to_come,
            rows.offsets[block.start : block.stop + 1],
            SETTINGS.n_newton_steps,
            SETTINGS.mode_precision,
            information[block],
            vector[block],
            completeness[block],
        )

    share_out(rows.offsets, work)
    return information, vector, completeness


def _soften(rows: _LateRows, delays: DelayModel, shift: Floats) -> Floats:
    """Return labels where they have come, else posterior probabilities."""
    soft = np.empty(rows.log_odds.size)
    log_ratio = delays.log_ratio

    def work(block: slice) -> None:
        soften(
            rows.log_odds,
            rows.frame.centre,
            rows.frame.scale,
            rows.label,
            rows.delay_cell,
            log_ratio,
            rows.offsets[block.start : block.stop + 1],
            shift[block],
            soft,
        )

    share_out(rows.offsets, work)
    return soft
