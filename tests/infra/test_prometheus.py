"""The configuration of Prometheus and Alertmanager, and each alert on made-up series."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.settings import PROJECT
from tests.infra.expressions import alerts
from tests.infra.watched import PROMETHEUS, alertmanager_configuration, program

CASES = sorted((PROJECT / "tests" / "infra" / "prometheus").glob("*.yml"))


NAMES = [alert["alert"] for alert in alerts()]


def checked(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_its_configuration_and_rules() -> None:
    checked(program("promtool"), "check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize(
    "cases",
    [pytest.param(path, marks=[pytest.mark.slow] * (path.stem != "api")) for path in CASES],
    ids=lambda path: str(path.stem),
)
def test_alerts_fire_when_they_should_and_only_then(cases: Path) -> None:
    checked(program("promtool"), "test", "rules", cases)


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(name: str) -> None:
    fires = {
        bool(check["exp_samples"])
        for path in CASES
        for case in yaml.safe_load(path.read_text())["tests"]
        for check in case["promql_expr_test"]
        if f'alertname="{name}"' in check["expr"]
    }
    assert fires == {True, False}


@pytest.mark.parametrize("alert", alerts(), ids=NAMES)
def test_an_alert_says_what_happened_what_it_means_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook", "runbook_url"}
    assert len(alert["annotations"]["summary"]) < 80
    assert all(len(text) > 20 for text in alert["annotations"].values())


def test_every_service_that_is_watched_is_in_the_stack() -> None:
    watched = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    for job in watched:
        (host,) = job["static_configs"][0]["targets"]
        assert host == "localhost:9090" or host.partition(":")[0] in services, host


def test_alertmanager_accepts_its_configuration(tmp_path: Path) -> None:
    configuration = alertmanager_configuration("http://127.0.0.1:9/", tmp_path)
    checked(program("amtool"), "check-config", configuration)


def test_alertmanager_reads_its_receiver_from_a_secret() -> None:
    document = yaml.safe_load((PROJECT / "infra/alertmanager/alertmanager.yml").read_text())
    (webhook,) = document["receivers"][0]["webhook_configs"]
    assert webhook["url_file"] == "/run/secrets/alert_webhook_url" and "url" not in webhook


def test_inhibitions_name_alerts_that_exist() -> None:
    document = yaml.safe_load((PROJECT / "infra/alertmanager/alertmanager.yml").read_text())
    matchers = [
        matcher
        for rule in document["inhibit_rules"]
        for matcher in rule["source_matchers"] + rule["target_matchers"]
    ]
    named = {name for matcher in matchers for name in matcher.split('"')[1].split("|")}
    assert named <= set(NAMES)
