"""What the reference teaches of delays: how long they are, how much they vary.

Chunks differ in who is waiting more than any model of delays can know: some bookings of
a busy week are cancelled at once, those of another late. On the reference that can be
seen: the rows that were waiting at some age have a shift of their own, beside the one
of their whole chunk, and by how much these two differ, beyond chance, is what an
unfinished chunk's interval must allow for.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from estimator.chunking.chunks import Chunks
from estimator.delayed_labels.arrivals import (
    Arrivals,
    arrivals_by_column,
    choose_column,
    seconds_waited,
)
from estimator.delayed_labels.delay_model import DelayModel, fit_delays
from estimator.delayed_labels.strata.delay_cells import (
    N_AGES,
    N_BANDS,
    STEPS_PER_DOUBLING,
    age_step,
    strata_of,
)
from estimator.delayed_labels.strata.learned import (
    DelayStrata,
    FeatureRows,
    learn_strata,
)
from estimator.frames.categories import stratum_codes
from estimator.frames.columns import Columns, not_none
from estimator.metrics.calibration_shift import ShiftFrame, log_odds_of
from estimator.metrics.soft_labels import ShiftedSoftLabel, SoftLabel

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Age steps at which chunks are compared: every doubling of the age.
_COMPARED: Final = np.arange(2 + STEPS_PER_DOUBLING, N_AGES, STEPS_PER_DOUBLING)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadSettings:
    """Which chunks are compared, and how their shifts are fitted.

    The first four are judgements.

    Attributes
    ----------
    least_waiting, most_waiting : float
        Shares of the labels between which those still to come must lie at an age:
        enough rows wait, and enough labels have come.
    least_chunks : int
        Fewest chunks that say by how much chunks differ.
    least_information : float
        Information on a shift below which a chunk's waiting rows tell too little of it.
    n_newton_steps : int
        Steps of Newton's method, which all chunks take together; once near the mode,
        each doubles the number of right digits.
    mode_precision : float
        Precision of the weak prior under which a chunk's mode is sought. It keeps the
        mode of a chunk of one class finite; to first order it is undone afterwards.
    """

    least_waiting: float = 0.02
    most_waiting: float = 0.98
    least_chunks: int = 4
    least_information: float = 5.0
    n_newton_steps: int = 8
    mode_precision: float = 1.0


SETTINGS: Final = SpreadSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceDelays:
    """What the reference says of delays.

    Attributes
    ----------
    bands : ndarray of shape (N_BANDS - 1,)
        Scores between the bands by which delays may differ.
    arrivals : dict of Arrivals
        By segment column, by None, and by ``LEARNED`` if there are learned strata;
        empty if it is not known when labels came.
    spread : ndarray of shape (N_AGES, 2, 2)
        By age: covariance, over chunks, of how the shift of the rows waiting then
        differs from their chunk's; 0 if it is not known.
    pause : float
        The longest time without any label that was usual, in seconds.
    span : float
        How long labels came, from the first to the last, in seconds.
    dispersion : float
        By how much chunks differ in the share of labels that have come at the median
        delay, beyond chance: standard deviation over mean.
    strata : DelayStrata or None
        How rows get a stratum from their features; None where none were learned.
    """

    bands: Floats
    arrivals: Mapping[Hashable | None, Arrivals]
    spread: Floats
    pause: float = 0.0
    span: float = 0.0
    dispersion: float = 0.0
    strata: DelayStrata | None = None


def learn_delays(
    columns: Columns,
    chunks: Chunks,
    soft: SoftLabel | ShiftedSoftLabel,
    frame: ShiftFrame,
    features: FeatureRows | None = None,
) -> ReferenceDelays:
    """Learn from the reference how long labels take, if it says when they came.

    Parameters
    ----------
    columns, chunks : Columns, Chunks
        The reference, with its labels.
    soft : callable or ShiftedSoftLabel
        Gives rows their soft labels as if no label had come.
    frame : ShiftFrame
        In which a shift of the calibration is measured.
    features : FeatureRows, optional
        Features of the reference's rows, by which delays may differ.
    """
    label = not_none(columns.label)
    usable: NDArray[np.bool_] = ~np.isnan(label) & ~np.isnan(columns.score)
    score = np.asarray(columns.score[usable], dtype=np.float64)
    bands = np.quantile(score, np.arange(1, N_BANDS) / N_BANDS)
    arrivals: dict[Hashable | None, Arrivals] = {}
    spread = np.zeros((N_AGES, 2, 2))
    pause = span = dispersion = 0.0
    strata: DelayStrata | None = None
    if columns.labeled_at is not None and columns.timestamp is not None:
        if features is not None:
            columns, strata = _with_strata(columns, bands, usable, features)
        arrivals = arrivals_by_column(columns, bands, usable)
        by = choose_column(arrivals)
        counts = arrivals[by]
        nobody = np.zeros((2, len(counts.values) + 1, N_BANDS, N_AGES))
        log_ratio = fit_delays(by, bands, counts, nobody).log_ratio
        chunk = np.empty(columns.n_rows, dtype=np.int64)
        rows = slice(None) if chunks.rows is None else chunks.rows
        chunk[rows] = np.repeat(np.arange(len(chunks)), np.diff(chunks.offsets))
        came = _came(columns, usable)
        x = log_odds_of(soft, np.asarray(columns.score, dtype=np.float64), came)
        spread = measure_spread(
            x,
            (x - frame.centre) / frame.scale,
            label[came],
            chunk[came],
            age_step(seconds_waited(columns, came)),
            log_ratio.reshape(-1, N_AGES),
            strata_of(columns, bands, by, counts.values)[came],
        )
        arrived_at = not_none(columns.labeled_at)[came].astype("M8[us]").view(np.int64)
        if arrived_at.size:
            pause, span = longest_pause(arrived_at), float(np.ptp(arrived_at)) * 1e-6
            seconds = seconds_waited(columns, came)
            dispersion = measure_dispersion(seconds, chunk[came], len(chunks))
    return ReferenceDelays(
        bands=bands,
        arrivals=arrivals,
        spread=spread,
        pause=pause,
        span=span,
        dispersion=dispersion,
        strata=strata,
    )


def _came(columns: Columns, usable: NDArray[np.bool_]) -> Integers:
    """Return the rows of which it is known when their label came."""
    return np.flatnonzero(usable & ~np.isnat(not_none(columns.labeled_at)))


def _with_strata(
    columns: Columns,
    bands: Floats,
    usable: NDArray[np.bool_],
    features: FeatureRows,
) -> tuple[Columns, DelayStrata | None]:
    """Learn strata of the delay; give rows those of trees that have not seen them."""
    came = _came(columns, usable)
    came = came[np.argsort(not_none(columns.timestamp)[came], kind="stable")]
    learned = learn_strata(
        replace(features, matrix=features.matrix[came]),
        not_none(columns.label)[came],
        np.searchsorted(bands, columns.score[came]),
        age_step(seconds_waited(columns, came)),
    )
    if learned is None:
        return columns, None
    stratum = np.full(columns.n_rows, -1, dtype=np.int8)
    stratum[came] = learned.stratum
    return replace(columns, delay_stratum=stratum_codes(stratum)), learned.strata


def model_of_reference(learned: ReferenceDelays) -> DelayModel | None:
    """Return the delays of the reference alone, None if it does not say them."""
    if not any(counts.count.any() for counts in learned.arrivals.values()):
        return None
    by = choose_column(learned.arrivals)
    counts = learned.arrivals[by]
    nobody = np.zeros((2, len(counts.values) + 1, N_BANDS, N_AGES))
    return fit_delays(by, learned.bands, counts, nobody)


def longest_pause(time: Integers, count: Floats | None = None) -> float:
    """Return the longest time without any label, in seconds; 0 for fewer than two.

    Only where labels come in numbers: of all arrivals, between the first and the last
    twentieth. Afterwards the last rows' late labels come one by one.

    Parameters
    ----------
    time : ndarray of int64, shape (n,)
        Arrivals in any order, in microseconds since 1970.
    count : ndarray of shape (n,), optional
        Labels that came at each of them; None: one.

    Examples
    --------
    >>> days = np.repeat([0, 1, 2, 3, 4, 7, 8, 9, 10, 11], 100)
    >>> longest_pause(days * 86_400_000_000) / 86_400
    3.0
    """
    if count is None:
        moments = np.sort(time)
        cut = moments.size // 20
        steps = np.diff(moments[cut : moments.size - cut])
    else:
        order = np.argsort(time)
        # Ranks of each moment's labels: one past the last, and the first.
        end = np.cumsum(count[order])
        begin = end - count[order]
        total = float(end[-1]) if end.size else 0.0
        least = total // 20
        inner = (end > np.maximum(least, begin)) & (begin < total - least)
        steps = np.diff(time[order][inner])
    return float(steps.max()) * 1e-6 if steps.size else 0.0


def measure_dispersion(seconds: Floats, chunk: Integers, n_chunks: int) -> float:
    """Return by how much chunks differ in how many labels have come at a median delay.

    Parameters
    ----------
    seconds : ndarray of shape (n_labels,)
        How long labels took.
    chunk : ndarray of shape (n_labels,)
        Number of the chunk of each.
    n_chunks : int

    Returns
    -------
    float
        Standard deviation of the share over its mean, beyond chance.
    """
    n_labels = np.bincount(chunk, minlength=n_chunks).astype(np.float64)
    early = np.bincount(chunk, seconds <= np.median(seconds), n_chunks)
    full = n_labels > 0
    if full.sum() < SETTINGS.least_chunks:
        return 0.0
    share, mean = early[full] / n_labels[full], float(early.sum() / n_labels.sum())
    chance = mean * (1.0 - mean) / n_labels[full]
    excess = float(np.mean((share - mean) ** 2 - chance))
    return float(np.sqrt(max(excess, 0.0)) / mean)


def measure_spread(
    x: Floats,
    u: Floats,
    label: Floats,
    chunk: Integers,
    age: Integers,
    log_ratio: Floats,
    stratum: NDArray[np.int16],
) -> Floats:
    """Estimate how much chunks differ in who is waiting, by age; (N_AGES, 2, 2).

    Method.md, equation 48.

    Parameters
    ----------
    x, u : ndarray of shape (n_labels,)
        Calibrated log odds, plain and standardized.
    label, chunk, age : ndarray of shape (n_labels,)
        Label, number of the chunk, age step at its arrival.
    log_ratio : ndarray of shape (n_strata, N_AGES)
        Of waiting positives to waiting negatives, by the delay model.
    stratum : ndarray of shape (n_labels,)
        Row of ``log_ratio``.
    """
    n_chunks = int(chunk.max()) + 1 if chunk.size else 0
    steps_compared, spreads = [0], [np.zeros((2, 2))]
    if n_chunks >= SETTINGS.least_chunks:
        shifts, information = _shifts(x, u, label, chunk, n_chunks)
        for step in _COMPARED.tolist():
            waits = age > step
            if not SETTINGS.least_waiting < waits.mean() < SETTINGS.most_waiting:
                continue
            offset = x[waits] + log_ratio[stratum[waits], step]
            shifts_waiting, information_waiting = _shifts(
                offset, u[waits], label[waits], chunk[waits], n_chunks
            )
            is_telling = (
                np.linalg.eigvalsh(information_waiting)[:, 0]
                >= SETTINGS.least_information
            )
            if is_telling.sum() < SETTINGS.least_chunks:
                continue
            differs = (shifts_waiting - shifts)[is_telling]
            # The waiting rows are among the whole chunk's: the noise of the difference
            # is the difference of the noises (Hausman 1978, Econometrica 46(6)).
            noise = np.linalg.inv(information_waiting[is_telling]) - np.linalg.inv(
                information[is_telling]
            )
            excess = np.mean(differs[:, :, None] * differs[:, None, :] - noise, axis=0)
            value, axes = np.linalg.eigh(excess)
            steps_compared.append(step)
            spreads.append((axes * np.maximum(value, 0.0)) @ axes.T)
    steps, values = np.arange(N_AGES), np.array(spreads)
    # Late ages at which hardly a row waits are as uncertain as the last that told.
    spread = [
        np.interp(steps, steps_compared, values[:, i, j])
        for i in (0, 1)
        for j in (0, 1)
    ]
    return np.stack(spread, axis=1).reshape(N_AGES, 2, 2)


def _shifts(
    offset: Floats, u: Floats, label: Floats, chunk: Integers, n_chunks: int
) -> tuple[Floats, Floats]:
    """Fit intercept and slope to each chunk, all at once; and their information."""
    shift = np.zeros((n_chunks, 2))
    prior = np.eye(2) * SETTINGS.mode_precision

    def total(values: Floats) -> Floats:
        sums: Floats = np.bincount(chunk, values, n_chunks).astype(np.float64)
        return sums

    for turn in range(SETTINGS.n_newton_steps + 1):
        p = expit(offset + shift[chunk, 0] + shift[chunk, 1] * u)
        weight, residual = p * (1.0 - p), label - p
        cross = total(weight * u)
        information = np.stack(
            [total(weight), cross, cross, total(weight * u * u)], axis=1
        ).reshape(-1, 2, 2)
        if turn == SETTINGS.n_newton_steps:
            break
        slope = np.stack([total(residual), total(residual * u)], axis=1)
        slope -= SETTINGS.mode_precision * shift
        step = np.linalg.solve(information + prior, slope[:, :, None])[:, :, 0]
        shift += np.clip(step, -1.0, 1.0)
    # Without the weak prior, to first order.
    gradient = SETTINGS.mode_precision * shift
    is_telling = np.linalg.eigvalsh(information)[:, 0] >= SETTINGS.least_information
    correction = np.linalg.solve(
        information[is_telling], gradient[is_telling][:, :, None]
    )
    shift[is_telling] += correction[:, :, 0]
    return shift, information
