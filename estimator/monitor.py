"""The stateful face: predictions and labels come in, one number per chunk moves on."""

import threading
import warnings
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from estimator.chunking.chunks import Chunks, ChunkSpec, check_chunk
from estimator.degradation.announcements import (
    Announcement,
    Announcements,
    from_json,
    to_json,
)
from estimator.degradation.per_metric import judge_series
from estimator.degradation.series import plain
from estimator.degradation.verdict import Degradation
from estimator.delayed_labels.completed_chunks import (
    CompletedChunks,
    complete_chunks,
    no_evidence,
    reopen_chunks,
)
from estimator.delayed_labels.overdue import LabelCalendar
from estimator.estimation.estimates import (
    ScoreMap,
    adapt_scores,
    features_of,
    score_map,
)
from estimator.estimation.parameters import same_value
from estimator.estimation.reference import Reference
from estimator.files.archive import (
    Arrays,
    corrupt_archive_errors,
    read_archive,
    under,
    write_archive,
)
from estimator.frames.column_names import is_column_name, name_from_json, name_to_json
from estimator.frames.columns import Columns, not_none
from estimator.label_free.shift_adaptive import AdaptedRows
from estimator.ledger.adding_labels import AddedLabels, add_labels
from estimator.ledger.adding_rows import add_rows
from estimator.ledger.label_frame import LabelColumns, ids_of, microseconds, read_labels
from estimator.ledger.ledger import Ledger
from estimator.ledger.ledger_arrays import (
    check_labels,
    ledger_from_arrays,
    ledger_to_arrays,
)
from estimator.ledger.snapshot import Snapshot, take_snapshot
from estimator.monitoring.attribution import attribution_of
from estimator.monitoring.deployments import (
    Deployment,
    check_deployments,
    comes_after,
    deployment_of,
    slices_of,
)
from estimator.monitoring.evaluation import (
    ChunkEvaluation,
    evaluate_chunks,
    performance_of,
)
from estimator.monitoring.label_arrival import arrivals_of
from estimator.monitoring.scored_rows import ScoredRows, end_of_usual_labels
from estimator.performance_estimator import PerformanceEstimator
from estimator.results.assembly import concatenate_periods
from estimator.results.names import check_names
from estimator.results.performance import Performance

