"""What the service says that its processes use, against what the system says."""

import psutil
import pytest

from tests.webapp.conftest import Server


def test_the_service_adds_up_its_workers_and_the_shipper(running: Server) -> None:
    def told(name: str) -> float:
        return running.metric(f"process_resident_memory_{name}")

    sizes = [psutil.Process(process).memory_info().rss for process in _processes(running)]
    running.until(lambda: told("bytes") == pytest.approx(sum(sizes), rel=0.2))
    assert told("max_bytes") == pytest.approx(max(sizes), rel=0.2)


def _processes(server: Server) -> list[int]:
    """The workers and the shipper."""
    assert server.process is not None
    return [child.pid for child in psutil.Process(server.process.pid).children(recursive=True)]
