"""Airflow's database: by its own command line, on a real one."""

import csv
import gzip
import io
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from include.errors import CommandFailed
from include.settings import PROJECT
from include.store import LocalStore
from include.upkeep import clean_metadata as module
from include.upkeep.clean_metadata import TABLES, clean_metadata
from tests.include.upkeep.conftest import NOW, MakeRun
from tests.include.upkeep.long_time import DAGS, fill_metadata

ARCHIVES = "SELECT name FROM sqlite_master WHERE name LIKE '_airflow_deleted%'"
TASKS = sum(map(len, DAGS.values()))
OLD_DAYS = 20


def test_without_its_address_it_is_left_alone(
    make_run: MakeRun, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert clean_metadata(make_run()).objects == 0
    assert "CHURN_AIRFLOW_DATABASE_URL is not set" in caplog.text


@pytest.mark.slow
def test_a_database_that_cannot_be_reached_is_named_without_its_password(
    make_run: MakeRun, airflow_home: Path
) -> None:
    url = "postgresql+psycopg2://airflow:hush@127.0.0.1:1/airflow"
    with pytest.raises(CommandFailed, match="expected `airflow db clean` to end well") as told:
        clean_metadata(make_run(airflow_database_url=url))
    assert "hush" not in str(told.value) and "the next run goes on" in str(told.value)


@pytest.fixture
def airflow_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Airflow's home, in the environment of this process."""
    for name, value in {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "PYTHONPATH": str(PROJECT),
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def database(airflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database of Airflow's with 60 days in it."""
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env={**os.environ, "AIRFLOW_HOME": str(airflow_home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("CORE", "DATABASE"):
        monkeypatch.setenv(f"AIRFLOW__{name}__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
    found = airflow_home / "airflow.db"
    fill_metadata(found, NOW, days=40 + OLD_DAYS)
    return found


def counts(database: Path) -> dict[str, int]:
    tables = ("dag_run", "task_instance", "xcom", "rendered_task_instance_fields", "log")
    with closing(sqlite3.connect(database)) as connection:
        return {
            each: connection.execute(
                f"SELECT count(*) FROM {each} WHERE {'1' if each != 'log' else 'dag_id NOT NULL'}"
            ).fetchone()[0]
            for each in tables
        }


@pytest.mark.slow
def test_old_rows_are_kept_aside_and_go_and_a_kill_between_loses_none(
    make_run: MakeRun,
    local_store: LocalStore,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(airflow_database_url=f"sqlite:///{database}")
    before = counts(database)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "_keep_archives", _killed)
        clean_metadata(run)
    assert clean_metadata(run).objects == 0  # the first time they went, and now they are kept
    gone = {name: before[name] - left for name, left in counts(database).items()}
    runs, tasks = OLD_DAYS * len(DAGS), OLD_DAYS * TASKS
    assert gone == {
        "dag_run": runs,
        "task_instance": tasks,
        "xcom": tasks,
        "rendered_task_instance_fields": tasks,
        "log": 2 * tasks,
    }
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute(ARCHIVES).fetchall() == []
    kept = {info.key.split("/")[-1].split("__")[1]: info.key for info in local_store.list("runs/")}
    assert set(kept) >= {"dag_run", "task_instance", "xcom", "log"}
    text = gzip.decompress(local_store.read(kept["dag_run"]).data).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == runs and {row["dag_id"] for row in rows} == set(DAGS)


def _killed(*_: object) -> int:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_dry_run_counts_rows_and_leaves_them(make_run: MakeRun, database: Path) -> None:
    before = counts(database)
    freed = clean_metadata(make_run(airflow_database_url=f"sqlite:///{database}", dry_run=True))
    assert freed.objects >= OLD_DAYS * (len(DAGS) + 4 * TASKS)
    assert counts(database) == before


def test_no_table_is_named_whose_cleaning_has_open_faults() -> None:
    assert not {"dag", "dag_version", "trigger"} & set(TABLES)
