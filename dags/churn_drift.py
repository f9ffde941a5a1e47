"""
### Notices that customers changed, and starts a training run when they did

`plan_parts` pins the champion and cuts the day's log → `collect_predictions`, mapped over the
parts, counts the predictions of one each → `detect_drift` adds them up, compares them with what
each version was trained on and writes `monitoring/date=…/drift.json` → `publish_report` draws the
Evidently report beside it → `drift_detected` goes on only if the champion's own traffic drifted and
no guard stops it → `trigger_training` starts `churn_training`. Beside them `measure_outcomes`
compares older predictions with what customers did since (`monitoring/performance.json`); a loss of
the champion's performance starts a training run by the same way, if `drift.performance.retrain`
lets it: `detect_drift` of the next day sees it.

An ordinary day is one part (`drift.part_mebibytes` in params.yaml); a larger one takes as many
workers as are free. Whatever the number of parts, the day's findings are the same.

A quiet day, a day without predictions and a drift that a guard stops are all green; the log of
`drift_detected` and `drift.json` say which it was. A day may be run again, or later: it finds the
same, and its training run (`drift__<date>__v<version>`) is started once. While `churn_training` is
paused the one run that drift starts waits there, and further days are stopped because it waits.
"""

from airflow.providers.standard.operators.python import PythonOperator, ShortCircuitOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param

from include.settings import KEPT_DAYS_MAX
from include.tasks.assets import CHAMPION, DRIFT, PREDICTIONS
from include.tasks.drift import (
    TRAINING_DAG,
    detect_drift,
    drift_detected,
    drift_task,
    measure_outcomes,
    plan_parts,
)
from include.tasks.limits import PATIENT, QUICK, run_limit
from include.tasks.links import DriftReportLink
from include.tasks.pages import described

DETECTED = "ti.xcom_pull(task_ids='detect_drift')"

with DAG(
    dag_id="churn_drift",
    description="Yesterday's predictions → drift? → report → perhaps a training run",
    doc_md=__doc__,
    schedule="30 0 * * *",  # the last answers of a day reach the store within seconds
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=run_limit(),
    is_paused_upon_creation=False,
    tags=["churn"],
    default_args=PATIENT,
    params={
        "date": Param(
            None,
            type=["null", "string"],
            format="date",
            description="Which day; else the one before the run's logical date, or before today",
        ),
        "cooldown_days": Param(
            None,
            type=["null", "number"],
            minimum=0,
            maximum=KEPT_DAYS_MAX,
            description="Days between two runs that drift starts; else as in params.yaml",
        ),
    },
):
    plan = PythonOperator(**described("plan_parts"), python_callable=plan_parts)
    collect = PythonOperator.partial(
        **described("collect_predictions"),
        python_callable=drift_task("collect_predictions"),
        map_index_template="part {{ task.op_kwargs['part']['place'] }}",
    ).expand(op_kwargs=plan.output)
    detect = PythonOperator(
        **described("detect_drift"),
        python_callable=detect_drift,
        op_kwargs={"collected": collect.output},
        inlets=[PREDICTIONS, CHAMPION],
        outlets=[DRIFT],
    )
    publish = PythonOperator(
        **described("publish_report", limit=QUICK),
        python_callable=drift_task("publish_report"),
        op_kwargs={"detected": detect.output},
    )
    publish.operator_extra_links = (DriftReportLink(),)
    decide = ShortCircuitOperator(
        **described("drift_detected", limit=QUICK),
        python_callable=drift_detected,
        op_kwargs={"detected": detect.output},
        trigger_rule="all_done_min_one_success",  # a report that fails must not silence the alarm
    )
    trigger = TriggerDagRunOperator(
        **described("trigger_training", limit=QUICK),
        trigger_dag_id=TRAINING_DAG,
        trigger_run_id=f"{{{{ {DETECTED}['run_id'] }}}}",
        conf=f"{{{{ {DETECTED}['conf'] | tojson }}}}",
        logical_date=None,
        wait_for_completion=False,
        reset_dag_run=False,
        skip_when_already_exists=True,
    )
    PythonOperator(
        **described("measure_outcomes"),
        python_callable=measure_outcomes,
        inlets=[PREDICTIONS],
    )
    plan >> collect >> detect >> publish >> decide >> trigger
