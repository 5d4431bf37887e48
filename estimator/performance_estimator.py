"""The main face of the package: fit on the reference, estimate on production."""

import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from calibration import Calibrator
from estimator.chunking.chunks import Chunks, check_chunk, make_chunks
from estimator.chunking.edges import Edges
from estimator.chunking.periods import Period
from estimator.chunking.row_order import order_by_time, take_chunks
from estimator.delayed_labels.strata.learned import FeatureRows
from estimator.estimation.common_mistakes import (
    is_reference_again,
    mistakes_in_reference,
    print_of_rows,
    warn_of,
)
from estimator.estimation.estimates import (
    adapt_columns,
    estimate_groups,
    features_of,
    groups_of,
    score_map,
)
from estimator.estimation.learning import (
    N_STEPS,
    ReferenceFrame,
    ReferenceOptions,
    learn_reference,
)
from estimator.estimation.parameters import (
    check_parameters,
    parameters_from_json,
    parameters_to_json,
    same_value,
    snapshot_parameters,
)
from estimator.estimation.reference import Reference
from estimator.estimation.reference_arrays import (
    reference_from_arrays,
    reference_to_arrays,
)
from estimator.files.archive import (
    Arrays,
    JsonObject,
    corrupt_archive_errors,
    read_archive,
    write_archive,
)
from estimator.frames.column_names import column_names
from estimator.frames.columns import ColumnNames, Columns, read_columns
from estimator.frames.features import learn_features
from estimator.label_free.adapter_learning import Features, learning_steps
from estimator.label_free.adapting_settings import ADAPTIVE
from estimator.label_free.shift_adaptive import work_of
from estimator.metrics.measurement import measure
from estimator.metrics.registry import Metric
from estimator.metrics.rows import Decisions, rows_of_columns
from estimator.progress import Progress
from estimator.results.assembly import (
    Measured,
    ResultRules,
    assemble_performance,
    compose_remarks,
    concatenate_periods,
)
from estimator.results.performance import Performance
from estimator.results.thresholds import ThresholdSpec


class _AsFitted:
    def __repr__(self) -> str:
        return "as fitted"


AS_FITTED: Final = _AsFitted()
FORMAT = "deadreckon performance estimator"
VERSION = 4
_REFERENCE_AGAIN: Final = (
    "`production` holds the rows of the reference, from the first row on: what was "
    "learned from them is no test on them. Pass rows that came later; what is said of "
    "the reference itself, cross-fitted, is in the result as period 'reference'."
)


