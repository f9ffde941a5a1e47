"""What the operators of `churn_training` call: light to import, heavy only inside a task.

Each function opens the task's connections, calls its stage and hands on the answer as a dict. An
error that a retry cannot mend fails the task at once; an unreachable service is tried again.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from include.errors import NeedsPerson
from include.tasks.errors import reported

if TYPE_CHECKING:
    from include.training.run import TrainingRun

logger = logging.getLogger(__name__)

OUTCOMES = "churn_training_total"


def ingest_data(**context: Any) -> dict[str, Any]:
    """Read the labelled customers."""
    with reported():
        from include.training import stages

        return asdict(stages.ingest_data(_training_run(context)))


def validate_data(*, ingested: Mapping[str, Any], **context: Any) -> dict[str, Any]:
    """Check them against the data contract."""
    with reported():
        from include.training import stages

        return asdict(stages.validate_data(_training_run(context), stages.Ingested(**ingested)))


def transform_data(*, validated: Mapping[str, Any], **context: Any) -> dict[str, Any]:
    """Engineer, split, scale, resample."""
    with reported():
        from include.training import stages

        return asdict(stages.transform_data(_training_run(context), stages.Validated(**validated)))


def train_model(
    *,
    ingested: Mapping[str, Any],
    validated: Mapping[str, Any],
    transformed: Mapping[str, Any],
    **context: Any,
) -> dict[str, Any]:
    """Fit, calibrate, export, register the candidate."""
    with reported():
        from include.training import stages

        return asdict(
            stages.train_model(
                _training_run(context),
                stages.Ingested(**ingested),
                stages.Validated(**validated),
                stages.Transformed(**transformed),
            )
        )


def evaluate_model(**context: Any) -> dict[str, Any]:
    """Judge the candidate against the champion."""
    with reported():
        from include.training import release

        return asdict(release.evaluate_model(_training_run(context), _history(context)))


def promote_model(*, evaluated: Mapping[str, Any], **context: Any) -> dict[str, Any]:
    """Promote an accepted candidate: files first, the pointer last."""
    with reported():
        from include.training import release

        promoted = release.promote_model(
            _training_run(context), _history(context), release.Evaluated(**evaluated)
        )
    _count(promoted.outcome)
    return asdict(promoted)


def close_failed_run(context: Mapping[str, Any]) -> None:
    """Mark the MLflow run of a failed DAG run as failed and count it; the failure itself stands."""
    cause = getattr(context.get("exception"), "__cause__", None)
    _count("needs_person" if isinstance(cause, NeedsPerson) else "failed")
    try:
        run = _training_run(context)
        run.registry.finish(run.registry.ensure_run(run.dag_run_id, run.tags), succeeded=False)
    except Exception:  # a callback must not hide the error that it is called for
        logger.exception("could not mark the MLflow run as failed")


def _training_run(context: Mapping[str, Any]) -> "TrainingRun":
    from include.champion.registry import Registry
    from include.contract import load_contract
    from include.params import load_params
    from include.settings import load_settings
    from include.tasks import connections
    from include.training.run import TrainingRun, git_commit

    settings = load_settings()
    return TrainingRun(
        dag_run_id=context["dag_run"].run_id,
        store=connections.task_store(settings),
        engine=connections.customer_engine(settings),
        registry=Registry(settings.tracking_uri),
        contract=load_contract(),
        params=load_params(settings.params_file),
        trigger=_trigger(context),
        git_commit=git_commit(settings.git_commit),
    )


def _trigger(context: Mapping[str, Any]) -> dict[str, Any]:
    """The run's parameters; one that the schedule started says so itself."""
    given = dict(context["params"])
    if context["dag_run"].run_type == "scheduled" and given.get("trigger_reason") == "manual":
        return given | {"trigger_reason": "schedule"}
    return given


def _history(context: Mapping[str, Any]) -> Any:
    from include.training import release, stages

    return release.History(
        stages.Ingested(**context["ingested"]),
        stages.Validated(**context["validated"]),
        stages.Transformed(**context["transformed"]),
        stages.Trained(**context["trained"]),
    )


def _count(outcome: str) -> None:
    from airflow.sdk.observability import stats

    stats.incr(OUTCOMES, tags={"outcome": outcome})
