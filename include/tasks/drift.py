"""What the operators of `churn_drift` call: light to import, heavy only inside a task."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from include.tasks.adapter import Context, day_of, task
from include.tasks.events import tell

if TYPE_CHECKING:
    from include.drift.run import DriftRun

logger = logging.getLogger(__name__)

TRAINING_DAG = "churn_training"
UNFINISHED = ["queued", "running"]
LAST_SUCCESS = "churn_drift_last_success_timestamp_seconds"
DRIFTED_FEATURES = "churn_drift_features"
GUARD = "churn_retrain_guard_total"
ROC_AUC = "churn_performance_roc_auc"
LOST = "churn_performance_lost"


def drift_task(name: str) -> Callable[..., Any]:
    """What the operator of that name calls."""
    return task("drift", name, open_run)


def plan_parts(**context: Any) -> list[dict[str, Any]]:
    """Pin the champion and cut the day's log; the arguments of each mapped task."""
    return [{"part": part} for part in drift_task("plan_parts")(**context)]


def detect_drift(*, collected: Iterable[dict[str, Any]], **context: Any) -> Any:
    """Add up the parts, judge the day, and tell of the verdict."""
    detected = drift_task("detect_drift")(parts=list(collected), **context)
    tell(
        context,
        date=_day(context).isoformat(),
        verdict=detected["status"],
        rows=detected["rows"],
        drifted_features=detected["drifted_features"],
        training=detected["run_id"],
    )
    return detected


def measure_outcomes(**context: Any) -> Any:
    """Measure what came of older predictions, and tell the metrics."""
    measured = drift_task("measure_outcomes")(**context)
    tell_performance(measured)
    return measured


def tell_performance(measured: Mapping[str, Any]) -> None:
    """Tell the metrics how the champion's latest judged week was."""
    from airflow.sdk.observability import stats

    stats.gauge(LOST, int(measured["lost"]))
    for kind in ("realised", "estimated"):
        value = measured[f"{kind}_roc_auc"]
        if value is not None:
            stats.gauge(ROC_AUC, value, tags={"kind": kind, "version": measured["champion"]})


def drift_detected(*, detected: Mapping[str, Any], **context: Any) -> bool:
    """Whether a training run is to start; says why not, and tells the metrics."""
    from airflow.sdk.observability import stats

    # Features can drift on a day that the rule calls quiet, and nobody is to be called for that.
    stats.gauge(DRIFTED_FEATURES, detected["drifted_features"] if detected["drifted"] else 0)
    stats.gauge(LAST_SUCCESS, time.time())
    if not detected["triggered"] and detected["reason"] != "no_drift":
        logger.warning("%s", detected["explanation"])
        stats.incr(GUARD, tags={"reason": detected["reason"]})
    else:
        logger.info("%s", detected["explanation"])
    return bool(detected["triggered"])


def open_run(context: Context) -> "DriftRun":
    """The run's connections and configuration, for the day before the one on which it was due."""
    from include.contract import load_contract
    from include.drift.run import DriftRun
    from include.handover import now
    from include.params import load_params
    from include.settings import load_settings
    from include.tasks import connections

    settings = load_settings()
    params = load_params(settings.params_file)
    rules = params.drift
    cooldown_days = context["params"].get("cooldown_days")
    if cooldown_days is not None:
        rules = rules.model_copy(update={"cooldown_days": cooldown_days})
    return DriftRun(
        dag_run_id=context["dag_run"].run_id,
        day=_day(context),
        store=connections.task_store(settings),
        contract=load_contract(),
        rules=rules,
        id_key=settings.customer_id_key,
        open_engine=lambda: connections.customer_engine(settings),
        training_runs_in_flight=_in_flight(context["ti"]),
        now=now(),
        campaigns=params.campaigns,
    )


def _day(context: Context) -> date:
    return day_of(context, before=timedelta(days=1))


def _in_flight(running: Any) -> Callable[[str], int]:
    """Counts unfinished training runs but for one; a paused DAG's queued run is one of them."""

    def count(own_run_id: str) -> int:
        own = running.get_dr_count(dag_id=TRAINING_DAG, run_ids=[own_run_id], states=UNFINISHED)
        return int(running.get_dr_count(dag_id=TRAINING_DAG, states=UNFINISHED) - own)

    return count
