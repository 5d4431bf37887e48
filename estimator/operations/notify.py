"""After the run: one message to people, and log lines that machines read."""

import hashlib
import json
import logging
import math
import numbers
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from urllib.request import getproxies, proxy_bypass

from estimator import __version__

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager
    from urllib3.util import Retry, Url

GOOD_NEWS = ("stable", "recovered")
# https://docs.slack.dev/reference/block-kit/blocks: of a message, and of a section.
MAX_BLOCKS = 50
MAX_TEXT = 3_000
AROUND = 3  # blocks beside the changes: heading, how many more, report
LONGEST_WAIT = 30.0  # seconds, whatever a server asks for
TOO_MANY_REQUESTS = 429
RETRIED = (TOO_MANY_REQUESTS, *range(500, 600))
# urllib3 writes whole addresses into its log, and a webhook's address is its password.
INDISCREET = ("urllib3.connectionpool", "urllib3.poolmanager", "urllib3.util.retry")


class NotificationError(RuntimeError):
    """A message was not delivered; of its address only scheme and host are told."""


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
    escaped = _escape(" ".join(text.split()))
    if len(escaped) <= limit:
        return escaped
    return re.sub(r"&[a-z]{0,3}$", "", escaped[: limit - 1]) + "…"  # no half &amp;


def post_webhook(
    url: str,
    message: Mapping[str, Any],
    *,
    attempts: int = 4,
    timeout: float = 10.0,
    backoff: float = 0.5,
) -> None:
    """Send a message, and be sure that it was taken.

    Tried again: no connection, no answer in time, 429 and 5xx. Not tried again: any
    other answer. A repeat has the same ``Idempotency-Key``, a hash of the message, by
    which a receiver can drop it. Redirects are not followed; the proxies in
    ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` are used.

    Parameters
    ----------
    url : str
        Address of the webhook, ``http`` or ``https``.
    message : mapping
        What JSON can hold.
    attempts : int, default=4
        How often to try, at most.
    timeout : float, default=10.0
        Seconds of silence after which an attempt has failed.
    backoff : float, default=0.5
        Seconds between attempts are 0, 2, 4, … times this; or what the server asks
        for. No wait is longer than 30 seconds.

    Raises
    ------
    NotificationError
        If the message was not delivered, or ``url`` is no address. The text tells no
        more of the address than scheme and host; the rest may be a secret.
    ValueError
        If ``attempts`` or ``timeout`` is not positive, or the message holds what JSON
        cannot.
    ModuleNotFoundError
        If urllib3 is missing; it comes with the ``job`` extra.
    """
    if attempts < 1 or not timeout > 0:
        msg = (
            "`attempts` and `timeout` must be positive, "
            f"got {attempts} and {timeout:g}."
        )
        raise ValueError(msg)
    # A surrogate without its other half has no UTF-8: it becomes a question mark.
    text = json.dumps(message, ensure_ascii=False, allow_nan=False)
    body = text.encode("utf-8", errors="replace")
    place, failure = _deliver(url, body, attempts, timeout, backoff)
    if failure:  # raised out here, an exception drags none along that has the address
        msg = f"The webhook{place} did not take the message: {failure}"
        raise NotificationError(msg)


def _deliver(
    url: str, body: bytes, attempts: int, timeout: float, backoff: float
) -> tuple[str, str]:
    """Return where it went, in words fit to be shown, and what went wrong, or ""."""
    try:
        import urllib3
    except ModuleNotFoundError as error:
        msg = 'Webhooks need urllib3. Install it with `pip install "deadreckon[job]"`.'
        raise ModuleNotFoundError(msg, name=error.name) from error
    place = ""
    try:
        address = urllib3.util.parse_url(url.strip())  # of a file: with a line end
        if address.scheme not in ("http", "https") or not address.host:
            return "", "its address must begin with http:// or https:// and a host."
        place = f" at {address.scheme}://{address.host}"
        with (
            _silence(INDISCREET),
            _pool(address) as pool,
            pool.request(
                "POST",
                address.url,
                body=body,
                headers=_headers(address, body),
                retries=_retry(attempts, backoff),
                timeout=urllib3.Timeout(total=timeout),
                redirect=False,
                preload_content=False,  # the answer may be long, and nobody reads it
            ) as response,
        ):
            return place, _refusal(response, address, attempts)
    except urllib3.exceptions.HTTPError as error:
        return place, _reason(error, attempts, timeout)


def _headers(address: "Url", body: bytes) -> dict[str, str]:
    from urllib3.util import make_headers

    user = None if address.auth is None else unquote(address.auth)
    return {
        **make_headers(basic_auth=user, user_agent=f"deadreckon/{__version__}"),
        "content-type": "application/json; charset=utf-8",
        "idempotency-key": hashlib.sha256(body).hexdigest(),
    }


