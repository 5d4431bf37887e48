"""The stateful face: predictions and labels come in, one number per chunk moves on."""

import threading
import warnings
from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from estimator.charts.newest_chunk import newest_chunk
from estimator.degradation.announcements import (
    MIN_PROBABILITY,
    Announcement,
    Announcements,
    check_min_probability,
)
from estimator.degradation.per_metric import judge_series
from estimator.degradation.verdict import Degradation
from estimator.delayed_labels.completed_chunks import CompletedChunks
from estimator.files.archive import corrupt_archive_errors, read_archive, write_archive
from estimator.frames.column_names import is_column_name
from estimator.frames.datetimes import TimeLike, read_moment
from estimator.ledger.adding_labels import AddedLabels, add_labels
from estimator.ledger.adding_rows import add_rows
from estimator.ledger.label_frame import LabelColumns, ids_of, read_labels
from estimator.ledger.ledger import Ledger
from estimator.monitoring.arriving_rows import features_on_arrival, forget_strata
from estimator.monitoring.deployments import (
    Deployment,
    check_rebase,
    chunk_spec_of,
)
from estimator.monitoring.joined_results import (
    Evaluations,
    join_attribution,
    join_performance,
)
from estimator.monitoring.label_arrival import arrivals_of
from estimator.monitoring.ledger_evaluation import (
    evaluate_ledger,
    reopen_touched,
)
from estimator.monitoring.saved_monitor import (
    MONITOR_FORMAT,
    MONITOR_VERSION,
    MonitorParts,
    parts_from_arrays,
    parts_to_arrays,
)
from estimator.performance_estimator import PerformanceEstimator
from estimator.results.names import check_names
from estimator.results.performance import Performance


