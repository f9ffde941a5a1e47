"""What the operators of `churn_drift` call: light to import, heavy only inside a task."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from include.errors import ConfigurationError
from include.tasks.errors import reported

if TYPE_CHECKING:
    from include.drift.stages import DriftRun

logger = logging.getLogger(__name__)

TRAINING_DAG = "churn_training"
UNFINISHED = ["queued", "running"]
LAST_SUCCESS = "churn_drift_last_success_timestamp_seconds"
DRIFTED_FEATURES = "churn_drift_features"
GUARD = "churn_retrain_guard_total"


def collect_predictions(**context: Any) -> dict[str, Any]:
    """Count the day's log."""
    with reported():
        from include.drift import stages as drift_stages

        return asdict(drift_stages.collect_predictions(_drift_run(context)))


def detect_drift(*, collected: Mapping[str, Any], **context: Any) -> dict[str, Any]:
    """Test the counts, decide, write drift.json."""
    with reported():
        from include.drift import stages as drift_stages

        found = drift_stages.detect_drift(_drift_run(context), drift_stages.Collected(**collected))
        return asdict(found)


def publish_report(
    *, collected: Mapping[str, Any], detected: Mapping[str, Any], **context: Any
) -> str | None:
    """Draw and upload the report; returns where it is."""
    with reported():
        from include.drift import stages as drift_stages

        return drift_stages.publish_report(
            _drift_run(context),
            drift_stages.Collected(**collected),
            drift_stages.Detected(**detected),
        )


def drift_detected(*, detected: Mapping[str, Any], **context: Any) -> bool:
    """Whether a training run is to start; says why not, and tells the metrics."""
    from airflow.sdk.observability import stats

    # Features can drift on a day that the rule calls quiet, and nobody is to be called for that.
    stats.gauge(DRIFTED_FEATURES, detected["drifted_features"] if detected["drifted"] else 0)
    stats.gauge(LAST_SUCCESS, time.time())
    if detected["drifted"] and not detected["triggered"]:
        logger.warning("%s", detected["explanation"])
        stats.incr(GUARD, tags={"reason": detected["reason"]})
    else:
        logger.info("%s", detected["explanation"])
    return bool(detected["triggered"])


def measure_outcomes(**context: Any) -> dict[str, Any]:
    """Compare what was predicted with what customers did."""
    with reported():
        from include.drift import measure_outcomes
        from include.settings import load_settings

        run = _drift_run(context)
        return asdict(measure_outcomes.measure(run, load_settings().customer_id_key()))


def day_of(context: Mapping[str, Any]) -> date:
    """The run's parameter `date`, else the day before the one on which it was due."""
    given = context["params"].get("date")
    if not given:
        due: date = context["dag_run"].run_after.date()
        return due - timedelta(days=1)
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise ConfigurationError(
            f"the parameter date must look like 2026-01-31, found {given!r}"
        ) from error


def _drift_run(context: Mapping[str, Any]) -> "DriftRun":
    from include.contract import load_contract
    from include.drift.stages import DriftRun
    from include.handover import now
    from include.params import load_params
    from include.settings import load_settings
    from include.tasks import connections

    settings = load_settings()
    rules = load_params(settings.params_file).drift
    cooldown_days = context["params"].get("cooldown_days")
    if cooldown_days is not None:
        rules = rules.model_copy(update={"cooldown_days": cooldown_days})
    return DriftRun(
        dag_run_id=context["dag_run"].run_id,
        day=day_of(context),
        store=connections.task_store(settings),
        contract=load_contract(),
        rules=rules,
        open_engine=lambda: connections.customer_engine(settings),
        training_runs_in_flight=_in_flight(context["ti"]),
        now=now(),
    )


def _in_flight(task: Any) -> Callable[[str], int]:
    """Counts unfinished training runs but for one; a paused DAG's queued run is one of them."""

    def count(own_run_id: str) -> int:
        own = task.get_dr_count(dag_id=TRAINING_DAG, run_ids=[own_run_id], states=UNFINISHED)
        return int(task.get_dr_count(dag_id=TRAINING_DAG, states=UNFINISHED) - own)

    return count
