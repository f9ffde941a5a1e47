"""The training DAG as an operator starts it: waited for, triggered or joined, then followed."""

import logging
import re
from pathlib import Path

from include.champion.gate_decision import GATE_FILE, Decision
from include.documents import parse_document
from include.errors import ChurnError
from include.store import Store
from infra.airflow.client import AirflowClient, RunState
from infra.airflow.dag_runs import RunFailed, Tick, follow, nothing, wait_for_dag

logger = logging.getLogger(__name__)

DAG_ID = "churn_training"
RUN_SECONDS = 3600
APPROVE = "Approve"  # Airflow's own word
ASKED = re.compile(r"candidate (\d+)")  # in the subject of include/training/approve_promotion.py


def train(client: AirflowClient, *, reason: str, logs: Path, tick: Tick = nothing) -> RunState:
    """Trigger a run, or join the one that is under way, and show its progress to its end."""
    wait_for_dag(client, DAG_ID, tick=tick)
    run_id = client.unfinished_run(DAG_ID)
    if run_id:
        logger.info("joining the training run that is under way: %s", run_id)
    else:
        run_id = client.trigger(DAG_ID, {"trigger_reason": reason})
        logger.info("training run %s", run_id)
    return follow(client, DAG_ID, run_id, logs=logs, tick=tick, seconds=RUN_SECONDS)


def gate_told(store: Store, run_id: str) -> str:
    """Why a run promoted nothing: what the gate decided, or that a person decided otherwise."""
    from include.handover import Run  # pandas: only who asks waits for it

    key = Run(run_id, store).key("evaluate_model", GATE_FILE)
    try:
        found = parse_document(Decision, store.read(key).data, key, any_release=True)
    except ChurnError as error:
        return f"what the gate decided cannot be read: {error}"
    verdict = f"{found.outcome.replace('_', ' ')}: {'; '.join(found.reasons)}"
    told = f"the gate on candidate {found.challenger}, {verdict}. All figures: {store.uri}/{key}"
    if found.outcome == "rejected":
        return told
    return (
        f"a person rejected candidate {found.challenger}, or none answered in time: the tags "
        f"approval_by and approval_reason of its run in MLflow say who and why. Before, {told}"
    )


def approve(client: AirflowClient, candidate: str | None, *, why: str, logs: Path) -> RunState:
    """Show what a run asks, approve it if that candidate is meant, and follow the run to its end.

    RunFailed where nothing waits, or another candidate does, or none was named.
    """
    waiting = (
        (run_id, task.task_id)
        for run_id in client.unfinished_runs(DAG_ID)
        for task in client.tasks(DAG_ID, run_id)
        if task.awaits_answer
    )
    run_id, task_id = next(waiting, (None, None))
    if run_id is None or task_id is None:
        raise RunFailed(
            "no training waits for approval; to put a version of the store into production, name "
            'it: make promote VERSION=3 REASON="…"'
        )
    question = client.question(DAG_ID, run_id, task_id)
    logger.info("%s\n\n%s\n", question["subject"], question["body"])
    _check_candidate(candidate, question["subject"])
    client.answer(DAG_ID, run_id, task_id, option=APPROVE, why=why)
    return follow(client, DAG_ID, run_id, logs=logs, seconds=RUN_SECONDS)


def _check_candidate(candidate: str | None, subject: str) -> None:
    found = ASKED.search(subject)
    waits = found[1] if found else "?"
    if candidate != waits:
        expected = f"expected candidate {candidate} to wait, found" if candidate else "found"
        raise RunFailed(
            f"{expected} candidate {waits}, as shown above; nothing was approved. To approve it: "
            f'make promote CANDIDATE={waits} REASON="…"'
        )
