"""`make run` for real: asked for a prediction, demonstrated, stopped, and started again."""

import json
import os
import re
import shlex
import signal
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
import pytest

from include.champion import versions
from include.customers.sample import sample_customers
from include.drift.findings import read_day
from include.store import LocalStore
from infra.airflow.client import AirflowClient
from infra.compose import heartbeat
from infra.local import directory, processes, stack
from infra.local.processes import Leader
from tests.e2e.stack import DEMO_SECONDS, Started, ended, environment_in, finish, start

STAGES = [
    *("ingest_data", "validate_data", "transform_data"),
    *("train_model", "evaluate_model", "promote_model"),
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Killed:
    """What a start that was killed had said, and whom it left behind."""

    said: str
    var: Path
    leaders: list[Leader]


SECRET = "8642097531"  # which looks like a version, so that a task that fails over it tells it


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A directory, ports and a secret of this module's own."""
    waited_for = ("CHURN_CHAMPION_POLL_SECONDS", "CHURN_LOG_FLUSH_SECONDS")  # by the demonstration
    return {
        **environment_in(tmp_path_factory.mktemp("make run")),
        **dict.fromkeys(waited_for, "1"),
        "CHURN_DASHBOARD_SECRET": SECRET,
    }


@pytest.fixture(scope="module")
def first(environment: Mapping[str, str]) -> Iterator[Started]:
    """The first start in an empty directory."""
    started = start(environment)
    yield started
    finish(started)


def test_the_first_start_trains_and_tells(first: Started) -> None:
    assert first.stack["state"] == "ready", first.said
    shown = [line.split()[0] for line in first.said.splitlines() if line.startswith("  ")]
    assert [name for name in shown if name in STAGES] == STAGES
    assert "from trigger to success" in first.said
    assert first.stack["champion"]["metrics"]["roc_auc"] > 0.95
    assert "customers  10,000 in the table, made up\n" in first.said


def test_the_example_that_it_prints_is_answered(first: Started) -> None:
    (line,) = [line for line in first.said.splitlines() if line.startswith("  curl")]
    words = shlex.split(line)
    answer = httpx.post(words[2], json=json.loads(words[-1]), trust_env=False)
    assert answer.status_code == 200
    assert 0 <= answer.json()["probabilities"][0] <= 1
    assert answer.json()["model_version"] == first.stack["champion"]["version"]


def test_the_first_page_has_customers_without_anybody_asking(first: Started) -> None:
    deadline = time.monotonic() + 60  # the champion's event starts the scoring
    with closing(sqlite3.connect(first.var / "churn.db")) as database:
        while not _rows_of(database, "churn_scores"):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert _rows_of(database, "churn_scores") == _rows_of(database, "churners")


def _rows_of(database: sqlite3.Connection, table: str) -> int:
    known = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    if not database.execute(known, [table]).fetchone()[0]:
        return 0
    return int(database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])


def test_the_password_is_where_it_says(first: Started) -> None:
    login = first.stack["passwords"]["airflow"]
    password = json.loads(Path(login["file"]).read_text())[login["user"]]
    url = first.stack["urls"]["airflow"]
    with closing(AirflowClient(url, user=login["user"], password=password)) as client:
        dag = client.dag("churn_training")
    assert dag is not None and dag["is_paused"] is False


def test_it_listens_on_loopback_alone(first: Started) -> None:
    own = {each.pid for each in processes.members(first.leaders)}
    found = [each for each in psutil.net_connections("tcp") if each.pid in own]
    ears = [each for each in found if each.status == psutil.CONN_LISTEN]
    assert {each.laddr.ip for each in ears} == {"127.0.0.1"}
    assert {each.laddr.port for each in ears} >= {*map(_port_of, first.stack["urls"].values())}


def _port_of(url: str) -> int:
    return httpx.URL(url).port or 80


SEARCH, CREATE = "/api/2.0/mlflow/experiments/search", "/api/2.0/mlflow/experiments/create"


