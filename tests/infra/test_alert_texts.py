"""What an alert and its runbook tell a person to open, run, ask or set is there."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from include.settings import PROJECT, Settings
from infra.airflow.dag_files import dag_ids
from tests.infra.expressions import alerts, metrics_named, rules
from tests.infra.test_project_files import anchors
from webapp import create_app
from webapp.middleware import SLOW_SECONDS

PROMETHEUS = PROJECT / "infra" / "prometheus"
RUNBOOKS = PROJECT / "docs" / "runbooks"
RUNBOOK_LINES_MAX = 40  # what somebody reads at three in the morning
SECTIONS = ["What it means", "What to look at", "What to do", "How to see that it is over"]
BASE = "{{ $externalLabels.runbooks }}"
LABEL = r"\{\{ \$labels\.(\w+) \}\}"
COMMANDS = {"ps", "logs", "restart", "exec", "up", "stop", "down", "run", "rm"}  # of docker compose
VOLUME = "churn_mysql"  # -data
AIRFLOW = {"trigger", "list-runs", "list", "pause", "unpause", "list-import-errors"}  # of its dags


def texts() -> dict[str, str]:
    """Every annotation by its alert, whatever it is called, as one line."""
    return {
        alert["alert"]: " ".join(" ".join(alert["annotations"].values()).split())
        for alert in alerts()
    }


def runbooks() -> dict[str, str]:
    """Every page by its name, and the index of them."""
    return {path.stem: path.read_text() for path in RUNBOOKS.glob("*.md")}


def snippets(page: str) -> list[str]:
    """What a page tells to type: the lines of its blocks, and what stands between backquotes."""
    outside = re.sub(r"^ *```.*?^ *```", "", page, flags=re.DOTALL | re.MULTILINE)
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", page, flags=re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in [*lines, *re.findall(r"`([^`]+)`", outside)]]


ALERTS = texts()
PAGES = runbooks()
TEXTS = ALERTS | {f"{name}.md": " ".join(page.split()) for name, page in PAGES.items()}
TYPED = [line for page in PAGES.values() for line in snippets(page)]


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


def test_each_alert_leads_to_its_runbook_and_each_runbook_belongs_to_one() -> None:
    for alert in alerts():
        assert alert["annotations"]["runbook_url"] == f"{BASE}/{alert['alert']}.md"
    assert set(PAGES) == {*ALERTS, "README"}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_a_runbook_has_its_four_sections_and_is_short(alert: dict[str, Any]) -> None:
    page = PAGES[alert["alert"]]
    title, severity = re.findall(r"\A# (\w+)\n\n\*\*(\w+)\*\* — ", page)[0]
    assert (title, severity) == (alert["alert"], alert["labels"]["severity"])
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    assert all(len(part.split()) > 5 for part in re.split(r"^## .+$", page, flags=re.MULTILINE))
    assert len(page.splitlines()) <= RUNBOOK_LINES_MAX


def test_pages_exist_with_the_anchors_that_are_cited() -> None:
    pages = {
        page
        for text in TEXTS.values()
        for page in re.findall(r"[\w./-]+\.md(?:#[\w-]+)?", text.replace(BASE, "docs/runbooks"))
    }
    for page in pages:
        path, _, anchor = page.partition("#")
        found = next((f for f in (RUNBOOKS / path, PROJECT / path) if f.is_file()), None)
        assert found, page
        assert not anchor or anchor in anchors(found), page
    elsewhere = cited(r"https?://(?!127\.0\.0\.1|\w+\.bank\.example)\S+")
    assert elsewhere == set(), "say what a page says: whoever is on call may be offline"


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
    assert cited(r"\bmake ([a-z-]+)(?= [A-Z]|[`.,;:)]|$)") <= targets
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    assert {job["job_name"] for job in jobs} <= set(services)
    called = [found for text in [*ALERTS.values(), *TYPED] for found in composed(text)]
    assert len(called) >= 100
    assert cited(r"compose ps(?! -[aq])") == set(), "without -a it does not show what has ended"
    for command, service in called:
        assert command in COMMANDS, command
        assert service is None or service in services or service == "{{", service
    airflow = [found for line in TYPED for found in re.findall(r"airflow dags (\S+) ?(\w+)?", line)]
    assert {command for command, _ in airflow} == AIRFLOW
    assert {dag for _, dag in airflow if dag} <= set(dag_ids())


def composed(text: str) -> Iterator[tuple[str, str | None]]:
    """Each command of docker compose in a text, and the first service that it is for."""
    for rest in re.sub(LABEL, "{{", text).split("docker compose ")[1:]:
        command, *words = re.split(r"[;.,:)|#](?: |$)|\)", rest)[0].split()
        named = [word for word in words if not re.match(r"-|\d+[smh]?$", word)]
        yield command, next(iter(named), None)


def test_what_the_log_says_is_what_the_code_says() -> None:
    prose = [re.sub(r"```.*?```|`[^`]*`", "", page, flags=re.DOTALL) for page in PAGES.values()]
    quoted = [words for text in prose for words in re.findall(r'"([^"]+)"', " ".join(text.split()))]
    said = {words for words in quoted if words.count(" ") >= 4}
    assert len(said) >= 5
    for words in said:
        assert any(words in text for text in CODE), words
    searched = set(re.findall(r"logs .*webapp \| grep '([^']+)'", "\n".join(TYPED)))
    failures = '"logger":"webapp.problems"'
    assert failures in searched
    for words in searched - {failures}:
        assert any(words in text for text in CODE), words


def test_what_is_slow_to_the_alert_is_in_the_log() -> None:
    (slow,) = (alert["expr"] for alert in alerts() if alert["alert"] == "ChurnApiSlow")
    assert f"> {SLOW_SECONDS} " in slow


def test_metrics_are_those_of_the_rules_and_panels() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known = metrics_named() | recorded | {"champion_reloads_total"}
    pattern = r"(?<![\w.:/-])(?:churn|prediction|champion|model|airflow|mysql|alertmanager|http)"
    named = {
        name
        for line in TYPED
        for name in re.findall(pattern + r"[_:][\w:]+(?![\w.])", line.split(" --conf")[0])
    }
    assert len(named) >= 15
    assert named <= known | set(dag_ids()) | {"airflow_heartbeat_total", VOLUME}


def test_alerts_dags_and_tasks_exist() -> None:
    assert cited(r"\bChurn[A-Z]\w+") <= set(TEXTS)
    assert cited(r"\bchurn_\w+") <= set(dag_ids()) | metrics_named() | {VOLUME}
    assert cited(r"\btask `?(\w+_\w+)") | cited(r"under runs/<run id>/(\w+)/") <= CODE
    dashboards = [
        json.loads(path.read_text())["title"]
        for path in (PROJECT / "infra" / "grafana" / "dashboards").glob("*.json")
    ]
    assert cited(r"dashboard (Churn \w+)") | cited(r"\*(Churn \w+)\*") <= set(dashboards)


def test_settings_and_routes_exist() -> None:
    settings = {f"CHURN_{name.upper()}" for name in Settings.model_fields}
    compose = re.findall(r"\$\{(CHURN_\w+)", (PROJECT / "docker-compose.yaml").read_text())
    known = settings | {*compose, "AWS_ENDPOINT_URL", "MLFLOW_BACKEND_STORE_URI"}
    assert cited(r"\b(?:CHURN|AWS|MLFLOW|AIRFLOW)_\w+") <= known
    routes = {str(rule) for rule in create_app(Settings(), background=False).url_map.iter_rules()}
    named = {
        *re.findall(r"(?<=[\s(])/([a-z_]+)(?=[\s,.:;)])", " ".join(ALERTS.values())),
        *cited(r"127\.0\.0\.1:8000/(\w+)"),
    }
    assert {"ready", "health"} <= named
    assert {f"/{name}" for name in named} <= routes


@pytest.mark.parametrize("label", sorted(cited(LABEL)))
def test_a_label_that_is_told_is_one_that_its_alert_has(label: str) -> None:
    for alert in alerts():
        text = json.dumps(alert["annotations"])
        if f"$labels.{label}" in text and " by (" in alert["expr"]:
            assert re.search(rf"by \([^)]*\b{label}\b", alert["expr"]), alert["alert"]


def test_the_index_lists_every_alert_under_its_severity_and_no_other() -> None:
    critical, _, warning = PAGES["README"].partition("**warning**")
    for severity, part in (("critical", critical), ("warning", warning)):
        listed = re.findall(r"^\| \[`(Churn\w+)`\]\(\1\.md\)", part, re.MULTILINE)
        assert listed, severity
        told = [a["alert"] for a in alerts() if a["labels"]["severity"] == severity]
        assert sorted(listed) == sorted(told)
