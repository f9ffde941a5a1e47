"""What processes use, as /proc tells it, and the service's sum of it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.webapp.conftest import Server
from webapp.process_usage import Usage, usage_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
TICK_SECONDS = 0.01


def test_a_process_with_its_ended_children() -> None:
    spin = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    before = usage_of(os.getpid())
    subprocess.run([sys.executable, "-c", spin], check=True)
    assert usage_of(os.getpid()).cpu_seconds >= before.cpu_seconds + 0.3 - 4 * TICK_SECONDS
    assert before.resident_bytes > 10_000_000


def test_a_process_that_is_gone_uses_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert usage_of(process.pid) == Usage(0.0, 0)


def test_a_name_with_blanks_and_brackets_shifts_nothing(tmp_path: Path) -> None:
    odd = tmp_path / "a) 1 2 ("
    shutil.copy(shutil.which("sleep") or "/bin/sleep", odd)
    with subprocess.Popen([odd, "60"]) as process:
        try:
            deadline = time.monotonic() + 10
            while not (found := usage_of(process.pid)).resident_bytes:  # it has hardly begun
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            process.kill()
    assert found.cpu_seconds < 1
    assert found.resident_bytes < 50_000_000


def test_the_service_adds_up_its_workers_and_the_shipper(running: Server) -> None:
    def told(name: str) -> float:
        return running.metric(f"process_resident_memory_{name}")

    sizes = [usage_of(process).resident_bytes for process in _processes(running)]
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
    return sum(usage_of(worker).cpu_seconds for worker in workers)
