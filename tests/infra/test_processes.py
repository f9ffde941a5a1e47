"""Whatever a service started is stopped with it, and nothing else ever is."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from infra.local import processes
from infra.local.processes import Leader
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
LISTENS = "signal.signal(signal.SIGTERM, signal.SIG_DFL)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
SINGLE = "import os, signal, time\n{}\nopen(os.environ['MARK'], 'w').close()\ntime.sleep(100)"

Begin = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def begin(make_service: MakeService) -> Iterator[Begin]:
    """Starts a script as a service and waits for its mark; what is left is killed at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(source: str) -> subprocess.Popen[bytes]:
        service = make_service("service", source)
        mark = Path(service.environment["MARK"])
        process = subprocess.Popen(
            service.command, env=dict(service.environment), start_new_session=True
        )
        started.append(process)
        deadline = time.monotonic() + 20
        while not mark.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("is_gone", [False, True])
def test_children_and_orphans_end_with_their_service(is_gone: bool, begin: Begin) -> None:
    process = begin(FAMILY)
    leader = processes.leader("family", process.pid)
    if is_gone:
        process.kill()
        process.wait()
    family = processes.members([leader])
    assert len(family) >= (1 if is_gone else 2)
    processes.stop([leader], term_seconds=0.2)
    assert processes.members([leader]) == []
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family)


@pytest.mark.parametrize(
    ("script", "killed", "code"), [(LISTENS, [], -15), (DEAF, ["service"], -9)]
)
def test_only_who_does_not_listen_is_killed(
    script: str, killed: list[str], code: int, begin: Begin
) -> None:
    process = begin(SINGLE.format(script))
    leader = processes.leader("service", process.pid)
    began = time.monotonic()
    assert processes.stop([leader], term_seconds=0.5) == killed
    assert time.monotonic() - began < 5
    assert process.wait(timeout=5) == code


def test_a_later_process_of_the_same_id_is_left_alone(begin: Begin) -> None:
    process = begin(SINGLE.format(LISTENS))
    leader = processes.leader("service", process.pid)
    other = leader._replace(started=leader.started - 100)
    assert processes.members([other]) == []
    assert processes.stop([other]) == []
    assert process.poll() is None


def test_the_record_outlives_its_writer_but_not_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "run" / "processes.json"
    leaders = [Leader("mlflow", 17, 12.5), Leader("api", 18, 13.25)]
    processes.write_record(path, leaders)
    assert processes.read_record(path) == leaders
    before_boot = psutil.boot_time() - 10
    os.utime(path, (before_boot, before_boot))
    assert processes.read_record(path) == []


@pytest.mark.parametrize("text", ["", "{", '[{"name": "x"}]', "7"])
def test_a_record_that_cannot_be_read_is_said_to_be_so(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "processes.json"
    path.write_text(text)
    assert processes.read_record(path) == []
    assert "earlier services may still run" in caplog.text
