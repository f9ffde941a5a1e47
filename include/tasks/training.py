"""What the operators of `churn_training` call: light to import, heavy only inside a task."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from include.errors import NeedsPerson
from include.tasks.adapter import Context, task
from include.tasks.events import tell_if_moved

if TYPE_CHECKING:
    from include.training.run import TrainingRun

logger = logging.getLogger(__name__)

OUTCOMES = "churn_training_total"


def training_task(name: str) -> Callable[..., Any]:
    """What the operator of that name calls."""
    return task("training", name, open_new_run if name == "ingest_data" else open_run)


def promote_model(**context: Any) -> Any:
    """Promote an accepted candidate, count how the run ended, and tell of a new champion."""
    promoted = training_task("promote_model")(**context)
    _count(promoted["outcome"])
    tell_if_moved(context, promoted, verdict=promoted["outcome"])
    return promoted


def close_failed_run(context: Context) -> None:
    """Mark the MLflow run of a failed DAG run as failed and count it; the failure itself stands."""
    cause = getattr(context.get("exception"), "__cause__", None)
    _count("needs_person" if isinstance(cause, NeedsPerson) else "failed")
    try:
        run = open_run(context)
        run.registry.finish(run.registry.ensure_run(run.dag_run_id, run.tags), succeeded=False)
    except Exception:  # a callback must not hide the error that it is called for
        logger.exception("could not mark the MLflow run as failed")


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
    )


def trigger_of(context: Context) -> dict[str, Any]:
    """The run's parameters; one that the schedule started says so itself."""
    given = dict(context["params"])
    if context["dag_run"].run_type == "scheduled" and given.get("trigger_reason") == "manual":
        return given | {"trigger_reason": "schedule"}
    return given


def _count(outcome: str) -> None:
    from airflow.sdk.observability import stats

    stats.incr(OUTCOMES, tags={"outcome": outcome})
