"""What processes use, as /proc tells it, and the service's sum of it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from include.store import LocalStore
from tests.webapp.champions import Version, publish
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


def test_the_service_adds_up_its_workers(
    server: Server, server_store: LocalStore, version_1: Version
) -> None:
    publish(server_store, version_1)
    server.start()
    server.until(lambda: server.metric("process_resident_memory_bytes") > 0)
    workers = server.workers()
    server.until(lambda: server.metric("process_resident_memory_bytes") > _resident(workers) / 2)
    resident = server.metric("process_resident_memory_bytes")
    assert resident == pytest.approx(_resident(workers), rel=0.2)
    largest = server.metric("process_resident_memory_max_bytes")
    assert resident / len(workers) * 0.8 < largest < resident


def test_cpu_time_of_dead_workers_still_counts(
    server: Server, server_store: LocalStore, version_1: Version
) -> None:
    publish(server_store, version_1)
    server.start()
    workers = server.workers()
    server.until(lambda: server.metric("process_cpu_seconds_total") > 0.9 * _spent(workers))
    before = server.metric("process_cpu_seconds_total")
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    server.until(lambda: not set(workers) & set(server.workers()))
    server.until(lambda: server.metric("model_loaded") == 1)
    assert server.metric("process_cpu_seconds_total") >= before


def _resident(workers: list[int]) -> int:
    return sum(usage_of(worker).resident_bytes for worker in workers)


def _spent(workers: list[int]) -> float:
    return sum(usage_of(worker).cpu_seconds for worker in workers)
