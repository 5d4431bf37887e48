import os
import uuid

import pytest
import sqlalchemy as sa


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
