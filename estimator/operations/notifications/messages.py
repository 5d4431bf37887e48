"""What is worth telling people: one message when verdicts change, or labels stop."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal
from urllib.parse import quote

from estimator.degradation.kinds import CALM_KINDS
from estimator.delayed_labels.overdue import OverdueLabels
from estimator.files.archive import JsonObject
from estimator.frames.datetimes import TimeZone
from estimator.operations.data_time import shown
from estimator.operations.terminal import printable

# https://docs.slack.dev/reference/block-kit/blocks: of a message, and of a section.
MAX_BLOCKS = 50
MAX_TEXT = 3_000
AROUND = 3  # blocks beside the changes: heading, how many more, report


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChange:
    """What is worth one message: a verdict other than the one announced before.

    Attributes
    ----------
    model : str
    segment : str
        "" for all rows together, else ``"column=value"``.
    metric : str
    kind : str
        ``stable``, ``sudden``, ``gradual``, ``cyclical``, ``training_serving_skew`` or
        ``recovered``.
    previous : str
        The kind announced before; ``stable`` at first.
    chunk : str
        The newest chunk at that time.
    sentence : str
        The verdict in one sentence.
    probability : float
        Of the kind, in [0, 1].
    """

    model: str
    segment: str
    metric: str
    kind: str
    previous: str
    chunk: str
    sentence: str
    probability: float


About = Literal["verdict", "alert", "failure", "labels_overdue"]
# Of what is no verdict, what one and several are called.
_NOUNS: Final = {
    "alert": ("alert", "alerts"),
    "failure": ("failed run", "failed runs"),
    "labels_overdue": ("label feed that stopped", "label feeds that stopped"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is worth a message beside verdicts.

    Attributes
    ----------
    model : str
    about : {"alert", "failure", "labels_overdue"}
    sentence : str
        What has happened.
    subject : str, default=""
        Metric and segment, if it is about one.
    is_over : bool, default=False
        Whether it is good news.
    """

    model: str
    about: About
    sentence: str
    subject: str = ""
    is_over: bool = False


Message = VerdictChange | Notice


def message_to_json(message: Message) -> dict[str, object]:
    """Return what `message_from_json` makes a message of."""
    return asdict(message)


def message_from_json(content: JsonObject) -> Message:
    """Return the message that `message_to_json` took apart."""
    return Notice(**content) if "about" in content else VerdictChange(**content)


def overdue_sentence(overdue: OverdueLabels, timezone: TimeZone = None) -> str:
    """Say since when labels are missing, and how many.

    Examples
    --------
    >>> import pandas as pd
    >>> since = pd.Timestamp("2026-06-20").value // 1_000
    >>> overdue_sentence(
    ...     OverdueLabels(since=since, n_since=0, expected=430, missing=412)
    ... )
    'no labels since 2026-06-20; 412 of 430 expected are missing'
    """
    start = "no label has come yet"
    if overdue.since is not None:
        stray = f"only {overdue.n_since:,}" if overdue.n_since else "no"
        noun = "label" if overdue.n_since == 1 else "labels"
        day = shown(overdue.since, timezone)
        start = f"{stray} {noun} since {day:%Y-%m-%d}"
    return f"{start}; {overdue.missing:,} of {overdue.expected:,} expected are missing"


def notices_on_labels(
    model: str,
    before: OverdueLabels | None,
    now: OverdueLabels | None,
    timezone: TimeZone,
) -> list[Notice]:
    """Return what to tell of a label feed: that it has stopped, that it is back.

    Parameters
    ----------
    model : str
    before, now : OverdueLabels or None
        Labels that are missing as of the last run, and as of this; None: none is.
        Where nobody can know it now, there is nothing to tell.
    timezone : str, tzinfo or None
        In which to show times.
    """
    if (before is None) == (now is None):
        return []
    text = "labels come again" if now is None else overdue_sentence(now, timezone)
    return [
        Notice(model=model, about="labels_overdue", sentence=text, is_over=now is None)
    ]


