"""
### Keeps what customers are like each month, for models that warn early

`snapshot_customers` copies the features of every customer who is active now into
`churner_snapshots`, in one statement inside the database → `record_exits` notes in
`churner_exits` who was in a snapshot and has a label of leaving since: the day on which the label
became known stands for the day itself, unless `make load-history` has loaded a better one.

A calendar month has one snapshot: a second run in it changes nothing. Its day is the day on which
it was taken, not the one on which it was due. A month that was missed cannot be made up for; the
log and the returned value name it, and early warning learns from the others. Rows are never
changed or deleted. Enough months, and `churn_training` learns from them who will leave
(`target: auto` in params.yaml, docs/history.md).
"""

from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

from include.settings import load_settings
from include.tasks.history import history_task
from include.tasks.limits import run_limit
from include.tasks.pages import described

with DAG(
    dag_id="churn_snapshot",
    description="Active customers → this month's snapshot; labels that turned → exits",
    doc_md=__doc__,
    schedule=load_settings().snapshot_schedule or None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=run_limit() + timedelta(days=1),
    is_paused_upon_creation=False,
    tags=["churn"],
    # A month has one chance: a database that is away for a night is waited for.
    default_args={"retries": 10, "retry_delay": timedelta(hours=1)},
):
    snapshot = PythonOperator(
        **described("snapshot_customers"), python_callable=history_task("snapshot_customers")
    )
    exits = PythonOperator(
        **described("record_exits"), python_callable=history_task("record_exits")
    )
    snapshot >> exits
