"""The short form: from nothing to a logged prediction, without a hand."""

import os

import httpx
import pytest

from include.champion import versions
from tests.containers.stack import RunningStack, ask, eventually, records, today

START_SECONDS = 15 * 60
LOGGED_SECONDS = 60

pytestmark = pytest.mark.timeout(1800)


def test_everything_becomes_healthy_without_a_hand(stack: RunningStack) -> None:
    assert stack.ready_seconds < START_SECONDS


def test_a_first_champion_was_trained(stack: RunningStack) -> None:
    store = stack.store()
    found = versions.read_pointer(store)
    assert found is not None and found[0].version == "1"
    manifest = versions.read_manifest(store, found[0])
    assert (manifest.metrics["roc_auc"] or 0) > 0.95
    assert versions.read_files(store, manifest, manifest.files)


def test_the_published_port_predicts_and_the_store_knows_it(stack: RunningStack) -> None:
    with stack.api() as client:
        answer = ask(client, records(1)[0])
    assert answer is not None and answer["model_version"] == "1"
    asked = answer["request_id"]
    eventually(
        lambda: asked in stack.logged_requests(today()),
        f"the log in the store has request {asked}",
        seconds=LOGGED_SECONDS,
    )


def test_without_a_key_nobody_is_answered(stack: RunningStack) -> None:
    url = stack.url("API")
    assert httpx.post(f"{url}/predict", json={}, trust_env=False).status_code == 401
    assert httpx.get(f"{url}/health", trust_env=False).json()["model_loaded"] is True


def test_the_dashboard_asks_for_its_password(stack: RunningStack) -> None:
    with httpx.Client(base_url=stack.url("DASHBOARD"), trust_env=False, timeout=60) as client:
        assert client.get("/_dash-layout").status_code == 401
        password = stack.secret("CHURN_DASHBOARD_PASSWORD")
        client.post("/sign-in", data={"password": password})
        assert client.get("/_dash-layout").status_code == 200


def test_mlflow_has_the_champion_in_the_store(stack: RunningStack) -> None:
    answer = httpx.get(
        f"{stack.url('MLFLOW')}/api/2.0/mlflow/registered-models/alias",
        params={"name": "prod.churn_model", "alias": "champion"},
        trust_env=False,
        timeout=30,
    )
    assert answer.json()["model_version"]["version"] == "1"
    kept = [each.key for each in stack.store().list("mlflow/")]
    assert any(key.endswith("model.onnx") for key in kept)


def test_a_second_start_finds_nothing_to_do(stack: RunningStack) -> None:
    before = versions.read_pointer(stack.store())
    stack.compose.run("up", "-d", "--no-build", *stack.services)
    stack.wait()
    assert versions.read_pointer(stack.store()) == before
    said = stack.compose.run("logs", "--no-color", "bootstrap").decode()
    assert "champion 1 is in production" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the processes")
@pytest.mark.parametrize(
    "service", ["webapp", "dashboard", "mlflow", "airflow-scheduler", "airflow-api-server"]
)
def test_our_processes_are_not_root_and_cannot_become_it(stack: RunningStack, service: str) -> None:
    status = (stack.process(service) / "status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split()[1] != "0"
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_a_search_has_a_database_of_its_own(stack: RunningStack) -> None:
    script = (
        "from include.settings import load_settings\n"
        "from include.tuning.study import open_study, progress\n"
        "print(progress(open_study(load_settings().resolved_tuning_storage, 'a test')))"
    )
    told = stack.compose.run("exec", "-T", "airflow-scheduler", "python", "-c", script)
    assert told.decode().splitlines()[-1] == "0 trials"
