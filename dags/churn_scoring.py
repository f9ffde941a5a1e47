"""
### Scores every customer, each night, after each change of the champion, and on demand

`plan_ranges` pins the champion and cuts the customers into ranges of about equal size →
`score_range`, mapped over the ranges, streams one each through the champion into
`scores/date=…/part-*.parquet` and a table of the run's own → `summarise_scores` proves that every
customer was scored exactly once, swaps that table in as `churn_scores`, so that its readers see
one whole night at any time, and writes `scores/date=…/summary.json`: counts, bands and the change
from the night before.

One run at a time: where the champion changes during one, the next follows it. Run it again on the
same day, and the day's scores are replaced; until the new `summary.json` is there they are not
complete, and `churn_scores` stays as it was. Clear one failed range, and that range alone is
scored again. Customers whose values break the champion's contract have no score: the summary says
how many and where their faults are listed. Attrited customers are scored as well; their
`Attrition_Flag` is in `churners`. Without a champion the run is green and says so.
"""

from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param

from include.settings import load_settings
from include.tasks.assets import CHAMPION, SCORES, at_times_or_after
from include.tasks.limits import PATIENT, run_limit
from include.tasks.pages import described
from include.tasks.scoring import plan_ranges, scoring_task, summarise_scores

with DAG(
    dag_id="churn_scoring",
    description="All customers → probability, band and reasons, in parquet and churn_scores",
    doc_md=__doc__,
    schedule=at_times_or_after(load_settings().scoring_schedule, CHAMPION),
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
            description="Day to file the scores under; else the logical date's, or today",
        ),
    },
):
    plan = PythonOperator(
        **described("plan_ranges"),
        python_callable=plan_ranges,
    )
    score = PythonOperator.partial(
        **described("score_range"),
        python_callable=scoring_task("score_range"),
        map_index_template="range {{ task.op_kwargs['portion']['place'] }}",
    ).expand(op_kwargs=plan.output)
    summarise = PythonOperator(
        **described("summarise_scores"),
        python_callable=summarise_scores,
        op_kwargs={"planned": plan.output, "scored": score.output},
        inlets=[CHAMPION],
        outlets=[SCORES],
        # Whoever reads the old scores in a long transaction holds up the swap of tables.
        retries=10,
        retry_delay=timedelta(minutes=1),
    )
    plan >> score >> summarise
