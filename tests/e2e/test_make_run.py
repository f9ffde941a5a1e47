"""`make run` for real: started, asked for a prediction, stopped, and started again."""

import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.settings import PROJECT
from infra.local import processes
from infra.local.processes import Leader
from tests.ports import free_ports

START_SECONDS = 240
STOP_SECONDS = 30
STAGES = [
    *("ingest_data", "validate_data", "transform_data"),
    *("train_model", "evaluate_model", "promote_model"),
]

pytestmark = pytest.mark.timeout(600)


@dataclass
class Started:
    """A `make run` that is up."""

    process: subprocess.Popen[bytes]
    output: Path
    var: Path

    @property
    def stack(self) -> dict[str, Any]:
        """stack.json as it is now."""
        found: dict[str, Any] = json.loads((self.var / "stack.json").read_text())
        return found

    @property
    def leaders(self) -> list[Leader]:
        """The services that it recorded."""
        return processes.read_record(self.var / "run" / "processes.json")

    @property
    def said(self) -> str:
        """What it printed."""
        return self.output.read_text()

    def stop(self, number: signal.Signals) -> int:
        """Stop it as a person or a service manager does; returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=STOP_SECONDS)


@dataclass(frozen=True)
class Killed:
    """What a start that was killed had said, and whom it left behind."""

    said: str
    var: Path
    leaders: list[Leader]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A directory and ports of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHURN_")}
    names = [f"CHURN_{name}_PORT" for name in ("API", "AIRFLOW", "MLFLOW", "DASHBOARD")]
    ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
    var = tmp_path_factory.mktemp("make run") / "var"
    return {**kept, **ports, "CHURN_VAR_DIR": str(var), "CHURN_API_WORKERS": "1"}


def start(environment: Mapping[str, str]) -> Started:
    """Start the stack and wait until it says that it is up."""
    var = Path(environment["CHURN_VAR_DIR"])
    var.mkdir(exist_ok=True)
    output = var.parent / "output"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local.run"],
            cwd=PROJECT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    started = Started(process, output, var)
    try:
        _wait_until_up(started)
    except BaseException:
        _finish(started)
        raise
    return started


def _wait_until_up(started: Started) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_up(started):
        assert started.process.poll() is None, started.said
        assert time.monotonic() < deadline, started.said
        time.sleep(0.2)


def _is_up(started: Started) -> bool:
    """Whether stack.json is there and not one that a killed run left."""
    try:
        return bool(started.stack["pid"] == started.process.pid)
    except FileNotFoundError:
        return False


def _finish(started: Started) -> None:
    if started.process.poll() is None:
        started.stop(signal.SIGTERM)


@pytest.fixture(scope="module")
def first(environment: Mapping[str, str]) -> Iterator[Started]:
    """The first start in an empty directory."""
    started = start(environment)
    yield started
    _finish(started)


def test_the_first_start_trains_and_tells(first: Started) -> None:
    assert first.stack["state"] == "ready", first.said
    shown = [line.split()[0] for line in first.said.splitlines() if line.startswith("  ")]
    assert [name for name in shown if name in STAGES] == STAGES
    assert "from trigger to success" in first.said
    assert first.stack["champion"]["metrics"]["roc_auc"] > 0.95


def test_the_example_that_it_prints_is_answered(first: Started) -> None:
    (line,) = [line for line in first.said.splitlines() if line.startswith("  curl")]
    words = shlex.split(line)
    answer = httpx.post(words[2], json=json.loads(words[-1]), trust_env=False)
    assert answer.status_code == 200
    assert 0 <= answer.json()["probabilities"][0] <= 1
    assert answer.json()["model_version"] == first.stack["champion"]["version"]


def test_the_password_is_where_it_says(first: Started) -> None:
    login = first.stack["passwords"]["airflow"]
    password = json.loads(Path(login["file"]).read_text())[login["user"]]
    body = {"username": login["user"], "password": password}
    url = first.stack["urls"]["airflow"]
    token = httpx.post(f"{url}/auth/token", json=body, trust_env=False).json()["access_token"]
    answer = httpx.get(
        f"{url}/api/v2/dags/churn_training",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
    assert answer.json()["is_paused"] is False


def test_a_second_one_in_the_same_directory_is_refused(
    first: Started, environment: Mapping[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.run"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "another `make run` uses" in done.stdout
    assert first.process.poll() is None


def test_a_taken_port_is_named_and_nothing_is_started(
    first: Started, environment: Mapping[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.run"],
        cwd=PROJECT,
        env={**environment, "CHURN_VAR_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    for name in ("CHURN_API_PORT", "CHURN_AIRFLOW_PORT", "CHURN_MLFLOW_PORT"):
        assert f"port {environment[name]}" in done.stdout
        assert f"set {name} to another port" in done.stdout
    assert not (tmp_path / "logs").exists()


def test_a_fallen_api_comes_back(first: Started) -> None:
    (api,) = [leader for leader in first.leaders if leader.name == "api"]
    os.kill(api.pid, signal.SIGKILL)
    url = f"{first.stack['urls']['api']}/ready"
    deadline = time.monotonic() + 60
    while [leader.pid for leader in first.leaders if leader.name == "api"] == [api.pid]:
        assert time.monotonic() < deadline, first.said
        time.sleep(0.1)
    while not _is_ready(url):
        assert time.monotonic() < deadline, first.said
        time.sleep(0.1)


def test_ctrl_c_stops_every_process(first: Started) -> None:
    leaders = first.leaders
    assert len(processes.members(leaders)) >= len(leaders)
    assert first.stop(signal.SIGINT) == 0
    assert processes.members(leaders) == []
    assert not (first.var / "stack.json").exists()


@pytest.fixture(scope="module")
def killed(first: Started, environment: Mapping[str, str]) -> Iterator[Killed]:
    """A second start that was killed so that nobody stopped its services."""
    _finish(first)
    started = start(environment)
    leaders = started.leaders
    started.process.kill()
    started.process.wait()
    yield Killed(started.said, started.var, leaders)
    processes.stop(leaders)


def test_a_second_start_does_not_train(killed: Killed) -> None:
    assert "champion  version 1" in killed.said
    assert "training run" not in killed.said


@pytest.fixture(scope="module")
def hopeless(killed: Killed, environment: Mapping[str, str]) -> Iterator[Started]:
    """A third start after the killed one, without a champion and without labels to train on."""
    assert processes.members(killed.leaders)
    (killed.var / "store" / "champion" / "current.json").unlink()
    with sqlite3.connect(killed.var / "churn.db") as database:
        database.execute("UPDATE churners SET Attrition_Flag = NULL")
    database.close()
    started = start(environment)
    yield started
    _finish(started)


def test_what_a_killed_start_left_is_stopped_first(killed: Killed, hopeless: Started) -> None:
    assert "stopping what an earlier run left behind" in hopeless.said
    assert processes.members(killed.leaders) == []


def test_a_failed_training_is_explained_and_the_stack_stays_up(hopeless: Started) -> None:
    assert hopeless.stack["state"] == "failed"
    assert "ingest_data failed in the churn_training run" in hopeless.stack["failure"]
    assert "none with a label" in hopeless.said
    folder = Path(hopeless.stack["failure"].rpartition("its log is below ")[2])
    assert all(log.read_text() for log in folder.iterdir()) and folder.iterdir()
    for url in hopeless.stack["urls"].values():
        assert httpx.get(url, trust_env=False, follow_redirects=True).status_code < 500
    assert hopeless.stop(signal.SIGTERM) == 1


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
