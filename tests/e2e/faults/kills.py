"""kill -9 behind each single write of a task, in a process of its own.

What is there after a write is what is there before the next one, so the moment behind each is
enough. The processes are forked from one that has imported everything, as Airflow's scheduler does.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import Any

from tests.e2e.faults.pipelines import Places, World

WRITES = ("write", "create", "replace", "delete")  # of the store
CHANGES = ("create", "alter", "drop", "rename")  # of tables, which MySQL commits one by one
READS = ("/search", "/get", "/list")  # that MLflow asks for by POST
PRELOADED = [
    *("connectorx", "imblearn.over_sampling", "matplotlib.pyplot", "mlflow", "mlflow.onnx"),
    *("onnxruntime", "pymysql", "xgboost", "tests.e2e.faults.racers"),
]


def forks() -> Any:
    """What makes processes of one that has imported everything, and has no threads yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


class Clock:
    """Counts what was written, and ends the process behind one of them."""

    def __init__(self, dies_at: int) -> None:
        self.dies_at, self.writes = dies_at, 0

    def tick(self) -> None:
        self.writes += 1
        if self.writes == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def behind(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, counted."""

        @wraps(call)
        def counted(*given: Any, **named: Any) -> Any:
            answer = call(*given, **named)
            self.tick()
            return answer

        return counted

    def watch(self) -> None:
        """Count every write to the store, every commit, and every request that changes MLflow."""
        import requests
        import sqlalchemy as sa
        from sqlalchemy.engine.default import DefaultDialect

        from include.store import LocalStore

        for verb in WRITES:
            setattr(LocalStore, verb, self.behind(getattr(LocalStore, verb)))
        DefaultDialect.do_commit = self.behind(DefaultDialect.do_commit)  # type: ignore[method-assign]

        def executed(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            if statement.lower().startswith(CHANGES):
                self.tick()

        sa.event.listen(sa.Engine, "after_cursor_execute", executed)
        send = requests.Session.send

        def sent(session: Any, request: Any, **options: Any) -> Any:
            answer = send(session, request, **options)
            reads = any(word in str(request.url) for word in READS)
            if request.method != "GET" and not reads:
                self.tick()
            return answer

        requests.Session.send = sent  # type: ignore[method-assign]


def die_in(places: Places, answers: dict[str, Any], task: str, dies_at: int) -> None:
    """Do a task in this process, which ends behind one of its writes."""
    world = World(places, answers)
    Clock(dies_at).watch()
    world.run(task)


def killed(world: World, task: str, *, behind: int) -> bool:
    """Whether a process that did the task was killed behind so many writes; else it was whole."""
    arguments = (world.places, world.answers, task, behind)
    process = forks().Process(target=die_in, args=arguments)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"{task} failed after kill {behind - 1}"
    return process.exitcode == -signal.SIGKILL
