"""From labels that have come to soft labels of the rows that still wait.

Three things are learned from the labels, each chunk's own and all the others': how long
labels take (:mod:`estimator.delayed_labels.delay_model`), how far the calibration has
shifted in each chunk (:mod:`calibration.shifts.tracking`), and so what a row that waits
is likely to be. Delays and shift are learned together, by rounds of expectation
maximization until both stand still: the soft labels say how many of each class are
waiting.
"""

import warnings
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.shifts.filtering import FilteredChunks, filter_chunks
from calibration.shifts.tracking import ShiftPath, track_shift
from estimator.chunking.chunks import Chunks
from estimator.delayed_labels.arrivals import (
    Arrivals,
    arrivals_by_column,
    choose_column,
    merge_arrivals,
)
from estimator.delayed_labels.delay_model import (
    DelayModel,
    NeverLabelled,
    estimate_never,
    fit_delays,
    no_delays,
    none_lost,
)
from estimator.delayed_labels.evidence import Evidence, no_evidence
from estimator.delayed_labels.late_rows import (
    ChunkInformation,
    LateRows,
    count_waiting_rows,
    discount_information,
    learn_information,
    mean_waiting_spread,
    no_information,
    soften_rows,
)
from estimator.delayed_labels.reference_delays import ReferenceDelays
from estimator.delayed_labels.secant import RoundOfCounts, secant_step
from estimator.delayed_labels.strata.delay_cells import MAX_VALUES, delay_cells_of
from estimator.frames.columns import Columns
from estimator.metrics.calibration_shift import ShiftFrame, log_odds_of
from estimator.metrics.soft_labels import ShiftedSoftLabel, SoftLabel

Floats = NDArray[np.float64]
DelayCells = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationSettings:
    """How delays and shift are learned together, and how far early labels count.

    Attributes
    ----------
    settled : float
        Change of any chunk's expected positives in a round, in standard deviations of
        their label noise, below which the rounds end: it is a hundredth of what the
        intervals allow for.
    max_rounds : int
        Most rounds of expectation maximization: delays given soft labels, then shift
        and soft labels given delays. Simulated and real tasks took 2 to 6, and up to 24
        where six chunks were all that was known of delays.
    delay_spread : tuple of float
        Standard deviations by which intercept and slope of the rows that wait differ
        from their chunk's at least, in log odds, where a share of 1 - 1/e of the
        labels has come; the variance grows with the cumulative hazard, as if each
        chunk had hazards of its own at every age. A reference of some dozen chunks
        cannot show less than about 0.1, and those to come are not bound by it. Chosen
        among 0.1, 0.15, 0.2 and 0.3 on simulated and real tasks with simulated delays:
        errors are within 2 % of one another, intervals grow by a fifth a step.
    """

    settled: float = 0.01
    max_rounds: int = 60
    delay_spread: tuple[float, float] = (0.15, 0.075)


