import json
import os
import threading
import uuid
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import sqlalchemy as sa

from estimator.operations.exit_codes import RAN
from estimator.operations.notifications.messages import VerdictChange
from estimator.operations.store import schema
from trials.nightly_world import World


@pytest.fixture
def world(tmp_path):
    """Six days of a model, all there, and no run yet."""
    world = World(tmp_path / "world", n_days=6)
    world.arrive_all()
    return world


@pytest.fixture
def postgres():
    """URL of an empty database on a real server, if there is one."""
    url = os.environ.get("DEADRECKON_POSTGRES")
    if not url:
        pytest.skip(
            "no PostgreSQL server: DEADRECKON_POSTGRES is not set; try "
            'eval "$(.ci/postgres start /tmp/postgres)"'
        )
    name = f"test_{uuid.uuid4().hex}"
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    made = sa.make_url(url).set(database=name)
    yield made.render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(sa.text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    server.dispose()


@pytest.fixture
def hook():
    """A server that takes messages, and does something ``meanwhile``."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(json.loads(body))
            self.server.meanwhile()
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.received, server.meanwhile = 200, received, lambda: None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def waiting(tmp_path, hook, monkeypatch):
    """A world whose last run has left a message that waits."""
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{hook.server_port}/T0SECRET")
    world = World(tmp_path / "waiting", n_days=1)
    text = world.path.read_text()
    world.path.write_text(
        f'[notify]\nwebhook = "${{HOOK}}"\nprometheus = "deadreckon.prom"\n{text}'
    )
    world.arrive_all()
    assert world.run() == RAN
    change = VerdictChange(
        model="credit",
        segment="",
        metric="roc_auc",
        kind="sudden",
        previous="stable",
        chunk="2026-01-05",
        sentence="roc_auc fell suddenly",
        probability=0.9,
    )
    engine = sa.create_engine(world.config.job.store)
    with engine.begin() as connection:
        row = {"model": "credit", "as_of": 0, "sent": False}
        content = json.dumps(asdict(change))
        connection.execute(sa.insert(schema.message).values(**row, content=content))
    engine.dispose()
    return world
