"""A training run as an operator sees it: triggered over Airflow's API, followed stage by stage."""

import logging
import time
from collections.abc import Callable

from infra.local.airflow_client import AirflowClient, AirflowError, RunState, TaskState
from infra.local.services import Layout

logger = logging.getLogger(__name__)

DAG_ID = "churn_training"
DAG_FILE = f"{DAG_ID}.py"
POLL_SECONDS = 0.5
PARSE_SECONDS = 120
RUN_SECONDS = 3600
GOOD = frozenset({"success", "skipped"})
TELLING = frozenset({*GOOD, "failed", "up_for_retry"})  # what waits or never began says nothing

Tick = Callable[[], None]


class TrainingFailed(Exception):
    """A run did not end well; the message names the task, its error and its log."""


def wait_for_dag(client: AirflowClient, tick: Tick, *, seconds: float = PARSE_SECONDS) -> None:
    """Wait until Airflow has read the DAG file; TrainingFailed says why it could not."""
    deadline = time.monotonic() + seconds
    while (dag := client.dag(DAG_ID)) is None:
        if errors := [error for error in client.import_errors() if DAG_FILE in error]:
            raise TrainingFailed("Airflow cannot read the DAG:\n" + "\n".join(errors))
        if time.monotonic() > deadline:
            raise TrainingFailed(f"Airflow has not found {DAG_ID} in {seconds:g} s: look at dags/")
        tick()
        time.sleep(POLL_SECONDS)
    if dag["is_paused"]:
        raise TrainingFailed(
            f"{DAG_ID} is paused, so a run would wait for ever: switch it on in the UI"
        )


def train(client: AirflowClient, places: Layout, tick: Tick, *, reason: str) -> RunState:
    """Trigger a run, or join the one that is under way, and show its progress to its end."""
    wait_for_dag(client, tick)
    run_id = client.unfinished_run(DAG_ID)
    if run_id:
        logger.info("joining the training run that is under way: %s", run_id)
    else:
        run_id = client.trigger(DAG_ID, {"trigger_reason": reason})
        logger.info("training run %s", run_id)
    return follow(client, places, run_id, tick)


def follow(
    client: AirflowClient,
    places: Layout,
    run_id: str,
    tick: Tick,
    *,
    seconds: float = RUN_SECONDS,
) -> RunState:
    """Show each stage with its time as it finishes; TrainingFailed when the run fails."""
    shown: set[tuple[str, int, str]] = set()
    deadline = time.monotonic() + seconds
    while True:
        # The run before its tasks: the other way round the last of them could be missed.
        run, tasks = client.run(DAG_ID, run_id), client.tasks(DAG_ID, run_id)
        _show(tasks, shown)
        if run.is_finished:
            break
        if time.monotonic() > deadline:
            raise TrainingFailed(f"{run_id} is still {run.state} after {seconds:g} s")
        tick()
        time.sleep(POLL_SECONDS)
    if run.state != "success":
        raise TrainingFailed(_explanation(client, places, run, tasks))
    return run


def task_log(places: Layout, run_id: str, task: TaskState) -> str:
    """Where Airflow keeps the log of a task's last try."""
    folder = places.airflow_home / "logs" / f"dag_id={DAG_ID}" / f"run_id={run_id}"
    return str(folder / f"task_id={task.task_id}" / f"attempt={task.try_number}.log")


def _show(tasks: list[TaskState], shown: set[tuple[str, int, str]]) -> None:
    for task in tasks:
        key = (task.task_id, task.try_number, task.state)
        if key in shown or task.state not in TELLING:
            continue
        shown.add(key)
        took = "" if task.seconds is None else f"{task.seconds:6.1f} s"
        note = "" if task.state in GOOD else f"  {task.state.replace('_', ' ')}"
        logger.info("  %-16s %9s%s", task.task_id, took, note)


def _explanation(
    client: AirflowClient, places: Layout, run: RunState, tasks: list[TaskState]
) -> str:
    failed = [task for task in tasks if task.state == "failed"]
    if not failed:
        return f"the training run {run.run_id} is {run.state}, and no task of it failed"
    task = failed[0]
    try:
        errors = client.errors(DAG_ID, run.run_id, task)
    except AirflowError as error:
        errors = [f"(its log cannot be read through Airflow: {error})"]
    cause = "\n  ".join(errors) or "(no error in its log)"
    return (
        f"{task.task_id} failed in the training run {run.run_id}:\n  {cause}\n"
        f"  its log: {task_log(places, run.run_id, task)}"
    )
