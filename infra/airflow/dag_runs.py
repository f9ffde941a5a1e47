"""A DAG's run as a person sees it: triggered, followed task by task, explained when it fails."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from infra.airflow.client import AirflowClient, AirflowError, RunState, TaskState

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
PARSE_SECONDS = 120
RUN_SECONDS = 6 * 3600
QUIET_SECONDS = 30  # without news; then it is asked whether there can be any
NO_ERROR = "(no error in its log: where its disk is full, Airflow writes none)"
GOOD = frozenset({"success", "skipped"})
TELLING = frozenset({*GOOD, "failed", "up_for_retry"})  # what waits or never began says nothing

Tick = Callable[[], None]
Shown = set[tuple[str, int, str]]


class RunFailed(Exception):
    """A run could not be started or did not end well; the message says what to look at."""


def nothing() -> None:
    """No services to look after meanwhile: the stack's own process does that."""


def wait_for_dag(
    client: AirflowClient, dag_id: str, *, tick: Tick = nothing, seconds: float = PARSE_SECONDS
) -> None:
    """Wait until Airflow has read the DAG's file; RunFailed where it cannot, or lets none run."""
    deadline = time.monotonic() + seconds
    while (dag := client.dag(dag_id)) is None:
        if errors := [error for error in client.import_errors() if f"{dag_id}.py" in error]:
            raise RunFailed("Airflow cannot read the DAG:\n" + "\n".join(errors))
        if time.monotonic() > deadline:
            raise RunFailed(f"Airflow has not found {dag_id} in {seconds:g} s: look at dags/")
        tick()
        time.sleep(POLL_SECONDS)
    if dag["is_paused"]:
        raise RunFailed(f"{dag_id} is paused, so a run would wait for ever: switch it on in the UI")


def follow(
    client: AirflowClient,
    dag_id: str,
    run_id: str,
    *,
    logs: Path,
    tick: Tick = nothing,
    seconds: float = RUN_SECONDS,
) -> RunState:
    """Show each task with its time as it finishes; RunFailed when the run does not end well.

    A run that waits for a person's answer is left to wait: it is returned as it is, not finished,
    when it was told where to answer. `logs` is Airflow's folder, where a person finds more.
    """
    shown: Shown = set()
    heard = time.monotonic()
    deadline = heard + seconds
    while True:
        # The run before its tasks: the other way round the last of them could be missed.
        run, tasks = client.run(dag_id, run_id), client.tasks(dag_id, run_id)
        news = list(_news(tasks, shown, partial(_cause, client, dag_id, run_id)))
        for line in news:
            logger.info("%s", line)
        heard = time.monotonic() if news else _still_quiet(client, heard)
        if run.is_finished:
            break
        if asking := next((task for task in tasks if task.awaits_answer), None):
            page = client.question_page(dag_id, run_id, asking.task_id)
            logger.info("%s waits for a person, answer here: %s", asking.task_id, page)
            return run
        if time.monotonic() > deadline:
            raise RunFailed(f"{run_id} is still {run.state} after {seconds:g} s")
        tick()
        time.sleep(POLL_SECONDS)
    if run.state != "success":
        raise RunFailed(_explanation(client, dag_id, run, tasks, logs))
    return run


def _still_quiet(client: AirflowClient, heard: float) -> float:
    """Since when it is quiet, or was last asked why; tells of a scheduler that is dead."""
    now = time.monotonic()
    if now - heard < QUIET_SECONDS:
        return heard
    if since := client.scheduler_silent_since():
        logger.warning(
            "Airflow's scheduler gave no sign of life since %s, and nothing goes on without it: "
            "its log says why; once it is started again, this run goes on by itself",
            since,
        )
    return now


def _news(
    tasks: list[TaskState], shown: Shown, cause: Callable[[TaskState], list[str]]
) -> Iterator[str]:
    """What was not shown yet; of a mapped task how many are done says more than each of them."""
    groups: dict[str, list[TaskState]] = {}
    for task in tasks:
        groups.setdefault(task.task_id, []).append(task)
    for task_id, group in groups.items():
        told = [task for task in group if task.state in TELLING]
        for task in told if len(group) == 1 else ():
            if _first(shown, (task_id, task.try_number, task.state)):
                yield _line(task_id, task.seconds, "" if task.state in GOOD else task.state)
                if task.state == "up_for_retry":  # which may be minutes away
                    yield f"    {cause(task)[0]}"
        done = [task.seconds or 0.0 for task in told if task.state in GOOD]
        if len(group) > 1 and done and _first(shown, (task_id, len(done), "done")):
            yield _line(task_id, sum(done), f"{len(done)} of {len(group)}")


def _first(shown: Shown, key: tuple[str, int, str]) -> bool:
    known = key in shown
    shown.add(key)
    return not known


def _line(task_id: str, seconds: float | None, note: str) -> str:
    took = "" if seconds is None else f"{seconds:6.1f} s"
    return f"  {task_id:17} {took:>8}  {note.replace('_', ' ')}".rstrip()


def _explanation(
    client: AirflowClient, dag_id: str, run: RunState, tasks: list[TaskState], logs: Path
) -> str:
    failed = [task for task in tasks if task.state == "failed"]
    if not failed:
        return f"the {dag_id} run {run.run_id} is {run.state}, and no task of it failed"
    task = failed[0]
    cause = "\n  ".join(_cause(client, dag_id, run.run_id, task))
    folder = logs / f"dag_id={dag_id}" / f"run_id={run.run_id}"
    return (
        f"{task.task_id} failed in the {dag_id} run {run.run_id}:\n  {cause}\n"
        f"  its log is below {folder / f'task_id={task.task_id}'}"
    )


def _cause(client: AirflowClient, dag_id: str, run_id: str, task: TaskState) -> list[str]:
    try:
        return client.errors(dag_id, run_id, task) or [NO_ERROR]
    except AirflowError as error:
        return [f"(its log cannot be read through Airflow: {error})"]
