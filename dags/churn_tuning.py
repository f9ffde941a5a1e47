"""
### Searches hyperparameters, and keeps the best set for the next training

`prepare_study` reads the labelled customers of the training side and cuts up the search →
`tune_hyperparameters`, mapped over the workers, lets Optuna's TPE sampler propose sets and judges
each by stratified cross-validation; bad ones are pruned after a fold or two → `publish_best` lets
the best set meet the one in `params.yaml` on fresh folds and writes `tuning/best.json`.

The next training takes that set when the data contract is still the same and the set was better
beyond chance; its log and its MLflow run say which was used and why. The experiment `churn-tuning`
in MLflow has a run for each study with a nested one for each trial. A worker that is killed goes on
where it was. What is searched, and for how long, is `tuning` in `params.yaml`.
"""

from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param

from include.settings import MINUTES_MAX, TRIALS_MAX, WORKERS_MAX
from include.tasks.limits import search_limit
from include.tasks.pages import described
from include.tasks.tuning import (
    allow_its_minutes,
    close_failed_run,
    prepare_study,
    publish_best,
    tuning_task,
)

with DAG(
    dag_id="churn_tuning",
    description="Hyperparameters → searched by several workers → confirmed → tuning/best.json",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=search_limit(),
    is_paused_upon_creation=False,
    tags=["churn"],
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "on_failure_callback": close_failed_run,
    },
    params={
        "trials": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=TRIALS_MAX,
            description="Sets to try, of all workers together; as in params.yaml when empty",
        ),
        "minutes": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=MINUTES_MAX,
            description="After these no trial is begun; as in params.yaml when empty",
        ),
        "workers": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=WORKERS_MAX,
            description="Tasks that search at once; as in params.yaml when empty",
        ),
    },
):
    prepare = PythonOperator(**described("prepare_study"), python_callable=prepare_study)
    tune = PythonOperator.partial(
        **described("tune_hyperparameters"),
        on_execute_callback=allow_its_minutes,
        python_callable=tuning_task("tune_hyperparameters"),
        map_index_template="worker {{ task.op_kwargs['share']['worker'] }}",
    ).expand(op_kwargs=prepare.output)
    publish = PythonOperator(
        **described("publish_best"),
        python_callable=publish_best,
        op_kwargs={"prepared": prepare.output},
    )
    prepare >> tune >> publish
