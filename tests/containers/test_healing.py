"""Every container's main process is killed in turn, while clients ask."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
import pytest

from infra.airflow.client import TaskState
from tests.containers.stack import RunningStack, ask, eventually, records, today

HEAL_SECONDS = 60  # on a machine that is not busy with something else
LOGGED_SECONDS = 90
NOTICED_SECONDS = 30
WATCHER = "airflow worker -- LocalExecutor: "  # the process that watches a task, and its child
TASK = "airflow worker -- "
PAUSE_SECONDS = 0.1
SERVICES = [
    *("webapp", "s3", "mysql", "postgres", "mlflow", "dashboard"),
    *("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"),
    *("prometheus", "alertmanager", "grafana", "statsd-exporter", "mysqld-exporter"),
]

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="killing by host pid needs root"),
]


@dataclass
class Clients:
    """Somebody who asks all the time and keeps the ids of what was answered."""

    stack: RunningStack
    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Clients":
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        asked = records(50)
        with self.stack.api() as client:
            while not self._stop.wait(PAUSE_SECONDS):
                answer = ask(client, asked[len(self.acknowledged) % len(asked)])
                if answer:
                    self.acknowledged.add(answer["request_id"])
                else:
                    self.refused += 1


def allowed_seconds() -> float:
    """A minute, and as much longer as there are more processes than this machine can run."""
    waiting_for_each_core = os.getloadavg()[0] / (os.cpu_count() or 1)
    return HEAL_SECONDS * max(1.0, waiting_for_each_core / 2)


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_container_heals_and_nothing_acknowledged_is_lost(
    stack: RunningStack, service: str
) -> None:
    if service not in stack.services:
        pytest.skip(f"{service} has no image on this machine")
    stack.wait()
    with Clients(stack) as clients:
        eventually(lambda: len(clients.acknowledged) >= 5, "answers before the kill", seconds=30)
        restarts = stack.kill(service)
        took = eventually(
            lambda: stack.healed(service, restarts), f"{service} is back", seconds=allowed_seconds()
        )
        answered = len(clients.acknowledged)
        eventually(lambda: len(clients.acknowledged) > answered, "answers after it", seconds=30)
    print(f"\n{service} healed in {took:.0f} s, {clients.refused} requests refused")  # noqa: T201
    if service != "webapp":
        assert clients.refused == 0
    missing: set[str] = set()

    def all_logged() -> bool:
        nonlocal missing
        missing = clients.acknowledged - stack.logged_requests(today())
        return not missing

    eventually(all_logged, f"the log has all answers, missing {missing}", seconds=LOGGED_SECONDS)


def test_a_training_run_survives_its_scheduler(stack: RunningStack) -> None:
    stack.wait()
    client = stack.airflow()
    try:
        run_id = client.trigger("churn_training", {"trigger_reason": "test"})

        def under_way() -> bool:
            tasks = client.tasks("churn_training", run_id)
            return any(task.state == "running" for task in tasks)

        eventually(under_way, "a task runs", seconds=120)
        restarts = stack.kill("airflow-scheduler")
        eventually(
            lambda: stack.healed("airflow-scheduler", restarts),
            "it is back",
            seconds=allowed_seconds(),
        )
        began = time.monotonic()
        run = stack.follow(client, "churn_training", run_id)
        print(f"\nthe run ended {time.monotonic() - began:.0f} s after it was back")  # noqa: T201
        assert run.state == "success"
    finally:
        client.close()


@pytest.mark.parametrize("title", [WATCHER, TASK], ids=["watcher", "task"])
def test_a_training_run_survives_a_killed_task(stack: RunningStack, title: str) -> None:
    stack.wait()
    client = stack.airflow()
    try:
        run_id = client.trigger("churn_training", {"trigger_reason": "test"})

        def task() -> TaskState | None:
            tasks = client.tasks("churn_training", run_id)
            return next((each for each in tasks if each.task_id == "train_model"), None)

        def is_in(*states: str) -> Callable[[], bool]:
            return lambda: (found := task()) is not None and found.state in states

        eventually(is_in("running"), "the task runs", seconds=120)
        victims = [each for each in descendants(stack) if is_titled(each, title)]
        assert len(victims) == 1
        victims[0].kill()
        took = eventually(
            is_in("up_for_retry", "queued"), "the kill is noticed", seconds=NOTICED_SECONDS
        )
        print(f"\nnoticed after {took:.0f} s")  # noqa: T201
        assert stack.follow(client, "churn_training", run_id).state == "success"
        found = task()
        assert found is not None and found.try_number == 2
    finally:
        client.close()


def descendants(stack: RunningStack) -> list[psutil.Process]:
    """Whatever the scheduler's container runs, as this machine sees it."""
    pid = int(stack.process("airflow-scheduler").name)
    return psutil.Process(pid).children(recursive=True)


def is_titled(process: psutil.Process, title: str) -> bool:
    """Whether a process calls itself so, and is not the watcher where the task is meant."""
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return command.startswith(title) and (command.startswith(WATCHER) == (title == WATCHER))
