"""Airflow in processes of its own, because it configures logging and warnings for the whole one."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.store import S3Store
from infra.local.airflow import PRELOAD
from tests.conftest import AWS_DUMMY
from tests.include.banks import bank_of

PROJECT = Path(__file__).resolve().parent.parent.parent
AnswersOf = Callable[..., Any]

RUN = """
import json
from datetime import timedelta
from airflow.dag_processing.dagbag import DagBag
dag = DagBag().dags[{dag!r}]
for task in dag.tasks:
    if not task.is_mapped:  # what comes of a retry is tested, not the wait for it
        task.retry_delay, task.retry_exponential_backoff = timedelta(seconds=1), 0
run = dag.test(run_conf={conf!r})
states = sorted([t.task_id, t.map_index, str(t.state)] for t in run.get_task_instances())
print(json.dumps({{"state": str(run.state), "tasks": states}}))
"""


def run_of(dag: str, **conf: str | int) -> str:
    """A script that runs a DAG and prints how its tasks ended."""
    return RUN.format(dag=dag, conf=conf)


class Forks:
    """A process that has imported Airflow, and runs each script in a fork of itself."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self._outputs = (home / f"script-{number}" for number in itertools.count())
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.dags.forks"],
            cwd=home,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, **environment: str) -> Any:
        """What a script prints as JSON in its last line."""
        output = next(self._outputs)
        order = {"script": script, "environment": environment, "output": str(output)}
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        code = self._process.stdout.readline().strip()
        said, noise = (output.with_suffix(suffix).read_text() for suffix in (".out", ".err"))
        assert code == "0", said[-6000:] + noise[-6000:]
        sys.stderr.write(said + noise)
        return json.loads(said.splitlines()[-1])

    def stop(self) -> None:
        """End the process."""
        self._process.communicate()


@pytest.fixture(scope="session")
def airflow_environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Airflow's settings, with a home of its own that has an empty metadata database."""
    home = tmp_path_factory.mktemp("airflow")
    return {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "PYTHONPATH": str(PROJECT),
    }


@pytest.fixture(scope="session")
def airflow(airflow_environment: Mapping[str, str]) -> Iterator[Forks]:
    """Airflow as its scheduler forks tasks: with the heavy libraries imported already."""
    path = f"{PRELOAD}:{airflow_environment['PYTHONPATH']}"
    forks = Forks(
        Path(airflow_environment["AIRFLOW_HOME"]),
        {**airflow_environment, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
    )
    try:
        forks.run("from airflow.utils.db import initdb; initdb(); print('{}')")
        yield forks
    finally:
        forks.stop()


@pytest.fixture
def answers_of(airflow: Forks) -> AnswersOf:
    """Runs a script that prints JSON in its last line, and returns that."""
    return airflow.run


@pytest.fixture
def fresh_answers_of(airflow_environment: Mapping[str, str]) -> AnswersOf:
    """The same in a new process, which has imported nothing yet."""

    def run(script: str, **environment: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=airflow_environment["AIRFLOW_HOME"],
            env={**airflow_environment, **environment},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture
def world(mariadb_url: str, s3_endpoint: str, s3_store: S3Store) -> dict[str, str]:
    """The environment of a task whose customers are in MariaDB and whose store is S3."""
    aws = {
        "conn_type": "aws",
        "login": AWS_DUMMY["AWS_ACCESS_KEY_ID"],
        "password": AWS_DUMMY["AWS_SECRET_ACCESS_KEY"],
        "extra": {"region_name": AWS_DUMMY["AWS_DEFAULT_REGION"], "endpoint_url": s3_endpoint},
    }
    return {
        "AIRFLOW_CONN_CHURN_DB": mariadb_url.replace("mysql+pymysql", "mysql"),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws),
        "CHURN_STORE_URI": s3_store.uri,
        "CHURN_DATABASE_URL": "sqlite:////nowhere/the-connection-wins.db",
    }


def load(url: str, frame: pd.DataFrame, *, now: datetime | None = None) -> None:
    """Put customers into a database."""
    bank_of(url, frame, now=now).dispose()
