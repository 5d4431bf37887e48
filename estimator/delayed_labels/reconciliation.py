"""From labels that have come to soft labels of the rows that still wait.

Three things are learned from the labels, each chunk's own and all the others':
how long labels take (:mod:`estimator.delayed_labels.delay`), how far the calibration
has shifted in each chunk (:mod:`calibration.tracking`), and so what a row that waits is
likely to be. Delays and shift are learned together, by a few rounds of expectation
maximization: the soft labels say how many of each class are waiting.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration._threads import share_out
from calibration.base import Calibrator
from calibration.tracking import ShiftPath, track_shift
from estimator._kernels.late_labels import (
    count_waiting,
    find_places,
    shift_information,
    soften,
)
from estimator.chunking import Chunks
from estimator.delayed_labels.delay import (
    N_AGES,
    N_BANDS,
    STEPS_PER_DOUBLING,
    Arrivals,
    DelayModel,
    age_step,
    choose_column,
    count_arrivals,
    fit_delays,
    measure_spread,
    merge_arrivals,
    no_delays,
)
from estimator.frames import Columns, required
from estimator.soft_labels import ErrorCells

Floats = NDArray[np.float64]
Places = NDArray[np.int32]

# Closer to 0 or 1 than this a probability has no log odds worth telling.
_CERTAIN = 1e-9
_ROUNDS = 2
_NEWTON_STEPS = 6
# Precision of the weak prior under which a chunk's own mode is sought: (1/.5)².
_MODE_PRECISION = 4.0
# Which labels have come first is modelled, but never well enough: what an unfinished
# chunk says of its own shift counts by this power of its completeness.
_TEMPER = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftFrame:
    """In which coordinates a shift of the calibration is measured, and its prior.

    Attributes
    ----------
    centre, scale : float
        Of the calibrated log odds x over the reference, weighted by p(1 - p): the shift
        is ``a + b (x - centre) / scale``, and a and b are nearly independent.
    prior : ndarray of shape (2, 2)
        Covariance of (a, b) that the calibration's own estimation error leaves.
    cells : ErrorCells
        The map's error: the first two factors are a and b, the others what remains.
    """

    centre: float
    scale: float
    prior: Floats
    cells: ErrorCells


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceDelays:
    """What the reference says of delays.

    Attributes
    ----------
    bands : ndarray of shape (N_BANDS - 1,)
        Scores between the bands by which delays may differ.
    arrivals : dict of Arrivals
        By segment column, and by None; empty if it is not known when labels came.
    spread : ndarray of shape (N_AGES,)
        By age: variance between chunks of the log ratio of the classes among waiting
        rows; 0 if it is not known.
    """

    bands: Floats
    arrivals: Mapping[Hashable | None, Arrivals]
    spread: Floats


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
        Their labels by how long they took; empty without times.
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
    """

    soft: Floats
    log_odds: Floats
    place: Places
    shift: ShiftPath
    slope: Floats
    delays: DelayModel
    information: Floats
    vector: Floats

    def expected_labels(self) -> Floats:
        """P(y = 1 | score, label has come by now), had the calibration not shifted."""
        return _expit(self.log_odds + self.delays.arrived_log_ratio[self.place])

    def chance_of_label(self) -> Floats:
        """P(label has come by now), by row."""
        came = self.delays.arrived
        chance: Floats = self.soft * came[1, self.place]
        chance += (1.0 - self.soft) * came[0, self.place]
        return chance


def shift_frame(cells: ErrorCells) -> ShiftFrame:
    """Split the map's error into a shift of intercept and slope, and the rest."""
    weight, x = cells.information, cells.log_odds
    centre = float(np.average(x, weights=weight))
    scale = float(np.sqrt(np.average((x - centre) ** 2, weights=weight))) or 1.0
    design = np.stack([np.ones_like(x), (x - centre) / scale])
    inverse = np.linalg.pinv((design * weight) @ design.T)
    rest, prior = cells.factor, inverse.astype(np.float64)
    if cells.has_factor:
        along = inverse @ (design * weight) @ cells.factor.T
        rest = cells.factor - along.T @ design
        prior = along @ along.T
    factor = np.concatenate([design, rest])
    return ShiftFrame(
        centre=centre,
        scale=scale,
        prior=prior,
        cells=ErrorCells(
            edges=cells.edges,
            log_odds=x,
            information=weight,
            factor=np.ascontiguousarray(factor),
            has_factor=cells.has_factor,
            variance=cells.variance,
            score_range=cells.score_range,
        ),
    )


