"""The main face of the package: fit on the reference, estimate on production."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from calibration import Calibrator, cross_fit, make_calibrator
from calibration.selection import select_calibrator
from estimator.chunking import Chunks, check_chunk, make_chunks
from estimator.degradation.thresholds import (
    Threshold,
    ThresholdSpec,
    breach_probability,
    check_thresholds,
    fit_threshold,
)
from estimator.frames import Columns, read_columns
from estimator.groups import Groups, group_rows
from estimator.label_free.confidence_based import Measurement, measure
from estimator.label_free.intervals import interval, unseen_drift
from estimator.metrics import Metric, resolve_metrics
from estimator.progress import progress_bar
from estimator.results import Performance
from estimator.soft_labels import Advance, ErrorCells, measure_error_cells

Floats = NDArray[np.float64]

MIN_REFERENCE_ROWS = 100
MIN_ROWS_PER_CLASS = 10
N_FOLDS = 5
# tau² needs several chunks; a reference of fewer is cut into this many for it, if
# their own noise leaves anything to see.
DRIFT_CHUNKS = 10
MIN_DRIFT_ROWS = 1_000
# The share of scores outside the reference's .001 to .999 quantiles (where .002 are
# expected) from which a chunk is called extrapolated.
EXTRAPOLATED = 0.01


class _AsFitted:
    def __repr__(self) -> str:
        return "as fitted"


AS_FITTED: Final = _AsFitted()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """What is learned from the reference period, and all that `estimate` needs.

    Attributes
    ----------
    metrics : tuple of Metric
    calibrator : Calibrator
        Fitted on the whole reference.
    calibrator_name : str
        Its registered name; "" for the caller's own object.
    error_cells : ErrorCells
        How wrong it may be.
    thresholds, drift : dict by segment
        A rule per metric; tau² per metric (per row squared, for sums over rows).
    performance : Performance
        The reference chunks.
    """

    metrics: tuple[Metric, ...]
    calibrator: Calibrator
    calibrator_name: str
    error_cells: ErrorCells
    thresholds: dict[str, tuple[Threshold, ...]]
    drift: dict[str, Floats]
    performance: Performance


class PerformanceEstimator(BaseEstimator):  # type: ignore[misc]
    """Estimate a binary classifier's performance on data that has no labels yet.

    Confidence-based: a calibration map fitted on the labelled reference period turns
    each score into the probability that the label is 1, and the metrics follow as
    expectations [1]_. That holds while P(label | score) does: a shift of the scores is
    seen, a concept drift at the same scores is not. Only labels show that.

    Parameters
    ----------
    metrics : str or sequence of str, default=("roc_auc", "accuracy")
        Out of ``roc_auc, average_precision, accuracy, f1, precision, recall,
        specificity, balanced_accuracy, brier_score, log_loss, tn, fp, fn, tp,
        business_value``.
    method : {"auto", "cbpe"}, default="auto"
        Both are confidence-based estimation on the score.
    chunk : str, int, None or sequence of timestamps, default="W"
        A pandas offset alias (needs ``timestamp``), rows per chunk, None for one chunk,
        or rising timestamps at which chunks begin.
    timestamp, y_pred_proba, y_pred, y_true : str or None
        Column names: when the row was predicted, score in [0, 1], decision, label.
    labeled_at : str or None
        Column of the reference that says when its label arrived.
    decision_threshold : float, default=0.5
        Score from which the decision is positive, where ``y_pred`` is None.
    features : sequence of str or None
        Must be None: reserved for methods that adapt to covariate shift.
    segments : str or sequence of str, default=()
        Columns whose every value gets rows of its own beside the overall ones.
    calibrator : str or object with ``fit`` and ``predict``, default="spline"
        A name (``spline, isotonic, platt, beta, temperature, identity``), ``"select"``
        for the best of these by cross-validated log loss, or an object, which is cloned.
    thresholds : mapping of str to tuple, optional
        By metric: ``("constant", low, high)``, ``("standard_error", k)`` for the
        reference's mean ± k standard errors of a chunk of the chunk's own size, or
        ``("quantile", low, high)`` of the reference chunks; None leaves a side open.
        Default: three standard errors.
    business_costs : mapping of str to float, optional
        For ``business_value``: what one row is worth in each cell ``tn, fp, fn, tp``
        (a cost is negative); the metric is the sum over the chunk's rows.
    level : float, default=0.95
        Coverage of the intervals.
    random_state : int, default=0
        Seed of methods that draw random numbers; confidence-based estimation does not.
    progress : bool, default=False
        Show a bar on stderr for work longer than two seconds.

    Attributes
    ----------
    reference_ : Reference
        What was learned. Nothing in it changes after ``fit``.

    References
    ----------
    .. [1] Bialek et al. (2024), "Estimating Model Performance Under Covariate Shift
       Without Labels", arXiv:2401.08348.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(20_000)
    >>> label = rng.random(20_000) < score
    >>> frame = pd.DataFrame({"y_pred_proba": score, "y_true": label})
    >>> estimator = PerformanceEstimator(chunk=2_000).fit(frame[:10_000])
    >>> estimator.estimate(frame[["y_pred_proba"]][10_000:])
    <Performance of roc_auc, accuracy: 5 reference + 5 analysis chunks, 0 alerts>
    """

    def __init__(
        self,
        metrics: str | Sequence[str] = ("roc_auc", "accuracy"),
        method: Literal["auto", "cbpe"] = "auto",
        chunk: Any = "W",
        timestamp: Hashable | None = None,
        y_pred_proba: Hashable = "y_pred_proba",
        y_pred: Hashable | None = None,
        y_true: Hashable = "y_true",
        labeled_at: Hashable | None = None,
        decision_threshold: float = 0.5,
        features: Sequence[Hashable] | None = None,
        segments: Hashable | Sequence[Hashable] = (),
        calibrator: str | Calibrator = "spline",
        thresholds: Mapping[str, ThresholdSpec] | None = None,
        business_costs: Mapping[str, float] | None = None,
        level: float = 0.95,
        random_state: int = 0,
        *,
        progress: bool = False,
    ) -> None:
        self.metrics = metrics
        self.method = method
        self.chunk = chunk
        self.timestamp = timestamp
        self.y_pred_proba = y_pred_proba
        self.y_pred = y_pred
        self.y_true = y_true
        self.labeled_at = labeled_at
        self.decision_threshold = decision_threshold
        self.features = features
        self.segments = segments
        self.calibrator = calibrator
        self.thresholds = thresholds
        self.business_costs = business_costs
        self.level = level
        self.random_state = random_state
        self.progress = progress

    def fit(self, reference: Any) -> Self:
        """Learn calibration, thresholds and drift from a labelled period.

        Everything said about the reference itself is cross-fitted, on folds that are
        blocks of time.

        Parameters
        ----------
        reference : DataFrame (pandas, polars) or pyarrow Table
            Only the named columns are read. Rows without a score or a label are left
            out, and noted.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter or a column breaks its rule; the message says which, where
            and what to do. A fitted estimator stays as it was.
        """
        metrics, specs = self._check_parameters()
        columns = self._read(reference, "reference")
        assert columns.label is not None  # noqa: S101  read_columns requires it
        usable = ~(np.isnan(columns.score) | np.isnan(columns.label))
        chunks = self._chunks(columns, self.chunk)
        delivered = group_rows(columns, chunks, {})
        groups = delivered.keep(usable)
        rows, _ = groups.parts[0]
        order = np.flatnonzero(usable) if rows is None else rows
        score = np.asarray(columns.score[order], dtype=np.float64)
        label = columns.label[order]
        _check_reference_size(label)
        name, calibrator = self._choose_calibrator(score, label)
        with progress_bar("fit", N_FOLDS + 3, enabled=self.progress) as advance:
            step = advance or (lambda _: None)
            calibrator.fit(score, label)
            step(1)
            out_of_fold = np.full(columns.n_rows, np.nan)
            out_of_fold[order] = cross_fit(
                calibrator, score, label, n_splits=N_FOLDS
            ).probabilities
            step(N_FOLDS)
            cells = measure_error_cells(calibrator, score, calibrator.predict(score))
            known = {"score": columns.score, "decision": self._decision(columns)}
            estimated = measure(
                metrics, groups, soft=out_of_fold, error_cells=cells, **known
            )
            realized = measure(metrics, groups, soft=columns.label, **known)
            step(2)
            drift = self._unseen_drift(
                metrics,
                columns,
                usable,
                (groups, estimated, realized),
                soft=out_of_fold,
                error_cells=cells,
            )
        n_rows = groups.n_rows
        thresholds = {
            segment: tuple(
                fit_threshold(
                    specs[metric.name],
                    metric,
                    realized.value[of, k],
                    np.sqrt(realized.sampling_variance[of, k]),
                    n_rows[of],
                )
                for k, metric in enumerate(metrics)
            )
            for segment, of in _by_segment(groups)
        }
        fitted = Reference(
            metrics=metrics,
            calibrator=calibrator,
            calibrator_name=name,
            error_cells=cells,
            thresholds=thresholds,
            drift=drift,
            performance=_performance(
                metrics,
                "reference",
                self.level,
                chunks,
                groups,
                estimated=estimated,
                realized=realized,
                n_labels=n_rows,
                thresholds=thresholds,
                drift=drift,
                remarks=_remarks(columns, chunks, delivered, groups, self.chunk),
            ),
        )
        self.reference_ = fitted
        return self

    def estimate(self, production: Any, *, chunk: Any = AS_FITTED) -> Performance:
        """Estimate the metrics on each chunk of a period without labels.

        Parameters
        ----------
        production : DataFrame (pandas, polars) or pyarrow Table
            Only the named columns are read. Rows without a score are left out, and
            noted. Labels, if there are any, only fill ``realized`` and ``n_labels``.
        chunk : str, int, None or sequence of timestamps, optional
            Chunks of this period, if they are not to be as in the constructor: None
            takes one night's batch as one chunk.

        Returns
        -------
        Performance
            The reference's chunks, then this period's.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If a column breaks its rule.
        """
        check_is_fitted(self, "reference_")
        fitted: Reference = self.reference_
        chunk = self.chunk if isinstance(chunk, _AsFitted) else chunk
        columns = self._read(production, "production")
        chunks = self._chunks(columns, chunk)
        delivered = group_rows(columns, chunks, _known_values(fitted.performance))
        unusable = columns.missing_score + columns.missing_decision > 0
        groups = delivered.keep(~np.isnan(columns.score)) if unusable else delivered
        decision = self._decision(columns)
        total = columns.n_rows * len(groups.parts)
        with progress_bar("estimate", total, enabled=self.progress) as advance:
            estimated = measure(
                fitted.metrics,
                groups,
                score=columns.score,
                soft=fitted.calibrator.predict,
                decision=decision,
                error_cells=fitted.error_cells,
                advance=advance,
            )
        realized, n_labels = None, np.zeros_like(groups.n_rows)
        if columns.label is not None:
            labeled = groups.keep(~np.isnan(columns.label))
            n_labels = labeled.n_rows
            realized = measure(
                fitted.metrics,
                labeled,
                score=columns.score,
                soft=columns.label,
                decision=decision,
            )
        analysis = _performance(
            fitted.metrics,
            "analysis",
            self.level,
            chunks,
            groups,
            estimated=estimated,
            realized=realized,
            n_labels=n_labels,
            thresholds=fitted.thresholds,
            drift=fitted.drift,
            remarks=_remarks(columns, chunks, delivered, groups, chunk),
        )
        return _concatenate(fitted.performance, analysis)

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator to one file, atomically and without pickle.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError
            If the calibrator is the caller's own object, which only pickle could save.
        """
        from estimator.persistence import save_estimator  # it needs this class

        check_is_fitted(self, "reference_")
        save_estimator(self, Path(path))

    @staticmethod
    def load(path: str | Path) -> "PerformanceEstimator":
        """Read an estimator written by ``save``; runs no code from the file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, something else, or of another format version.
        """
        from estimator.persistence import load_estimator  # it needs this class

        return load_estimator(Path(path))

    def _check_parameters(
        self,
    ) -> tuple[tuple[Metric, ...], dict[str, ThresholdSpec]]:
        if self.method not in ("auto", "cbpe"):
            msg = f'`method` must be "auto" or "cbpe", got {self.method!r}.'
            raise ValueError(msg)
        if self.features is not None and len(self.features) > 0:
            msg = (
                "`features` must be None: no method that reads features is available "
                f"yet, got {list(self.features)!r}. Leave it out."
            )
            raise ValueError(msg)
        for name, inside in (
            ("level", 0.0 < self.level < 1.0),
            ("decision_threshold", 0.0 <= self.decision_threshold <= 1.0),
        ):
            if not inside:
                bounds = "(0, 1)" if name == "level" else "[0, 1]"
                msg = f"`{name}` must lie in {bounds}, got {getattr(self, name)!r}."
                raise ValueError(msg)
        check_chunk(self.chunk, has_timestamp=self.timestamp is not None)
        if self.calibrator != "select":
            make_calibrator(self.calibrator)
        metrics = resolve_metrics(self.metrics, self.business_costs)
        return metrics, check_thresholds(self.thresholds, metrics)

    def _read(self, frame: Any, name: Literal["reference", "production"]) -> Columns:
        segments = self.segments
        return read_columns(
            frame,
            name=name,
            timestamp=self.timestamp,
            y_pred_proba=self.y_pred_proba,
            y_pred=self.y_pred,
            y_true=self.y_true,
            segments=(segments,) if isinstance(segments, str) else tuple(segments),  # type: ignore[arg-type]
            label_required=name == "reference",
        )

    def _chunks(self, columns: Columns, chunk: Any) -> Chunks:
        return make_chunks(columns.n_rows, chunk, columns.timestamp, columns.timezone)

    def _decision(self, columns: Columns) -> NDArray[np.bool_] | float:
        return self.decision_threshold if columns.decision is None else columns.decision

    def _choose_calibrator(
        self, score: Floats, label: Floats
    ) -> tuple[str, Calibrator]:
        if self.calibrator == "select":
            name = select_calibrator(score, label, n_splits=N_FOLDS).best
            return name, make_calibrator(name)
        name = self.calibrator if isinstance(self.calibrator, str) else ""
        return name, make_calibrator(self.calibrator)

    def _unseen_drift(
        self,
        metrics: tuple[Metric, ...],
        columns: Columns,
        usable: NDArray[np.bool_],
        found: tuple[Groups, Measurement, Measurement],
        *,
        soft: Floats,
        error_cells: ErrorCells,
    ) -> dict[str, Floats]:
        """Estimate tau² of each segment and metric on cross-fitted reference chunks."""
        groups, estimated, realized = found
        size = int(usable.sum()) // DRIFT_CHUNKS
        if groups.chunk.max() + 1 < N_FOLDS and size >= MIN_DRIFT_ROWS:
            chunks = self._chunks(columns, size)
            groups = group_rows(columns, chunks, {}).keep(usable)
            known = {"score": columns.score, "decision": self._decision(columns)}
            estimated = measure(
                metrics, groups, soft=soft, error_cells=error_cells, **known
            )
            realized = measure(metrics, groups, soft=columns.label, **known)
        # A fold's map has seen (K - 1)/K of the reference.
        variance = estimated.label_variance + (
            estimated.calibration_variance * N_FOLDS / (N_FOLDS - 1)
        )
        residual = estimated.value - realized.value
        scale = _row_scale(metrics, groups.n_rows)
        return {
            segment: np.array(
                [
                    unseen_drift(
                        residual[of, k] / scale[of, k],
                        variance[of, k] / scale[of, k] ** 2,
                    )
                    for k in range(len(metrics))
                ]
            )
            for segment, of in _by_segment(groups)
        }


