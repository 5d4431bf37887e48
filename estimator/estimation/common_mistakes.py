"""Mistakes that give plausible numbers: each is warned of, once, with its remedy.

None of these checks changes a result. Each is so strict that ordinary data, and bad
luck, do not raise it: what is said here has nearly always one cause.
"""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import binom, rankdata

from estimator.frames.columns import Columns
from estimator.results.performance import Performance
from estimator.results.thresholds import ThresholdSpec

# Rows that a check looks at, evenly over the frame: enough for any of them, and a few
# milliseconds.
_LOOKED_AT = 20_000
# A ROC AUC as far below 0.5 as that, and by as many standard errors, is a score that
# points the other way: a useless one lies within two.
_REVERSED_AUC, _REVERSED_ERRORS = 0.45, 4.0
# Share of reference chunks that may lie beyond a threshold around their own mean, and
# the probability below which more of them are no chance. Three standard errors are
# passed by 0.1 % of chunks; real data vary more, and 5 % are still a usable reference.
_ALERT_SHARE, _ALERT_LEVEL = 0.05, 0.01
# Chunks of fewer rows have standard errors that are no better than a guess.
_FEWEST_ROWS = 50
# Fewer different scores than that, without times, may be the same in other rows.
_DISTINCT = 50


class CommonMistakeWarning(UserWarning):
    """What was asked for can be computed, but is probably not what was meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPrint:
    """What tells rows from others without keeping them.

    Attributes
    ----------
    n_rows : int
        Rows of the frame.
    digest : str
        Of scores and times of rows evenly over the frame; "" if they say too little.
    """

    n_rows: int
    digest: str


def print_of_rows(columns: Columns, n_rows: int | None = None) -> RowPrint:
    """Return the print of a frame's rows, or of the first ``n_rows`` of them.

    It is of the rows as they lie: the same rows in another order are not recognized,
    which would cost a sort in every `estimate`.
    """
    n_rows = columns.n_rows if n_rows is None else n_rows
    sampled = _evenly(n_rows)
    score = np.asarray(columns.score[sampled], dtype=np.float64)
    digest = hashlib.blake2b(score.tobytes(), digest_size=16)
    if columns.timestamp is None:
        if np.unique(score).size < _DISTINCT:
            return RowPrint(n_rows=n_rows, digest="")
    else:
        digest.update(columns.timestamp[sampled].astype("M8[us]").tobytes())
    return RowPrint(n_rows=n_rows, digest=digest.hexdigest())


def is_reference_again(columns: Columns, reference: RowPrint) -> bool:
    """Whether a frame is the reference's, or begins with its rows."""
    if not reference.digest or columns.n_rows < reference.n_rows:
        return False
    return print_of_rows(columns, reference.n_rows) == reference


def mistakes_in_reference(
    columns: Columns,
    performance: Performance,
    thresholds: dict[str, ThresholdSpec],
    name: object,
) -> list[str]:
    """Return what a reference suggests went wrong, each with its remedy.

    Parameters
    ----------
    columns : Columns
        As they were read.
    performance : Performance
        The reference chunks.
    thresholds : dict of tuple by metric
        Rules for the thresholds: constants and quantiles say nothing of stability.
    name : object
        Name of the column of scores.
    """
    mistakes = []
    sampled = _evenly(columns.n_rows)
    score = np.asarray(columns.score[sampled], dtype=np.float64)
    label = (
        np.full(sampled.size, np.nan)
        if columns.label is None
        else columns.label[sampled]
    )
    usable = ~(np.isnan(score) | np.isnan(label))
    if _is_hard(score) and _is_hard(columns.score):
        mistakes.append(
            f"`reference[{name!r}]` (y_pred_proba) holds only 0 and 1: these are "
            "decisions, and nothing is left to calibrate, so that every estimate is "
            "that of the reference. Pass `predict_proba(X)[:, 1]`; decisions belong to "
            "`y_pred`."
        )
    else:
        area = _reversed_auc(score[usable], label[usable])
        if area is not None:
            mistakes.append(
                f"`reference[{name!r}]` (y_pred_proba) has a ROC AUC of {area:.2f}, "
                "far below 0.5: high scores go with label 0. Is it the probability of "
                "the other class? Pass `predict_proba(X)[:, 1]`, and labels that are 1 "
                "for that class."
            )
    worst = _unstable(performance, thresholds)
    if worst is not None:
        metric, n_alerts, n_chunks = worst
        mistakes.append(
            f"`reference` is itself unstable: {metric} lies beyond its threshold in "
            f"{n_alerts} of {n_chunks} reference chunks, so that an alert in "
            "production says little. Take a calmer or more recent period as "
            "reference, longer chunks, or wider thresholds: "
            f'thresholds={{"{metric}": ("quantile", 0.01, 0.99)}}.'
        )
    return mistakes


def warn_of(mistakes: Sequence[str], stacklevel: int) -> None:
    """Warn of each mistake; ``stacklevel`` counts from the caller."""
    for text in mistakes:
        warnings.warn(text, CommonMistakeWarning, stacklevel=stacklevel + 1)


def _is_hard(score: NDArray[np.floating]) -> bool:
    """Whether all scores that are there are 0 or 1."""
    return bool(((score == 0.0) | (score == 1.0) | np.isnan(score)).all())


def _evenly(n_rows: int) -> NDArray[np.int64]:
    n = min(n_rows, _LOOKED_AT)
    return np.arange(n, dtype=np.int64) * n_rows // n


def _reversed_auc(
    score: NDArray[np.float64], label: NDArray[np.float64]
) -> float | None:
    """Return the ROC AUC if it is below 0.5 beyond doubt.

    Without any relation of score and label its variance is
    (n₀ + n₁ + 1) / (12 n₀ n₁), of Mann and Whitney (1947); ties make it smaller.
    """
    n_1 = int(label.sum())
    n_0 = label.size - n_1
    if not n_0 or not n_1:
        return None
    ranks = float(rankdata(score)[label == 1.0].sum())
    area = (ranks - n_1 * (n_1 + 1) / 2) / (n_0 * n_1)
    error = np.sqrt((n_0 + n_1 + 1) / (12.0 * n_0 * n_1))
    reversed_ = area < _REVERSED_AUC and area < 0.5 - _REVERSED_ERRORS * error
    return float(area) if reversed_ else None


def _unstable(
    performance: Performance, thresholds: dict[str, ThresholdSpec]
) -> tuple[str, int, int] | None:
    """Return the metric that alerts in more reference chunks than chance allows."""
    overall = performance.segment == ""
    worst, least = None, _ALERT_LEVEL
    for k, metric in enumerate(performance.metrics):
        kind, *numbers = thresholds[metric]
        if kind != "standard_error":
            continue
        judged = overall & np.isfinite(performance.breach_probability[:, k])
        judged &= performance.n_rows >= _FEWEST_ROWS
        n_chunks, n_alerts = int(judged.sum()), int(performance.alert[judged, k].sum())
        share = max(_ALERT_SHARE, float(ndtr(-numbers[0])))
        chance = float(binom.sf(n_alerts - 1, n_chunks, share)) if n_alerts else 1.0
        if chance < least:
            worst, least = (metric, n_alerts, n_chunks), chance
    return worst
