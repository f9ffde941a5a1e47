"""
### Scores every customer, each night and on demand

`plan_ranges` pins the champion and cuts the customers into ranges of about equal size →
`score_range`, mapped over the ranges, streams one each through the champion into
`scores/date=…/part-*.parquet` and a table of the run's own → `summarise_scores` proves that every
customer was scored exactly once, swaps that table in as `churn_scores`, so that its readers see
one whole night at any time, and writes `scores/date=…/summary.json`: counts, bands and the change
from the night before.

Run it again and the day's scores are replaced. Clear one failed range, and that range alone is
scored again. Customers whose values break the champion's contract have no score: the summary says
how many and where their faults are listed. Attrited customers are scored as well; their
`Attrition_Flag` is in `churners`. Without a champion the run is green and says so.
"""

from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param

from include.settings import load_settings
from include.tasks.scoring import plan_ranges, scoring_task, summarise_scores

with DAG(
    dag_id="churn_scoring",
    description="All customers → probability, band and reasons, in parquet and churn_scores",
    doc_md=__doc__,
    schedule=load_settings().scoring_schedule or None,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["churn"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
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
        task_id="plan_ranges",
        python_callable=plan_ranges,
        show_return_value_in_logs=False,  # a range begins and ends with a customer's number
    )
    score = PythonOperator.partial(
        task_id="score_range",
        python_callable=scoring_task("score_range"),
        map_index_template="range {{ task.op_kwargs['portion']['place'] }}",
    ).expand(op_kwargs=plan.output)
    summarise = PythonOperator(
        task_id="summarise_scores",
        python_callable=summarise_scores,
        op_kwargs={"planned": plan.output, "scored": score.output},
        show_return_value_in_logs=False,  # likewise
        # Whoever reads the old scores in a long transaction holds up the swap of tables.
        retries=10,
        retry_delay=timedelta(minutes=1),
    )
    plan >> score >> summarise
