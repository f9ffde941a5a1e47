"""Any DAG's run on the stack that is up: triggered, followed task by task, explained if it fails.

`training` does the same for the first champion, with the stack's own services to look after.
"""

import logging
import time
from collections import Counter
from typing import Any

from include.settings import Settings
from infra.local import airflow
from infra.local.airflow_client import AirflowClient, AirflowError, RunState, TaskState
from infra.local.services import Layout, layout

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
RUN_SECONDS = 6 * 3600
GOOD = frozenset({"success", "skipped"})


class RunFailed(Exception):
    """A run could not be started or did not end well; the message says what to look at."""


def run_dag(settings: Settings, dag_id: str, conf: dict[str, Any]) -> RunState:
    """Trigger a DAG, show its progress, and return when it has ended well; else RunFailed."""
    places = layout(settings)
    if not places.stack_file.exists():
        raise RunFailed(f"no stack is up here ({places.stack_file}): `make run` first")
    client = AirflowClient(places.airflow.url, user=airflow.USER, password=airflow.password(places))
    try:
        _check_dag(client, dag_id)
        run_id = client.trigger(dag_id, conf)
        logger.info("%s run %s", dag_id, run_id)
        return _follow(client, places, dag_id, run_id)
    finally:
        client.close()


def _check_dag(client: AirflowClient, dag_id: str) -> None:
    dag = client.dag(dag_id)
    if dag is None:
        errors = "\n".join(client.import_errors()) or "it reads dags/ every few seconds: try again"
        raise RunFailed(f"Airflow does not know {dag_id} yet: {errors}")
    if dag["is_paused"]:
        raise RunFailed(f"{dag_id} is paused: switch it on in the UI")


def _follow(client: AirflowClient, places: Layout, dag_id: str, run_id: str) -> RunState:
    shown: Counter[tuple[str, str]] = Counter()
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        run = client.run(dag_id, run_id)  # before its tasks, so that none is missed at the end
        tasks = client.tasks(dag_id, run_id)
        _show(tasks, shown)
        if run.is_finished:
            break
        if time.monotonic() > deadline:
            raise RunFailed(f"{run_id} has not ended in {RUN_SECONDS} s; it is still {run.state}")
        time.sleep(POLL_SECONDS)
    if run.state != "success":
        raise RunFailed(_explanation(client, places, dag_id, run, tasks))
    return run


def _show(tasks: list[TaskState], shown: "Counter[tuple[str, str]]") -> None:
    """A mapped task has many instances: how many are done says more than each of them."""
    now = Counter((task.task_id, task.state) for task in tasks if task.is_finished)
    total = Counter(task.task_id for task in tasks)
    for (task_id, state), count in now.items():
        if shown[task_id, state] == count:
            continue
        shown[task_id, state] = count
        of_many = f"  {count} of {total[task_id]}" if total[task_id] > 1 else ""
        note = "" if state == "success" else f"  {state.replace('_', ' ')}"
        logger.info("  %-18s%s%s", task_id, of_many, note)


def _explanation(
    client: AirflowClient, places: Layout, dag_id: str, run: RunState, tasks: list[TaskState]
) -> str:
    failed = [task for task in tasks if task.state == "failed"]
    if not failed:
        return f"{dag_id} run {run.run_id} is {run.state}, and no task of it failed"
    folder = places.airflow_home / "logs" / f"dag_id={dag_id}" / f"run_id={run.run_id}"
    try:
        errors = client.errors(dag_id, run.run_id, failed[0])
    except AirflowError:  # the log of a mapped task needs its index: the files have it
        errors = []
    cause = "\n  ".join(errors) or "(its log says why)"
    return f"{failed[0].task_id} failed in {run.run_id}:\n  {cause}\n  its log is below {folder}"