def _check_reference_size(label: Floats) -> None:
    n, positives = label.size, int(label.sum())
    fewest = min(positives, n - positives)
    if fewest == 0:
        only = "1" if positives else "0"
        msg = (
            f"The reference must hold both classes, but all of its {n} labels are "
            f"{only}. Take a longer period, or check `y_true`."
        )
        raise ValueError(msg)
    if n < MIN_REFERENCE_ROWS or fewest < MIN_ROWS_PER_CLASS:
        share = fewest / n
        needed = max(MIN_REFERENCE_ROWS, int(np.ceil(MIN_ROWS_PER_CLASS / share)))
        msg = (
            f"The reference is too small: it has {n} labelled rows, {fewest} of the "
            f"rarer class, and needs at least {MIN_REFERENCE_ROWS} rows with "
            f"{MIN_ROWS_PER_CLASS} of each class. With these shares about {needed} "
            "rows are needed; take a longer period."
        )
        raise ValueError(msg)


def _by_segment(groups: Groups) -> list[tuple[str, slice]]:
    """Return each segment with the slice of its groups: one per chunk."""
    n_chunks = int(groups.chunk.max()) + 1
    names = groups.segment[::n_chunks].tolist()
    return [
        (name, slice(i * n_chunks, (i + 1) * n_chunks)) for i, name in enumerate(names)
    ]


