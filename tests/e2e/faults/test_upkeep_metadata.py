"""Airflow's own database away, spoilt or silent when it is cleaned: said, and nothing lost."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from include.errors import CommandFailed
from include.settings import PROJECT
from include.store import LocalStore
from include.tasks.errors import reported
from include.upkeep.clean_metadata import clean_metadata
from tests.e2e.faults.proxy import Proxy
from tests.include.upkeep.conftest import upkeep_run

pytestmark = pytest.mark.slow  # Airflow's command line starts

SLOW_SECONDS = 7.0  # Airflow reads after some 4, and waits 5 for a lock
NOISE = b"this was a database once" * 200


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("sqlite:///{home}/nowhere/airflow.db", "unable to open database file"),
        ("sqlite:///{home}/noise.db", "file is not a database"),
    ],
    ids=["is not there", "is garbage"],
)
def test_a_metadata_database_that_fails_is_named_and_nothing_of_it_is_deleted(
    local_store: LocalStore, tmp_path: Path, url: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    (tmp_path / "noise.db").write_bytes(NOISE)
    address = url.format(home=tmp_path)
    run = upkeep_run(local_store, tmp_path, airflow_database_url=address)
    with pytest.raises(CommandFailed, match=found) as told, reported():
        clean_metadata(run)
    assert "expected `airflow db clean` to end well, found code 1" in str(told.value)
    assert "nothing is lost, and the next run goes on from there" in str(told.value)
    assert (tmp_path / "noise.db").read_bytes() == NOISE and not [*local_store.list("")]


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("refuse", "Connection reset|server closed the connection|Connection refused"),
        ("garbage", "expected authentication request|received invalid response"),
        ("page", "expected authentication request|received invalid response"),
    ],
)
def test_a_metadata_server_that_fails_is_told_as_what_it_is(
    local_store: LocalStore,
    tmp_path: Path,
    fault: str,
    found: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    server = Proxy("127.0.0.1", 9)
    server.set(fault)
    run = upkeep_run(local_store, tmp_path, airflow_database_url=url_of(server))
    try:
        with pytest.raises(CommandFailed, match=found), reported():
            clean_metadata(run)
    finally:
        server.close()
    assert not [*local_store.list("")]


def url_of(server: Proxy) -> str:
    return f"postgresql+psycopg2://airflow:hush@127.0.0.1:{server.port}/airflow"


def running_in(home: Path) -> Iterator[int]:
    """The processes of an Airflow."""
    for each in psutil.process_iter():
        with suppress(psutil.Error):
            if each.environ().get("AIRFLOW_HOME") == str(home):
                yield each.pid


HANGING = """
import signal, sys
from pathlib import Path
from include.store import LocalStore
from include.upkeep.clean_metadata import clean_metadata
from tests.include.upkeep.conftest import upkeep_run

def ended(*_):  # as Airflow ends a task whose time is over
    raise TimeoutError("the task's time is over")

signal.signal(signal.SIGALRM, ended)
signal.alarm(15)
home = Path(sys.argv[1])
clean_metadata(upkeep_run(LocalStore(home), home, airflow_database_url=sys.argv[2]))
"""


def test_a_metadata_server_that_hangs_leaves_nothing_behind_when_the_tasks_time_is_over(
    tmp_path: Path,
) -> None:
    server = Proxy("127.0.0.1", 9)
    server.set("hang")
    try:
        done = subprocess.run(
            [sys.executable, "-c", HANGING, str(tmp_path / "store"), url_of(server)],
            cwd=PROJECT,
            env={**os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow")},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        server.close()
    assert done.returncode == 1 and "the task's time is over" in done.stderr
    assert not [*running_in(tmp_path / "airflow")]
    assert not [*LocalStore(tmp_path / "store").list("")]


def test_a_metadata_database_that_answers_slowly_is_cleaned_all_the_same(
    local_store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'airflow.db'}"
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    environment = {**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    writer = sqlite3.connect(tmp_path / "airflow.db", check_same_thread=False)
    writer.execute("BEGIN EXCLUSIVE")  # nobody reads until it ends
    release = threading.Timer(SLOW_SECONDS, writer.rollback)
    release.start()
    freed = clean_metadata(upkeep_run(local_store, tmp_path, airflow_database_url=url))
    assert not release.is_alive() and freed.objects == 0
    writer.close()