def learn_delays(columns: Columns, chunks: Chunks) -> ReferenceDelays:
    """Learn from the reference how long labels take, if it says when they came."""
    label = required(columns.label)
    usable: NDArray[np.bool_] = ~np.isnan(label) & ~np.isnan(columns.score)
    score = np.asarray(columns.score[usable], dtype=np.float64)
    bands = np.quantile(score, np.arange(1, N_BANDS) / N_BANDS)
    arrivals: dict[Hashable | None, Arrivals] = {}
    spread = np.zeros(N_AGES)
    if columns.labeled_at is not None and columns.timestamp is not None:
        arrivals = _arrivals_by_column(columns, bands, usable)
        chunk = np.empty(columns.n_rows, dtype=np.int64)
        rows = slice(None) if chunks.rows is None else chunks.rows
        chunk[rows] = np.repeat(np.arange(len(chunks)), np.diff(chunks.offsets))
        came = usable & ~np.isnat(columns.labeled_at)
        age = age_step(_waited(columns, came))
        spread = measure_spread(label[came], age, chunk[came])
    return ReferenceDelays(bands=bands, arrivals=arrivals, spread=spread)


def reconcile(
    columns: Columns,
    chunks: Chunks,
    *,
    now: np.datetime64 | None,
    calibrator: Calibrator,
    frame: ShiftFrame,
    learned: ReferenceDelays,
    others: Evidence | None = None,
    position: NDArray[np.int64] | None = None,
) -> Reconciliation:
    """Give every row its soft label, given all labels that have come by ``now``.

    Parameters
    ----------
    columns, chunks : Columns, Chunks
        Rows in order of their chunks, with the labels known by then.
    now : datetime64[us] or None
        None where rows have no time: then waiting tells nothing.
    calibrator, frame, learned
        What the reference taught.
    others : Evidence, optional
        What chunks say that are not among these, by place among all.
    position : ndarray of shape (n_chunks,), optional
        Place of these chunks among all.
    """
    label = np.asarray(columns.label, dtype=np.float64)
    score = np.asarray(columns.score, dtype=np.float64)
    offsets = chunks.offsets
    x = _log_odds(calibrator, score)
    n_chunks = len(chunks)
    arrivals: dict[Hashable | None, Arrivals] = {}
    if columns.timestamp is not None and columns.labeled_at is not None:
        came = ~np.isnan(label) & ~np.isnan(score)
        arrivals = _arrivals_by_column(columns, learned.bands, came)
        for before in (learned.arrivals, {} if others is None else others.arrivals):
            for column, counts in before.items():
                arrivals[column] = merge_arrivals(counts, arrivals.get(column))
    timed = now is not None and any(counts.count.any() for counts in arrivals.values())
    place = np.zeros(label.size, dtype=np.int32)
    by: Hashable | None = None
    if timed and now is not None:
        by = choose_column(arrivals)
        place = _places(columns, learned.bands, by, arrivals[by].values, now)
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
    for _ in range(_ROUNDS):
        if timed:
            counts = arrivals[by]
            waiting = np.zeros((2, len(counts.values) + 1, N_BANDS, N_AGES))
            count_waiting(label, soft, place, waiting.reshape(2, -1))
            delays = fit_delays(by, learned.bands, counts, waiting)
        information, vector, completeness = _chunk_information(
            x,
            label,
            place,
            delays,
            offsets,
            frame,
        )
        trust = completeness**_TEMPER
        all_information, all_vector = others.information.copy(), others.vector.copy()
        all_information[at[full]] = (information * trust[:, None, None])[full]
        all_vector[at[full]] = (vector * trust[:, None])[full]
        path = track_shift(all_information, all_vector, prior_covariance=frame.prior)
        shift = path.mean[at]
        soft = _soften(x, label, place, delays, offsets, frame, shift)
    covariance = path.covariance[at]
    if timed:
        # Who waits in this chunk may differ: an intercept of its waiting rows alone.
        waiting_row = np.isnan(label) & ~np.isnan(x)
        at_age = np.where(waiting_row, learned.spread[place % N_AGES], 0.0)
        rows = np.add.reduceat(np.append(waiting_row, 0.0), offsets[:-1])
        sums = np.add.reduceat(np.append(at_age, 0.0), offsets[:-1])
        covariance[full, 0, 0] += (sums / np.maximum(rows, 1.0))[full]
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
    )


