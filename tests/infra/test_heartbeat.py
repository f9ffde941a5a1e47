"""What a container's health check makes of what Airflow's API server says."""

import json
import sys
from pathlib import Path

import pytest

from infra.compose import heartbeat


@pytest.mark.parametrize(
    ("component", "expected"), [("scheduler", 0), ("triggerer", 1), ("dag_processor", 1)]
)
def test_only_a_healthy_component_is_alive(
    component: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {
        "scheduler": {"status": "healthy"},
        "triggerer": {"status": "unhealthy"},
        "dag_processor": {"status": None},  # it never wrote
    }
    page = tmp_path / "api" / "v2" / "monitor" / "health"
    page.parent.mkdir(parents=True)
    page.write_text(json.dumps(told))
    monkeypatch.setenv("CHURN_AIRFLOW_URL", tmp_path.as_uri())
    monkeypatch.setattr(sys, "argv", ["heartbeat", component])
    assert heartbeat.main() == expected