def slack_message(
    changes: Sequence[Message], *, report: str | None = None
) -> dict[str, object]:
    """Return one message about all that a run has to tell, as Slack's webhooks take it.

    Failures, stopped labels and alerts come first, then declines, the most probable on
    top; then what is good news. Where a
    message cannot hold all of them, it says how many more there are. Receivers that
    know nothing of blocks (Mattermost and most others) find it all in ``text``.

    Parameters
    ----------
    changes : sequence of VerdictChange or Notice
        At least one.
    report : str, optional
        Where to read more: an address, which becomes a link, or a path.

    Returns
    -------
    dict
        With the keys ``text`` and ``blocks``.

    Raises
    ------
    ValueError
        If there are no changes.

    Examples
    --------
    >>> change = VerdictChange(
    ...     model="credit", segment="", metric="roc_auc", kind="sudden",
    ...     previous="stable", chunk="2026-03-30", probability=0.94,
    ...     sentence="roc_auc fell suddenly on 2026-03-28, by 0.05; probability 0.94",
    ... )
    >>> print(slack_message([change])["text"])
    deadreckon: 1 decline
    ⚠️ credit · roc_auc: fell suddenly on 2026-03-28, by 0.05; probability 0.94 \
(before: stable; newest chunk: 2026-03-30)
    """
    if not changes:
        msg = "`changes` must hold at least one, got none. Without any, send nothing."
        raise ValueError(msg)
    ranked = sorted(changes, key=_rank)
    heading = f"deadreckon: {_count(ranked)}"
    n_shown = min(len(ranked), MAX_BLOCKS - AROUND)
    sections = [_section(_block_text(change)) for change in ranked[:n_shown]]
    if n_shown < len(ranked):
        sections.append(_section(_more(len(ranked) - n_shown)))
    if report is not None:
        sections.append(_section(_link(report)))
    title = {"type": "plain_text", "text": heading}
    return {
        "text": _plain_text(heading, ranked, report),
        "blocks": [{"type": "header", "text": title}, *sections],
    }


def _rank(change: Message) -> tuple[bool, bool, float]:
    if isinstance(change, Notice):
        return change.is_over, False, 0.0
    return is_good(change), True, -change.probability


def is_good(change: Message) -> bool:
    """Whether it is good news."""
    if isinstance(change, Notice):
        return change.is_over
    return change.kind in CALM_KINDS


def _count(changes: Sequence[Message]) -> str:
    good = sum(map(is_good, changes))
    bad = [change for change in changes if not is_good(change)]
    counts = [
        (sum(isinstance(x, Notice) and x.about == about for x in bad), nouns)
        for about, nouns in _NOUNS.items()
    ]
    n_declines = sum(isinstance(x, VerdictChange) for x in bad)
    counts += [(n_declines, ("decline", "declines"))]
    counts += [(good, ("all-clear", "all-clears"))]
    return ", ".join(f"{n} {one if n == 1 else many}" for n, (one, many) in counts if n)


def _plain_text(heading: str, changes: Sequence[Message], report: str | None) -> str:
    """Return the message as lines, as many of them as there is room for."""
    closing = [] if report is None else [_clip(f"Report: {report}", MAX_TEXT // 4)]
    lines = [
        _clip(
            f"{_mark(x)} {_subject(x)}: {_predicate(x)}"
            + (f" ({_circumstances(x)})" if isinstance(x, VerdictChange) else ""),
            MAX_TEXT // 4,
        )
        for x in changes
    ]
    for n_shown in range(min(len(lines), MAX_BLOCKS), 0, -1):
        rest = [_more(len(lines) - n_shown)] if n_shown < len(lines) else []
        text = "\n".join([heading, *lines[:n_shown], *rest, *closing])
        if len(text) <= MAX_TEXT:
            break
    return text


def _block_text(change: Message) -> str:
    parts = [
        f"{_mark(change)} *{_clip(_subject(change), MAX_TEXT // 4)}*",
        _clip(_predicate(change), MAX_TEXT // 2),
    ]
    if isinstance(change, VerdictChange):
        parts.append(_clip(_circumstances(change), MAX_TEXT // 8))
    return "\n".join(parts)


def _mark(change: Message) -> str:
    return "✅" if is_good(change) else "⚠️"


def _subject(change: Message) -> str:
    if isinstance(change, Notice):
        return " · ".join(filter(None, (change.model, change.subject)))
    return " · ".join(filter(None, (change.model, change.metric, change.segment)))


def _predicate(change: Message) -> str:
    """Return the sentence without its subject; a decline that ended is good news."""
    if isinstance(change, Notice):
        return change.sentence
    predicate = change.sentence.removeprefix(f"{change.metric} ")
    if change.kind == "stable" and change.previous != "stable":
        return f"good news, the decline is over: {predicate}"
    return predicate


def _circumstances(change: VerdictChange) -> str:
    previous = change.previous.replace("_", " ")
    return f"before: {previous}; newest chunk: {change.chunk}"


def _more(n: int) -> str:
    return f"… and {n} more"


def _link(report: str) -> str:
    if not report.startswith(("http://", "https://")):
        return _clip(f"Report: {report}", MAX_TEXT)
    # What would end the address early is percent-encoded; the rest stays as it is.
    address = quote(report, safe="!#$%&'()*+,/:;=?@[]~")
    return f"<{_escape(address)}|Open the report>"


def _section(text: str) -> dict[str, object]:
    """Return a block; ``verbatim`` keeps @names and addresses in data from acting."""
    return {
        "type": "section",
        "text": {"type": "mrkdwn", "text": text, "verbatim": True},
    }


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clip(text: str, limit: int) -> str:
    """Return data on one line, escaped, in at most ``limit`` characters."""
    escaped = _escape(printable(" ".join(text.split())))
    if len(escaped) <= limit:
        return escaped
    return re.sub(r"&[a-z]{0,3}$", "", escaped[: limit - 1]) + "…"  # no half &amp;
