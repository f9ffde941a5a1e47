"""A whole stack under a name and on ports of its own, and what tests ask of it."""

import json
import os
import secrets
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from include.contract import load_contract
from include.customers.sample import sample_customers
from include.predictions import log as prediction_log
from include.store import S3Store, s3_config
from infra.airflow.client import AirflowClient, RunState
from infra.airflow.login import USER
from infra.compose.command import PROJECT, Compose
from infra.compose.environment import write_environment
from infra.compose.up import SERVICE_LABEL, wait_until_ready
from tests.containers import images
from tests.ports import free_ports

PORTS = ("API", "DASHBOARD", "AIRFLOW", "MLFLOW", "PROMETHEUS", "GRAFANA")
START_SECONDS = 1200
RUN_SECONDS = 600
BUCKET = "churn"
CELERY = PROJECT / "infra" / "compose" / "docker-compose.celery.yaml"


@dataclass
class RunningStack:
    """Containers that are up, and how to reach them from this machine."""

    compose: Compose
    env_file: Path
    began: float
    services: list[str]
    ready_seconds: float = 0.0

    def secret(self, name: str) -> str:
        """A variable of its .env."""
        return self.compose.setting(name)

    def url(self, what: str) -> str:
        """Where a published port is, such as API."""
        return f"http://127.0.0.1:{self.secret(f'CHURN_{what}_PORT')}"

    def container(self, service: str) -> dict[str, Any]:
        """What docker knows of a service's container."""
        found = [
            each
            for each in self.compose.containers()
            if each["Config"]["Labels"][SERVICE_LABEL] == service
        ]
        assert found, f"there is no container of {service}"
        return found[0]

    def address(self, service: str) -> str:
        """A service's own address, for what publishes no port."""
        networks = self.container(service)["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def process(self, service: str) -> Path:
        """A container's main process in this machine's /proc."""
        return Path("/proc", str(self.container(service)["State"]["Pid"]))

    def hosts(self, dag_id: str, run_id: str) -> set[str]:
        """On which containers a run's tasks ran."""
        statement = (
            "SELECT DISTINCT hostname FROM task_instance "
            f"WHERE dag_id = '{dag_id}' AND run_id = '{run_id}'"
        )
        script = f'PGPASSWORD="$AIRFLOW_PASSWORD" psql -h 127.0.0.1 -U airflow -At -c "{statement}"'
        asked = self.compose.run("exec", "-T", "postgres", "sh", "-c", script)
        return set(asked.decode().split())

    def wait(self, *, seconds: float = START_SECONDS) -> None:
        """Until everything is healthy again."""
        wait_until_ready(self.compose, began=time.monotonic(), seconds=seconds, quiet=True)

    def kill(self, service: str) -> int:
        """Kill a container's main process as a fault would; returns its restarts so far.

        `docker kill` would count as a person's stop and cancel the restart policy.
        """
        found = self.container(service)
        os.kill(found["State"]["Pid"], signal.SIGKILL)
        return int(found["RestartCount"])

    def healed(self, service: str, restarts: int) -> bool:
        """Whether a killed container is back and well."""
        found = self.container(service)
        return found["RestartCount"] > restarts and found["State"]["Health"]["Status"] == "healthy"

    def store(self) -> S3Store:
        """The object store, past the closed network: this machine is its host."""
        import boto3

        client = boto3.client(
            "s3",
            endpoint_url=f"http://{self.address('s3')}:8333",
            region_name="us-east-1",
            aws_access_key_id=self.secret("CHURN_S3_ACCESS_KEY"),
            aws_secret_access_key=self.secret("CHURN_S3_SECRET_KEY"),
            config=s3_config(),
        )
        return S3Store(client, BUCKET)

    def api(self) -> httpx.Client:
        """The API with its key."""
        headers = {"X-API-Key": self.secret("CHURN_API_KEYS")}
        return httpx.Client(base_url=self.url("API"), headers=headers, timeout=30, trust_env=False)

    def airflow(self) -> AirflowClient:
        """Airflow, signed in."""
        password = self.secret("CHURN_AIRFLOW_PASSWORD")
        return AirflowClient(self.url("AIRFLOW"), user=USER, password=password)

    def run_dag(self, dag_id: str, conf: dict[str, Any]) -> RunState:
        """Trigger a DAG and wait for its end."""
        client = self.airflow()
        try:
            return self.follow(client, dag_id, client.trigger(dag_id, conf))
        finally:
            client.close()

    def follow(self, client: AirflowClient, dag_id: str, run_id: str) -> RunState:
        """Wait for a run's end."""
        deadline = time.monotonic() + RUN_SECONDS
        while not (run := client.run(dag_id, run_id)).is_finished:
            assert time.monotonic() < deadline, f"{run_id} is {run.state} after {RUN_SECONDS} s"
            time.sleep(1)
        return run

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers."""
        answer = httpx.get(
            f"{self.url('PROMETHEUS')}/api/v1/query",
            params={"query": expression},
            timeout=30,
            trust_env=False,
        )
        assert answer.status_code == 200, f"{expression}: {answer.text}"
        return list(answer.json()["data"]["result"])

    def logged_requests(self, day: date) -> set[str]:
        """The request ids in the prediction log of a day."""
        found: set[str] = set()
        for batch in prediction_log.read_predictions(self.store(), day, columns=["request_id"]):
            found.update(batch.column("request_id").to_pylist())
        return found


def records(count: int, *, seed: int = 7) -> list[dict[str, Any]]:
    """Made-up customers as a client sends them."""
    contract = load_contract()
    frame = sample_customers(count, seed=seed)
    frame["customer_id"] = frame[contract.key.name]
    names = ["customer_id", *contract.feature_names]
    rows = json.loads(frame[names].to_json(orient="records"))
    return list(rows)


def ask(client: httpx.Client, record: dict[str, Any]) -> dict[str, Any] | None:
    """One prediction with a request id of its own; None when it was not acknowledged."""
    try:
        answer = client.post("/predict", json=record, headers={"X-Request-ID": uuid.uuid4().hex})
    except httpx.HTTPError:
        return None
    return dict(answer.json()) if answer.status_code == 200 else None


def eventually(condition: Callable[[], bool], what: str, *, seconds: float) -> float:
    """Wait until a condition holds; how long it took."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(0.5)
    return time.monotonic() - began


def today() -> date:
    """The day under which an answer of now is logged."""
    return datetime.now(UTC).date()


@contextmanager
def running_stack(folder: Path, *, project: str = "") -> Iterator[RunningStack]:
    """Start the stack from nothing, and leave nothing of it.

    For whoever works on these tests: CHURN_KEEP_IMAGES=1 builds nothing, CHURN_KEEP_CONTAINERS=1
    leaves the stack behind.
    """
    env_file = folder / ".env"
    write_environment(env_file)
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    with env_file.open("a") as file:
        file.writelines(f"CHURN_{name}_PORT={port}\n" for name, port in ports.items())
    name = project or f"churn-test-{secrets.token_hex(3)}"
    compose = Compose(["--project-name", name], env_file=env_file)
    if not os.environ.get("CHURN_KEEP_IMAGES"):
        images.provide([])
    services = startable(compose)
    began = time.monotonic()
    stack = RunningStack(compose, env_file, began, services)
    try:
        compose.run("up", "-d", "--no-build", *services)
        wait_until_ready(compose, began=began, seconds=START_SECONDS)
        stack.ready_seconds = time.monotonic() - began
        yield stack
    finally:
        if not os.environ.get("CHURN_KEEP_CONTAINERS"):
            workers_too = ["-f", str(PROJECT / "docker-compose.yaml"), "-f", str(CELERY)]
            everything = Compose([*workers_too, "--project-name", name], env_file=env_file)
            everything.run("down", "--volumes", "--remove-orphans")


def startable(compose: Compose) -> list[str]:
    """All services; where images cannot be pulled, those whose image is on this machine."""
    wanted = yaml.safe_load(compose.run("config"))["services"]
    present = set(_docker("images", "--format", "{{.Repository}}:{{.Tag}}").split())
    return [name for name, service in wanted.items() if service["image"] in present]


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout
