"""Airflow's database, by its command line; tests/dags/test_churn_upkeep.py uses the real one."""

import gzip
import sys
from pathlib import Path

import pytest

from include.errors import CommandFailed, StoreUnavailable
from include.store import LocalStore
from include.upkeep.clean_metadata import TABLES, URL_VARIABLE, clean_metadata
from tests.include.upkeep.conftest import MakeRun

URL = "postgresql://airflow:hush@postgres/airflow"
ARCHIVE = "_airflow_deleted__log__20261129050000"
# Called as python -m airflow db COMMAND …; an export's folder is the eighth word.
STAND_IN = f"""#!/bin/sh
echo "$*" >>{{calls}}
test "$AIRFLOW__CORE__SQL_ALCHEMY_CONN" && exit 3
case "$4" in
clean) printf 'Checking table log\\nFound 3 rows meeting deletion criteria.\\n\\n'
       printf 'Checking table job\\nFound 4 rows meeting deletion criteria.\\n' ;;
export-archived) printf 'id\n1\n"2\n3"\n' >"$8/{ARCHIVE}.csv" ;;
esac
"""
BROKEN = f'#!/bin/sh\necho "no answer from ${URL_VARIABLE}"; exit 1\n'


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What Airflow was asked, a line a call; the environment is that of a task's process."""
    found = tmp_path / "calls"
    stand_in(tmp_path, monkeypatch, STAND_IN.format(calls=found))
    for name in ("CORE", "DATABASE"):
        monkeypatch.setenv(f"AIRFLOW__{name}__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
    return found


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = folder / "python"
    path.write_text(script)
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def commands(calls: Path) -> list[str]:
    return [line.split()[3] for line in calls.read_text().splitlines()]


def test_without_its_address_it_is_left_alone(
    make_run: MakeRun, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert clean_metadata(make_run()).objects == 0
    assert "CHURN_AIRFLOW_DATABASE_URL is not set" in caplog.text


def test_rows_are_kept_before_the_last_copy_of_them_is_dropped(
    make_run: MakeRun, local_store: LocalStore, calls: Path
) -> None:
    freed = clean_metadata(make_run(airflow_database_url=URL))
    assert (freed.objects, freed.bytes) == (2, 11)  # a row may have more than one line
    assert commands(calls) == ["clean", "export-archived", "drop-archived"]
    assert "hush" not in calls.read_text()  # arguments are there for all to see
    [kept] = local_store.list("runs/")
    assert kept.key.endswith(f"/clean_metadata/{ARCHIVE}.csv.gz")
    assert gzip.decompress(local_store.read(kept.key).data) == b'id\n1\n"2\n3"\n'


def test_a_copy_that_cannot_be_kept_leaves_the_archives(
    make_run: MakeRun, local_store: LocalStore, calls: Path
) -> None:
    (local_store.root).mkdir()
    (local_store.root / "runs").write_text("no directory")
    with pytest.raises(StoreUnavailable):
        clean_metadata(make_run(airflow_database_url=URL))
    assert commands(calls) == ["clean", "export-archived"]


def test_a_dry_run_only_counts(make_run: MakeRun, calls: Path) -> None:
    assert clean_metadata(make_run(airflow_database_url=URL, dry_run=True)).objects == 7
    [asked] = calls.read_text().splitlines()
    assert asked.endswith("--dry-run") and "--yes" not in asked


def test_a_database_that_cannot_be_cleaned_is_named_without_its_password(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, BROKEN)
    with pytest.raises(CommandFailed, match="expected `airflow db clean` to end well") as told:
        clean_metadata(make_run(airflow_database_url=URL))
    assert "no answer from postgresql://airflow:***@postgres/airflow" in str(told.value)


def test_no_table_is_named_on_whose_keys_the_cleaning_fails() -> None:
    assert not {"dag", "dag_version", "trigger"} & set(TABLES)