class Monitor:
    """Follow a deployed classifier: estimates become truth as labels arrive.

    One number per chunk and metric begins as the estimate without labels, moves as they
    come, and equals the realized metric when the last is in. On the way it uses the
    labels that have come, who is likely to be still waiting for one (labels of the two
    classes take differently long), and the shift of the calibration that the labels of
    all chunks show, carried on to the newest.

    Parameters
    ----------
    estimator : PerformanceEstimator
        Fitted on the reference.
    row_id : Hashable
        Column of ids, by which labels find their rows: whole numbers, texts or UUIDs.
    min_probability : float, default=0.8
        Least probability of a decline, or of its end, that is announced, in [0, 1].

    Notes
    -----
    A row delivered again is ignored if its score, decision and time are the same, and
    refused if they differ. Labels
    of rows not yet predicted are held until these come. Of two labels of a row the
    later arrival counts, at equal times the larger value; labels without an arrival
    time arrive at ``now``, else at the latest time seen, and there the later call
    counts. Time is what the data tell, never the wall clock.

    If the estimator reads features, rows get their soft labels, and the strata of their
    delays, when they come, and keep them: features are not stored. ``pape`` and
    ``auto`` then adapt to those rows of a chunk that came in the same call; a chunk
    delivered whole is what ``estimate`` says.

    Every method may be called from any number of threads. The calls on one monitor run
    one after the other: each sees all earlier ones as a whole, and no row and no label
    is lost. Rows of a batch take their places in chunks of a row count in the order in
    which the calls come to run. ``copy.deepcopy`` gives a monitor of its own, with a
    lock of its own.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(12_000)
    >>> frame = pd.DataFrame({"id": np.arange(12_000), "y_pred_proba": score})
    >>> labels = frame[["id"]].assign(y_true=rng.random(12_000) < score)
    >>> estimator = PerformanceEstimator(chunk=2_000)
    >>> estimator = estimator.fit(frame.merge(labels)[:6_000])
    >>> monitor = Monitor(estimator, row_id="id")
    >>> for start in (6_000, 8_000, 10_000):
    ...     performance = monitor.add_predictions(frame[start : start + 2_000])
    >>> report = monitor.add_labels(labels[6_000:9_000])
    >>> report.n_new
    3000
    >>> found = monitor.performance().to_frame().query("period == 'analysis'")
    >>> found.query("metric == 'accuracy'")["n_labels"].tolist()
    [2000, 1000, 0]
    """

    def __init__(
        self,
        estimator: PerformanceEstimator,
        row_id: Hashable,
        *,
        min_probability: float = MIN_PROBABILITY,
    ) -> None:
        check_is_fitted(estimator, "reference_")
        estimator.check_as_fitted()
        if row_id is None or not is_column_name(row_id):
            msg = f"`row_id` must be the name of a column, got {row_id!r}. Name one."
            raise TypeError(msg)
        # Reentrant: public methods may call one another.
        self._lock = threading.RLock()
        self.row_id = row_id
        self.min_probability = check_min_probability(min_probability)
        self._deployments: tuple[Deployment, ...] = (Deployment(estimator=estimator),)
        self._ledger = Ledger()
        # What need not be read again; only ever a shortcut, never a source.
        self._completed: Mapping[int, CompletedChunks] = {}  # by deployment
        self._announcements: dict[tuple[str, str], Announcements] = {}

    def __repr__(self) -> str:
        ledger = self._ledger  # one state, whatever other threads add meanwhile
        n_unmatched = ledger.unmatched_keys.size
        waiting = f", labels of {n_unmatched:,} rows held" if n_unmatched else ""
        return (
            f"<Monitor of {', '.join(self._metrics())}: {ledger.n_rows:,} rows "
            f"in {len(ledger.chunks)} chunks{waiting}>"
        )

    def __getstate__(self) -> dict[str, object]:
        """Return one state as a whole, for a copy: a lock cannot be copied."""
        with self._lock:
            state = self.__dict__.copy()
            state["_announcements"] = dict(self._announcements)
            state["_completed"] = dict(self._completed)
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        """Take over the state of another monitor, with a lock of its own."""
        self.__dict__.update(state)
        self._lock = threading.RLock()

    @classmethod
    def from_parts(cls, parts: MonitorParts) -> "Monitor":
        """Put a monitor together from what it was saved as.

        Parameters
        ----------
        parts : MonitorParts
            Deployments, row id, ledger and announcements of the saved monitor.

        Returns
        -------
        Monitor
            A monitor that goes on where the saved one was.
        """
        monitor = cls(
            parts.deployments[0].estimator,
            parts.row_id,
            min_probability=parts.min_probability,
        )
        monitor._deployments, monitor._ledger = parts.deployments, parts.ledger
        monitor._announcements = parts.announcements
        return monitor

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """The estimators, each with its first chunk."""
        return self._deployments

    @property
    def ledger(self) -> Ledger:
        """All rows and labels; frozen."""
        return self._ledger

    @property
    def estimator(self) -> PerformanceEstimator:
        """The estimator of the newest chunks."""
        return self._deployments[-1].estimator

    @property
    def announced(self) -> dict[tuple[str, str], Announcements]:
        """By segment and metric, the announcements and what the next one needs."""
        with self._lock:
            return dict(self._announcements)

    @property
    def nbytes(self) -> int:
        """Memory of all rows, ids and labels, in bytes."""
        return self._ledger.nbytes

    def add_predictions(self, frame: object) -> Performance:
        """Add a batch of predictions, and return the chunks it touches.

        Parameters
        ----------
        frame : DataFrame (pandas, polars) or pyarrow Table
            The estimator's columns and the row id. Labels in it (and their arrival
            times) are added, too.

        Returns
        -------
        Performance
            The reference, and the touched chunks with all that is known now. Segments
            that the reference does not have are there if they have rows in these
            chunks.

        Raises
        ------
        TypeError, ValueError
            If a column breaks its rule, or a row was delivered before and differs; then
            nothing is added.
        """
        with self._lock:
            columns = self.estimator.read_production(frame)
            keys, show = ids_of(frame, self.row_id)
            read = features_on_arrival(self._deployments, frame, columns)
            ledger, added = add_rows(
                self._ledger, columns, keys, chunk_spec_of(self.estimator), show, read
            )
            touched = set(added.touched)
            if columns.label is not None and not np.isnan(columns.label).all():
                ledger, labeled = add_labels(ledger, self._read_labels(frame))
                touched |= set(labeled.touched)
            self._adopt(ledger, touched)
            evaluations = self._evaluate(None, sorted(touched))
            return join_performance(evaluations, self._deployments)

    def add_labels(self, labels: object, now: TimeLike | None = None) -> AddedLabels:
        """Add a batch of labels.

        Parameters
        ----------
        labels : DataFrame (pandas, polars) or pyarrow Table
            Row id and label under the configured names, and the arrival time if the
            estimator names its column (``labeled_at``). Rows without a label are left
            out, and counted.
        now : timestamp, optional
            Arrival of labels without a time of their own; later ones are refused.

        Returns
        -------
        AddedLabels
            How many were new, restated, known already, or held.

        Raises
        ------
        TypeError, ValueError
            If a column breaks its rule, or a label arrives after ``now``; then nothing
            is added.

        Warns
        -----
        UserWarning
            If none of the ids is known: they may be ids of something else.
        """
        with self._lock:
            read = self._read_labels(labels)
            ledger, added = add_labels(self._ledger, read, self._moment(now, "now"))
            self._adopt(ledger, added.touched)
        if added.n_held and added.n_held == read.keys.size:
            warnings.warn(
                f"None of the {added.n_held:,} labels belongs to a row predicted so "
                f"far (first: id {read.show(0)}). They are held until their rows "
                f"come; is {self.row_id!r} the same id in both?",
                UserWarning,
                stacklevel=2,
            )
        return added

    def performance(self, as_of: TimeLike | None = None) -> Performance:
        """Return estimated, reconciled and realized performance of all chunks.

        Parameters
        ----------
        as_of : timestamp, optional
            Count only rows and labels up to this time; default: the latest time seen.
            The reference is known in full.

        Returns
        -------
        Performance
            The reference's chunks, then all others.

        Raises
        ------
        ValueError
            If ``as_of`` is no time, or neither rows nor labels have any.
        """
        with self._lock:
            evaluations = self._evaluate(self._as_of(as_of))
            return join_performance(evaluations, self._deployments)

    def attribution(self, as_of: TimeLike | None = None) -> pd.DataFrame:
        """Split each chunk's change into covariate shift and concept drift.

        From the reference to the estimate is covariate shift, visible without labels;
        from the estimate to the value is concept drift, visible only with them.

        Parameters
        ----------
        as_of : timestamp, optional
            As in ``performance``.

        Returns
        -------
        DataFrame
            ``segment, chunk, metric, n_rows, n_labels, reference, estimated, value,
            covariate_shift, concept_drift, residual, residual_standard_error,
            residual_z, residual_sensitivity, residual_shared_error``. ``residual_z`` is
            about standard normal as long as the concept has not drifted, whichever
            labels came first; NaN without labels, and where the metric is undefined
            over them. ``residual_sensitivity`` is the share of a drift that these
            labels show: 1, and less where they are of the class whose labels come
            first. ``residual_shared_error`` is the part of the standard error that all
            chunks share, the calibration's.
        """
        with self._lock:
            return join_attribution(self._evaluate(self._as_of(as_of)))

    def degradation(
        self,
        as_of: TimeLike | None = None,
        metrics: str | Sequence[str] | None = None,
        *,
        segment: str = "",
    ) -> dict[str, Degradation]:
        """Say of each metric what kind of decline it shows, if any, and why.

        Judged are the reference and the chunks since the last rebase, with all labels
        known. The first verdict after a chunk has become complete counts towards an
        announcement: see `announcements`.

        Parameters
        ----------
        as_of : timestamp, optional
            As in ``performance``; a look into the past announces nothing.
        metrics : str or sequence of str, default=all
            Metrics to judge.
        segment : str, default=""
            As in the column of that name; "" is all rows.

        Returns
        -------
        dict of str to Degradation
            By metric. Counts, which have no good direction, are left out, and so are
            metrics without any value.

        Raises
        ------
        ValueError
            If ``as_of`` is no time, or a metric or the segment is not in the result.
        """
        with self._lock:
            evaluations = self._evaluate(self._as_of(as_of))
            performance = join_performance(evaluations, self._deployments)
            check_names(performance, metrics, segment)
            verdicts = judge_series(
                performance.metric_series(segment=segment)[segment],
                since=self._deployments[-1].from_chunk,
                attribution=join_attribution(evaluations) if evaluations else None,
            )
            if as_of is None and evaluations:
                self._announce(segment, verdicts, newest_chunk(performance))
        if metrics is None:
            return verdicts
        wanted = (metrics,) if isinstance(metrics, str) else tuple(metrics)
        return {name: verdicts[name] for name in wanted if name in verdicts}

    def announcements(
        self, *, segment: str = ""
    ) -> dict[str, tuple[Announcement, ...]]:
        """Return what has been announced, by metric, oldest first.

        A decline is announced once the verdicts of `degradation` on two complete chunks
        in a row say, each with at least ``min_probability``, that there is one; so is
        its end. Of verdicts on the same newest complete chunk the first counts. The
        history stays, also when later labels change the verdict.

        Parameters
        ----------
        segment : str, default=""
            As in the column of that name; "" is all rows.

        Returns
        -------
        dict of str to tuple of Announcement
            Announcements by metric, oldest first.
        """
        return {
            metric: announced.history
            for (name, metric), announced in self.announced.items()
            if name == segment
        }

    def _announce(
        self,
        segment: str,
        verdicts: dict[str, Degradation],
        newest: str | int | None,
    ) -> None:
        """Count verdicts, once for each newest complete chunk."""
        for metric, verdict in verdicts.items():
            so_far = self._announcements.get((segment, metric), Announcements())
            self._announcements[segment, metric] = so_far.update(
                verdict, newest, min_probability=self.min_probability
            )

    def label_arrival(self, as_of: TimeLike | None = None) -> pd.DataFrame:
        """Say how many labels of each chunk have come, and when to expect them all.

        Parameters
        ----------
        as_of : timestamp, optional
            As in ``performance``.

        Returns
        -------
        DataFrame
            ``chunk, n_rows, n_labels, share, expected_share, expected, overdue,
            mature_at``. ``expected_share`` is the share of labels to expect at the
            rows' age at ``as_of``. ``expected`` is the number of labels that have come,
            and of those that were due since labels last came as usual. ``overdue`` is
            how many of these are missing if labels have stopped: far fewer came than
            chance, the delay model and usual pauses (a day, and twice the longest pause
            of the last three months with labels) allow; else 0. At ``mature_at`` the
            chunk's last row has had its label with 95 % of the chance that it gets one
            at all. NaN and NaT as long as no label, of the reference or since, has told
            how long it took.

        Notes
        -----
        Once labels have stopped, neither delays nor soft labels learn from rows that
        wait in vain: values stay where they were.
        """
        with self._lock:
            evaluations = self._evaluate(self._as_of(as_of))
        return arrivals_of(
            [
                (deployment.estimator, evaluation)
                for deployment, evaluation in evaluations
            ]
        ).by_chunk

    def rebase(self, estimator: PerformanceEstimator, from_chunk: str | int) -> None:
        """Start anew after the client's model was retrained; history is kept.

        Parameters
        ----------
        estimator : PerformanceEstimator
            Fitted on a reference of the new model, with the same columns, chunks,
            segments and metrics.
        from_chunk : str or int
            Label of the first chunk that the new model scored; it may not exist yet.

        Raises
        ------
        ValueError
            If the estimator differs in what must stay, or the chunk lies before an
            earlier rebase.
        """
        check_is_fitted(estimator, "reference_")
        estimator.check_as_fitted()
        with self._lock:
            check_rebase(self._deployments[-1], estimator, from_chunk)
            later = Deployment(estimator=estimator, from_chunk=from_chunk)
            self._deployments = (*self._deployments, later)
            self._ledger = forget_strata(self._ledger, self._deployments)
            self._completed = {}  # chunks may have gone to another estimator

    def save(self, path: str | Path) -> None:
        """Write the monitor to one file, atomically and without pickle.

        It holds ids (texts as hashes), scores, soft labels, labels and times; never the
        features of predictions. Estimators bring what `PerformanceEstimator.save` says.
        Calls from other threads wait until it is written: the file holds one state.

        Parameters
        ----------
        path : str or Path
            File to write; one that is there is replaced.

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        TypeError
            If a calibrator is the caller's own object, which only pickle could save.
        """
        with self._lock:
            parts = MonitorParts(
                deployments=self._deployments,
                row_id=self.row_id,
                ledger=self._ledger,
                announcements=self._announcements,
                min_probability=self.min_probability,
            )
            header, arrays = parts_to_arrays(parts)
            write_archive(Path(path), header, arrays)

    @staticmethod
    def load(path: str | Path) -> "Monitor":
        """Read a monitor written by ``save``; runs no code from the file.

        Parameters
        ----------
        path : str or Path
            File to read.

        Returns
        -------
        Monitor
            A monitor that goes on where the saved one was.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, something else, or of another format version.
        """
        remedy = "Save the monitor again with `Monitor.save`."
        header, arrays = read_archive(
            Path(path), MONITOR_FORMAT, MONITOR_VERSION, remedy
        )
        with corrupt_archive_errors(Path(path), remedy):
            return Monitor.from_parts(parts_from_arrays(header, arrays))

    def _adopt(self, ledger: Ledger, touched: Collection[int]) -> None:
        """Take a new state; completed chunks that are touched are read again."""
        self._completed = reopen_touched(
            self._ledger, self._deployments, self._completed, touched
        )
        self._ledger = ledger

    def _metrics(self) -> tuple[str, ...]:
        return tuple(metric.name for metric in self.estimator.reference_.metrics)

    def _read_labels(self, frame: object) -> LabelColumns:
        return read_labels(
            frame,
            row_id=self.row_id,
            y_true=self.estimator.y_true,
            labeled_at=self.estimator.labeled_at,
        )

    def _moment(self, value: TimeLike | None, name: str) -> int | None:
        """Return a time argument in microseconds, in UTC if the data have a zone."""
        return read_moment(
            value,
            name,
            self.estimator.reference_.performance.timezone,
            has_times=self.estimator.timestamp is not None,
        )

    def _as_of(self, value: TimeLike | None) -> int | None:
        """Return the moment up to which rows and labels count."""
        as_of = self._moment(value, "as_of")
        if as_of is not None and self._ledger.chunks and self._ledger.latest is None:
            msg = (
                "`as_of` needs times, but neither the predictions nor the labels have "
                "any. Name their columns: PerformanceEstimator(timestamp=…, "
                "labeled_at=…)."
            )
            raise ValueError(msg)
        return as_of

    def _evaluate(
        self, as_of: int | None, touched: Sequence[int] | None = None
    ) -> Evaluations:
        """Evaluate all chunks (or the touched ones), each with its own estimator."""
        result = evaluate_ledger(
            self._ledger, self._deployments, self._completed, as_of, touched
        )
        self._completed = result.completed
        return result.evaluations
