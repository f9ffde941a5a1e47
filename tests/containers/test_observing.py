"""What watches the stack sees it: each scrape, each alert's figures, each panel's expression."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from include.settings import PROJECT
from tests.containers.stack import RunningStack, ask, eventually, records, today

RULES = PROJECT / "infra" / "prometheus" / "rules"
DASHBOARDS = PROJECT / "infra" / "grafana" / "dashboards"
SCRAPED_SECONDS = 120
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

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
    rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == {_name(rule) for rule in _rules()}
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []


def _rules() -> Iterator[dict[str, Any]]:
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def _name(rule: dict[str, Any]) -> str:
    return str(rule.get("alert") or rule["record"])


def test_each_alerts_figures_are_there(watched: RunningStack) -> None:
    present = set(_metric_names(watched))
    absent = {}
    for rule in _rules():
        wanted = {name for name in NAME.findall(_bare(rule["expr"])) if _is_metric(name)}
        missing = {name for name in wanted if name not in present}
        if missing:
            absent[_name(rule)] = sorted(missing)
    assert not absent


def _bare(expression: str) -> str:
    """An expression without its labels, strings, durations and groupings."""
    text = re.sub(r'"[^"]*"', "", expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", text)
    return re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", text)


def _is_metric(name: str) -> bool:
    function = name.endswith("_over_time") or name == "histogram_quantile"
    return ":" in name or ("_" in name and not function)


def _metric_names(stack: RunningStack) -> list[str]:
    url = f"{stack.url('PROMETHEUS')}/api/v1/label/__name__/values"
    return list(httpx.get(url, trust_env=False).json()["data"])


def _panels() -> Iterator[tuple[str, str]]:
    for path in sorted(Path(DASHBOARDS).glob("*.json")):
        for panel in _flat(json.loads(path.read_text())["panels"]):
            for target in panel.get("targets", []):
                if "expr" in target:
                    yield f"{path.stem}: {panel.get('title')}", target["expr"]


def _flat(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _flat(panel.get("panels", []))


def test_each_panel_shows_something(watched: RunningStack) -> None:
    assert list(_panels())
    empty = []
    for title, expression in _panels():
        asked = _without_variables(expression)
        if not watched.query(asked):
            empty.append(f"{title}: {asked}")
    assert not empty, "\n".join(empty)


def _without_variables(expression: str) -> str:
    text = re.sub(r"\$\{?__(rate_)?interval\}?", "5m", expression)
    text = re.sub(r"\$\{?__range\}?", "1h", text)
    return re.sub(r'=~?"\$\{?\w+(:\w+)?\}?"', '=~".*"', text)
