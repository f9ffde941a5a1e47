"""What the DAGs tell StatsD, said by their own code; each argument is one thing that happened.

python -m tests.infra.dag_signals training=accepted drift=3 guard=few_new_labels
"""

import logging
import sys
import time
from datetime import timedelta
from pathlib import Path
from unittest import mock

import yaml

from include.settings import PROJECT

LATE = timedelta(hours=27)


def airflow_settings(home: Path, port: int) -> dict[str, str]:
    """Airflow's metrics settings as the containers have them, sent to another port."""
    compose = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
    environment = compose["services"]["airflow-scheduler"]["environment"]
    found = {k: str(v) for k, v in environment.items() if k.startswith("AIRFLOW__METRICS__")}
    return found | {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW_CONFIG": str(PROJECT / "infra" / "airflow" / "airflow.cfg"),
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(port),
        "CHURN_VAR_DIR": str(home / "var"),
    }


def training(outcome: str) -> None:
    """A training run came to this end."""
    from include.tasks import training as training_tasks

    if outcome == "failed":
        logging.disable()  # there is no MLflow run to close
        training_tasks.close_failed_run({"exception": ValueError("made up")})
        return
    training_tasks.count(outcome)


def drift(features: str, *, triggered: bool = True, reason: str = "drift") -> None:
    """A drift check found so many features."""
    from include.tasks import drift as drift_tasks

    count = int(features)
    drift_tasks.drift_detected(
        detected={
            "drifted_features": count,
            "drifted": count > 0,
            "triggered": triggered and count > 0,
            "reason": reason if count else "no_drift",
            "explanation": "made up",
        }
    )


def guard(reason: str) -> None:
    """Drift was found, and a guard let no training start."""
    drift("2", triggered=False, reason=reason)


def performance(roc_auc: str) -> None:
    """The champion's latest judged week came to this, and was to come to 0.96."""
    from include.tasks import drift as drift_tasks

    drift_tasks.tell_performance(
        {
            "champion": "1",
            "lost": float(roc_auc) < 0.9,
            "realised_roc_auc": float(roc_auc),
            "estimated_roc_auc": 0.96,
        }
    )


def late(_: str) -> None:
    """The last drift check was longer ago than it may be."""
    with mock.patch.object(time, "time", return_value=time.time() - LATE.total_seconds()):
        drift("0")


def airflow(dag_id: str) -> None:
    """What Airflow itself says of a DAG whose only task fails, and of its own life."""
    from airflow.sdk.observability import stats

    run, task = {"dag_id": dag_id, "run_type": "manual"}, {"dag_id": dag_id, "task_id": "a_task"}
    for state in ("success", "failed"):
        stats.timing(f"dagrun.duration.{state}", timedelta(seconds=12), tags=run)
    stats.timing("task.duration", 5000.0, tags=task)
    stats.timing("task.scheduled_duration", 100.0, tags={**task, "queue": "default"})
    stats.incr("ti.finish", tags={**task, "state": "failed"})
    stats.incr("scheduler_heartbeat", 1, 1)
    for state in ("open", "queued", "running"):
        stats.gauge(f"pool.{state}_slots", 4, tags={"pool_name": "default_pool"})
    stats.incr("something.else.of.airflow")


def task_failed(name: str) -> None:
    """What Airflow itself says of a task, dag_id.task_id, that fails for good."""
    from airflow.sdk.observability import stats

    dag_id, _, task_id = name.partition(".")
    stats.incr("ti.finish", tags={"dag_id": dag_id, "task_id": task_id, "state": "failed"})


def asks(state: str) -> None:
    """What the scheduler says of a training that is waiting for a person, or was answered."""
    from airflow.sdk.observability import stats

    tags = {"queue": "default", "dag_id": "churn_training", "task_id": "approve_promotion"}
    stats.gauge("ti.awaiting_input", float(state == "waiting"), tags=tags)


def main() -> None:
    """Say all that the command line asks for."""
    from airflow.sdk.configuration import conf
    from airflow.sdk.observability import stats
    from airflow.sdk.observability.metrics.stats_utils import get_stats_factory

    legacy = conf.getboolean("metrics", "legacy_names_on")
    stats.initialize(factory=get_stats_factory(), export_legacy_names=legacy)
    said = {
        **{"training": training, "drift": drift, "guard": guard, "late": late},
        **{"airflow": airflow, "task_failed": task_failed, "asks": asks},
        "performance": performance,
    }
    for argument in sys.argv[1:]:
        what, _, value = argument.partition("=")
        said[what](value)


if __name__ == "__main__":
    main()
