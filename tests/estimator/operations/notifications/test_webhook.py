import base64
import json
import logging
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from estimator.operations.notifications import webhook
from estimator.operations.notifications.webhook import NotificationError, post_webhook

SECRET = "T0SECRET"  # noqa: S105 - what must never be seen again
MESSAGE = {"text": "roc_auc fell by −0.05 in Łódź"}


@dataclass
class Receiver:
    """A real server that answers as told, and remembers what it was sent."""

    url: str
    port: int
    answers: list = field(default_factory=list)
    requests: list = field(default_factory=list)
    meanwhile: Callable = lambda: None
    released: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def receiver(monkeypatch):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers.get("content-length", 0))
            sent = (self.path, self.headers, self.rfile.read(length), time.monotonic())
            webhook.requests.append(sent)
            webhook.meanwhile()
            status, headers, body = webhook.answers.pop(0)
            if status == "silence":
                webhook.released.wait(10)
                return
            if status == "hang up":
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_CONNECT = do_POST

        def log_message(self, *_):
            pass

    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_address[1]
        url = f"http://u{SECRET}:p{SECRET}@127.0.0.1:{port}/s/{SECRET}?key={SECRET}"
        webhook = Receiver(url=url, port=port)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield webhook
        webhook.released.set()
        server.shutdown()
        thread.join()


def answer(status, body=b"", **headers):
    return status, {name.replace("_", "-"): x for name, x in headers.items()}, body


def post(url, **options):
    post_webhook(url, MESSAGE, **{"backoff": 0.01, "timeout": 5.0, **options})


def test_it_arrives_as_json_in_utf_8(receiver):
    receiver.answers = [answer(200, b"ok")]
    post_webhook(f"{receiver.url}\n", MESSAGE)  # as read from a file
    ((path, headers, body, _),) = receiver.requests
    assert path == f"/s/{SECRET}?key={SECRET}"
    assert json.loads(body.decode("utf-8")) == MESSAGE
    assert "Łódź".encode() in body
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["user-agent"].startswith("deadreckon/")
    user = base64.b64encode(f"u{SECRET}:p{SECRET}".encode()).decode()
    assert headers["authorization"] == f"Basic {user}"


def test_a_text_that_has_no_utf_8_arrives_all_the_same(receiver):
    receiver.answers = [answer(204)]
    post_webhook(receiver.url, {"text": "a\udc80b"})
    assert json.loads(receiver.requests[0][2]) == {"text": "a?b"}


@pytest.mark.parametrize("trouble", [500, 502, 503, 429, "hang up"])
def test_it_fails_twice_then_works(receiver, trouble):
    receiver.answers = [answer(trouble), answer(trouble), answer(200)]
    post(receiver.url)
    keys = [headers["idempotency-key"] for _, headers, _, _ in receiver.requests]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert re.fullmatch("[0-9a-f]{64}", keys[0])


def test_a_message_has_one_key_and_another_message_another(receiver):
    receiver.answers = [answer(200), answer(200), answer(200)]
    post_webhook(receiver.url, MESSAGE)
    post_webhook(receiver.url, dict(MESSAGE))
    post_webhook(receiver.url, {"text": "another"})
    keys = [headers["idempotency-key"] for _, headers, _, _ in receiver.requests]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413])
def test_it_does_not_insist_where_it_was_wrong(receiver, status):
    receiver.answers = [answer(status, Retry_After="1")]
    with pytest.raises(NotificationError, match=f"answered {status}. Check that"):
        post(receiver.url)
    assert len(receiver.requests) == 1


def test_it_gives_up_in_the_end(receiver):
    receiver.answers = [answer(503)] * 3
    with pytest.raises(NotificationError, match="answered 503, tried 3 times"):
        post(receiver.url, attempts=3)
    assert receiver.answers == []


def test_waits_grow(receiver):
    receiver.answers = [answer(500), answer(500), answer(500), answer(200)]
    post(receiver.url, backoff=0.1)
    waits = np.diff([moment for *_, moment in receiver.requests])
    assert waits[1] >= 0.2
    assert waits[2] >= 0.4


@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_asked(receiver, status):
    receiver.answers = [answer(status, Retry_After="1"), answer(200)]
    post(receiver.url)
    (_, _, _, first), (_, _, _, second) = receiver.requests
    assert second - first >= 1.0


