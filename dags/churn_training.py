"""
### Trains the churn model and promotes it only when it is really better

`ingest_data` reads the labelled customers → `validate_data` checks them against the data contract
→ `transform_data` engineers, splits, scales and resamples → `train_model` fits, calibrates, exports
to ONNX and registers a candidate → `evaluate_model` judges it against the champion on the same
hold-out → `approve_promotion` asks a person, where one is needed → `promote_model` moves the
champion pointer, if the gate or that person accepted.

Where the pointer moved, the asset `champion` changes, and `churn_scoring` scores everybody. A task
that hangs is ended after its time limit, so that the next run can begin.

A rejected candidate is a normal, green run. A person is needed where the data looks wrong to the
gate, and with `promotion: manual` for whatever it accepts: *Required Actions* shows the figures.
Rejected, or without an answer in time (`CHURN_APPROVAL_HOURS`), the candidate is passed over and
the run ends green. An approval counts for what was shown: if the champion has moved since and a
person is still needed, `promote_model` is red; clear `approve_promotion` to be asked again.
"""

from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param

from include.settings import load_settings
from include.tasks.approval import ApprovePromotion
from include.tasks.assets import CHAMPION
from include.tasks.limits import QUICK
from include.tasks.pages import described, pages
from include.tasks.training import close_failed_run, promote_model, training_task

with DAG(
    dag_id="churn_training",
    description="Customers → validated → transformed → trained → judged → approved? → promoted",
    doc_md=__doc__,
    schedule=load_settings().training_schedule or None,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["churn"],
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "on_failure_callback": close_failed_run,
    },
    params={
        "trigger_reason": Param("manual", type="string", description="Why this run was started"),
        "drift_date": Param(
            None, type=["null", "string"], description="Day whose check started it (YYYY-MM-DD)"
        ),
        "threshold": Param(
            None, type=["null", "number"], description="The drift rule's threshold that was crossed"
        ),
        "num_drifted_features": Param(
            None, type=["null", "integer"], minimum=0, description="How many features drifted"
        ),
        "report_uri": Param(
            None, type=["null", "string"], description="Where the drift report is kept"
        ),
    },
):
    ingest = PythonOperator(
        **described("ingest_data"), python_callable=training_task("ingest_data")
    )
    validate = PythonOperator(
        **described("validate_data"),
        python_callable=training_task("validate_data"),
        op_kwargs={"ingested": ingest.output},
    )
    transform = PythonOperator(
        **described("transform_data"),
        python_callable=training_task("transform_data"),
        op_kwargs={"validated": validate.output},
    )
    train = PythonOperator(
        **described("train_model"),
        python_callable=training_task("train_model"),
        op_kwargs={"ingested": ingest.output, "transformed": transform.output},
    )
    lineage = {
        "ingested": ingest.output,
        "validated": validate.output,
        "transformed": transform.output,
        "trained": train.output,
    }
    evaluate = PythonOperator(
        **described("evaluate_model"),
        python_callable=training_task("evaluate_model"),
        op_kwargs={"lineage": lineage},
    )
    judged = {"lineage": lineage, "evaluated": evaluate.output}
    approve = ApprovePromotion(
        task_id="approve_promotion", doc_md=pages()["approve_promotion"], op_kwargs=judged
    )
    promote = PythonOperator(
        **described("promote_model", limit=QUICK),
        python_callable=promote_model,
        op_kwargs={**judged, "approved": approve.output},
        outlets=[CHAMPION],
    )
    ingest >> validate >> transform >> train >> evaluate >> approve >> promote