def _row_scale(metrics: tuple[Metric, ...], n_rows: NDArray[np.int64]) -> Floats:
    """Return what brings a metric to one row: n for a sum over rows, else 1."""
    n = np.maximum(n_rows, 1).astype(np.float64)
    one = np.ones_like(n)
    return np.stack([n if metric.extensive else one for metric in metrics], axis=1)


def _known_values(reference: Performance) -> dict[Hashable, list[str]]:
    """Return the values of each segment column in the reference."""
    known: dict[Hashable, list[str]] = {}
    for segment in reference.segments:
        if segment:
            column, _, value = segment.partition("=")
            known.setdefault(column, []).append(value)
    return known


def _remarks(
    columns: Columns, chunks: Chunks, delivered: Groups, kept: Groups, chunk: Any
) -> list[list[str]]:
    """Say of each group what it lacks: rows to be complete, scores, labels."""
    remarks: list[list[str]] = [[] for _ in range(kept.chunk.size)]
    for c in np.flatnonzero(~chunks.complete):
        size = chunks.offsets[c + 1] - chunks.offsets[c]
        for g in np.flatnonzero(kept.chunk == c):
            remarks[g].append(f"incomplete: {size} of {chunk} rows")
    if delivered is kept:
        return remarks
    left_out = delivered.n_rows - kept.n_rows
    without_score = delivered.n_rows - delivered.keep(~np.isnan(columns.score)).n_rows
    what = "score" if columns.decision is None else "score or decision"
    for g in np.flatnonzero(left_out):
        for count, lacking in (
            (without_score[g], what),
            (left_out[g] - without_score[g], "label"),
        ):
            if count:
                rows = "row" if count == 1 else "rows"
                remarks[g].append(f"{count} {rows} left out: no {lacking}")
    return remarks