def test_but_not_for_ever(receiver, monkeypatch):
    monkeypatch.setattr(webhook, "LONGEST_WAIT", 0.2)
    receiver.answers = [answer(429, Retry_After="20")] * 3 + [answer(200)]
    begun = time.monotonic()
    post(receiver.url)
    assert 0.6 <= time.monotonic() - begun < 20.0


@pytest.mark.parametrize("asked", ["soon", "-1", "9" * 5_000, "", "Thu, 99 Foo"])
def test_a_wait_that_cannot_be_read_is_none(receiver, asked):
    receiver.answers = [answer(429, Retry_After=asked), answer(200)]
    post(receiver.url)
    assert len(receiver.requests) == 2


def test_redirects_are_not_followed(receiver):
    receiver.answers = [answer(302, Location=receiver.url)]
    with pytest.raises(NotificationError, match=r"302\. Redirects are not followed"):
        post(receiver.url)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"no_service", True),
        (b"invalid_blocks\n", True),
        (b"<html>no_service", False),
        (f"/s/{SECRET}".encode(), False),
        (b"in_the_url", False),
        ("\u00e9_b".encode("latin-1"), False),
    ],
)
def test_what_slack_calls_it_is_told_and_nothing_else(receiver, body, shown):
    receiver.answers = [answer(404, body)]
    with pytest.raises(NotificationError) as caught:
        post(f"{receiver.url}&a=in_the_url")
    assert (f"404 ({body.decode('latin-1').strip()})" in str(caught.value)) == shown
    assert ("404. Check" in str(caught.value)) != shown


def test_a_slow_server_is_left(receiver):
    receiver.answers = [answer("silence")] * 2
    begun = time.monotonic()
    with pytest.raises(NotificationError, match=r"within 0.2 s, tried 2 times"):
        post(receiver.url, attempts=2, timeout=0.2)
    assert 0.4 <= time.monotonic() - begun < 5.0  # the server would take ten


@pytest.mark.parametrize("part", ["nothing", "status line", "header"])
def test_a_server_that_trickles_is_left(part):
    """It sends a byte every 50 ms: silence is never long enough to give up."""
    head = {"nothing": "", "status line": "HTTP/1.1 2", "header": "HTTP/1.1 200 OK\r\n"}
    ended = threading.Event()

    def trickle(line):
        line.settimeout(5.0)
        line.recv(65_536)
        line.sendall(head[part].encode())
        while not ended.wait(0.05):
            try:
                line.sendall(b"x" if part != "nothing" else b"")
            except OSError:
                break
        line.close()

    def serve():
        while not ended.is_set():
            try:
                line, _ = server.accept()
            except TimeoutError:
                continue
            threading.Thread(target=trickle, args=(line,)).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread = threading.Thread(target=serve)
        thread.start()
        begun = time.monotonic()
        try:
            with pytest.raises(NotificationError, match=r"within 0.5 s, tried 2 times"):
                post(url, attempts=2, timeout=0.5)
        finally:
            took = time.monotonic() - begun
            ended.set()
            thread.join()
    assert took < 3.0


def test_all_attempts_together_have_a_deadline(receiver):
    receiver.answers = [answer(503)] * 50
    begun = time.monotonic()
    with pytest.raises(NotificationError, match=r"503, tried \d+ times\. Try later"):
        post(receiver.url, attempts=50, backoff=0.05, deadline=0.6)
    assert time.monotonic() - begun < 1.5
    assert 3 <= len(receiver.requests) < 50


def test_no_wait_is_begun_that_would_not_end_in_time(receiver):
    receiver.answers = [answer(429, Retry_After="20")]
    begun = time.monotonic()
    with pytest.raises(NotificationError, match=r"429, tried once\. Try later"):
        post(receiver.url, deadline=5.0)
    assert time.monotonic() - begun < 4.0


def test_a_machine_that_sleeps_too_long_ends_in_the_last_problem(receiver, monkeypatch):
    receiver.answers = [answer(503)] * 5
    sleep = time.sleep
    monkeypatch.setattr(webhook.time, "sleep", lambda seconds: sleep(seconds + 2.2))
    with pytest.raises(NotificationError, match=r"503, tried once\. Try later"):
        post(receiver.url, deadline=2.0)
    assert len(receiver.requests) == 1


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_nobody_is_there():
    url = f"http://127.0.0.1:{free_port()}/{SECRET}"
    with pytest.raises(NotificationError, match="Connection refused, tried once"):
        post(url, attempts=1)


