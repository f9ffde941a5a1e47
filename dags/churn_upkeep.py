"""
### Deletes what would else grow for ever, once a week

A task for each thing that grows; they wait for nobody, and what one cannot do keeps no other from
its work. Each says in its log what it freed (objects or rows, and bytes), and returns it. How long
what is kept: `CHURN_KEEP_RUNS_DAYS`, `CHURN_KEEP_PREDICTIONS_DAYS`, `CHURN_KEEP_SCORES_DAYS`,
`CHURN_KEEP_LOGS_DAYS`. Days that cannot be meant are refused, and then nothing is deleted.

With `dry_run` it only says what it would delete. Killed in the middle, it goes on the next time.
Never deleted: `champion/` (versions, pointer, history), `drift.json` and the outcomes, customers,
and MLflow's runs behind any version that is or was in production.
"""

from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param

from include.tasks.pages import described
from include.tasks.upkeep import upkeep_task

LIMIT = timedelta(hours=3)  # a first time may find years of small objects
TASKS = (
    *("delete_runs", "delete_predictions", "delete_scores", "delete_reports", "delete_logs"),
    *("clean_metadata", "clean_mlflow"),
)

with DAG(
    dag_id="churn_upkeep",
    description="Old runs, predictions, scores, reports, logs, metadata, MLflow runs → deleted",
    doc_md=__doc__,
    schedule="0 5 * * 0",  # when the night's scores are done, and nobody works
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dagrun_timeout=timedelta(hours=12),
    tags=["churn"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params={
        "dry_run": Param(
            False, type="boolean", description="Only say what would be deleted, and delete nothing"
        ),
    },
):
    for name in TASKS:
        PythonOperator(**described(name, limit=LIMIT), python_callable=upkeep_task(name))
