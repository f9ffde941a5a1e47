"""What the service says that its processes use, against what the system says."""

import os
import signal
import sys

import psutil
import pytest

from tests.webapp.conftest import Server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")


def test_the_service_adds_up_its_workers_and_the_shipper(running: Server) -> None:
    def told(name: str) -> float:
        return running.metric(f"process_resident_memory_{name}")

    sizes = [psutil.Process(process).memory_info().rss for process in _processes(running)]
    running.until(lambda: told("bytes") == pytest.approx(sum(sizes), rel=0.2))
    assert told("max_bytes") == pytest.approx(max(sizes), rel=0.2)


def test_cpu_time_of_dead_workers_still_counts(running: Server) -> None:
    def told() -> float:
        return running.metric("process_cpu_seconds_total")

    victim, *survivors = running.workers()
    running.until(lambda: told() > 0.9 * _spent(running.workers()))
    before, spent_before = told(), _spent(survivors)
    os.kill(victim, signal.SIGKILL)
    running.until(lambda: victim not in running.workers())
    running.until(running.is_whole)
    running.until(lambda: told() >= before + 0.9 * (_spent(running.workers()) - spent_before))


def _processes(server: Server) -> list[int]:
    """The workers and the shipper."""
    assert server.process is not None
    return [child.pid for child in psutil.Process(server.process.pid).children(recursive=True)]


def _spent(workers: list[int]) -> float:
    """CPU seconds of some workers."""
    return sum(sum(psutil.Process(worker).cpu_times()[:2]) for worker in workers)
