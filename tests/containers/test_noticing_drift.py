"""The drift DAG in the containers: today's answers against what the champion was trained on."""

import json

import pytest

from tests.containers.stack import RunningStack, eventually, records, today

CUSTOMERS = 2100  # fewer than drift.rows_min decide nothing
LOGGED_SECONDS = 60

pytestmark = pytest.mark.timeout(1800)


def test_the_drift_dag_publishes_its_findings(stack: RunningStack) -> None:
    stack.wait()
    with stack.api() as client:
        answer = client.post("/predict_batch", json={"records": records(CUSTOMERS, seed=99)})
    assert answer.status_code == 200, answer.text
    asked = answer.json()["request_id"]
    eventually(
        lambda: asked in stack.logged_requests(today()), "the log has them", seconds=LOGGED_SECONDS
    )
    day = today().isoformat()
    run = stack.run_dag("churn_drift", {"date": day})
    assert run.state == "success"
    found = json.loads(stack.store().read(f"monitoring/date={day}/drift.json").data)
    assert found
    report = stack.store().read(f"monitoring/date={day}/report.html").data
    assert b"<html" in report[:2000].lower()
