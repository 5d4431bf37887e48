"""Rows whose labels come late: what they say of delays and shift, given both."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.threads import share_out
from estimator._kernels.late_labels import (
    count_waiting,
    shift_information,
    soften,
    waiting_spread,
)
from estimator.delayed_labels.arrivals import Arrivals
from estimator.delayed_labels.delay_model import DelayModel
from estimator.delayed_labels.strata.delay_cells import N_AGES, N_BANDS
from estimator.metrics.calibration_shift import ShiftFrame

Floats = NDArray[np.float64]
DelayCells = NDArray[np.int32]

# A log ratio beyond it is certain, and its exponential would not be a number.
_LARGEST_LOG: Final = 700.0
# Relative size of what is added to a matrix so that it can be inverted.
_RIDGE: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LateRows:
    """Rows whose labels come late, in the order of their chunks.

    Attributes
    ----------
    log_odds : ndarray of shape (n_rows,)
        Log odds calibrated on the reference.
    by_score : ndarray of shape (n_rows,)
        Log odds by the map of the score alone: metrics rank by the score, so a shift
        has its slope along it, whatever features say. The same array as ``log_odds``
        where no features are read.
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
    by_score: Floats
    label: Floats
    delay_cell: DelayCells
    weight: Floats | None
    offsets: NDArray[np.int64]
    frame: ShiftFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeSettings:
    """How a chunk's own mode of the shift is sought.

    Attributes
    ----------
    n_newton_steps : int
        Most steps of Newton's method towards the mode; it ends before once a step is
        small.
    precision : float
        Precision of the weak prior under which the mode is sought: (1 / 0.5)², for
        shifts of about 0.5 in log odds.
    """

    n_newton_steps: int = 6
    precision: float = 4.0


SETTINGS: Final = ModeSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChunkInformation:
    """What each chunk's labels say of its own shift.

    Attributes
    ----------
    information : ndarray of shape (n_chunks, 2, 2)
        Observed information, in log odds to the power -2; 0 without labels.
    vector : ndarray of shape (n_chunks, 2)
        Information times estimate.
    awaited : ndarray of shape (n_chunks, 2, 2)
        Information that the missing labels would still add.
    mode : ndarray of shape (n_chunks, 2)
        Mode of intercept and slope under a weak prior, in log odds.
    is_final : ndarray of bool, shape (n_chunks,)
        Whether no row waits, so that delays do not change what the labels say.
    """

    information: Floats
    vector: Floats
    awaited: Floats
    mode: Floats
    is_final: NDArray[np.bool_]


def count_waiting_rows(rows: LateRows, soft: Floats, counts: Arrivals) -> Floats:
    """Count rows that wait, by soft label; shape (2, n_values + 1, N_BANDS, N_AGES)."""
    waiting = np.zeros((2, len(counts.values) + 1, N_BANDS, N_AGES))
    count_waiting(
        rows.label, soft, rows.delay_cell, rows.weight, waiting.reshape(2, -1)
    )
    return waiting


def mean_waiting_spread(rows: LateRows, spread: Floats) -> Floats:
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


def no_information(n: int) -> ChunkInformation:
    """Return what ``n`` chunks say before their rows are read: nothing."""
    return ChunkInformation(
        information=np.zeros((n, 2, 2)),
        vector=np.zeros((n, 2)),
        awaited=np.zeros((n, 2, 2)),
        mode=np.zeros((n, 2)),
        is_final=np.zeros(n, dtype=np.bool_),
    )


def learn_information(
    rows: LateRows, delays: DelayModel, chunk_information: ChunkInformation
) -> None:
    """Fill in what each chunk's labels say of its shift, given the delays.

    Newton's method begins at the mode that ``chunk_information`` has: a later round,
    with nearly the same delays, begins where the last ended.
    """
    waiting_ratio = np.exp(-np.maximum(delays.log_ratio, -_LARGEST_LOG))

    def work(block: slice) -> None:
        shift_information(
            rows.log_odds,
            rows.by_score,
            rows.frame.centre,
            rows.frame.scale,
            rows.label,
            rows.delay_cell,
            rows.weight,
            waiting_ratio,
            rows.offsets[block.start : block.stop + 1],
            SETTINGS.n_newton_steps,
            SETTINGS.precision,
            chunk_information.mode[block],
            chunk_information.information[block],
            chunk_information.vector[block],
            chunk_information.awaited[block],
            chunk_information.is_final[block],
        )

    share_out(rows.offsets, work)


def discount_information(
    chunk_information: ChunkInformation, spread: Floats
) -> tuple[Floats, Floats]:
    """Return information and vector with what chunks may differ in who waits.

    Method.md, equation 47.

    Parameters
    ----------
    chunk_information : ChunkInformation
        What the labels would say if the delay model were exact.
    spread : ndarray of shape (n_chunks, 2, 2)
        Covariance of how the shift of the rows that wait differs from their chunk's.
    """
    information, vector = (
        chunk_information.information.copy(),
        chunk_information.vector.copy(),
    )
    waits = ~chunk_information.is_final  # of the others all is believed, exactly
    whole, awaited = information[waits], chunk_information.awaited[waits]
    doubted = whole + awaited @ spread[waits] @ awaited
    # Both may be 0 in a direction: then nothing is known of it, at any ridge.
    size = np.trace(doubted, axis1=1, axis2=2)[:, None, None]
    ridge = _RIDGE * np.where(size > 0.0, size, 1.0) * np.eye(2)
    share = np.linalg.solve(doubted + ridge, whole).transpose(0, 2, 1)
    believed = share @ whole
    information[waits] = 0.5 * (believed + believed.transpose(0, 2, 1))
    vector[waits] = (share @ vector[waits][:, :, None])[:, :, 0]
    return information, vector


def soften_rows(
    rows: LateRows, delays: DelayModel, shift: Floats, soft: Floats
) -> float:
    """Fill ``soft`` with labels where they have come, else posterior probabilities.

    Returns by how much a chunk's expected positives differ from what ``soft`` was
    before: the most of all chunks, in standard deviations of their label noise.
    """
    log_ratio = delays.log_ratio
    moved = np.zeros(rows.offsets.size - 1)

    def work(block: slice) -> None:
        soften(
            rows.log_odds,
            rows.by_score,
            rows.frame.centre,
            rows.frame.scale,
            rows.label,
            rows.delay_cell,
            rows.weight,
            log_ratio,
            rows.offsets[block.start : block.stop + 1],
            shift[block],
            soft,
            moved[block],
        )

    share_out(rows.offsets, work)
    return float(moved.max(initial=0.0))
