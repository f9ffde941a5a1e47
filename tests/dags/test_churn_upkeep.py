"""The upkeep DAG: a real run by Airflow over what a long time has left."""

import csv
import gzip
import io
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.store import LocalStore
from tests.dags.conftest import AnswersOf, Forks, run_of
from tests.include.upkeep.long_time import DAGS, fill_logs, fill_metadata, fill_store

pytestmark = pytest.mark.slow

KEPT_DAYS, OLD_DAYS = 189, 11
OF_RUNS = ("dag_run", "task_instance", "xcom", "rendered_task_instance_fields", "log")
LEFT_BEHIND = "_airflow_deleted__log__20260101000000"


@pytest.fixture
def database(airflow: Forks, airflow_environment: Mapping[str, str], tmp_path: Path) -> Path:
    """A database of Airflow's with 200 days in it, and what a killed run left behind."""
    made, found = Path(airflow_environment["AIRFLOW_HOME"]) / "airflow.db", tmp_path / "airflow.db"
    with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(found)) as copy:
        source.backup(copy)
    with closing(sqlite3.connect(found)) as connection, connection:
        for table in OF_RUNS:
            connection.execute(f"DELETE FROM {table}")  # of the tests before
        connection.execute(f"CREATE TABLE {LEFT_BEHIND} AS SELECT 1 AS id, 'kept' AS event")
    fill_metadata(f"sqlite:///{found}", soon(), days=KEPT_DAYS + OLD_DAYS)
    return found


def soon() -> datetime:
    """So that the oldest that is kept is not too old some seconds later."""
    return datetime.now(UTC) + timedelta(hours=1)


def counts(database: Path) -> dict[str, int]:
    with closing(sqlite3.connect(database)) as connection:
        return {
            table: connection.execute(
                f"SELECT count(*) FROM {table} WHERE dag_id IS NOT NULL"  # commands have none
            ).fetchone()[0]
            for table in OF_RUNS
        }


def archives(database: Path) -> list[tuple[str]]:
    wanted = "SELECT name FROM sqlite_master WHERE name LIKE '_airflow_deleted%'"
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(wanted).fetchall()


def rows(store: LocalStore, key: str) -> list[dict[str, str]]:
    text = gzip.decompress(store.read(key).data).decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_airflow_deletes_what_is_old_its_own_records_included(
    answers_of: AnswersOf,
    local_store: LocalStore,
    mlflow_server: str,
    database: Path,
    tmp_path: Path,
) -> None:
    fill_store(local_store.root, datetime.now(UTC), days=KEPT_DAYS + OLD_DAYS)
    fill_logs(tmp_path / "logs", soon(), days=40)
    before = counts(database)
    world = {
        "CHURN_STORE_URI": local_store.uri,
        "CHURN_KEEP_PREDICTIONS_DAYS": str(KEPT_DAYS),
        "CHURN_AIRFLOW_DATABASE_URL": f"sqlite:///{database}",
        "MLFLOW_TRACKING_URI": mlflow_server,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs"),
    }
    found = answers_of(run_of("churn_upkeep"), **world)
    assert {state for _, _, state in found["tasks"]} == {"success"}
    assert len(list(local_store.list("predictions/"))) == KEPT_DAYS
    assert len(list((tmp_path / "logs" / "dag_processor").iterdir())) == 30
    tasks = OLD_DAYS * sum(map(len, DAGS.values()))
    runs = OLD_DAYS * len(DAGS)
    gone = {table: before[table] - left for table, left in counts(database).items()}
    assert [gone[table] for table in OF_RUNS] == [runs, tasks, tasks, tasks, 2 * tasks]
    assert archives(database) == []
    kept = {
        info.key.split("/")[-1].removesuffix(".csv.gz"): info.key
        for info in local_store.list("runs/")
        if "/clean_metadata/" in info.key
    }
    assert rows(local_store, kept[LEFT_BEHIND]) == [{"id": "1", "event": "kept"}]
    [of_runs] = [key for name, key in kept.items() if "__dag_run__" in name]
    assert len(rows(local_store, of_runs)) == runs


def test_a_retention_that_cannot_be_meant_fails_each_task_at_once_and_deletes_nothing(
    answers_of: AnswersOf, local_store: LocalStore
) -> None:
    fill_store(local_store.root, datetime.now(UTC), days=40)
    before = [info.key for info in local_store.list("")]
    world = {"CHURN_STORE_URI": local_store.uri, "CHURN_KEEP_PREDICTIONS_DAYS": "0"}
    found = answers_of(run_of("churn_upkeep"), **world)
    assert {state for _, _, state in found["tasks"]} == {"failed"}
    assert [info.key for info in local_store.list("")] == before
