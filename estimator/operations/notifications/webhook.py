"""A message, posted until it is taken; its address is a secret."""

import hashlib
import itertools
import json
import logging
import queue
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from estimator import __version__
from estimator.files.optional_packages import install_hint

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager
    from urllib3.util import Url

LONGEST_WAIT = 30.0  # seconds, whatever a server asks for
TOO_MANY_REQUESTS = 429
CHECK = "Check address and network."
RETRIED = (TOO_MANY_REQUESTS, *range(500, 600))
# urllib3 writes whole addresses into its log, and a webhook's address is its password.
LOGGERS_WITH_URLS = (
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.util.retry",
)


class NotificationError(RuntimeError):
    """A message was not delivered; of its address only scheme and host are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What became of one attempt to deliver a message.

    Attributes
    ----------
    problem : str
        What went wrong, without a period; "" if the message was taken.
    advice : str
        What to do about it; one sentence.
    is_final : bool
        Whether another attempt would end the same way.
    asked_wait : float or None
        Seconds that the receiver wants us to wait.
    """

    problem: str = ""
    advice: str = ""
    is_final: bool = False
    asked_wait: float | None = None


def post_webhook(
    url: str,
    message: Mapping[str, object],
    *,
    attempts: int = 4,
    timeout: float = 10.0,
    deadline: float = 30.0,
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
        Seconds that one attempt may take in all, from looking up the host to the last
        byte of the answer's head, however slowly the bytes come.
    deadline : float, default=30.0
        Seconds that all attempts and the waits between them may take together.
    backoff : float, default=0.5
        Seconds between attempts are 0, 2, 4, … times this; or what the server asks
        for. No wait is longer than 30 seconds, and none is begun that would not end
        before the deadline.

    Raises
    ------
    NotificationError
        If the message was not delivered, or ``url`` is no address. The text tells no
        more of the address than scheme and host; the rest may be a secret.
    ValueError
        If ``attempts``, ``timeout`` or ``deadline`` is not positive, or the message
        holds what JSON cannot.
    ModuleNotFoundError
        If urllib3 is missing; it comes with the ``job`` extra.
    """
    if attempts < 1 or not timeout > 0 or not deadline > 0:
        msg = (
            "`attempts`, `timeout` and `deadline` must be positive, "
            f"got {attempts}, {timeout:g} and {deadline:g}."
        )
        raise ValueError(msg)
    # A surrogate without its other half has no UTF-8: it becomes a question mark.
    text = json.dumps(message, ensure_ascii=False, allow_nan=False)
    body = text.encode("utf-8", errors="replace")
    host, failure = _deliver(url, body, attempts, timeout, deadline, backoff)
    if failure:  # raised out here, an exception drags none along that has the address
        msg = f"The webhook{host} did not take the message: {failure}"
        raise NotificationError(msg)


def _deliver(
    url: str,
    body: bytes,
    attempts: int,
    timeout: float,
    deadline: float,
    backoff: float,
) -> tuple[str, str]:
    """Return where it went, in words fit to be shown, and what went wrong, or ""."""
    try:
        import urllib3
    except ModuleNotFoundError as error:
        msg = f"Webhooks need urllib3. {install_hint('job')}"
        raise ModuleNotFoundError(msg, name=error.name) from error
    try:
        address = urllib3.util.parse_url(url.strip())  # of a file: with a line end
    except urllib3.exceptions.LocationParseError:
        return "", "its address cannot be read. Check it for signs that do not belong."
    if address.scheme not in ("http", "https") or not address.host:
        return "", "its address must begin with http:// or https:// and a host."
    host = f" at {address.scheme}://{address.host}"
    end = time.monotonic() + deadline
    seconds = min(timeout, deadline)
    for n_attempts in itertools.count(1):
        attempt = _try_once(address, body, seconds)
        if not attempt.problem:
            return host, ""
        if attempt.is_final:
            return host, f"{attempt.problem}. {attempt.advice}"
        wait = attempt.asked_wait
        if wait is None:
            wait = 0.0 if n_attempts == 1 else backoff * 2.0 ** (n_attempts - 1)
        wait = min(wait, LONGEST_WAIT)
        if n_attempts == attempts or time.monotonic() + wait >= end:
            break
        time.sleep(wait)
        seconds = min(timeout, end - time.monotonic())
        if seconds <= 0:  # a loaded machine sleeps longer than it was asked to
            break
    return host, f"{attempt.problem}, {_times(n_attempts)}. {attempt.advice}"


def _try_once(address: "Url", body: bytes, seconds: float) -> Attempt:
    """Make one attempt, and leave it alone when its time is up.

    A limit of the connection is one of silence: a server that sends a byte now and then
    never reaches it, and looking up a host knows no limit at all. So a thread of its
    own waits for the answer.
    """
    results: queue.SimpleQueue[Attempt | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            with _silence(LOGGERS_WITH_URLS):
                result: Attempt | Exception = _request(address, body, seconds)
        except Exception as error:  # raised below, where it is awaited
            result = error
        results.put(result)

    threading.Thread(target=work, name="webhook", daemon=True).start()
    try:
        result = results.get(timeout=seconds)
    except queue.Empty:
        return _no_answer(seconds)
    if isinstance(result, Exception):
        raise result
    return result


def _request(address: "Url", body: bytes, seconds: float) -> Attempt:
    import urllib3

    try:
        with (
            _pool(address) as pool,
            pool.request(
                "POST",
                address.url,
                body=body,
                headers=_headers(address, body),
                retries=False,
                timeout=urllib3.Timeout(total=seconds),
                redirect=False,
                preload_content=False,  # the answer may be long, and nobody reads it
            ) as response,
        ):
            return _judge_answer(response, address)
    except urllib3.exceptions.HTTPError as error:
        return _judge_error(error, seconds)


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


def _judge_answer(response: "BaseHTTPResponse", address: "Url") -> Attempt:
    """Return what an answer means."""
    if 200 <= response.status < 300:
        return Attempt()
    problem = f"it answered {response.status}{_slack_code(response, address)}"
    if 300 <= response.status < 400:
        advice = "Redirects are not followed: give the final address."
        return Attempt(problem=problem, advice=advice, is_final=True)
    if response.status in RETRIED:
        wait = _asked_wait(response)
        return Attempt(problem=problem, advice="Try later.", asked_wait=wait)
    advice = "Check that the address is right and still valid."
    return Attempt(problem=problem, advice=advice, is_final=True)


def _asked_wait(response: "BaseHTTPResponse") -> float | None:
    """Return the seconds in ``Retry-After``; None if absent or not to be read."""
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    try:
        return Retry().get_retry_after(response)
    except (InvalidHeader, ValueError, OverflowError):
        return None


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


def _judge_error(error: Exception, seconds: float) -> Attempt:
    """Say why there is no answer, in words of ours: urllib3's hold the address."""
    from urllib3 import exceptions

    via = ""
    if isinstance(error, exceptions.ProxyError):
        via, error = "through the proxy, ", error.original_error
    if isinstance(error, exceptions.LocationValueError):
        return Attempt(
            problem="its address cannot be read",
            advice="Check it for signs that do not belong.",
            is_final=True,
        )
    if isinstance(error, exceptions.NameResolutionError):
        what = "its host is not known"
    elif isinstance(error, exceptions.NewConnectionError):
        what = getattr(error.__cause__, "strerror", None) or "no connection"
    elif isinstance(error, exceptions.TimeoutError):
        return _no_answer(seconds, via)
    elif isinstance(error, exceptions.SSLError):
        why = getattr(error.args[0], "verify_message", "") if error.args else ""
        what = f"no secure connection{f' ({why})' if why else ''}"
    else:
        what = f"the connection broke ({type(error).__name__})"
    return Attempt(problem=f"{via}{what}", advice=CHECK)


def _no_answer(seconds: float, via: str = "") -> Attempt:
    return Attempt(problem=f"{via}no answer within {seconds:.3g} s", advice=CHECK)


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
