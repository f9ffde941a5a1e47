"""Processes of the stack: each leads its own session, so that all it ever forked can be stopped.

A session outlives its leader and survives `setpgid`, which Airflow calls for every task; walking
from parent to child would lose whoever was orphaned, and so would a process group. While a member
lives, the system gives the session's id to no other process.
"""

import json
import logging
import os
import signal
import time
from collections.abc import Container, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from infra.airflow.files import write_whole

logger = logging.getLogger(__name__)

TERM_SECONDS = 12
AGAIN_SECONDS = 3
KILL_SECONDS = 5
POLL_SECONDS = 0.05
SAME_START_SECONDS = 2  # psutil knows when the machine was booted by the second


class Leader(NamedTuple):
    """A session leader; when it started tells it from a later process of the same id."""

    name: str
    pid: int
    started: float  # seconds since boot: setting the clock does not move it

    @property
    def is_another(self) -> bool:
        """Whether the id now belongs to a process that is not the recorded one."""
        started = _started(self.pid)
        return started is not None and abs(started - self.started) > SAME_START_SECONDS


def leader(name: str, pid: int) -> Leader:
    """What to remember of a process that was just started (and not waited for yet)."""
    return Leader(name, pid, _started(pid) or 0.0)


def members(leaders: Sequence[Leader]) -> list[psutil.Process]:
    """Everything that is left of these sessions, their leaders included."""
    sessions = {each.pid for each in leaders if not each.is_another}
    return [each for each in psutil.process_iter() if _belongs(each, sessions)]


def stop(leaders: Sequence[Leader], *, term_seconds: float = TERM_SECONDS) -> list[str]:
    """Ask every leader to end, then kill what is left; returns who had to be killed."""
    # The second time is for Airflow: "signal again if you don't want to wait".
    for seconds in (min(AGAIN_SECONDS, term_seconds), term_seconds - AGAIN_SECONDS):
        ids = {each.pid for each in leaders}
        _signal([each for each in members(leaders) if each.pid in ids], signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and members(leaders):
            time.sleep(POLL_SECONDS)
    stubborn = [each.name for each in leaders if members([each])]
    deadline = time.monotonic() + KILL_SECONDS
    while (left := members(leaders)) and time.monotonic() < deadline:
        _signal(left, signal.SIGKILL)  # again and again: a dying parent may still fork
        time.sleep(POLL_SECONDS)
    return stubborn


def write_record(path: Path, leaders: Sequence[Leader]) -> None:
    """Remember who was started, for the case that nobody is left to stop them."""
    write_whole(path, json.dumps(leaders))


def read_record(path: Path) -> list[Leader]:
    """Who was started since the machine was, and never reported as stopped."""
    try:
        if path.stat().st_mtime < psutil.boot_time():
            return []
        return [Leader(*entry) for entry in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        logger.warning("%s cannot be read (%s): earlier services may still run", path, error)
        return []


def _belongs(process: psutil.Process, sessions: Container[int]) -> bool:
    try:
        is_member = os.getsid(process.pid) in sessions
        return is_member and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.Error):  # gone, or somebody else's
        return False


def _started(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time() - psutil.boot_time())
    except psutil.Error:
        return None


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            logger.debug("process %s is gone or another user's", process.pid)
