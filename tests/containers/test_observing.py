"""What watches the stack sees it: each scrape, each alert's figures, each panel's expression."""

import httpx
import pytest

from tests.containers.stack import RunningStack, ask, eventually, records, today
from tests.infra.expressions import metrics_named, panel_expressions, rules

SCRAPED_SECONDS = 120

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def watched(stack: RunningStack) -> RunningStack:
    """The stack after traffic, a training run and a drift check, long enough to be scraped."""
    stack.wait()
    with stack.api() as client:
        for record in records(60):
            ask(client, record)
        client.post("/predict", json={})
    stack.run_dag("churn_training", {"trigger_reason": "test"})
    stack.run_dag("churn_drift", {"date": today().isoformat()})
    eventually(
        lambda: bool(stack.query("increase(prediction_requests_total[2m]) > 0")),
        "Prometheus has seen the traffic",
        seconds=SCRAPED_SECONDS,
    )
    return stack


def test_every_target_is_up(watched: RunningStack) -> None:
    down = [each["metric"]["job"] for each in watched.query("up == 0")]
    assert not down


def test_prometheus_has_read_every_rule_without_error(watched: RunningStack) -> None:
    answer = httpx.get(f"{watched.url('PROMETHEUS')}/api/v1/rules", trust_env=False).json()
    read = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in read} == {r.get("alert") or r["record"] for r in rules()}
    assert [rule["name"] for rule in read if rule["health"] == "err"] == []


def test_every_metric_that_is_named_is_there(watched: RunningStack) -> None:
    url = f"{watched.url('PROMETHEUS')}/api/v1/label/__name__/values"
    assert metrics_named() - set(httpx.get(url, trust_env=False).json()["data"]) == set()


def test_each_panel_shows_something(watched: RunningStack) -> None:
    assert [each for each in panel_expressions() if not watched.query(each)] == []
