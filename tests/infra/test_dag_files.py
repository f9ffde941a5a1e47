"""Whether every DAG of ours is there, asked of an Airflow that answers from a script."""

from datetime import UTC, datetime
from typing import Any

import pytest

from include.settings import PROJECT
from infra.airflow import dag_files
from infra.airflow.dag_runs import RunFailed
from tests.infra.scripted_airflow import airflow_answering

pytestmark = pytest.mark.usefixtures("quick_polling")

SINCE = datetime(2026, 1, 2, tzinfo=UTC)
BEFORE, AFTER = (
    {"last_parsed_time": "2026-01-01T23:59:59Z"},
    {"last_parsed_time": "2026-01-02T00:00:01Z"},
)
NEVER = {"last_parsed_time": None}
TYPO = {"filename": "churn_training.py", "stack_trace": "Traceback …\nConfigurationError: @weeky\n"}
NO_ERRORS: dict[str, Any] = {"import_errors": []}


def told(training: list[Any], errors: dict[str, Any]) -> str | None:
    """What is said where every other DAG was read."""
    script = {f"GET /api/v2/dags/{dag_id}": [AFTER] for dag_id in dag_files.dag_ids()}
    script["GET /api/v2/dags/churn_training"] = training
    script["GET /api/v2/importErrors"] = [errors]
    with airflow_answering(script) as client:
        try:
            dag_files.wait_for_dags(client, since=SINCE)
        except RunFailed as failed:
            return str(failed)
    return None


def test_each_dag_file_is_waited_for() -> None:
    assert "churn_training" in dag_files.dag_ids()
    assert len(dag_files.dag_ids()) == len(list((PROJECT / "dags").glob("*.py")))
    assert told([None, NEVER, BEFORE, AFTER], NO_ERRORS) is None


@pytest.mark.parametrize("known", [None, NEVER, BEFORE])
def test_a_dag_that_cannot_be_read_is_named_with_its_error(known: dict[str, Any] | None) -> None:
    found = told([known], {"import_errors": [{**TYPO, "filename": "other.py"}, TYPO]})
    assert found is not None
    assert found.startswith("Airflow cannot read churn_training: nothing of it runs")
    assert "\n  churn_training.py: Traceback …\n  ConfigurationError: @weeky" in found
    assert "other.py" not in found


def test_what_was_mended_is_no_fault_any_more() -> None:
    assert told([AFTER], {"import_errors": [TYPO]}) is None


def test_a_dag_without_a_trace_is_missed_too() -> None:
    assert "churn_training.py: (not read yet)" in (told([None], NO_ERRORS) or "")
