"""Every night, ``deadreckon run``.

For Airflow 3; in Airflow 2 the imports are ``airflow.DAG`` and
``airflow.operators.bash.BashOperator``. Secrets (``SLACK_WEBHOOK``, ``DB_PASSWORD``)
are variables of the worker's environment, which the command inherits: what is given as
``env`` can be read in the web interface.
"""

from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    dag_id="deadreckon",
    description="Performance of the models in production, estimated",
    schedule="30 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,  # a run takes in all that has come since the last one
    max_active_runs=1,
):
    BashOperator(
        task_id="run",
        bash_command=(
            "/opt/deadreckon/bin/deadreckon run /var/lib/deadreckon/nightly.toml "
            "--log-format json"
        ),
        skip_on_exit_code=99,  # nothing new: skipped, not failed (Airflow's default)
        retries=3,  # 75: another run is at work
        retry_delay=timedelta(minutes=10),
        execution_timeout=timedelta(hours=2),
    )
