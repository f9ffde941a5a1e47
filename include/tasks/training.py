"""What the operators of `churn_training` call: light to import, heavy only inside a task."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from include.errors import NeedsPerson
from include.tasks import adapter
from include.tasks.adapter import Context, task
from include.tasks.events import tell_if_moved

if TYPE_CHECKING:
    from include.training.run import TrainingRun

OUTCOMES = "churn_training_total"
WHY = "why"  # the one parameter that is not the run's but an answer's


def training_task(name: str) -> Callable[..., Any]:
    """What the operator of that name calls."""
    return task("training", name, open_new_run if name == "ingest_data" else open_run)


def promote_model(**context: Any) -> Any:
    """Promote a candidate that may be, count how the run ended, and tell of a new champion."""
    promoted = training_task("promote_model")(**context)
    count(promoted["outcome"])
    tell_if_moved(context, promoted, verdict=promoted["outcome"])
    return promoted


def close_failed_run(context: Context) -> None:
    """Count it, and tell MLflow."""
    cause = getattr(context.get("exception"), "__cause__", None)
    count("needs_person" if isinstance(cause, NeedsPerson) else "failed")
    adapter.close_failed_run(context, open_run)


def open_run(context: Context) -> "TrainingRun":
    """The run with the hyperparameters that its first task chose."""
    from include.training import tuned_set

    return tuned_set.settled(open_new_run(context))


def open_new_run(context: Context) -> "TrainingRun":
    """The run's connections and configuration."""
    from include.build import git_commit
    from include.champion.registry import Registry
    from include.contract import load_contract
    from include.params import load_params
    from include.settings import load_settings
    from include.tasks import connections
    from include.training.run import TrainingRun

    settings = load_settings()
    return TrainingRun(
        dag_run_id=context["dag_run"].run_id,
        store=connections.task_store(settings),
        engine=connections.customer_engine(settings),
        registry=Registry(settings.tracking_uri),
        contract=load_contract(),
        params=load_params(settings.params_file),
        trigger=trigger_of(context),
        git_commit=git_commit(settings.git_commit),
        dashboard_url=settings.resolved_dashboard_url,
        mlflow_url=settings.mlflow_public_url or settings.tracking_uri,
    )


def trigger_of(context: Context) -> dict[str, Any]:
    """The run's parameters; one that the schedule started says so itself."""
    given = {name: each for name, each in context["params"].items() if name != WHY}
    if context["dag_run"].run_type == "scheduled" and given.get("trigger_reason") == "manual":
        return given | {"trigger_reason": "schedule"}
    return given


def count(outcome: str) -> None:
    """Tell the metrics how a run ended."""
    from airflow.sdk.observability import stats

    stats.incr(OUTCOMES, tags={"outcome": outcome})
