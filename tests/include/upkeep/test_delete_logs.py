"""Airflow's logs: on disk and in the store, and what lies beside them."""

from datetime import timedelta
from pathlib import Path

import pytest

from include.store import LocalStore
from include.upkeep.delete_logs import delete_logs
from tests.include.upkeep.conftest import NOW, MakeRun
from tests.include.upkeep.long_time import DAGS, PARSE_LOG, TASK_LOG, fill_logs

TASKS = sum(map(len, DAGS.values()))
DAYS = 15
OLD_DAYS = DAYS - 3


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_old_logs_go_with_the_folders_that_they_leave_empty(
    make_run: MakeRun, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    fill_logs(logs, NOW, days=DAYS)
    freed = delete_logs(make_run())
    assert freed.objects == OLD_DAYS * (TASKS + len(DAGS))
    assert freed.bytes == OLD_DAYS * (TASKS * TASK_LOG + len(DAGS) * PARSE_LOG)
    assert len(files(logs)) == 3 * (TASKS + len(DAGS))
    oldest = (NOW - timedelta(days=3)).date()
    assert sorted(path.name for path in (logs / "dag_id=churn_drift").iterdir())[0].endswith(
        str(oldest)
    )
    assert delete_logs(make_run()).objects == 0


def test_a_dry_run_deletes_no_log(make_run: MakeRun, tmp_path: Path) -> None:
    fill_logs(tmp_path / "logs", NOW, days=5)
    before = files(tmp_path)
    told = delete_logs(make_run(dry_run=True))
    assert files(tmp_path) == before
    assert told.objects == delete_logs(make_run()).objects > 0


def test_what_is_not_airflows_stays(make_run: MakeRun, tmp_path: Path) -> None:
    """Whatever the folder is, and wherever a link in it leads."""
    elsewhere = tmp_path / "elsewhere"
    fill_logs(elsewhere, NOW, days=2)
    logs = tmp_path / "logs"
    (logs / "dag_id=a" / "run_id=b").mkdir(parents=True)
    (logs / "dag_id=a" / "run_id=link").symlink_to(elsewhere)
    (logs / "dag_id=a" / "run_id=b" / "attempt=1.log").symlink_to(files(elsewhere)[0])
    (logs / "others").mkdir()
    for path in (logs / "others" / "a.log", logs / "api.log", logs / "dag_id=a" / "notes.txt"):
        path.touch()
    before = files(tmp_path)
    assert delete_logs(make_run(now=NOW + timedelta(days=9999))).objects == 0
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("below", "expires", "deleted"),
    [("/airflow-logs", False, 1), ("/airflow-logs/", False, 1), ("/airflow-logs", True, 0)],
)
def test_logs_in_the_store_go_too_unless_it_does_that_itself(
    make_run: MakeRun, local_store: LocalStore, below: str, expires: bool, deleted: int
) -> None:
    local_store.write("airflow-logs/dag_id=a/run_id=b/task_id=c/attempt=1.log", b"12345")
    run = make_run(
        remote_logs=local_store.uri + below,
        store_expires=expires,
        now=NOW + timedelta(days=9999),
    )
    freed = delete_logs(run)
    assert (freed.objects, freed.bytes) == (deleted, 5 * deleted)


@pytest.mark.parametrize("below", ["", "/", "/champion", "-of-somebody-else/logs"])
def test_no_other_object_is_taken_for_a_log(
    make_run: MakeRun, local_store: LocalStore, below: str
) -> None:
    local_store.write("champion/versions/1/model.onnx", b"")
    run = make_run(remote_logs=local_store.uri + below, now=NOW + timedelta(days=9999))
    assert delete_logs(run).objects == 0
    assert len(list(local_store.list(""))) == 1