def _performance(
    metrics: tuple[Metric, ...],
    period: Literal["reference", "analysis"],
    level: float,
    chunks: Chunks,
    groups: Groups,
    *,
    estimated: Measurement,
    realized: Measurement | None,
    n_labels: NDArray[np.int64],
    thresholds: Mapping[str, tuple[Threshold, ...]],
    drift: Mapping[str, Floats],
    remarks: list[list[str]],
) -> Performance:
    """Put together what is known of each group: value, intervals, thresholds, notes.

    The reference is labelled: its value is the realized one, whose prediction interval
    has width 0. In the analysis period the value is the estimate.
    """
    n_rows = groups.n_rows
    shape = estimated.value.shape
    scale = _row_scale(metrics, n_rows)
    tau2 = np.empty(shape)
    low, high = np.empty(shape), np.empty(shape)
    nowhere = (Threshold(kind="constant", low=np.nan, high=np.nan),) * len(metrics)
    for segment, of in _by_segment(groups):
        tau2[of] = drift.get(segment, drift[""]) * scale[of] ** 2
        for k, threshold in enumerate(thresholds.get(segment, nowhere)):
            low[of, k], high[of, k] = threshold.at(n_rows[of], metrics[k])
        if segment not in thresholds:
            for g in range(of.start, of.stop):
                remarks[g].append("segment is not in the reference")
    if period == "reference" and realized is not None:
        at = realized
        unknown = np.zeros(shape)
        shared = np.where(np.isnan(at.value), np.nan, 0.0)
    else:
        at = estimated
        unknown = at.label_variance + at.calibration_variance + tau2
        shared = at.calibration_variance
        share = at.outside / np.maximum(n_rows, 1)
        for g in np.flatnonzero(share > EXTRAPOLATED):
            remarks[g].append(
                f"extrapolated: {share[g]:.1%} of the scores lie beyond the reference's"
            )
    population = at.sampling_variance + (
        unknown - at.label_variance if unknown.any() else 0
    )
    intervals = {
        name: np.empty(shape)
        for name in ("lower", "upper", "expected_lower", "expected_upper", "breach")
    }
    for k, metric in enumerate(metrics):
        value, around = at.value[:, k], population[:, k]
        intervals["lower"][:, k], intervals["upper"][:, k] = interval(
            value, unknown[:, k], metric, level
        )
        (
            intervals["expected_lower"][:, k],
            intervals["expected_upper"][:, k],
        ) = interval(value, around, metric, level)
        intervals["breach"][:, k] = breach_probability(
            metric, value, around, low[:, k], high[:, k]
        )
    complete = chunks.complete[groups.chunk]
    return Performance(
        metrics=tuple(metric.name for metric in metrics),
        level=level,
        segment=groups.segment,
        period=np.full(len(n_rows), period, dtype=object),
        chunk=chunks.label[groups.chunk],
        start=chunks.start[groups.chunk],
        end=chunks.end[groups.chunk],
        timezone=None if chunks.timezone is None else str(chunks.timezone),
        n_rows=n_rows,
        n_labels=n_labels,
        value=at.value,
        lower=intervals["lower"],
        upper=intervals["upper"],
        expected_lower=intervals["expected_lower"],
        expected_upper=intervals["expected_upper"],
        standard_error=np.sqrt(at.sampling_variance),
        calibration_error=np.sqrt(shared),
        estimated=estimated.value,
        realized=np.full(shape, np.nan) if realized is None else realized.value,
        lower_threshold=low,
        upper_threshold=high,
        breach_probability=intervals["breach"],
        alert=(intervals["breach"] >= 0.5) & complete[:, None],
        note=_notes(remarks, estimated, realized, n_labels),
    )