def _pool(address: "Url") -> "PoolManager":
    """Return what connects, through the proxy of the environment if there is one."""
    import urllib3

    proxies = getproxies()
    proxy = proxies.get(str(address.scheme), proxies.get("all"))
    if not proxy or proxy_bypass(str(address.host)):
        return urllib3.PoolManager()
    parsed = urllib3.util.parse_url(proxy if "://" in proxy else f"http://{proxy}")
    user = None if parsed.auth is None else unquote(parsed.auth)
    headers = urllib3.util.make_headers(proxy_basic_auth=user)
    return urllib3.ProxyManager(parsed.url, proxy_headers=headers)


def _retry(attempts: int, backoff: float) -> "Retry":
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    class PatientRetry(Retry):
        """Heeds ``Retry-After`` where it can, and not for hours.

        The limit of newer ones (``retry_after_max``) is lost on the way from one
        attempt to the next.
        """

        RETRY_AFTER_STATUS_CODES = frozenset(RETRIED)

        def get_retry_after(self, response: "BaseHTTPResponse") -> float | None:
            try:
                asked = super().get_retry_after(response)
            except (InvalidHeader, ValueError, OverflowError):  # no time: as if absent
                return None
            return None if asked is None else min(asked, LONGEST_WAIT)

    return PatientRetry(
        total=attempts - 1,
        allowed_methods=None,  # POST, too: the key tells repeats
        status_forcelist=RETRIED,
        backoff_factor=backoff,
        backoff_max=LONGEST_WAIT,
        raise_on_status=False,
    )


def _refusal(response: "BaseHTTPResponse", address: "Url", attempts: int) -> str:
    """Return what is wrong with an answer, "" if nothing is."""
    if 200 <= response.status < 300:
        return ""
    answer = f"it answered {response.status}{_slack_code(response, address)}"
    if 300 <= response.status < 400:
        return f"{answer}. Redirects are not followed: give the final address."
    if response.status in RETRIED:
        return f"{answer}, {_times(attempts)}. Try later."
    return f"{answer}. Check that the address is right and still valid."


def _slack_code(response: "BaseHTTPResponse", address: "Url") -> str:
    """Return Slack's name for what is wrong (``no_service``), never other text.

    Anything else could repeat the address to us.
    """
    from urllib3.exceptions import HTTPError

    try:
        text = response.read1(64).decode("ascii", errors="replace").strip()
    except HTTPError:  # the status is what counts, and we have it
        return ""
    is_code = re.fullmatch(r"[a-z]+(_[a-z]+)+", text)
    return f" ({text})" if is_code and text not in address.url.lower() else ""


def _reason(error: Exception, attempts: int, timeout: float) -> str:
    """Say why there is no answer, in words of ours: urllib3's hold the address."""
    from urllib3 import exceptions

    via = ""
    if isinstance(error, exceptions.MaxRetryError) and error.reason is not None:
        error = error.reason
    if isinstance(error, exceptions.ProxyError):
        via, error = "through the proxy, ", error.original_error
    if isinstance(error, exceptions.LocationValueError):
        return "its address cannot be read. Check it for signs that do not belong."
    if isinstance(error, exceptions.NameResolutionError):
        what = "its host is not known"
    elif isinstance(error, exceptions.NewConnectionError):
        what = getattr(error.__cause__, "strerror", None) or "no connection"
    elif isinstance(error, exceptions.TimeoutError):
        what = f"no answer within {timeout:g} s"
    elif isinstance(error, exceptions.SSLError):
        why = getattr(error.args[0], "verify_message", "") if error.args else ""
        what = f"no secure connection{f' ({why})' if why else ''}"
    else:
        what = f"the connection broke ({type(error).__name__})"
    return f"{via}{what}, {_times(attempts)}. Check address and network."


def _times(attempts: int) -> str:
    return "tried once" if attempts == 1 else f"tried {attempts} times"


@contextmanager
def _silence(names: Sequence[str]) -> Iterator[None]:
    """Drop what these loggers say in this thread."""
    here = threading.get_ident()

    def from_elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != here

    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(from_elsewhere)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(from_elsewhere)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, message and what ``extra`` adds.

    The time is UTC in ISO 8601. A traceback is the field ``exception``. What JSON does
    not know becomes text; NaN and infinity become null. Extra fields that are called
    like one of ours get an underscore behind their name.

    Examples
    --------
    >>> record = logging.makeLogRecord(
    ...     {"msg": "%d rows", "args": (3,), "levelname": "INFO", "created": 0.0,
    ...      "model": "credit", "value": float("nan")}
    ... )
    >>> print(JsonLines().format(record))
    {"time": "1970-01-01T00:00:00.000+00:00", "level": "INFO", "message": "3 rows", \
"model": "credit", "value": null}
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        time = datetime.fromtimestamp(record.created, UTC)
        entry: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        for name, value in vars(record).items():
            if name not in _RECORD_FIELDS:
                entry[f"{name}_" if name in entry else name] = _jsonable(value)
        # ASCII: neither a locale nor U+2028 can break the line.
        return json.dumps(entry, allow_nan=False)


_RECORD_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_DEEPEST = 8  # levels; deeper there is text, and what contains itself ends


def _jsonable(value: Any, depth: int = 0) -> Any:
    """Return what JSON can hold; numbers of NumPy are numbers."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key): _jsonable(x, depth + 1) for key, x in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(x, depth + 1) for x in value]
    return str(value)
