"""
### Puts an earlier version back into production

Trigger it with the version to return to and the reason. `check_version` reads every file of the
version, compares it with its hash, and lets the model answer its self-check rows →
`move_champion` moves the champion pointer and the registry's alias. Every API worker serves the
version within the polling interval (`CHURN_CHAMPION_POLL_SECONDS`, 5 s), without a failed request;
the asset `champion` changes, and `churn_scoring` scores everybody with it.

Who, why and when are kept in the pointer and in `champion/history/`. The next training run compares
its candidate with what is in production then. While training is what you doubt, pause
`churn_training` too.
"""

from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param

from include.tasks.assets import CHAMPION
from include.tasks.limits import QUICK, SHORT_RUN
from include.tasks.pages import described
from include.tasks.rollback import check_version, move_champion

with DAG(
    dag_id="churn_rollback",
    description="An earlier version: whole? → pointer and alias back to it",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=SHORT_RUN,
    is_paused_upon_creation=False,
    tags=["churn"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    params={
        "version": Param(
            type="string",
            pattern="^[1-9][0-9]*$",
            description="The version of prod.churn_model to return to, such as 2",
        ),
        "reason": Param(
            type="string",
            pattern=r"\S",
            description="Why; it is kept with the move",
        ),
    },
):
    check = PythonOperator(**described("check_version", limit=QUICK), python_callable=check_version)
    move = PythonOperator(
        **described("move_champion", limit=QUICK), python_callable=move_champion, outlets=[CHAMPION]
    )
    check >> move
