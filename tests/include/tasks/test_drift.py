"""What a drift check asks Airflow about trainings that are under way."""

from typing import Any

import pytest

from include.tasks.drift import APPROVAL, TRAINING_DAG, _approval_page


class Runs:
    """A task that asks Airflow about others."""

    def __init__(self, **states: str | None) -> None:
        self._states = {run_id: {APPROVAL: state} for run_id, state in states.items()}

    def get_task_states(self, **asked: Any) -> dict[str, dict[str, str | None]]:
        assert asked == {"dag_id": TRAINING_DAG, "task_ids": [APPROVAL]}
        return self._states


def test_the_run_that_waits_is_found_among_those_that_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")
    page = _approval_page(Runs(first="success", second="awaiting_input", third=None))
    tasks = "https://airflow.example/dags/churn_training/runs/second/tasks"
    assert page == f"{tasks}/approve_promotion/required_actions"


def test_where_none_waits_there_is_no_page() -> None:
    assert _approval_page(Runs(first="success", second="running")) is None