def test_the_host_is_not_known(monkeypatch):
    def resolve(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, f"{SECRET} not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(
        NotificationError, match=r"//hooks\.invalid .*host is not known"
    ):
        post(f"http://hooks.invalid/{SECRET}", attempts=2)


def test_a_secure_address_of_an_insecure_server(receiver):
    receiver.answers = []
    url = receiver.url.replace("http:", "https:")
    with pytest.raises(NotificationError, match="no secure connection, tried 2 times"):
        post(url, attempts=2)


def test_the_proxy_of_the_environment_is_used(receiver, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://me:{SECRET}@127.0.0.1:{receiver.port}")
    receiver.answers = [answer(200), answer(200)]
    post("http://hooks.invalid/services/1")
    path, headers, *_ = receiver.requests[0]
    assert path == "http://hooks.invalid/services/1"
    assert base64.b64decode(headers["proxy-authorization"].split()[1]).startswith(b"me")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    post(receiver.url)
    assert receiver.requests[1][0].startswith("/s/")


def test_a_proxy_that_is_not_there(monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://me:{SECRET}@127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(NotificationError, match="through the proxy, Connection ref"):
        post(f"http://hooks.invalid/{SECRET}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"hooks.example.org/{SECRET}",
        f"ftp://example.org/{SECRET}",
        f"file:///{SECRET}",
        f"{SECRET}://example.org",
        f"http:///{SECRET}",
        f"https://[::1/{SECRET}",
        f"https://example.org:99999/{SECRET}",
        f"https://{'a' * 70}.example/{SECRET}",
        f"https://exa mple.org/{SECRET}",
        f"https://a..b/{SECRET}",
    ],
)
def test_what_is_no_address(url):
    with pytest.raises(NotificationError, match="did not take the message") as caught:
        post(url, attempts=1, timeout=0.5)
    assert SECRET not in told_by(caught.value)


def told_by(error):
    """Everything an exception says or drags along, seen or not."""
    lines = traceback.format_exception(error)
    while error is not None:
        lines += [str(error), repr(error)]
        assert error.__cause__ is None
        error = error.__context__
    return "".join(lines)


@pytest.mark.parametrize(
    "trouble", [400, 503, 429, 302, "silence", "hang up", "nobody", "tls", "proxy"]
)
def test_the_address_is_neither_raised_nor_logged(
    receiver, monkeypatch, caplog, trouble
):
    caplog.set_level(logging.DEBUG)
    url = receiver.url
    receiver.answers = [answer(trouble, f"not {url}".encode(), Location=url)] * 3
    if trouble == "nobody":
        url = url.replace(str(receiver.port), str(free_port()))
    if trouble in ("tls", "proxy"):
        url = url.replace("http:", "https:")
    if trouble == "proxy":
        receiver.answers = [answer(407)] * 3
        proxy = f"http://{SECRET}:{SECRET}@127.0.0.1:{receiver.port}"
        monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(NotificationError, match=r"at https?://127.0.0.1 did") as caught:
        post(url, attempts=3, timeout=0.3)
    assert SECRET not in told_by(caught.value)
    assert SECRET not in caplog.text


def test_urllib3_may_talk_elsewhere_and_afterwards(receiver, caplog):
    caplog.set_level(logging.DEBUG)
    logger = logging.getLogger("urllib3.connectionpool")
    receiver.answers = [answer(200)]
    receiver.meanwhile = lambda: logger.warning("of another thread")
    post(receiver.url)
    assert caplog.messages == ["of another thread"]
    logger.warning("afterwards")
    assert caplog.messages[1:] == ["afterwards"]


@pytest.mark.parametrize(
    "options", [{"attempts": 0}, {"timeout": 0.0}, {"deadline": -1.0}]
)
def test_attempts_and_times_are_positive(options):
    with pytest.raises(ValueError, match="`timeout` and `deadline` must be positive"):
        post("http://127.0.0.1/", **options)


def test_without_urllib3_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "urllib3", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "\.\[job\]"'):
        post("http://127.0.0.1/")
