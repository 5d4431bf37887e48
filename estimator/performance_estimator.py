"""The main face of the package: fit on the reference, estimate on production."""

import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from calibration import Calibrator, make_calibrator
from estimator.assembly import (
    assemble_performance,
    compose_remarks,
    concatenate_periods,
)
from estimator.chunking import Chunks, check_chunk, make_chunks
from estimator.degradation.thresholds import ThresholdSpec, check_thresholds
from estimator.frames import Columns, read_columns
from estimator.groups import group_rows
from estimator.label_free.confidence_based import measure
from estimator.metrics import Metric, resolve_metrics
from estimator.progress import Progress
from estimator.reference import N_STEPS, Reference, learn_reference
from estimator.results import Performance


class _AsFitted:
    def __repr__(self) -> str:
        return "as fitted"


AS_FITTED: Final = _AsFitted()


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
        Column that says when a label arrived. In the reference, where it may be absent,
        it teaches how long labels take; with ``timestamp``, for ``Monitor``.
    decision_threshold : float, default=0.5
        Score from which the decision is positive, where ``y_pred`` is None.
    features : sequence of str or None
        Must be None: reserved for methods that adapt to covariate shift.
    segments : str or sequence of str, default=()
        Columns whose every value gets rows of its own beside the overall ones.
    calibrator : str or object with ``fit`` and ``predict``, default="spline"
        A name (``spline, isotonic, platt, beta, temperature, identity``), ``"select"``
        for the best of these by cross-validated log loss, or an object to be cloned.
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
        metrics, specs = self.check_parameters()
        columns = self._read(reference, "reference")
        chunks = self._chunks(columns, self.chunk)
        with self._progress(N_STEPS) as progress, progress.stage("fitting"):
            fitted = learn_reference(
                metrics,
                columns,
                chunks,
                decision=self.decisions(columns),
                calibrator=self.calibrator,
                thresholds=specs,
                level=self.level,
                advance=progress.advance,
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
        columns = self.read_production(production)
        chunks = self._chunks(columns, chunk)
        delivered = group_rows(columns, chunks, fitted.performance.segments)
        unusable = columns.missing_score + columns.missing_decision > 0
        groups = delivered.keep(~np.isnan(columns.score)) if unusable else delivered
        decision = self.decisions(columns)
        total = columns.n_rows * len(groups.parts)
        with self._progress(total) as progress, progress.stage("estimating"):
            estimated = measure(
                fitted.metrics,
                groups,
                score=columns.score,
                soft=fitted.calibrator.predict,
                decision=decision,
                error_cells=fitted.error_cells,
                advance=progress.advance,
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
        analysis = assemble_performance(
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
            remarks=compose_remarks(columns, chunks, delivered, groups),
        )
        return concatenate_periods(fitted.performance, analysis)

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

    def check_parameters(
        self,
    ) -> tuple[tuple[Metric, ...], dict[str, ThresholdSpec]]:
        """Refuse what is wrong whatever the data; ``fit`` does so first.

        Returns
        -------
        metrics : tuple of Metric
        thresholds : dict by metric

        Raises
        ------
        TypeError, ValueError
            If a parameter breaks its rule.
        """
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
            ("level", _is_number(self.level) and 0.0 < self.level < 1.0),
            (
                "decision_threshold",
                _is_number(self.decision_threshold)
                and 0.0 <= self.decision_threshold <= 1.0,
            ),
        ):
            if not inside:
                bounds = "(0, 1)" if name == "level" else "[0, 1]"
                msg = (
                    f"`{name}` must be a number in {bounds}, got "
                    f"{getattr(self, name)!r}."
                )
                raise ValueError(msg)
        check_chunk(self.chunk, has_timestamp=self.timestamp is not None)
        if self.calibrator != "select":
            make_calibrator(self.calibrator)
        metrics = resolve_metrics(self.metrics, self.business_costs)
        return metrics, check_thresholds(self.thresholds, metrics)

    def read_production(self, frame: Any) -> Columns:
        """Read and check a frame of predictions, of the reference's kind."""
        columns = self._read(frame, "production")
        _check_same_clock(self.reference_.performance, columns)
        return columns

    def decisions(self, columns: Columns) -> NDArray[np.bool_] | float:
        """Return the rows' decisions, or the score from which a row is positive."""
        return self.decision_threshold if columns.decision is None else columns.decision

    def _read(self, frame: Any, name: Literal["reference", "production"]) -> Columns:
        return read_columns(
            frame,
            name=name,
            timestamp=self.timestamp,
            y_pred_proba=self.y_pred_proba,
            y_pred=self.y_pred,
            y_true=self.y_true,
            segments=self._segment_columns(),
            labeled_at=self.labeled_at if name == "reference" else None,
            label_required=name == "reference",
        )

    def _segment_columns(self) -> tuple[Hashable, ...]:
        if self.segments is None:
            return ()
        if isinstance(self.segments, str) or not isinstance(self.segments, Iterable):
            return (self.segments,)
        return tuple(self.segments)

    def _chunks(self, columns: Columns, chunk: Any) -> Chunks:
        return make_chunks(columns.n_rows, chunk, columns.timestamp, columns.timezone)

    def _progress(self, total: int) -> Progress:
        return Progress(total + 1, sys.stderr if self.progress else None)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_same_clock(reference: Performance, columns: Columns) -> None:
    """Refuse timestamps with a zone beside a reference without, and vice versa."""
    if columns.timestamp is None:
        return
    aware = reference.timezone is not None
    if aware != (columns.timezone is not None):
        has, lacks = "production", "reference"
        if aware:
            has, lacks = lacks, has
        msg = (
            f"`timestamp` must have a time zone in both periods or in neither, but "
            f"{has} has one and {lacks} has none. Localize it: "
            'frame[column].dt.tz_localize("UTC").'
        )
        raise ValueError(msg)
