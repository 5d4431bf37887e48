"""A message, posted until it is taken; its address is a secret."""

import hashlib
import json
import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from estimator import __version__

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager
    from urllib3.util import Retry, Url

LONGEST_WAIT = 30.0  # seconds, whatever a server asks for
TOO_MANY_REQUESTS = 429
RETRIED = (TOO_MANY_REQUESTS, *range(500, 600))
# urllib3 writes whole addresses into its log, and a webhook's address is its password.
INDISCREET = ("urllib3.connectionpool", "urllib3.poolmanager", "urllib3.util.retry")


class NotificationError(RuntimeError):
    """A message was not delivered; of its address only scheme and host are told."""


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
