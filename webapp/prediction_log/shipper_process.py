"""Keeps one shipper process running for all workers of a machine."""

import fcntl
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from webapp.prediction_log.segments import segments

logger = logging.getLogger(__name__)

PROJECT = Path(__file__).resolve().parent.parent.parent
DRAIN_SECONDS = 10.0


class ShipperProcess:
    """One worker's care for the shipper: whoever finds none starts one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int | None:
        """The shipper that this worker started, if any."""
        return self._process.pid if self._process else None

    def ensure(self) -> None:
        """Start a shipper if there is something to ship and none runs on this machine."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._process = None
        if segments(self._directory) and not self._running():
            # It ends when its standard input does, so it cannot outlive this worker.
            self._process = _start(stdin=subprocess.PIPE)

    def _running(self) -> bool:
        with locked(self._directory, fcntl.LOCK_SH | fcntl.LOCK_NB) as free:
            return not free


@contextmanager
def locked(directory: Path, how: int) -> Iterator[bool]:
    """Whether the lock could be had that a shipper holds for as long as it lives.

    It is the directory's own: a full disk would have no room for another file.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    taken = False
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, how)
            taken = True
        yield taken
    finally:
        os.close(descriptor)


def drain() -> None:
    """Ship what the last workers left, for a while; what stays is shipped after the next start."""
    process = _start(stdin=subprocess.DEVNULL)
    try:
        process.wait(DRAIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        logger.warning("the store did not take all answers in time: they wait in the spool")


def _start(stdin: int) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", "webapp.prediction_log.shipper"],
        stdin=stdin,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C is for the master; the shipper ends after the workers
    )
