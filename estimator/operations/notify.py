"""What is worth telling people: one message when verdicts change."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from estimator.operations.terminal import printable

GOOD_NEWS = ("stable", "recovered")
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


def slack_message(
    changes: Sequence[VerdictChange], *, report: str | None = None
) -> dict[str, Any]:
    """Return one message about all changes of a run, as Slack's webhooks take it.

    Declines come first, the most probable on top; then what is good news. Where a
    message cannot hold all of them, it says how many more there are. Receivers that
    know nothing of blocks (Mattermost and most others) find it all in ``text``.

    Parameters
    ----------
    changes : sequence of VerdictChange
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
    ...     sentence="roc_auc fell suddenly in 2026-03-28, by 0.05; probability 0.94",
    ... )
    >>> print(slack_message([change])["text"])
    deadreckon: 1 decline
    ⚠️ credit · roc_auc: fell suddenly in 2026-03-28, by 0.05; probability 0.94 \
(before: stable; newest chunk: 2026-03-30)
    """
    if not changes:
        msg = "`changes` must hold at least one, got none. Without any, send nothing."
        raise ValueError(msg)
    ranked = sorted(changes, key=lambda x: (x.kind in GOOD_NEWS, -x.probability))
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


def _count(changes: Sequence[VerdictChange]) -> str:
    good = sum(change.kind in GOOD_NEWS for change in changes)
    counts = {"decline": len(changes) - good, "all-clear": good}
    return ", ".join(f"{n} {x}{'' if n == 1 else 's'}" for x, n in counts.items() if n)


def _plain_text(
    heading: str, changes: Sequence[VerdictChange], report: str | None
) -> str:
    """Return the message as lines, as many of them as there is room for."""
    closing = [] if report is None else [_clip(f"Report: {report}", MAX_TEXT // 4)]
    lines = [
        _clip(
            f"{_mark(x)} {_subject(x)}: {_predicate(x)} ({_circumstances(x)})",
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


def _block_text(change: VerdictChange) -> str:
    parts = [
        f"{_mark(change)} *{_clip(_subject(change), MAX_TEXT // 4)}*",
        _clip(_predicate(change), MAX_TEXT // 2),
        _clip(_circumstances(change), MAX_TEXT // 8),
    ]
    return "\n".join(parts)


def _mark(change: VerdictChange) -> str:
    return "✅" if change.kind in GOOD_NEWS else "⚠️"


def _subject(change: VerdictChange) -> str:
    return " · ".join(filter(None, (change.model, change.metric, change.segment)))


def _predicate(change: VerdictChange) -> str:
    """Return the sentence without its subject; a decline that ended is good news."""
    said = change.sentence.removeprefix(f"{change.metric} ")
    if change.kind == "stable" and change.previous != "stable":
        return f"good news, the decline is over: {said}"
    return said


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


def _section(text: str) -> dict[str, Any]:
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