SETTINGS: Final = ReconciliationSettings()


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

        Method.md, equation 40.
        """
        return _expit(self.log_odds + self.delays.arrived_log_ratio[self.delay_cell])

    def chance_of_label(self) -> Floats:
        """P(label has come by now), by row."""
        came = self.delays.arrived
        chance: Floats = self.soft * came[1, self.delay_cell]
        chance += (1.0 - self.soft) * came[0, self.delay_cell]
        return chance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Learned:
    """What the rounds end with.

    Attributes
    ----------
    soft : ndarray of shape (n_rows,)
        Soft label of each row.
    delays : DelayModel
        Delays of the labels.
    path : ShiftPath
        Shift of the chunks that are read.
    chunk_information : ChunkInformation
        What each chunk's labels say of its own shift.
    """

    soft: Floats
    delays: DelayModel
    path: ShiftPath
    chunk_information: ChunkInformation


class _History:
    """What all chunks but those that are read say of the shift.

    Attributes
    ----------
    filtered : FilteredChunks
        Chunks before the first that is read: what they say does not change.
    """

    def __init__(self, rows: LateRows, others: Evidence) -> None:
        n_chunks = rows.offsets.size - 1
        position = np.arange(n_chunks) if others.position is None else others.position
        first = int(position.min(initial=len(others.vector)))
        self.filtered = filter_chunks(
            others.information[:first],
            others.vector[:first],
            prior_covariance=rows.frame.prior,
            before=others.filtered,
        )
        self._others, self._prior = others, rows.frame.prior
        self._position, self._has_rows = position, np.diff(rows.offsets) > 0

    def track(self, chunk_information: ChunkInformation, spread: Floats) -> ShiftPath:
        """Return the shift of the rows that wait in the chunks that are read.

        ``spread`` is as in `discount_information`.
        """
        read, has_rows = self._position, self._has_rows
        information = self._others.information.copy()
        vector = self._others.vector.copy()
        own_information, own_vector = discount_information(chunk_information, spread)
        information[read[has_rows]] = own_information[has_rows]
        vector[read[has_rows]] = own_vector[has_rows]
        path = track_shift(
            information,
            vector,
            prior_covariance=self._prior,
            filtered=self.filtered,
        )
        after = read - len(self.filtered)
        return ShiftPath(
            mean=path.mean[after],
            covariance=path.covariance[after] + spread,
            weights=path.weights,
        )


def reconcile(
    columns: Columns,
    chunks: Chunks,
    *,
    now: np.datetime64 | None,
    soft_labels: SoftLabel | ShiftedSoftLabel | Floats,
    score_map: SoftLabel | ShiftedSoftLabel,
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
    score_map : callable
        Soft labels by the score alone; ``soft_labels`` itself where no features are
        read.
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
    score = np.asarray(columns.score, dtype=np.float64)
    by_score = log_odds = log_odds_of(soft_labels, score)
    if soft_labels is not score_map:
        by_score = log_odds_of(score_map, score)
    rows = LateRows(
        log_odds=log_odds,
        by_score=by_score,
        label=label,
        delay_cell=delay_cell,
        weight=columns.weight,
        offsets=chunks.offsets,
        frame=frame,
    )
    history = _History(rows=rows, others=others)
    learned_now = _learn_together(rows, history, column, counts, learned)
    return Reconciliation(
        soft=learned_now.soft,
        log_odds=rows.log_odds,
        delay_cell=delay_cell,
        shift=learned_now.path,
        slope=1.0 + learned_now.path.mean[:, 1] / frame.scale,
        delays=learned_now.delays,
        information=learned_now.chunk_information.information,
        vector=learned_now.chunk_information.vector,
        filtered=history.filtered,
        frame=frame,
    )


def _learn_together(
    rows: LateRows,
    history: _History,
    column: Hashable | None,
    counts: Arrivals | None,
    learned: ReferenceDelays,
) -> _Learned:
    """Learn delays and shift until the soft labels stand still.

    Parameters
    ----------
    rows : LateRows
        Rows with and without labels.
    history : _History
        What the other chunks say of the shift.
    column : Hashable or None
        Segment column by which the delays differ, or ``LEARNED``.
    counts : Arrivals or None
        How long labels took; None where nobody knows: then waiting tells nothing.
    learned : ReferenceDelays
        What the reference says of delays.
    """
    soft = _expit(rows.log_odds)
    chunk_information = no_information(rows.offsets.size - 1)
    delays = no_delays()
    spread = np.zeros_like(chunk_information.information)
    begin: Floats | None = None
    before: RoundOfCounts | None = None
    if counts is not None:  # so that soft labels know how long rows have waited
        waiting = count_waiting_rows(rows, soft, counts)
        never = _never_labelled(rows, counts, waiting, learned)
        coming = waiting * never.comes
        delays = fit_delays(column, learned.bands, counts, coming, never.share)
        soften_rows(rows, delays, chunk_information.mode, soft)
        spread = mean_waiting_spread(rows, learned.spread + _least_spread(delays))
    for _ in range(SETTINGS.max_rounds):
        if counts is not None:
            waiting = count_waiting_rows(rows, soft, counts)
            if begin is not None:
                last = RoundOfCounts(begin=begin, after=waiting)
                waiting, before = secant_step(last, before), last
            begin, coming = waiting, waiting * never.comes
            delays = fit_delays(column, learned.bands, counts, coming, never.share)
        learn_information(rows, delays, chunk_information)
        path = history.track(chunk_information, spread)
        moved = soften_rows(rows, delays, path.mean, soft)
        if counts is None or moved <= SETTINGS.settled:
            break
    else:
        msg = (
            "The delays of labels and the shift of the calibration were not settled "
            f"after {SETTINGS.max_rounds} rounds: expected positives of a chunk that "
            f"waits still moved by {moved:.2g} standard deviations of their label "
            "noise. Check the times at which labels came."
        )
        warnings.warn(msg, RuntimeWarning, stacklevel=2)
    return _Learned(
        soft=soft, delays=delays, path=path, chunk_information=chunk_information
    )


def _never_labelled(
    rows: LateRows, counts: Arrivals, waiting: Floats, learned: ReferenceDelays
) -> NeverLabelled:
    """Return which labels never come; none where the reference does not say delays."""
    if None not in learned.arrivals or not learned.arrivals[None].count.any():
        return none_lost()
    came = learned.arrivals[None].count[:, 0]
    # Labels without a time of arrival are not among the counts.
    labelled = ~np.isnan(rows.label)
    n_here = labelled.sum() if rows.weight is None else rows.weight[labelled].sum()
    n_labels = max(float(counts.count.sum() - came.sum()), float(n_here))
    return estimate_never(came, waiting.sum(axis=1), n_labels)


def _least_spread(delays: DelayModel) -> Floats:
    """Return how much chunks differ at least in who waits, by age; (N_AGES, 2, 2)."""
    variance = np.diag(np.square(SETTINGS.delay_spread))
    spread: Floats = delays.hazard.mean(axis=(0, 1))[:, None, None] * variance
    return spread


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


def _expit(x: Floats) -> Floats:
    out = np.negative(x)  # one temporary: there may be millions of rows
    np.exp(out, out=out)
    out += 1.0
    return np.reciprocal(out, out=out)
