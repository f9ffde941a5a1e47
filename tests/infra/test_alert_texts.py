"""What an alert tells a person to open, run or set is there."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from include.settings import PROJECT, Settings
from infra.airflow.dag_files import dag_ids
from infra.compose.environment import TEMPLATE
from webapp import create_app

RULES = PROJECT / "infra" / "prometheus" / "rules"
LABEL = r"\{\{ \$labels\.(\w+) \}\}"
COMMANDS = {"ps", "logs", "restart", "exec", "up", "stop"}  # of docker compose
SLUG = re.compile(r"[^\w\- ]")


def alerts() -> list[dict[str, Any]]:
    document = yaml.safe_load((RULES / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def texts() -> dict[str, str]:
    """Every annotation by its alert, whatever it is called, as one line."""
    return {
        alert["alert"]: " ".join(" ".join(alert["annotations"].values()).split())
        for alert in alerts()
    }


TEXTS = texts()


def cited(pattern: str) -> set[str]:
    """What the texts name in this way."""
    return {name for text in TEXTS.values() for name in re.findall(pattern, text)}


def code() -> Iterator[str]:
    """Every text constant of our own code."""
    for room in ("dags", "include", "webapp", "dashboard"):
        for path in (PROJECT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


CODE = set(code())


def test_pages_exist_with_the_anchors_that_are_cited() -> None:
    pages = {
        page for text in TEXTS.values() for page in re.findall(r"[\w./-]+\.md(?:#[\w-]+)?", text)
    }
    for page in pages:
        path, _, anchor = page.partition("#")
        assert (PROJECT / path).is_file(), page
        headings = re.findall(r"^#+ (.+)$", (PROJECT / path).read_text(), re.MULTILINE)
        slugs = {SLUG.sub("", heading.lower()).strip().replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, page
    assert cited(r"https?://\S+") == set(), (
        "say what a page says: whoever is on call may be offline"
    )


def test_files_exist_here_or_are_written_by_the_code() -> None:
    files = cited(r"(?<![\w/…])[\w.…=/<> -]*?[\w.-]+\.(?:yml|yaml|json|html|py|toml|cfg)")
    assert {"infra/prometheus/rules/alerts.yml", "include/config/schema.yaml"} <= {
        path.split()[-1] for path in files
    }
    for path in (each.split()[-1] for each in files):
        name = path.rpartition("/")[2]
        here = (PROJECT / path).is_file()
        assert here or path in CODE or name in CODE, path


def test_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert cited(r"\bmake ([a-z-]+)") <= targets
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    jobs = yaml.safe_load((RULES.parent / "prometheus.yml").read_text())["scrape_configs"]
    assert {job["job_name"] for job in jobs} <= set(services)
    called = [command for text in TEXTS.values() for command in composed(text)]
    assert len(called) >= 10
    for command, service in called:
        assert command in COMMANDS, command
        assert service is None or service in services or service == "{{", service


def composed(text: str) -> Iterator[tuple[str, str | None]]:
    """Each command of docker compose in a text, and the service that it is for."""
    for rest in re.sub(LABEL, "{{", text).split("docker compose ")[1:]:
        command, *words = re.split(r"[;.,:)](?: |$)", rest)[0].split()
        named = [word for word in words if not word.startswith("-") and not word.isdigit()]
        yield command, next(iter(named), None)


def test_alerts_dags_and_tasks_exist() -> None:
    assert cited(r"\bChurn[A-Z]\w+") <= set(TEXTS)
    assert cited(r"\bchurn_\w+") <= set(dag_ids())
    assert cited(r"\btask (\w+_\w+)") | cited(r"under runs/<run id>/(\w+)/") <= CODE
    dashboards = [
        json.loads(path.read_text())["title"]
        for path in (PROJECT / "infra" / "grafana" / "dashboards").glob("*.json")
    ]
    assert cited(r"dashboard (Churn \w+)") <= set(dashboards)


def test_settings_and_routes_exist() -> None:
    settings = {f"CHURN_{name.upper()}" for name in Settings.model_fields}
    known = settings | set(re.findall(r"\bCHURN_\w+", TEMPLATE)) | {"AWS_ENDPOINT_URL"}
    assert cited(r"\b(?:CHURN|AWS|MLFLOW|AIRFLOW)_\w+") <= known
    routes = {str(rule) for rule in create_app(Settings(), background=False).url_map.iter_rules()}
    assert {f"/{name}" for name in cited(r"(?<=[\s(])/([a-z_]+)(?=[\s,.:;)])")} <= routes


@pytest.mark.parametrize("label", sorted(cited(LABEL)))
def test_a_label_that_is_told_is_one_that_its_alert_has(label: str) -> None:
    for alert in alerts():
        text = json.dumps(alert["annotations"])
        if f"$labels.{label}" in text and " by (" in alert["expr"]:
            assert re.search(rf"by \([^)]*\b{label}\b", alert["expr"]), alert["alert"]


def test_the_readme_lists_every_alert_and_no_other() -> None:
    listed = set(re.findall(r"`(Churn[A-Z]\w+)`", (PROJECT / "README.md").read_text()))
    assert listed == set(TEXTS)
