"""Processes of the stack: each leads its own session, so that all it ever forked can be stopped.

A session outlives its leader and survives `setpgid`, which Airflow calls for every task; walking
from parent to child would lose whoever was orphaned.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from infra.airflow.files import write_whole

logger = logging.getLogger(__name__)

TERM_SECONDS = 12
AGAIN_SECONDS = 3
KILL_SECONDS = 5
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Leader:
    """A session leader; when it started tells it from a later process of the same id."""

    name: str
    pid: int
    started: float  # seconds since boot on Linux, since the epoch elsewhere


def start(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str], directory: Path
) -> subprocess.Popen[bytes]:
    """Start a session whose output goes to `log`; the log of the start before is kept beside it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
        )


def leader(name: str, process: "subprocess.Popen[bytes]") -> Leader:
    """What to remember of a process that was just started (and not waited for yet)."""
    return Leader(name, process.pid, _started(process.pid) or 0.0)


def members(leaders: Sequence[Leader]) -> list[psutil.Process]:
    """Everything that is left of these sessions, their leaders included."""
    sessions = {each.pid: each.started for each in leaders if not _is_another(each)}
    return [process for process in psutil.process_iter() if _belongs(process.pid, sessions)]


def stop(leaders: Sequence[Leader], *, term_seconds: float = TERM_SECONDS) -> list[str]:
    """Ask every leader to end, then kill what is left; returns who had to be killed."""
    # The second time is for Airflow: "signal again if you don't want to wait".
    for seconds in (min(AGAIN_SECONDS, term_seconds), term_seconds - AGAIN_SECONDS):
        for each in leaders:
            if not _is_another(each):
                _signal(each.pid, signal.SIGTERM)
        _wait_until_gone(leaders, seconds)
    stubborn = [each.name for each in leaders if members([each])]
    _kill(leaders)
    return stubborn


def write_record(path: Path, leaders: Iterable[Leader]) -> None:
    """Remember who was started, for the case that nobody is left to stop them."""
    write_whole(path, json.dumps([asdict(each) for each in leaders]))


def read_record(path: Path) -> list[Leader]:
    """Who was started and never reported as stopped."""
    try:
        return [Leader(**entry) for entry in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        logger.warning("%s cannot be read (%s): earlier services may still run", path, error)
        return []


def _belongs(pid: int, sessions: Mapping[int, float]) -> bool:
    try:
        session = os.getsid(pid)
        if session not in sessions or (started := _started(pid)) is None:
            return False
        return started >= sessions[session] and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.Error):
        return False


def _is_another(found: Leader) -> bool:
    """Whether the id now belongs to a process that is not the recorded one."""
    started = _started(found.pid)
    return started is not None and started != found.started


def _started(pid: int) -> float | None:
    """When a process started, unmoved by setting the clock; None when it is gone."""
    try:
        if sys.platform != "linux":
            return psutil.Process(pid).create_time()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, psutil.Error):
        return None
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _wait_until_gone(leaders: Sequence[Leader], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and members(leaders):
        time.sleep(POLL_SECONDS)


def _kill(leaders: Sequence[Leader]) -> None:
    deadline = time.monotonic() + KILL_SECONDS
    while left := members(leaders):
        for process in left:  # again and again: a dying parent may still fork
            _signal(process.pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            logger.error("could not kill %s", ", ".join(str(process.pid) for process in left))
            return
        time.sleep(POLL_SECONDS)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        logger.debug("process %s is gone or another user's", pid)
