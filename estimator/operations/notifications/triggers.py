"""What becomes a message: verdicts that last, thresholds that have just been crossed.

A message that is taken back in the same week is worse than none. So a verdict counts
once for each chunk that has become complete, only if it is probable enough, and two
chunks running must agree that there is a decline; the same holds for the all-clear.
"""

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from estimator.charts.newest_chunk import newest_chunk, newest_rows
from estimator.degradation import announcements
from estimator.degradation.announcements import Announcements
from estimator.degradation.verdict import Degradation
from estimator.metrics.registry import METRICS
from estimator.operations.config.settings import NotifySettings
from estimator.operations.notifications.messages import Message, Notice, VerdictChange
from estimator.results.performance import Performance

Announced = Mapping[tuple[str, str], str]
Verdicts = Mapping[str, Mapping[str, Degradation]]


def announce(
    model: str,
    announced: Announced,
    verdicts: Verdicts,
    performance: Performance,
    notify: NotifySettings,
) -> tuple[dict[tuple[str, str], str], list[Message]]:
    """Return what is announced now, and what of it is new and to be told.

    Parameters
    ----------
    model : str
    announced : mapping of (segment, metric) to str
        As stored.
    verdicts : mapping of str to mapping of str to Degradation
        By segment, by metric.
    performance : Performance
        That they judge.
    notify : NotifySettings

    Returns
    -------
    announced : dict of (segment, metric) to str
    messages : list of VerdictChange or Notice
    """
    after, messages = dict(announced), list[Message]()
    newest = newest_chunk(performance)
    for segment, by_metric in verdicts.items():
        for metric, verdict in by_metric.items():
            key = segment, metric
            saved = json.loads(announced[key]) if key in announced else None
            alerted = bool(saved and saved.get("alert"))
            before = Announcements()
            if saved is not None:
                before = announcements.from_json(saved)
            if newest is None or before.chunk == newest:
                continue
            now = before.update(verdict, newest, min_probability=notify.min_probability)
            alert = _alert(model, performance, segment, metric, notify)
            # An alert lasts, however sure, until a complete chunk has none: one whose
            # probability wavers about the bar is not told again and again.
            lasts = alerted and _is_alerting(performance, segment, metric)
            is_alerted = lasts or alert is not None
            state = announcements.to_json(now) | {"alert": is_alerted}
            after[key] = json.dumps(state)
            if not notify.is_about(segment, metric):
                continue
            if len(now.history) > len(before.history) and "verdict" in notify.on:
                messages.append(
                    VerdictChange(
                        model=model,
                        segment=segment,
                        metric=metric,
                        kind=verdict.kind,
                        previous=before.announced,
                        chunk=str(newest),
                        sentence=str(verdict),
                        probability=verdict.probability,
                    )
                )
            if alert is not None and not alerted and "alert" in notify.on:
                messages.append(alert)
    return after, messages


def _is_alerting(performance: Performance, segment: str, metric: str) -> bool:
    """Whether the newest complete chunk has an alert, sure or not."""
    rows = newest_rows(performance)
    rows = rows[performance.segment[rows] == segment]
    return bool(performance.alert[rows, performance.metrics.index(metric)].any())


def _alert(
    model: str,
    performance: Performance,
    segment: str,
    metric: str,
    notify: NotifySettings,
) -> Notice | None:
    """Return what to tell of an alert in the newest complete chunk, None without."""
    rows = newest_rows(performance)
    rows = rows[performance.segment[rows] == segment]
    k = performance.metrics.index(metric)
    sure = performance.breach_probability[rows, k] >= notify.min_probability
    if not rows.size or not (performance.alert[rows, k] & sure)[0]:
        return None

    def number(column: NDArray[np.float64]) -> str:
        return f"{column[rows[0], k]:.4g}"

    registered = METRICS.get(metric)
    is_floor = registered is None or registered.higher_is_better is not False
    limit = performance.lower_threshold if is_floor else performance.upper_threshold
    side = "below" if is_floor else "above"
    interval = f"{number(performance.lower)} to {number(performance.upper)}"
    doubt = "; no trust: do not act on the estimate"
    return Notice(
        model=model,
        about="alert",
        subject=" · ".join(filter(None, (metric, segment))),
        sentence=(
            f"{number(performance.value)} ({interval}) in chunk "
            f"{performance.chunk[rows[0]]}, {side} the threshold {number(limit)}"
            f"{doubt if performance.trust[rows[0], k] == 'none' else ''}"
        ),
    )
