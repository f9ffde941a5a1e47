"""The services while they run: started, waited for, restarted when they fall, stopped for good."""

import logging
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from types import FrameType
from typing import Any
from urllib.request import ProxyHandler, build_opener

from include.settings import PROJECT
from infra.local import processes
from infra.local.processes import Leader
from infra.local.services import Layout, Service

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
START_SECONDS = 300
HEALTH_TIMEOUT_SECONDS = 5
TAIL_LINES = 15
RESTARTS_MAX = 3  # within the window; who falls more often is broken
RESTART_WINDOW_SECONDS = 600
RESTART_PAUSE_SECONDS = 1.0  # the first; each further one is twice as long
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StackError(Exception):
    """The stack cannot start or go on; the message names the service and its log."""


class Interrupted(Exception):
    """Somebody asked the stack to stop."""


@dataclass
class Running:
    """A service's present process, and when it had to be restarted."""

    service: Service
    process: "subprocess.Popen[bytes]"
    leader: Leader
    restarts: list[float] = field(default_factory=list)
    restart_at: float | None = None


class Stack:
    """Every process of one `make run`; a context manager that leaves none of them behind."""

    def __init__(self, places: Layout) -> None:
        self.places = places
        self.restarting = (
            False  # from when the stack is up; a service that falls earlier is a failed start
        )
        self._running: dict[str, Running] = {}
        self._asked_to_stop = False
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Stack":
        self._handlers = {each: signal.signal(each, self._ask_to_stop) for each in SIGNALS}
        leftovers = processes.read_record(self.places.record)
        if processes.members(leftovers):
            logger.info("stopping what an earlier run left behind")
            processes.stop(leftovers)
        return self

    def __exit__(self, *_: object) -> None:
        leaders = [each.leader for each in self._running.values()]
        for name in processes.stop(leaders):
            logger.warning("%s did not end when asked and was killed", name)
        for each in self._running.values():
            each.process.wait()
        self.places.record.unlink(missing_ok=True)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @property
    def leaders(self) -> list[Leader]:
        """The process that leads each service."""
        return [each.leader for each in self._running.values()]

    def start(self, service: Service) -> None:
        """Start a service, or one more try of it."""
        before = self._running.get(service.name)
        process = processes.start(
            service.command,
            log=self.places.log(service.name),
            environment=service.environment,
            directory=PROJECT,
        )
        restarts = before.restarts if before else []
        leader = processes.leader(service.name, process)
        self._running[service.name] = Running(service, process, leader, restarts)
        processes.write_record(self.places.record, self.leaders)

    def tick(self) -> None:
        """Look after the services; called again and again while anybody waits for anything."""
        if self._asked_to_stop:
            raise Interrupted
        for each in list(self._running.values()):
            self._look_after(each)

    def wait_until(
        self, condition: Callable[[], bool], what: str, *, seconds: float = START_SECONDS
    ) -> None:
        """Wait for a condition while looking after the services."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = self.places.log("*")
                raise StackError(f"{what} is not ready after {seconds:g} s: see {logs}")
            self.tick()
            time.sleep(POLL_SECONDS)

    def finish(self, job: Service) -> None:
        """Wait for a started job that ends by itself; StackError when it ends badly."""
        running = self._running[job.name]
        self.wait_until(lambda: running.process.poll() is not None, job.name)
        if running.process.returncode != 0:
            raise StackError(self._exit_report(running))
        del self._running[job.name]

    def wait_for(self, service: Service) -> None:
        """Wait until a service's health page says that it is well."""
        self.wait_until(lambda: answers(service.health_url), service.name)

    def _look_after(self, fallen: Running) -> None:
        if fallen.process.poll() is None:
            return
        if not self.restarting:
            if fallen.service.ends and fallen.process.returncode == 0:
                return
            raise StackError(self._exit_report(fallen))
        if fallen.restart_at is None:
            self._plan_restart(fallen)
        elif time.monotonic() >= fallen.restart_at:
            processes.stop([fallen.leader], term_seconds=0)  # what it left of its session
            self.start(fallen.service)

    def _plan_restart(self, fallen: Running) -> None:
        now = time.monotonic()
        fallen.restarts[:] = [at for at in fallen.restarts if now - at < RESTART_WINDOW_SECONDS]
        if len(fallen.restarts) >= RESTARTS_MAX:
            raise StackError(
                f"{self._exit_report(fallen)}\nit fell {RESTARTS_MAX + 1} times: giving up"
            )
        pause_seconds = RESTART_PAUSE_SECONDS * 2 ** len(fallen.restarts)
        fallen.restarts.append(now)
        fallen.restart_at = now + pause_seconds
        logger.warning("%s\nrestarting it in %g s", self._exit_report(fallen), pause_seconds)

    def _exit_report(self, fallen: Running) -> str:
        log = self.places.log(fallen.service.name)
        last = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        lines = "".join(f"\n  | {line}" for line in last)
        code = fallen.process.returncode
        return f"{fallen.service.name} ended with code {code}; its log is {log}{lines}"

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._asked_to_stop = True


def answers(url: str) -> bool:
    """Whether a page of this machine answers 200."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=HEALTH_TIMEOUT_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False