def _notes(
    remarks: list[list[str]],
    estimated: Measurement,
    realized: Measurement | None,
    n_labels: NDArray[np.int64],
) -> NDArray[np.object_]:
    notes = np.full(estimated.value.shape, "", dtype=object)
    notes[:] = np.array(["; ".join(texts) for texts in remarks], dtype=object)[:, None]
    said = [("undefined", estimated.reason)]
    if realized is not None:
        differs = (realized.reason != estimated.reason) & (n_labels > 0)[:, None]
        said.append(("realized undefined", np.where(differs, realized.reason, "")))
    for what, reason in said:
        for g, k in np.argwhere(reason != ""):
            known = f"{notes[g, k]}; " if notes[g, k] else ""
            notes[g, k] = f"{known}{what}: {reason[g, k]}"
    return notes


def _concatenate(reference: Performance, analysis: Performance) -> Performance:
    """Join two periods: by segment, the reference before the analysis."""
    segments = {name: i for i, name in enumerate(analysis.segments)}
    place = [segments[name] for name in (*reference.segment, *analysis.segment)]
    order = np.argsort(place, kind="stable")
    joined: dict[str, Any] = {
        "metrics": analysis.metrics,
        "level": analysis.level,
        "timezone": analysis.timezone,
    }
    for field in fields(Performance):
        if field.name not in joined:
            both = getattr(reference, field.name), getattr(analysis, field.name)
            joined[field.name] = np.concatenate(both)[order]
    return Performance(**joined)