@pytest.mark.parametrize(
    ("name", "method", "path", "headers", "status"),
    [
        # A page whose name leads to this machine by now (DNS rebinding).
        ("api", "GET", "/model", {"Host": "evil.example"}, 421),
        ("dashboard", "GET", "/", {"Host": "evil.example"}, 421),
        ("mlflow", "POST", SEARCH, {"Host": "evil.example"}, 403),
        ("airflow", "GET", "/api/v2/dags", {"Host": "evil.example"}, 401),
        # A page that asks for this machine by its name.
        ("api", "POST", "/predict", {"Content-Type": "text/plain"}, 415),
        ("dashboard", "POST", "/sign-out", {"Origin": "http://evil.example"}, 403),
        ("mlflow", "POST", CREATE, {"Origin": "http://evil.example"}, 403),
        ("airflow", "POST", "/api/v2/dags/churn_training/dagRuns", {}, 401),
    ],
)
def test_a_foreign_page_gets_nowhere(
    name: str, method: str, path: str, headers: dict[str, str], status: int, first: Started
) -> None:
    url = first.stack["urls"][name] + path
    answer = httpx.request(method, url, content=b"{}", headers=headers, trust_env=False)
    assert answer.status_code == status
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_airflow_has_no_default_password(first: Started) -> None:
    for word in ("admin", "airflow", "password"):
        given = {"username": "admin", "password": word}
        url = first.stack["urls"]["airflow"] + "/auth/token"
        assert httpx.post(url, json=given, trust_env=False).status_code == 401, word


def test_a_task_that_fails_over_a_secret_tells_all_else(
    first: Started, environment: Mapping[str, str]
) -> None:
    done = ended("commands", environment, "rollback", SECRET, "--reason", "to see what it tells")
    assert done.returncode == 1
    logs = (first.var / "airflow" / "logs" / "dag_id=churn_rollback").rglob("*.log")
    told = "".join(path.read_text() for path in logs)
    assert [line for line in told.splitlines() if SECRET in line] == []
    assert "version '***' is not in file:" in told


APPROVED = {"chosen_options": ["Approve"]}


@pytest.mark.parametrize(("user", "status"), [("viewer", 403), ("operator", 200)])
def test_a_viewer_neither_triggers_nor_approves(user: str, status: int, first: Started) -> None:
    login, url = first.stack["passwords"]["airflow"], first.stack["urls"]["airflow"]
    password = json.loads(Path(login["file"]).read_text())[user]
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        given = client.post("/auth/token", json={"username": user, "password": password})
        client.headers["Authorization"] = f"Bearer {given.json()['access_token']}"
        assert client.get("/api/v2/dags/churn_training/dagRuns").status_code == 200
        # A DAG that does nothing by itself: the operator's run waits, paused, and is taken back.
        runs = "/api/v2/dags/churn_rollback/dagRuns"
        conf = {"version": "1", "reason": "to see who may"}
        paused = client.patch("/api/v2/dags/churn_rollback", json={"is_paused": True})
        asked = client.post(runs, json={"logical_date": None, "conf": conf})
        assert (paused.status_code, asked.status_code) == (status, status)
        answer = client.patch(f"{runs}/x/taskInstances/x/-1/hitlDetails", json=APPROVED)
        assert answer.status_code == (404 if status == 200 else status)  # nothing to approve
        if status == 200:
            run = quote(asked.json()["dag_run_id"], safe="")
            assert client.delete(f"{runs}/{run}").status_code == 204
            client.patch("/api/v2/dags/churn_rollback", json={"is_paused": False})