class PerformanceEstimator(BaseEstimator):
    """Estimate a binary classifier's performance on data that has no labels yet.

    Confidence-based: a calibration map fitted on the labelled reference period turns
    each score into the probability that the label is 1, and the metrics follow as
    expectations [1]_. That holds while P(label | score) does: a shift of the scores is
    seen, a concept drift at the same scores is not. Only labels show that.

    ``estimate`` changes nothing in the estimator and takes no lock: any number of
    threads may call it at once on one fitted estimator. ``fit`` and ``set_params`` must
    not run at the same time as other calls on the same estimator.

    Parameters
    ----------
    metrics : str or sequence of str, default=("roc_auc", "accuracy")
        Out of ``roc_auc, average_precision, accuracy, f1, precision, recall,
        specificity, balanced_accuracy, brier_score, log_loss, tn, fp, fn, tp,
        business_value``.
    method : {"auto", "cbpe", "feature_aware", "pape"}, default="auto"
        How soft labels are made. ``cbpe``: from the score. ``feature_aware``: from
        score and features, by trees fitted once. ``pape`` [1]_: from the score, by a
        map fitted for each chunk to the reference rows that look like it. ``auto``:
        from the score, moved towards the middle of these two as far as adapting has
        explained the reference; without ``features`` it is ``cbpe``.
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
    features : str, sequence of str or None
        Columns by which methods but ``cbpe`` adapt to covariate shift: what the model
        reads, and what else may shift. With ``timestamp`` and ``labeled_at`` every
        method learns from them, for ``Monitor``, which rows' labels take long. Numbers
        and booleans count as numbers, texts and categories as categories. Leave out
        what tells the time (a year, a running number): all that comes would lie outside
        the reference.
    segments : str or sequence of str, default=()
        Columns whose every value gets rows of its own beside the overall ones, and a
        shift of the calibration map, shrunk by its own evidence.
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
        Seed of methods that read features; results are the same for any number of
        threads.
    progress : bool, default=False
        Show a bar on stderr for work longer than two seconds.

    Attributes
    ----------
    reference_ : Reference
        What was learned. Nothing in it changes after ``fit``.
    fitted_parameters_ : dict
        Parameters that it was learned with: a parameter that is changed later is
        refused until the next ``fit``.

    References
    ----------
    .. [1] Białek, Kivimäki, Kuberski & Perrakis (2024), "Estimating Model Performance
       Under Covariate Shift Without Labels", arXiv:2401.08348.

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

    def __init__(  # noqa: PLR0913 - public, an argument for each parameter
        self,
        metrics: str | Sequence[str] = ("roc_auc", "accuracy"),
        method: Literal["auto", "cbpe", "feature_aware", "pape"] = "auto",
        chunk: object = "W",
        timestamp: Hashable | None = None,
        y_pred_proba: Hashable = "y_pred_proba",
        y_pred: Hashable | None = None,
        y_true: Hashable = "y_true",
        labeled_at: Hashable | None = None,
        decision_threshold: float = 0.5,
        features: Hashable | Sequence[Hashable] | None = None,
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

    def fit(self, reference: object, *, counted: bool = False) -> Self:
        """Learn calibration, thresholds and drift from a labelled period.

        Everything said about the reference itself is cross-fitted, on folds that are
        blocks of time. With a ``timestamp`` the order of the rows does not matter,
        except that chunks of a row count keep the frame's order among rows of one time.
        Without one, the order of the rows is taken for time: folds are blocks of rows.

        Parameters
        ----------
        reference : DataFrame (pandas, polars) or pyarrow Table
            Only the named columns are read. Rows without a score or a label are left
            out, and noted.
        counted : bool, default=False
            Whether to measure the metrics of the reference's chunks from tables of
            counts, as the nightly job measures production; ``chunk`` must then be
            periods of time.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter or a column breaks its rule; the message says which, where
            and what to do. A fitted estimator stays as it was.

        Warns
        -----
        CommonMistakeWarning
            If scores are decisions or point the other way, or the reference's own
            chunks lie beyond its thresholds.
        """
        metrics, specs = self.check_parameters()
        columns = self._read(reference, "reference", self.labeled_at)
        row_print = print_of_rows(columns)
        chunks = self._chunks(columns, self.chunk)
        counted_by = self._periods() if counted else None
        table, matrix = None, None
        is_timed = columns.labeled_at is not None and columns.timestamp is not None
        if self.is_adaptive or (is_timed and self._feature_columns()):
            table, matrix = learn_features(reference, self._feature_columns())
        if self.timestamp is not None:
            order = order_by_time(columns, matrix)
            if order is not None:
                columns, chunks = columns.take(order), take_chunks(chunks, order)
                matrix = None if matrix is None else matrix[order]
        features, delay_features, n_steps = None, None, N_STEPS
        if table is not None and matrix is not None:
            seed = int(self.random_state)
            if is_timed:
                delay_features = FeatureRows(
                    table=table, matrix=matrix, random_state=seed
                )
            if self.is_adaptive:
                features = Features(
                    method=self.method, table=table, matrix=matrix, random_state=seed
                )
                n_steps += learning_steps(self.method)
        with self._progress(n_steps) as progress, progress.stage("fitting"):
            frame = ReferenceFrame(
                columns=columns,
                chunks=chunks,
                decisions=self.decisions(columns),
                row_print=row_print,
                features=features,
                delay_features=delay_features,
            )
            options = ReferenceOptions(
                metrics=metrics,
                calibrator=self.calibrator,
                thresholds=specs,
                level=float(self.level),
                counted_by=counted_by,
            )
            fitted = learn_reference(frame, options, progress.advance)
        self.reference_ = fitted
        self.fitted_parameters_ = snapshot_parameters(self.get_params(deep=False))
        mistakes = mistakes_in_reference(
            columns, fitted.performance, specs, self.y_pred_proba
        )
        warn_of(mistakes, stacklevel=2)
        return self

    def estimate(self, production: object, *, chunk: object = AS_FITTED) -> Performance:
        """Estimate the metrics on each chunk of a period without labels.

        The order of the rows within a chunk does not matter.

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
            If a column breaks its rule, or a parameter was changed after ``fit``.

        Warns
        -----
        CommonMistakeWarning
            If the rows are, or begin with, those of the reference.
        """
        check_is_fitted(self, "reference_")
        fitted: Reference = self.reference_
        chunk = self.chunk if isinstance(chunk, _AsFitted) else chunk
        columns = self.read_production(production)
        if is_reference_again(columns, fitted.rows):
            warn_of([_REFERENCE_AGAIN], stacklevel=2)
        chunks = self._chunks(columns, chunk)
        delivered, groups = groups_of(fitted, columns, chunks)
        decisions = self.decisions(columns)
        plain = score_map(fitted, columns.segments)
        features = features_of(fitted, production, name="production")
        adapter = fitted.adapter
        total = int(groups.n_rows.sum())
        if adapter is not None:
            usable = int(np.count_nonzero(~np.isnan(columns.score)))
            total = 2 * total + work_of(adapter, usable)
        with self._progress(total) as progress, progress.stage("estimating"):
            columns, adapted = adapt_columns(
                fitted,
                columns,
                plain,
                features,
                chunks.row_sets(),
                advance=progress.advance,
            )
            estimated = estimate_groups(
                fitted, columns, plain, groups, decisions, advance=progress.advance
            )
        realized, n_labels = None, np.zeros_like(groups.n_rows)
        if columns.label is not None:
            labeled = groups.keep(~np.isnan(columns.label))
            n_labels = labeled.n_rows
            realized = measure(
                fitted.metrics,
                labeled,
                rows_of_columns(columns, columns.label, decisions),
            )
        analysis = assemble_performance(
            "analysis",
            chunks,
            groups,
            Measured(estimated=estimated, realized=realized, n_labels=n_labels),
            ResultRules(
                metrics=fitted.metrics,
                level=float(self.level),
                thresholds=fitted.thresholds,
                drift=fitted.drift,
                period=fitted.period,
                scores=fitted.scores,
            ),
            compose_remarks(columns, chunks, delivered, groups, adapted),
        )
        return concatenate_periods(fitted.performance, analysis)

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator to one file, atomically and without pickle.

        With ``features``, methods ``auto`` and ``pape`` keep up to 50,000 rows of the
        reference in it, as numbers; ``feature_aware`` keeps only its trees.

        Parameters
        ----------
        path : str or Path
            File to write; one that is there is replaced.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError
            If the calibrator is the caller's own object, which only pickle could save.
        ValueError
            If a parameter was changed after ``fit``.
        """
        header, arrays = self.to_arrays()
        header = {"format": FORMAT, "version": VERSION, **header}
        write_archive(Path(path), header, arrays)

    @staticmethod
    def load(path: str | Path) -> "PerformanceEstimator":
        """Read an estimator written by ``save``; runs no code from the file.

        Parameters
        ----------
        path : str or Path
            File to read.

        Returns
        -------
        PerformanceEstimator
            The fitted estimator.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, something else, or of another format version.
        """
        remedy = "Save the estimator again with `PerformanceEstimator.save`."
        header, arrays = read_archive(Path(path), FORMAT, VERSION, remedy)
        with corrupt_archive_errors(Path(path), remedy):
            return PerformanceEstimator.from_arrays(header, arrays)

    def to_arrays(self) -> tuple[JsonObject, Arrays]:
        """Take the fitted estimator apart: what JSON can hold, and arrays.

        Returns
        -------
        header : dict
            What JSON can hold.
        arrays : dict of str to ndarray
            What was learned, by name.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError
            If the calibrator is the caller's own object.
        ValueError
            If a parameter was changed after ``fit``.
        """
        check_is_fitted(self, "reference_")
        self.check_as_fitted()
        header, arrays = reference_to_arrays(self.reference_)
        parameters = parameters_to_json(self.get_params(deep=False))
        return {"parameters": parameters, **header}, arrays

    @classmethod
    def from_arrays(cls, header: JsonObject, arrays: Arrays) -> Self:
        """Put together what ``to_arrays`` took apart.

        Parameters
        ----------
        header : mapping
            What JSON can hold.
        arrays : dict of str to ndarray
            What was learned, by name.

        Returns
        -------
        PerformanceEstimator
            The fitted estimator.

        Raises
        ------
        KeyError, TypeError, ValueError
            If parts are missing or do not fit together.
        """
        estimator = cls(**parameters_from_json(header["parameters"]))
        estimator.check_parameters()
        parameters = estimator.get_params(deep=False)
        estimator.reference_ = reference_from_arrays(header, arrays, parameters)
        estimator.fitted_parameters_ = snapshot_parameters(parameters)
        return estimator

    def check_parameters(
        self,
    ) -> tuple[tuple[Metric, ...], dict[str, ThresholdSpec]]:
        """Refuse what is wrong whatever the data; ``fit`` does so first.

        Returns
        -------
        metrics : tuple of Metric
            The metrics that are named, in their order.
        thresholds : dict of str to ThresholdSpec
            How each metric's thresholds are set, by metric.

        Raises
        ------
        TypeError, ValueError
            If a parameter breaks its rule.
        """
        return check_parameters(self.get_params(deep=False))

    def check_as_fitted(self) -> None:
        """Refuse parameters that were changed after ``fit``: nothing knows them.

        Raises
        ------
        ValueError
            If a parameter but ``progress`` differs from what was fitted.
        """
        fitted = self.fitted_parameters_
        for name, value in snapshot_parameters(self.get_params(deep=False)).items():
            if not same_value(value, fitted[name]):
                msg = (
                    f"`{name}` must be as it was at `fit`, {fitted[name]!r}, but was "
                    f"changed to {value!r} since. Call `fit` again."
                )
                if name == "chunk":
                    msg += " For other chunks once: `estimate(production, chunk=…)`."
                raise ValueError(msg)

    def read_production(
        self, frame: object, *, with_arrivals: bool = False, in_utc: bool = False
    ) -> Columns:
        """Read and check a frame of predictions, of the reference's kind.

        Parameters
        ----------
        frame : DataFrame (pandas, polars) or pyarrow Table
            Predictions; only the named columns are read.
        with_arrivals : bool, default=False
            Whether to read when the labels in it came, too.
        in_utc : bool, default=False
            Whether its times are UTC, though they do not say so.

        Returns
        -------
        Columns
            The named columns as checked arrays.

        Raises
        ------
        TypeError, ValueError
            If a column breaks its rule, or times lie on another clock than those of
            the reference.
        """
        self.check_as_fitted()
        columns = self._read(
            frame, "production", labeled_at=self.labeled_at if with_arrivals else None
        )
        reference = self.reference_.performance
        if in_utc:
            columns = replace(columns, timezone=reference.timezone or "UTC")
        _check_same_clock(reference, columns)
        return columns

    def decisions(self, columns: Columns) -> Decisions:
        """Return how rows are decided: by their column, or from a score on.

        Parameters
        ----------
        columns : Columns
            Rows, as `read_production` returns them.

        Returns
        -------
        Decisions
            By the column of decisions where there is one, else by
            ``decision_threshold``.
        """
        return Decisions(threshold=self.decision_threshold, by_row=columns.decision)

    def _read(
        self,
        frame: object,
        name: Literal["reference", "production"],
        labeled_at: Hashable | None = None,
    ) -> Columns:
        return read_columns(
            frame,
            ColumnNames(
                timestamp=self.timestamp,
                y_pred_proba=self.y_pred_proba,
                y_pred=self.y_pred,
                y_true=self.y_true,
                segments=self._segment_columns(),
                labeled_at=labeled_at,
            ),
            name=name,
            label_required=name == "reference",
        )

    @property
    def is_adaptive(self) -> bool:
        """Whether features are read: by ``auto`` only where there are any."""
        return self.method in ADAPTIVE and bool(self._feature_columns())

    def _segment_columns(self) -> tuple[Hashable, ...]:
        return column_names(self.segments)

    def _feature_columns(self) -> tuple[Hashable, ...]:
        return column_names(self.features)

    def _periods(self) -> Period | Edges:
        spec = check_chunk(self.chunk, has_timestamp=self.timestamp is not None)
        if not isinstance(spec, Period | Edges):
            msg = (
                "`chunk` must be periods of time where the reference is counted, got "
                f"{self.chunk!r}. Name an offset alias, such as 'D' or 'W'."
            )
            raise TypeError(msg)
        return spec

    def _chunks(self, columns: Columns, chunk: object) -> Chunks:
        return make_chunks(columns.n_rows, chunk, columns.timestamp, columns.timezone)

    def _progress(self, total: int) -> Progress:
        return Progress(total + 1, sys.stderr if self.progress else None)


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
