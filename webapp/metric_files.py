"""The files in which each process counts and from which each of them tells all counts.

prometheus_client names them by process id, so every worker that dies leaves files that each scrape
reads for ever. Here they are named by a slot: the lowest number that no living process holds. Who
takes a dead worker's slot counts on from where it ended. The kernel frees the lock of whoever is
gone, so nobody needs to be told who died.
"""

import fcntl
import logging
import os
import struct
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

from prometheus_client import values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own; set by gunicorn.conf.py
COUNTED = ("counter", "histogram")  # the first one carries the slot's lock
# A metric of another kind or mode would write to a file that nobody has made room for.
GAUGES = ("gauge_livemin", "gauge_livemax", "gauge_livesum", "gauge_livemostrecent")
FILE_BYTES = 1 << 18  # more than all series together take, so that no file ever grows
DAMAGES = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, struct.error)


@cache
def use_files() -> None:
    """Let this process's metrics count in files, or in memory where there is no room for them."""
    values.ValueClass = values.MutexValue
    folder, owner = os.environ.get(DIRECTORY_VARIABLE), os.getpid()
    if not folder:
        return
    try:
        slot = _take_slot(Path(folder))
        values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
            lambda: slot if os.getpid() == owner else os.getpid()  # a fork has no slot
        )
    except OSError as error:
        logger.error(
            "no files for metrics in %s (%s): this worker counts in memory until it is restarted, "
            "and /metrics leaves it out where other workers have files",
            folder,
            error,
        )


def _take_slot(folder: Path) -> int:
    """A number for as long as this process lives; OSError when its files cannot be made."""
    folder.mkdir(parents=True, exist_ok=True)
    slot = 0
    while (lock := _lock(folder / f"{COUNTED[0]}_{slot}.db", fcntl.LOCK_EX)) is None:
        slot += 1
    try:
        for kind in (*COUNTED, *GAUGES):
            _make_room(folder / f"{kind}_{slot}.db", keep=kind in COUNTED)
    except OSError:
        os.close(lock)
        raise
    return slot


def _lock(path: Path, how: int) -> int | None:
    """A descriptor that holds the lock, None when another process does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _make_room(path: Path, *, keep: bool) -> None:
    """Give a file its pages now: a write to a mapped hole kills a process when the disk is full."""
    with path.open("r+b" if keep and _is_whole(path) else "wb") as file:
        os.posix_fallocate(file.fileno(), 0, FILE_BYTES)


class AllProcesses(Collector):
    """What all processes counted, or this one alone when there are no files."""

    def __init__(self, own: Collector) -> None:
        self._own = own

    def collect(self) -> Iterable[Metric]:
        """The metrics; a file that is empty or torn is left out."""
        folder = os.environ.get(DIRECTORY_VARIABLE)
        paths = list(Path(folder).glob("*.db")) if folder else []
        try:
            paths = _living(paths)
            merged = _merge(paths)
        except DAMAGES:
            merged = _merge([path for path in paths if _is_whole(path)])
        return merged or self._own.collect()


def _living(paths: list[Path]) -> list[Path]:
    """All files but the gauges of processes that are gone."""
    for path in [path for path in paths if path.name.startswith(COUNTED[0])]:
        if (lock := _lock(path, fcntl.LOCK_SH)) is not None:
            os.close(lock)
            gone = {path.with_name(path.name.replace(COUNTED[0], gauge)) for gauge in GAUGES}
            paths = [path for path in paths if path not in gone]
    return paths


def _is_whole(path: Path) -> bool:
    try:
        _merge([path])
    except DAMAGES:
        return False
    return True


def _merge(paths: Iterable[Path]) -> Collection[Metric]:
    return MultiProcessCollector.merge(map(str, paths))  # type: ignore[no-untyped-call, no-any-return]
