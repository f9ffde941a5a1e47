"""The services while they run: started, waited for, restarted when they fall, stopped for good."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

import httpx

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
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StackError(Exception):
    """The stack cannot start or go on; the message names the service and its log."""


class Interrupted(Exception):
    """Somebody asked the stack to stop."""


@dataclass
class Running:
    """A service's present process, and when it fell before."""

    service: Service
    process: "subprocess.Popen[bytes]"
    leader: Leader
    falls: list[float]
    is_left: bool = False  # down, until its falls are long enough ago


class Stack:
    """Every process of one `make run`; a context manager that leaves none of them behind."""

    def __init__(self, places: Layout) -> None:
        self.places = places
        # From when the stack is up; a service that falls earlier is a failed start.
        self.restarting = False
        self._running: dict[str, Running] = {}
        self._asked_to_stop = False
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Stack":
        self._handlers = {each: signal.signal(each, self._ask_to_stop) for each in SIGNALS}
        leftovers = processes.read_record(self.places.record)
        if processes.members(leftovers):
            logger.info("stopping what an earlier run left behind")
            # Nobody waits for what they did, and the next API waits for them to be gone.
            processes.stop(leftovers, term_seconds=processes.AGAIN_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        for name in processes.stop(self.leaders):
            told = "%s was still at work after %g s and was killed: the next start goes on with it"
            logger.warning(told, name, processes.TERM_SECONDS)
        for each in self._running.values():
            each.process.wait()
        self.places.record.unlink(missing_ok=True)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @property
    def leaders(self) -> list[Leader]:
        """The process that leads each service."""
        return [each.leader for each in self._running.values()]

    def has_started(self, service: Service) -> bool:
        """Whether it was started before, and is looked after."""
        return service.name in self._running

    def start(self, service: Service, *, falls: Sequence[float] = ()) -> None:
        """Start a service in a session of its own; the log of the start before stays beside it."""
        with self._output(service.name) as output:
            process = subprocess.Popen(
                service.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(service.environment),
                cwd=PROJECT,
                start_new_session=True,
            )
        leader = processes.leader(service.name, process.pid)
        self._running[service.name] = Running(service, process, leader, [*falls])
        try:
            processes.write_record(self.places.record, self.leaders)
        except OSError as error:
            logger.warning("%s cannot be recorded for the next start: %s", service.name, error)

    def _output(self, name: str) -> IO[bytes]:
        """A new log; on a full disk the service runs without one."""
        log = self.places.log(name)
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            if log.exists():
                log.replace(log.with_name(f"{log.name}.1"))
            return log.open("wb")
        except OSError as error:
            logger.warning("%s has no log: %s", name, error)
            return Path(os.devnull).open("wb")

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
        try:
            self.wait_until(lambda: running.process.poll() is not None, job.name)
        finally:  # whoever goes on without it is not told of it again
            processes.stop([running.leader], term_seconds=0)
            self._running.pop(job.name, None)
        if running.process.returncode != 0:
            raise StackError(self._exit_report(running))

    def wait_for(self, service: Service) -> None:
        """Wait until a service's health page says that it is well."""
        self.wait_until(lambda: answers(service.health_url), service.name)

    def _look_after(self, each: Running) -> None:
        if each.process.poll() is None:
            return
        if each.service.ends and each.process.returncode == 0:
            return
        if each.service.ends:
            del self._running[each.service.name]
        if each.service.ends or not self.restarting:
            raise StackError(self._exit_report(each))
        now = time.monotonic()
        falls = [at for at in each.falls if now - at < RESTART_WINDOW_SECONDS]
        if len(falls) >= RESTARTS_MAX:
            self._leave(each)
            return
        logger.warning(
            "%s\nrestarting it; that log is now %s.1",
            self._exit_report(each),
            self.places.log(each.service.name),
        )
        processes.stop([each.leader], term_seconds=0)  # what it left of its session
        self.start(each.service, falls=[*falls, now])

    def _leave(self, each: Running) -> None:
        """Let a service lie that falls again and again: the others go on without it."""
        if not each.is_left:
            each.is_left = True
            logger.error(
                "%s\nit fell %d times: the others go on, and it is tried again within %g minutes",
                *(self._exit_report(each), RESTARTS_MAX + 1, RESTART_WINDOW_SECONDS / 60),
            )

    def _exit_report(self, fallen: Running) -> str:
        log = self.places.log(fallen.service.name)
        last = log.read_text(errors="replace").splitlines()[-TAIL_LINES:] if log.exists() else []
        lines = "".join(f"\n  | {line}" for line in last)
        code = fallen.process.returncode
        return f"{fallen.service.name} ended with code {code}; its log is {log}{lines}"

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._asked_to_stop = True


def answers(url: str, text: str = "") -> bool:
    """Whether a page of this machine answers 200, with this text in it."""
    try:
        answer = httpx.get(url, timeout=HEALTH_TIMEOUT_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.is_success and text in answer.text
