"""What a training run costs, from trigger to success; run by `make bench-training`.

Starts the local stack twice, once on SQLite and a directory, once on MariaDB and an S3 server, and
trains a few times in each. Work is the time that tasks run; the rest is Airflow's own, between
trigger and success: queueing, forking, and bookkeeping between two tasks.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from include.customers.database import open_engine
from infra.airflow import training_run
from infra.airflow.client import AirflowClient
from infra.airflow.login import USER
from tests.bench.customers import load_made_up
from tests.bench.servers import s3_server
from tests.conftest import AWS_DUMMY, database_daemon
from tests.e2e.stack import Started, environment_in, finish, start

READY_SECONDS = 240
ROWS_A_SECOND = 2000  # that the first training, which comes before ready, must reach


def main() -> None:
    """Print one line for each store and database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", nargs="?", type=Path, help="real customers; made-up ones if absent")
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--customers", type=int, help="made-up ones in place of the stack's 10,000")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        bench("SQLite + directory", {}, Path(home), arguments)
    daemon = shutil.which("mariadbd") or shutil.which("mysqld", path="/usr/sbin")
    if daemon is None:
        sys.stdout.write("MariaDB + S3 server: left out, no mariadbd on this machine\n")
        return
    with mariadb_and_s3(daemon) as environment, tempfile.TemporaryDirectory() as home:
        bench("MariaDB + S3 server", environment, Path(home), arguments)


def bench(
    name: str, environment: dict[str, str], home: Path, arguments: argparse.Namespace
) -> None:
    """Start a stack, train in it, print the medians."""
    rows = arguments.customers or 0
    if rows:
        url = environment.get("CHURN_DATABASE_URL", f"sqlite:///{home / 'var' / 'churn.db'}")
        (home / "var").mkdir()
        engine = open_engine(url)
        load_made_up(engine, rows)
        engine.dispose()
    patience = READY_SECONDS + rows / ROWS_A_SECOND
    with local_stack(home, environment, arguments.csv, ready_seconds=patience) as started:
        secret = json.loads((started.var / "airflow" / "passwords.json").read_text())[USER]
        client = AirflowClient(started.stack["urls"]["airflow"], user=USER, password=secret)
        while client.unfinished_run("churn_scoring"):  # which the first champion has started
            time.sleep(0.5)
        found = [one_run(client) for _ in range(arguments.runs)]
    whole = statistics.median(seconds for seconds, _ in found)
    work = statistics.median(worked for _, worked in found)
    sys.stdout.write(
        f"{name:22} trigger to success {whole:5.1f} s = work {work:4.1f} s + Airflow "
        f"{whole - work:4.1f} s   (runs: {', '.join(f'{s:.1f}' for s, _ in found)})\n"
    )
    sys.stdout.flush()


def one_run(client: AirflowClient) -> tuple[float, float]:
    """Seconds from trigger to success, and those in which tasks ran."""
    run_id = client.trigger(training_run.DAG_ID, {"trigger_reason": "bench"})
    while not (run := client.run(training_run.DAG_ID, run_id)).is_finished:
        time.sleep(0.2)
    tasks = client.tasks(training_run.DAG_ID, run_id)
    assert run.state == "success" and run.seconds is not None, [(t.task_id, t.state) for t in tasks]
    return run.seconds, sum(task.seconds or 0.0 for task in tasks)


@contextmanager
def local_stack(
    home: Path, environment: dict[str, str], csv: Path | None, *, ready_seconds: float
) -> Iterator[Started]:
    """The local stack in a directory of its own, from ready to stopped."""
    words = ["--csv", str(csv.resolve())] if csv else []
    started = start(environment_in(home) | environment, *words, seconds=ready_seconds)
    try:
        assert started.stack["state"] == "ready", started.said
        yield started
    finally:
        finish(started)


@contextmanager
def mariadb_and_s3(daemon: str) -> Iterator[dict[str, str]]:
    """A private MariaDB and an S3 server, as a stack's environment."""
    with (
        s3_server() as (endpoint, store),
        tempfile.TemporaryDirectory(prefix="churn-bench-") as home,
        database_daemon(daemon, Path(home)) as url,
    ):
        with sa.create_engine(url).begin() as connection:
            connection.execute(sa.text("CREATE DATABASE churn CHARACTER SET utf8mb4"))
        yield {
            **AWS_DUMMY,
            "AWS_ENDPOINT_URL": endpoint,
            "CHURN_STORE_URI": store.uri,
            "CHURN_DATABASE_URL": f"{url}/churn",
        }


if __name__ == "__main__":
    main()
