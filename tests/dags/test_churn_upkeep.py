"""The upkeep DAG: its form, and a real run by Airflow over what a long time has left."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.store import LocalStore
from tests.dags.conftest import AnswersOf, run_of, shape_of
from tests.include.upkeep.long_time import fill_logs, fill_store

pytestmark = pytest.mark.slow

LIMITS = """
    "limits": [t.execution_timeout is not None and bool(t.doc_md) for t in dag.tasks],
    "limit": dag.dagrun_timeout is not None,
    "files": [t.task_id for t in dag.tasks if not __import__("importlib.util").util.find_spec(
        "include.upkeep." + t.task_id)],
"""


def test_each_thing_that_grows_has_a_task_that_waits_for_none(answers_of: AnswersOf) -> None:
    found = answers_of(shape_of("churn_upkeep", more=LIMITS))
    assert found["errors"] == {} and found["schedule"] == "0 5 * * 0"
    assert set(found["tasks"]) == {
        *("delete_runs", "delete_predictions", "delete_scores", "delete_reports", "delete_logs"),
        *("clean_metadata", "clean_mlflow"),
    }
    assert not any(found["downstream"].values())
    assert all(found["limits"]) and found["limit"] and found["files"] == []
    assert found["runs"] == [1, False, False] and list(found["params"]) == ["dry_run"]


def test_airflow_deletes_and_hands_back_what_it_freed(
    answers_of: AnswersOf, local_store: LocalStore, mlflow_server: str, tmp_path: Path
) -> None:
    fill_store(local_store.root, datetime.now(UTC), days=450)
    fill_logs(tmp_path / "logs", datetime.now(UTC), days=60)
    world = {
        "CHURN_STORE_URI": local_store.uri,
        "MLFLOW_TRACKING_URI": mlflow_server,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs"),
    }
    found = answers_of(run_of("churn_upkeep"), **world)
    assert {state for _, _, state in found["tasks"]} == {"success"}
    assert len(list(local_store.list("predictions/"))) == 400
    assert not list((tmp_path / "logs").glob("dag_processor/2025*"))


def test_a_retention_that_cannot_be_meant_fails_each_task_at_once_and_deletes_nothing(
    answers_of: AnswersOf, local_store: LocalStore
) -> None:
    fill_store(local_store.root, datetime.now(UTC), days=450)
    before = [info.key for info in local_store.list("")]
    world = {"CHURN_STORE_URI": local_store.uri, "CHURN_KEEP_PREDICTIONS_DAYS": "0"}
    found = answers_of(run_of("churn_upkeep"), **world)
    assert {state for _, _, state in found["tasks"]} == {"failed"}
    assert [info.key for info in local_store.list("")] == before
