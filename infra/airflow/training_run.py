"""The training DAG as an operator starts it: waited for, triggered or joined, then followed."""

import logging
import time
from pathlib import Path

from infra.airflow.client import AirflowClient, RunState
from infra.airflow.dag_runs import RunFailed, Tick, follow, nothing

logger = logging.getLogger(__name__)

DAG_ID = "churn_training"
DAG_FILE = f"{DAG_ID}.py"
POLL_SECONDS = 0.5
PARSE_SECONDS = 120
RUN_SECONDS = 3600
APPROVE = "Approve"  # Airflow's own word


def wait_for_dag(client: AirflowClient, tick: Tick, *, seconds: float = PARSE_SECONDS) -> None:
    """Wait until Airflow has read the DAG file; RunFailed says why it could not."""
    deadline = time.monotonic() + seconds
    while (dag := client.dag(DAG_ID)) is None:
        if errors := [error for error in client.import_errors() if DAG_FILE in error]:
            raise RunFailed("Airflow cannot read the DAG:\n" + "\n".join(errors))
        if time.monotonic() > deadline:
            raise RunFailed(f"Airflow has not found {DAG_ID} in {seconds:g} s: look at dags/")
        tick()
        time.sleep(POLL_SECONDS)
    if dag["is_paused"]:
        raise RunFailed(f"{DAG_ID} is paused, so a run would wait for ever: switch it on in the UI")


def train(client: AirflowClient, *, reason: str, logs: Path, tick: Tick = nothing) -> RunState:
    """Trigger a run, or join the one that is under way, and show its progress to its end."""
    wait_for_dag(client, tick)
    run_id = client.unfinished_run(DAG_ID)
    if run_id:
        logger.info("joining the training run that is under way: %s", run_id)
    else:
        run_id = client.trigger(DAG_ID, {"trigger_reason": reason})
        logger.info("training run %s", run_id)
    return follow(client, DAG_ID, run_id, logs=logs, tick=tick, seconds=RUN_SECONDS)


def approve(client: AirflowClient, *, reason: str, logs: Path) -> RunState:
    """Approve the promotion that a run waits with, and follow it to its end; RunFailed if none."""
    run_id = client.unfinished_run(DAG_ID)
    tasks = client.tasks(DAG_ID, run_id) if run_id else []
    asking = next((task for task in tasks if task.awaits_answer), None)
    if run_id is None or asking is None:
        raise RunFailed(
            "no training waits for approval; to put a version of the store into production, name "
            'it: make promote VERSION=3 REASON="…"'
        )
    client.answer(DAG_ID, run_id, asking.task_id, option=APPROVE, why=reason)
    return follow(client, DAG_ID, run_id, logs=logs, seconds=RUN_SECONDS)