MONITOR_FORMAT = "deadreckon monitor"
MONITOR_VERSION = 4
# Parameters that say what a row and a result are: a retrained model keeps them.
_LASTING = (
    "metrics",
    "chunk",
    "timestamp",
    "y_pred_proba",
    "y_pred",
    "y_true",
    "labeled_at",
    "segments",
    "level",
)


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

    Notes
    -----
    A row delivered again is ignored if its score, decision and time are the same, and
    refused if they differ. Labels
    of rows not yet predicted are held until these come. Of two labels of a row the
    later arrival counts, at equal times the larger value; labels without an arrival
    time arrive at ``now``, else at the latest time seen, and there the later call
    counts. Time is what the data tell, never the wall clock.

    If the estimator reads features, rows get their soft labels when they come, and keep
    them: features are not stored. ``pape`` and ``auto`` then adapt to those rows of a
    chunk that came in the same call; a chunk delivered whole is what ``estimate`` says.

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

    def __init__(self, estimator: PerformanceEstimator, row_id: Hashable) -> None:
        check_is_fitted(estimator, "reference_")
        estimator.check_as_fitted()
        if row_id is None or not is_column_name(row_id):
            msg = f"`row_id` must be the name of a column, got {row_id!r}. Name one."
            raise TypeError(msg)
        # Reentrant: public methods may call one another.
        self._lock = threading.RLock()
        self.row_id = row_id
        self._deployments: tuple[Deployment, ...] = (Deployment(estimator=estimator),)
        self._ledger = Ledger()
        # What need not be read again; only ever a shortcut, never a source.
        self._completed: dict[int, CompletedChunks] = {}  # by number of the estimator
        self._announcements: dict[tuple[str, str], Announcements] = {}

    def __repr__(self) -> str:
        ledger = self._ledger  # one state, whatever other threads add meanwhile
        held = ledger.unmatched_keys.size
        waiting = f", labels of {held:,} rows held" if held else ""
        return (
            f"<Monitor of {', '.join(self._metrics())}: {ledger.n_rows:,} rows "
            f"in {len(ledger.chunks)} chunks{waiting}>"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return one state as a whole, for a copy: a lock cannot be copied."""
        with self._lock:
            state = self.__dict__.copy()
            state["_announcements"] = dict(self._announcements)
            state["_completed"] = dict(self._completed)
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over the state of another monitor, with a lock of its own."""
        self.__dict__.update(state)
        self._lock = threading.RLock()

    @classmethod
    def from_parts(
        cls,
        deployments: tuple[Deployment, ...],
        row_id: Hashable,
        ledger: Ledger,
        announcements: dict[tuple[str, str], Announcements],
    ) -> "Monitor":
        """Put a monitor together from what it was saved as.

        Parameters
        ----------
        deployments : tuple of Deployment
            Estimators, each with its first chunk, oldest first.
        row_id : hashable
            Name of the column that identifies a row.
        ledger : Ledger
            All rows and labels.
        announcements : dict of (str, str) to Announcements
            What has been announced, by segment and metric.

        Returns
        -------
        Monitor
            A monitor that goes on where the saved one was.
        """
        monitor = cls(deployments[0].estimator, row_id)
        monitor._deployments, monitor._ledger = deployments, ledger
        monitor._announcements = announcements
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

    def add_predictions(self, frame: Any) -> Performance:
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
            adapt = self._adapt(frame, columns)
            ledger, added = add_rows(
                self._ledger, columns, keys, self._spec(), show, adapt
            )
            touched = set(added.touched)
            if columns.label is not None and not np.isnan(columns.label).all():
                ledger, labeled = add_labels(ledger, self._read_labels(frame))
                touched |= set(labeled.touched)
            self._adopt(ledger, touched)
            return self._performance(None, sorted(touched))

    def add_labels(self, labels: Any, now: Any = None) -> AddedLabels:
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

    def performance(self, as_of: Any = None) -> Performance:
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
            return self._performance(self._moment(as_of, "as_of"), None)

    def attribution(self, as_of: Any = None) -> pd.DataFrame:
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
            residual_z``. The last is about standard normal as long as the concept has
            not drifted, whichever labels came first; NaN without labels.
        """
        with self._lock:
            known = self._take_stock(self._moment(as_of, "as_of"), None)
        return _attribution(known)

    def degradation(
        self,
        as_of: Any = None,
        metrics: str | Sequence[str] | None = None,
        *,
        segment: str = "",
    ) -> dict[str, Degradation]:
        """Say of each metric what kind of decline it shows, if any, and why.

        Judged are the reference and the chunks since the last rebase, with all labels
        known. A verdict on new rows or labels counts towards an announcement: see
        `announcements`.

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
            known = self._take_stock(self._moment(as_of, "as_of"), None)
            performance = self._performance_of(known)
            check_names(performance, metrics, segment)
            verdicts = judge_series(
                performance.metric_series(segment=segment)[segment],
                since=self._deployments[-1].from_chunk,
                attribution=_attribution(known) if known else None,
            )
            if as_of is None and known:
                self._announce(segment, verdicts)
        if metrics is None:
            return verdicts
        wanted = (metrics,) if isinstance(metrics, str) else tuple(metrics)
        return {name: verdicts[name] for name in wanted if name in verdicts}

    def announcements(
        self, *, segment: str = ""
    ) -> dict[str, tuple[Announcement, ...]]:
        """Return what has been announced, by metric, oldest first.

        A kind of decline is announced once two verdicts of `degradation` in a row name
        it, each on more rows or labels than the one before; so is the return to
        ``stable``. The history stays, also when later labels change the verdict.

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
            metric: found.history
            for (of, metric), found in self.announced.items()
            if of == segment
        }

    def _announce(self, segment: str, verdicts: dict[str, Degradation]) -> None:
        """Count verdicts, each state of knowledge once."""
        state = self._ledger.n_rows, self._ledger.n_events
        for metric, verdict in verdicts.items():
            so_far = self._announcements.get((segment, metric), Announcements())
            newest = plain(verdict.chunks[-1])
            self._announcements[segment, metric] = so_far.update(verdict, newest, state)

    def label_arrival(self, as_of: Any = None) -> pd.DataFrame:
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
            known = self._take_stock(self._moment(as_of, "as_of"), None)
        return arrivals_of(
            [(deployment.estimator, own) for deployment, own in known]
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
            self._check_rebase(estimator, from_chunk)
            later = Deployment(estimator=estimator, from_chunk=from_chunk)
            self._deployments = (*self._deployments, later)
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
            header, arrays = self._to_arrays()
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
            deployments = tuple(
                Deployment(
                    estimator=PerformanceEstimator.from_arrays(
                        deployment["estimator"], under(arrays, f"epoch/{i}/")
                    ),
                    from_chunk=deployment["from_chunk"],
                )
                for i, deployment in enumerate(header["epochs"])
            )
            saved = header["ledger"]
            saved["values"] = [
                [name_from_json(name), of] for name, of in saved["values"]
            ]
            ledger = ledger_from_arrays(saved, under(arrays, "ledger/"))
            announcements = {
                (saved["segment"], saved["metric"]): from_json(saved)
                for saved in header["announcements"]
            }
            row_id = name_from_json(header["row_id"])
            estimator = deployments[0].estimator
            check_labels(
                ledger, estimator.chunk, has_time=estimator.timestamp is not None
            )
            check_deployments(deployments)
            return Monitor.from_parts(deployments, row_id, ledger, announcements)

    def _to_arrays(self) -> tuple[dict[str, Any], Arrays]:
        """Take the monitor apart: what JSON can hold, and arrays."""
        header, arrays = ledger_to_arrays(self._ledger)
        content = {f"ledger/{name}": values for name, values in arrays.items()}
        deployments = []
        for i, deployment in enumerate(self._deployments):
            own, arrays = deployment.estimator.to_arrays()
            deployments.append({"from_chunk": deployment.from_chunk, "estimator": own})
            content |= {f"epoch/{i}/{name}": values for name, values in arrays.items()}
        top = {
            "format": MONITOR_FORMAT,
            "version": MONITOR_VERSION,
            "row_id": name_to_json(self.row_id),
            "ledger": {
                **header,
                "values": [[name_to_json(name), of] for name, of in header["values"]],
            },
            "epochs": deployments,
            "announcements": [
                {"segment": segment, "metric": metric, **to_json(found)}
                for (segment, metric), found in self._announcements.items()
            ],
        }
        return top, content

    def _check_rebase(
        self, estimator: PerformanceEstimator, from_chunk: str | int
    ) -> None:
        ours, theirs = self.estimator.get_params(), estimator.get_params()
        for name in _LASTING:
            if not same_value(ours[name], theirs[name]):
                msg = (
                    f"`estimator` must have the same `{name}` as before, "
                    f"{ours[name]!r}, got {theirs[name]!r}. Fit it with that, or start "
                    "a new Monitor."
                )
                raise ValueError(msg)
        by_count = self._spec() is None or isinstance(self._spec(), int)
        if isinstance(from_chunk, str) == by_count:
            kind = "a number" if by_count else "the ISO start of a period"
            msg = f"`from_chunk` must be {kind}, as in the result, got {from_chunk!r}."
            raise ValueError(msg)
        earlier = self._deployments[-1].from_chunk
        if earlier is not None and not comes_after(from_chunk, earlier):
            msg = (
                f"`from_chunk` must come after the last rebase at {earlier!r}, got "
                f"{from_chunk!r}."
            )
            raise ValueError(msg)

    def _adopt(self, ledger: Ledger, touched: Collection[int]) -> None:
        """Take a new state; complete chunks that are touched are read again."""
        for i, completed in self._completed.items():
            again = [
                serial
                for serial in touched
                if serial < completed.serials.size and completed.serials[serial]
            ]
            if again:
                before = take_snapshot(self._ledger, self._spec(), None, again)
                bands = self._deployments[i].estimator.reference_.delays.bands
                self._completed[i] = reopen_chunks(completed, before, again, bands)
        self._ledger = ledger

    def _metrics(self) -> tuple[str, ...]:
        return tuple(metric.name for metric in self.estimator.reference_.metrics)

    def _spec(self) -> ChunkSpec:
        has_time = self.estimator.timestamp is not None
        return check_chunk(self.estimator.chunk, has_timestamp=has_time)

    def _adapt(
        self, frame: Any, columns: Columns
    ) -> Callable[[NDArray[np.int64], str | int], AdaptedRows | None]:
        """Return what gives rows their soft labels by features, where any are read.

        A chunk's rows are read as its own estimator wants them, as late rows of a time
        before the last rebase.
        """
        read: dict[int, tuple[NDArray[np.float64], ScoreMap]] = {}

        def adapt(rows: NDArray[np.int64], label: str | int) -> AdaptedRows | None:
            i = deployment_of(self._deployments, label)
            fitted: Reference = self._deployments[i].estimator.reference_
            if fitted.adapter is None:
                return None
            if i not in read:
                read[i] = (
                    features_of(fitted, frame, name="production"),
                    score_map(fitted, columns.segments),
                )
            features, plain = read[i]
            return adapt_scores(
                fitted,
                columns.score[rows],
                plain.take(rows),
                features[rows],
                [slice(None)],
            )

        return adapt

    def _read_labels(self, frame: Any) -> LabelColumns:
        return read_labels(
            frame,
            row_id=self.row_id,
            y_true=self.estimator.y_true,
            labeled_at=self.estimator.labeled_at,
        )

    def _moment(self, value: Any, name: str) -> int | None:
        """Return a time argument in microseconds, in UTC if the data have a zone."""
        if value is None:
            return None
        try:
            moment = pd.Timestamp(value)
        except (ValueError, TypeError) as error:
            msg = f"`{name}` must be a timestamp, got {value!r}."
            raise ValueError(msg) from error
        if pd.isna(moment):
            msg = f"`{name}` must be a timestamp, got {value!r}."
            raise ValueError(msg)
        if name == "as_of" and self._ledger.chunks and self._ledger.latest is None:
            msg = (
                "`as_of` needs times, but neither the predictions nor the labels have "
                "any. Name their columns: PerformanceEstimator(timestamp=…, "
                "labeled_at=…)."
            )
            raise ValueError(msg)
        performance = self.estimator.reference_.performance
        if moment.tzinfo is not None:
            if self.estimator.timestamp is not None and performance.timezone is None:
                msg = f"`{name}` must have no time zone, as the data, got {value!r}."
                raise ValueError(msg)
            moment = moment.tz_convert("UTC").tz_localize(None)
        elif performance.timezone is not None:
            moment = moment.tz_localize(performance.timezone)
            moment = moment.tz_convert("UTC").tz_localize(None)
        return int(microseconds(np.array([moment.to_datetime64()]))[0])

    def _take_stock(
        self, as_of: int | None, touched: Sequence[int] | None
    ) -> list[tuple[Deployment, ChunkEvaluation]]:
        """Evaluate all chunks (or the touched ones), each with its own estimator."""
        if touched is not None and not touched:
            return []
        use_completed = as_of is None and touched is not None
        completed = dict(self._completed) if use_completed else {}
        only = None
        if completed:
            left_alone = np.zeros(len(self._ledger.chunks), dtype=np.bool_)
            for known in completed.values():
                left_alone[: known.serials.size] |= known.serials
            only = {*np.flatnonzero(~left_alone).tolist(), *(touched or ())}
        snapshot = take_snapshot(self._ledger, self._spec(), as_of, only)
        hours = self._ledger.hours_until(as_of)
        horizon = self._ledger.horizon(hours, as_of)
        now = None if horizon is None else np.datetime64(horizon, "us")
        calendar = None
        latest = self._ledger.latest if as_of is None else as_of
        if latest is not None and self.estimator.timestamp is not None:
            calendar = LabelCalendar(as_of=latest, hours=hours)
        by_deployment = []
        for i, (deployment, chunks, places) in enumerate(self._by_deployment(snapshot)):
            if chunks.start < chunks.stop:
                rows = _scored_rows(
                    deployment,
                    snapshot,
                    chunks,
                    places,
                    completed.get(i),
                    is_whole=not completed,
                )
                by_deployment.append((i, deployment, chunks, rows))
        every = [rows for *_, rows in by_deployment]
        until, reconciled = end_of_usual_labels(every, now, calendar)
        found = []
        for (i, deployment, chunks, rows), made in zip(
            by_deployment, reconciled, strict=True
        ):
            wanted = None
            if touched is not None:
                serial = snapshot.serial[chunks]
                wanted = np.flatnonzero(np.isin(serial, touched)).tolist()
                if not wanted:
                    continue
            stock = evaluate_chunks(
                rows,
                until,
                wanted,
                remarks=snapshot.remarks[chunks],
                calendar=calendar,
                reconciliation=made,
            )
            found.append((deployment, stock))
            if as_of is None:
                after = complete_chunks(
                    self._completed.get(i),
                    self._ledger,
                    snapshot,
                    chunks,
                    stock.reconciliation,
                    deployment.estimator.reference_.delays.bands,
                )
                if after is not None:
                    self._completed[i] = after
        return found

    def _by_deployment(
        self, snapshot: Snapshot
    ) -> list[tuple[Deployment, slice, slice]]:
        """Return each estimator with its chunks: in the snapshot, and among all."""
        shown = slices_of(self._deployments, snapshot.chunks.label.tolist())
        among_all = slices_of(self._deployments, snapshot.labels)
        return list(zip(self._deployments, shown, among_all, strict=True))

    def _performance(
        self, as_of: int | None, touched: Sequence[int] | None
    ) -> Performance:
        return self._performance_of(self._take_stock(as_of, touched))

    def _performance_of(
        self, known: list[tuple[Deployment, ChunkEvaluation]]
    ) -> Performance:
        reference = self.estimator.reference_.performance
        parts = [
            performance_of(
                deployment.estimator,
                own,
                earlier=deployment is not self._deployments[-1],
            )
            for deployment, own in known
        ]
        return reduce(concatenate_periods, [reference, *parts])


def _scored_rows(
    deployment: Deployment,
    snapshot: Snapshot,
    which: slice,
    places: slice,
    completed: CompletedChunks | None,
    *,
    is_whole: bool,
) -> ScoredRows:
    """Return an estimator's rows, with what is kept of those that are left out.

    Parameters
    ----------
    deployment : Deployment
    snapshot : Snapshot
    which, places : slice
        The estimator's chunks: in the snapshot, and among all.
    completed : CompletedChunks or None
        Those of its chunks that may be left out.
    is_whole : bool
        Whether the snapshot has all chunks of all estimators.
    """
    columns, chunks = _part(snapshot, which)
    others = None
    if completed is not None:
        others = completed.evidence(snapshot, places)
    elif not is_whole and not np.isnan(not_none(columns.label)).all():
        # None of its chunks is left out, but empty periods may be.
        others = no_evidence(places.stop - places.start)
    return ScoredRows(
        estimator=deployment.estimator,
        columns=columns,
        chunks=chunks,
        others=others,
        position=None if others is None else snapshot.position[which] - places.start,
        filtered=None if completed is None else completed.filtered,
    )


def _part(snapshot: Snapshot, which: slice) -> tuple[Columns, Chunks]:
    """Return some of a snapshot's chunks, with their rows."""
    columns, chunks = snapshot.columns, snapshot.chunks
    if which == slice(0, len(chunks)):
        return columns, chunks
    offsets = chunks.offsets[which.start : which.stop + 1]
    rows = slice(offsets[0], offsets[-1])

    own = columns.take(rows)
    missing, weight = np.isnan(own.score), own.weight
    n_missing = missing.sum() if weight is None else weight[missing].sum()
    own = replace(own, missing_score=int(n_missing), missing_decision=0)
    return own, Chunks(
        rows=None,
        offsets=offsets - offsets[0],
        label=chunks.label[which],
        start=chunks.start[which],
        end=chunks.end[which],
        complete=chunks.complete[which],
        asked=chunks.asked,
        timezone=chunks.timezone,
    )


def _attribution(known: list[tuple[Deployment, ChunkEvaluation]]) -> pd.DataFrame:
    parts = [attribution_of(deployment.estimator, own) for deployment, own in known]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