@pytest.mark.parametrize("part", ["scheduler", "dag_processor", "triggerer"])
def test_the_health_check_of_the_containers_finds_every_part_alive(
    part: str, first: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_AIRFLOW_URL", first.stack["urls"]["airflow"])
    monkeypatch.setattr(sys, "argv", ["heartbeat", part])
    deadline = time.monotonic() + 60  # the triggerer is started last, and nothing waits for it
    while heartbeat.main() != 0:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_second_one_in_the_same_directory_is_refused(
    first: Started, environment: Mapping[str, str]
) -> None:
    done = ended("run", environment)
    assert done.returncode == 1
    assert "another `make run` uses" in done.stdout
    assert first.process.poll() is None


def test_a_taken_port_is_named_and_nothing_is_started(
    first: Started, environment: Mapping[str, str], tmp_path: Path
) -> None:
    done = ended("run", {**environment, "CHURN_VAR_DIR": str(tmp_path)})
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
    while not stack.answers(url):
        assert time.monotonic() < deadline, first.said
        time.sleep(0.1)


def assert_closed(store: LocalStore, said: str, *, old: str, new: str) -> None:
    """What the story tells is what the store holds."""
    pointer, _ = versions.read_pointer(store) or (None, "")
    assert pointer is not None and (pointer.version, pointer.previous) == (new, old)
    manifest = versions.read_manifest(store, pointer)
    day = manifest.trigger["drift_date"]
    assert manifest.trigger["trigger_reason"] == "drift"
    assert manifest.dag_run_id == f"drift__{day}__v{old}"
    assert manifest.trigger["num_drifted_features"] >= 1
    assert store.read(f"monitoring/date={day}/report.html").data
    assert manifest.trigger["report_uri"] == f"{store.uri}/monitoring/date={day}/report.html"
    assert manifest.gate["gain"] > 0.001 and manifest.gate["gain_interval"][0] > 0
    assert manifest.dag_run_id in [
        s.run_id for s in read_day(store, date.fromisoformat(day)).started_runs
    ]
    assert "No drift, and no training run." in said
    assert f"The API answers with version {new}" in said
    assert re.search(r"Of [\d,]+ requests in all, none failed\.", said)


@pytest.mark.timeout(2 * DEMO_SECONDS)
def test_the_loop_closes_twice_in_a_row(first: Started, environment: Mapping[str, str]) -> None:
    store = LocalStore(first.var / "store")
    for old, new in (("1", "2"), ("2", "3")):
        done = ended("demo", environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert_closed(store, done.stdout, old=old, new=new)


def test_without_a_stack_it_says_so(environment: Mapping[str, str], tmp_path: Path) -> None:
    done = ended("demo", {**environment, "CHURN_VAR_DIR": str(tmp_path)})
    assert done.returncode == 1 and "make run" in done.stdout


def test_ctrl_c_stops_every_process(first: Started) -> None:
    leaders = first.leaders
    assert len(processes.members(leaders)) >= len(leaders)
    assert first.stop(signal.SIGINT) == 0
    assert processes.members(leaders) == []
    assert not (first.var / "stack.json").exists()


def test_all_that_it_leaves_is_known_and_nobody_elses_to_read(first: Started) -> None:
    assert stat.S_IMODE(first.var.stat().st_mode) == 0o700
    assert {each.name for each in first.var.iterdir()} <= set(directory.ENTRIES)
    found = [each for each in first.var.rglob("*") if not each.is_symlink()]
    assert [str(each) for each in found if each.stat().st_mode & directory.OWNER_ALONE] == []


def test_no_log_tells_a_secret(first: Started) -> None:
    home = first.var / "airflow"
    secrets = {*json.loads((home / "passwords.json").read_text()).values()}
    secrets |= {(home / "secret").read_text(), (first.var / "id_key").read_text(), SECRET}
    logs = [*(first.var / "logs").iterdir(), *(home / "logs").rglob("*.log")]
    assert len(logs) > len(STAGES) and len(secrets) == 6
    texts = {path: path.read_text(errors="replace") for path in logs}
    assert [path for path, text in texts.items() if any(each in text for each in secrets)] == []


def test_other_customers_are_refused_before_anything_starts(
    first: Started, environment: Mapping[str, str], tmp_path: Path
) -> None:
    csv = tmp_path / "others.csv"
    sample_customers(20, seed=3, first_key=800_000_001).to_csv(csv, index=False)
    done = ended("run", environment, "--csv", str(csv))
    assert done.returncode == 1
    assert "made-up customers. Nothing was loaded." in done.stdout and "REPLACE=1" in done.stdout
    assert "api  " not in done.stdout and "champion" not in done.stdout


@pytest.fixture(scope="module")
def killed(first: Started, environment: Mapping[str, str]) -> Iterator[Killed]:
    """A second start that was killed so that nobody stopped its services."""
    finish(first)
    started = start(environment)
    leaders = started.leaders
    started.process.kill()
    started.process.wait()
    yield Killed(started.said, started.var, leaders)
    processes.stop(leaders)


def test_a_second_start_does_not_train(killed: Killed) -> None:
    assert "champion  version 3" in killed.said
    assert "training run" not in killed.said


def test_what_serves_starts_first(killed: Killed) -> None:
    shown = [line.split()[2] for line in killed.said.splitlines() if " s  " in line]
    assert shown == ["api", "dashboard", "customers", "mlflow", "airflow"]


def test_a_killed_stack_is_none(killed: Killed, environment: Mapping[str, str]) -> None:
    assert (killed.var / "stack.json").exists()
    done = ended("commands", environment, "train")
    assert done.returncode == 1 and "no stack is up in" in done.stdout


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
    finish(started)


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
