"""`make up`: start everything, show what becomes healthy, end when there is a champion to ask.

python3 -m infra.compose.up [--build] [--scale airflow-worker=3]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from typing import Any
from urllib.request import ProxyHandler, build_opener

from infra.compose.command import Compose, ComposeError, say

WAIT_SECONDS = 900
POLL_SECONDS = 2.0
ANSWER_SECONDS = 5.0
API = "webapp"
JOBS = ("store-init", "airflow-init", "bootstrap")
SERVICE_LABEL = "com.docker.compose.service"
PAGES = (
    ("API", "CHURN_API_PORT", "8000", "CHURN_API_KEYS"),
    ("dashboard", "CHURN_DASHBOARD_PORT", "8050", "CHURN_DASHBOARD_PASSWORD"),
    ("Airflow", "CHURN_AIRFLOW_PORT", "8080", "user admin, CHURN_AIRFLOW_PASSWORD"),
    ("Grafana", "CHURN_GRAFANA_PORT", "3000", "user admin, CHURN_GRAFANA_PASSWORD"),
    ("MLflow", "CHURN_MLFLOW_PORT", "5000", ""),
    ("Prometheus", "CHURN_PROMETHEUS_PORT", "9090", ""),
)


def main() -> int:
    """The command line; 1 when something did not become healthy."""
    began = time.monotonic()
    try:
        compose = Compose()
        compose.show("up", "-d", *sys.argv[1:])
        wait_until_ready(compose, began=began)
    except ComposeError as error:
        sys.stderr.write(f"make up: {error}\n")
        return 1
    for line in pages(compose):
        say(line)
    return 0


def wait_until_ready(
    compose: Compose,
    *,
    began: float,
    seconds: float = WAIT_SECONDS,
    quiet: bool = False,
    only: Collection[str] = (),
) -> None:
    """Wait for every service's health, every job's end and the API's champion.

    ComposeError says who did not come; `only` names the services that count, where not all do.
    """
    shown: dict[str, str] = {}
    deadline = time.monotonic() + seconds  # from now: images were pulled and built before
    while True:
        told_of = {name(each): state(each) for each in compose.containers()}
        now = {service: told for service, told in told_of.items() if not only or service in only}
        for service, told in sorted(now.items()):
            if shown.get(service) != told and not quiet:
                say(f"{time.monotonic() - began:6.1f} s  {service:22} {told}")
        shown = now
        lost = [service for service, told in now.items() if told.startswith("failed")]
        if lost:
            raise ComposeError(f"{', '.join(lost)} failed: `make logs ARGS={lost[0]}` says why")
        waiting = [service for service, told in now.items() if told not in ("healthy", "done")]
        if now and not waiting:
            if API not in now or has_champion(compose):
                return
            waiting = [f"{API}, which has no champion yet"]
        if time.monotonic() > deadline:
            raise ComposeError(f"not ready after {seconds:.0f} s: {', '.join(waiting) or 'all'}")
        time.sleep(POLL_SECONDS)


def has_champion(compose: Compose) -> bool:
    """Whether every worker of the API has a champion: each looks for one every few seconds."""
    url = f"http://127.0.0.1:{compose.setting('CHURN_API_PORT', '8000')}/metrics"
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=ANSWER_SECONDS) as answer:
            return b"\nmodel_loaded 1.0\n" in answer.read()
    except OSError:
        return False


def name(container: dict[str, Any]) -> str:
    """The service's name, with the container's number where there are several."""
    labels = container["Config"]["Labels"]
    number = labels.get("com.docker.compose.container-number", "1")
    return str(labels[SERVICE_LABEL]) + ("" if number == "1" else f" {number}")


def state(container: dict[str, Any]) -> str:
    """healthy, done, failed or what else a container is, in a word."""
    found = container["State"]
    if container["Config"]["Labels"][SERVICE_LABEL] in JOBS:
        if found["Running"] or found["Status"] in ("created", "restarting"):
            return "waiting" if found["Status"] == "created" else "running"
        return "done" if found["ExitCode"] == 0 else f"failed with code {found['ExitCode']}"
    if not found["Running"]:
        return str(found["Status"])
    return str(found.get("Health", {}).get("Status", "running without a health check"))


def pages(compose: Compose) -> list[str]:
    """Where everything is, and which variable of .env signs in."""
    lines = [""]
    for what, variable, port, secret in PAGES:
        url = f"http://127.0.0.1:{compose.setting(variable, port)}"
        lines.append(f"{what:11}{url}" + (f"  ({secret} in .env)" if secret else ""))
    return lines


if __name__ == "__main__":
    sys.exit(main())
