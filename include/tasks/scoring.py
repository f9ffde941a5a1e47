"""What the operators of `churn_scoring` call: light to import, heavy only inside a task."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from include.tasks.adapter import Context, day_of, task
from include.tasks.events import tell

if TYPE_CHECKING:
    from include.scoring.run import ScoringRun

NO_CHAMPION = (
    "there is no champion yet, so nobody is scored: run churn_training, and the next run of this "
    "DAG scores everybody"
)


def scoring_task(name: str) -> Callable[..., Any]:
    """What the operator of that name calls."""
    return task("scoring", name, open_run)


def plan_ranges(**context: Any) -> list[dict[str, Any]]:
    """Pin the champion and cut the table; the arguments of each mapped task."""
    from airflow.sdk.exceptions import AirflowSkipException

    portions = scoring_task("plan_ranges")(**context)
    if not portions:
        raise AirflowSkipException(NO_CHAMPION)
    return [{"portion": portion} for portion in portions]


def summarise_scores(
    *, planned: Iterable[dict[str, Any]], scored: Iterable[dict[str, Any]], **context: Any
) -> Any:
    """Prove that every customer was scored exactly once, write the summary, and tell of it."""
    portions = [arguments["portion"] for arguments in planned]
    summary = scoring_task("summarise_scores")(planned=portions, scored=list(scored), **context)
    tell(
        context,
        date=summary["date"],
        version=summary["model_version"],
        rows=summary["scored"],
        unscorable=summary["unscorable"],
    )
    del summary["ranges"]  # each begins and ends with a customer's number
    return summary


def open_run(context: Context) -> "ScoringRun":
    """The run's connections and rules, for the day on which it was due."""
    from include.handover import now
    from include.params import load_params
    from include.scoring.list_columns import Revenue
    from include.scoring.run import ScoringRun
    from include.settings import load_settings
    from include.tasks import connections

    settings = load_settings()
    params = load_params(settings.params_file)
    return ScoringRun(
        dag_run_id=context["dag_run"].run_id,
        store=connections.task_store(settings),
        engine=connections.customer_engine(settings),
        rules=params.scoring,
        rejected_share_max=params.validation.rejected_share_max,
        revenue=Revenue(settings.revenue_per_spend, settings.revenue_per_balance),
        day=day_of(context),
        now=now(),
        history=params.history,
    )