def arrivals_of_chunks(
    columns: Columns,
    offsets: NDArray[np.int64],
    bands: Floats,
    chunks: NDArray[np.int64],
) -> dict[Hashable | None, Arrivals]:
    """Count how long the labels of some chunks took; empty without times."""
    if columns.timestamp is None or columns.labeled_at is None:
        return {}
    inside = np.zeros(columns.n_rows, dtype=np.bool_)
    for c in chunks.tolist():
        inside[offsets[c] : offsets[c + 1]] = True
    return _arrivals_by_column(columns, bands, inside & ~np.isnan(columns.score))


def _log_odds(calibrator: Calibrator, score: Floats) -> Floats:
    """Return the calibrated log odds, NaN where there is no score."""
    known = ~np.isnan(score)
    p = np.full(score.size, np.nan)
    p[known] = calibrator.predict(score[known])
    np.clip(p, _CERTAIN, 1.0 - _CERTAIN, out=p)
    rest = np.log1p(-p)
    np.log(p, out=p)
    p -= rest
    return p


def _expit(x: Floats) -> Floats:
    out = np.negative(x)  # one temporary: there may be millions of rows
    np.exp(out, out=out)
    out += 1.0
    return np.reciprocal(out, out=out)


def _arrivals_by_column(
    columns: Columns,
    bands: NDArray[np.floating],
    usable: NDArray[np.bool_],
) -> dict[Hashable | None, Arrivals]:
    """Count how long labels took, over all rows and by each segment column."""
    came = np.flatnonzero(usable & ~np.isnat(required(columns.labeled_at)))
    options: dict[str, Any] = {
        "label": required(columns.label)[came],
        "band": np.searchsorted(bands, columns.score[came]),
        "seconds": _waited(columns, came),
    }
    none = np.zeros(came.size, dtype=np.int64)
    found: dict[Hashable | None, Arrivals] = {
        None: count_arrivals(("",), code=none, **options)
    }
    for column, segment in columns.segments.items():
        found[column] = count_arrivals(
            tuple(segment.values), code=segment.codes[came].astype(np.int64), **options
        )
    return found


def _waited(columns: Columns, came: NDArray[Any]) -> Floats:
    """Return how long labels took, in seconds; 0 if they came before their rows."""
    came_at, since = required(columns.labeled_at), required(columns.timestamp)
    took = (came_at[came] - since[came]).astype("m8[us]").astype(np.float64)
    seconds: Floats = np.maximum(took * 1e-6, 0.0)
    return seconds


def _places(
    columns: Columns,
    bands: Floats,
    column: Hashable | None,
    values: tuple[str, ...],
    now: np.datetime64,
) -> Places:
    """Return each row's flat index (stratum, age now) in the delay model's tables."""
    stratum = np.searchsorted(bands, columns.score).astype(np.int16)
    if column is not None:
        segment = columns.segments[column]
        index = {value: i for i, value in enumerate(values)}
        code = [index.get(value, len(values)) for value in segment.values]
        stratum += N_BANDS * np.array(code, dtype=np.int16)[segment.codes]
    place = np.empty(stratum.size, dtype=np.int32)
    start = required(columns.timestamp).astype("M8[us]").view(np.int64)
    at = int(now.astype("M8[us]").astype(np.int64))
    find_places(start, at, stratum, STEPS_PER_DOUBLING, N_AGES, place)
    return place


def _chunk_information(
    x: Floats,
    label: Floats,
    place: Places,
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
