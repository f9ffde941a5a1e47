"""Whatever a service started is stopped with it, and nothing else ever is."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.local import processes
from infra.local.processes import Leader
from infra.local.services import Service
from tests.infra.conftest import MakeService

# A child in a process group of its own, as Airflow makes for a task, and an orphan below it.
FAMILY = """
    import os, time
    if os.fork() == 0:
        os.setpgid(0, 0)
        if os.fork() == 0:
            open(os.environ["MARK"], "w").close()
            time.sleep(100)
        os._exit(0)
    time.sleep(100)
"""
DEAF = """
    import os, signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(os.environ["MARK"], "w").close()
    time.sleep(100)
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are killed at the end, whatever the test did."""
    found: list[subprocess.Popen[bytes]] = []
    yield found
    for process in found:
        process.kill()
        process.wait()


def begin(service: Service, tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> Leader:
    """Start a service and wait until its script has come as far as its mark."""
    process = processes.start(
        service.command,
        log=tmp_path / "log",
        environment=service.environment,
        directory=tmp_path,
    )
    started.append(process)
    mark = Path(service.environment["MARK"])
    deadline = time.monotonic() + 20
    while not mark.exists():
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.02)
    return processes.leader(service.name, process)


def test_children_and_orphans_end_with_their_service(
    make_service: MakeService, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    leader = begin(make_service("family", FAMILY), tmp_path, started)
    family = processes.members([leader])
    assert len(family) >= 2
    processes.stop([leader], term_seconds=0.2)
    assert processes.members([leader]) == []
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family)


def test_who_does_not_listen_is_killed_in_time(
    make_service: MakeService, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    leader = begin(make_service("deaf", DEAF), tmp_path, started)
    began = time.monotonic()
    assert processes.stop([leader], term_seconds=0.5) == ["deaf"]
    assert time.monotonic() - began < 5
    assert started[0].wait(timeout=5) == -9


def test_who_listens_is_not_killed(
    make_service: MakeService, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    source = "import os, time\nopen(os.environ['MARK'], 'w').close()\ntime.sleep(100)"
    leader = begin(make_service("meek", source), tmp_path, started)
    assert processes.stop([leader]) == []
    assert started[0].wait(timeout=5) == -15


def test_a_later_process_of_the_same_id_is_left_alone(
    make_service: MakeService, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    leader = begin(make_service("family", FAMILY), tmp_path, started)
    other = Leader("family", leader.pid, leader.started - 100)
    assert processes.members([other]) == []
    assert processes.stop([other]) == []
    assert started[0].poll() is None
    processes.stop([leader], term_seconds=0.2)


def test_a_process_of_another_session_is_no_member() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"]) as child:
        mine = Leader("me", child.pid, 0.0)
        assert os.getsid(child.pid) != child.pid
        assert processes.members([mine]) == []
        child.kill()


def test_the_record_outlives_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "run" / "processes.json"
    leaders = [Leader("mlflow", 17, 12.5), Leader("api", 18, 13.25)]
    processes.write_record(path, leaders)
    assert processes.read_record(path) == leaders


@pytest.mark.parametrize("text", ["", "{", '[{"name": "x"}]', "7"])
def test_a_record_that_cannot_be_read_is_said_to_be_so(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "processes.json"
    path.write_text(text)
    assert processes.read_record(path) == []
    assert "earlier services may still run" in caplog.text


def test_no_record_is_no_leftover(tmp_path: Path) -> None:
    assert processes.read_record(tmp_path / "processes.json") == []


def test_the_log_of_the_start_before_is_kept(make_service: MakeService, tmp_path: Path) -> None:
    for word in ("first", "second"):
        service = make_service("job", f"print('{word}')")
        process = processes.start(
            service.command, log=tmp_path / "job.log", environment={}, directory=tmp_path
        )
        process.wait(timeout=20)
    assert (tmp_path / "job.log").read_text() == "second\n"
    assert (tmp_path / "job.log.1").read_text() == "first\n"
