"""A private stack that is watched: API, StatsD exporter, Prometheus, Alertmanager and its receiver.

Everything listens on loopback. Prometheus has the project's own configuration with other addresses,
and is in a hurry: it looks each second, and its rules' minutes are seconds.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tests.conftest import running
from tests.infra.dag_signals import airflow_settings
from tests.ports import free_ports
from tests.webapp.conftest import PROJECT, Server

PROMETHEUS = PROJECT / "infra" / "prometheus"
ALERTMANAGER = PROJECT / "infra" / "alertmanager" / "alertmanager.yml"
MAPPING = PROJECT / "infra" / "statsd" / "mapping.yml"
RUNBOOKS = "docs/runbooks"
STAND_IN = PROJECT / "tests" / "containers" / "standins" / "statsd_exporter.py"
ALERTMANAGERS = ("alertmanager", "prometheus-alertmanager")  # the second is Debian's name
DATABASE_EXPORTERS = ("mysqld_exporter", "prometheus-mysqld-exporter")


def program(*names: str) -> str:
    """The first of these programs that is installed; skips where none is."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    found = next(filter(None, (shutil.which(name, path=path) for name in names)), None)
    if found is None:
        pytest.skip(f"no {names[0]} on this machine: .ci/run installs it where it can")
    return found


def in_a_hurry(rules: str) -> str:
    """The rules with seconds for minutes; hours and days stay."""
    return re.sub(r"(for: |\[|offset )(\d+)m\b", r"\1\2s", rules)


def alertmanager_configuration(webhook: str, home: Path) -> Path:
    """The project's file with another receiver, as versions before 0.26 name it, too."""
    document = yaml.safe_load(ALERTMANAGER.read_text())
    document["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    (receiver,) = document["receivers"][0]["webhook_configs"]
    receiver["url"] = webhook
    del receiver["url_file"]
    path = home / "alertmanager.yml"
    path.write_text(yaml.safe_dump(document))
    return path


@dataclass
class Receiver:
    """Whoever is on call."""

    port: int
    accepts: bool = True
    heard: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/alerts"

    def alerts(self, name: str, status: str = "firing") -> list[dict[str, Any]]:
        """The notifications of one alert."""
        return [
            alert
            for notification in self.heard
            for alert in notification["alerts"]
            if alert["labels"]["alertname"] == name and alert["status"] == status
        ]


@dataclass
class Watched:
    """The stack, and what may be done to it."""

    home: Path
    api: Server
    receiver: Receiver
    prometheus: str
    statsd_port: int
    exporter: "subprocess.Popen[bytes]"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers to an expression."""
        answer = httpx.post(f"{self.prometheus}/api/v1/query", data={"query": expression})
        assert answer.status_code == 200, f"{expression}\n{answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def names(self) -> set[str]:
        """Every metric that Prometheus has seen."""
        answer = httpx.get(f"{self.prometheus}/api/v1/label/__name__/values")
        return set(answer.json()["data"])

    def until(self, true: Callable[[], Any], *, seconds: float = 60.0) -> None:
        """Wait for something to become true."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                firing = [each["metric"]["alertname"] for each in self.query("ALERTS")]
                raise AssertionError(f"not within {seconds} s; alerts: {sorted(firing)}")
            time.sleep(0.2)

    def hears(self, alert: str, status: str = "firing", *, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until the receiver has been told."""
        self.until(lambda: self.receiver.alerts(alert, status), seconds=seconds)
        return self.receiver.alerts(alert, status)[-1]

    def signal(self, *signals: str) -> None:
        """Let the DAGs' own code say something, through Airflow's own StatsD logger."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.infra.dag_signals", *signals],
            cwd=PROJECT,
            env={**os.environ, **airflow_settings(self.home, self.statsd_port)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def watched_stack(home: Path) -> Iterator[Watched]:
    """The stack without a champion and a database; it lives as long as the block."""
    prometheus, alertmanager = program("prometheus"), program(*ALERTMANAGERS)
    database_exporter = program(*DATABASE_EXPORTERS)
    api, hook, web, statsd, alerts, watch, mysql, nobody = free_ports(8)
    receiver, server = Receiver(hook), Server(api, home / "api")
    login = home / "my.cnf"
    login.write_text(f"[client]\nuser=exporter\npassword=x\nhost=127.0.0.1\nport={nobody}\n")
    targets = {
        "webapp": api,
        "statsd-exporter": web,
        "mysqld-exporter": mysql,
        "alertmanager": alerts,
        "prometheus": watch,
    }
    told_by = alertmanager_configuration(receiver.url, home)
    looks_at = _prometheus_configuration(home, targets)
    commands = {
        web: [*_exporter(), f"--statsd.listen-udp=127.0.0.1:{statsd}"],
        mysql: [database_exporter, f"--config.my-cnf={login}"],
        alerts: [
            *(alertmanager, f"--config.file={told_by}", f"--storage.path={home / 'alerts'}"),
            "--cluster.listen-address=",
        ],
        watch: [
            *(prometheus, f"--config.file={looks_at}", f"--storage.tsdb.path={home / 'series'}")
        ],
    }
    with ExitStack() as stack:
        stack.enter_context(_answering(receiver))
        running = {
            port: stack.enter_context(_running(command, home, port))
            for port, command in commands.items()
        }
        stack.callback(server.stop)
        url = f"http://127.0.0.1:{watch}"
        yield Watched(home, server, receiver, url, statsd, running[web])


def _exporter() -> list[str]:
    real = shutil.which("statsd_exporter")
    command = [real, "--statsd.listen-tcp="] if real else [sys.executable, str(STAND_IN)]
    return [*command, f"--statsd.mapping-config={MAPPING}"]


def _prometheus_configuration(home: Path, targets: dict[str, int]) -> Path:
    document = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    document["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    document["global"]["external_labels"]["runbooks"] = RUNBOOKS  # older ones expand no variables
    jobs = [job for job in document["scrape_configs"] if job["job_name"] in targets]
    for job in jobs:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}]
    document["scrape_configs"] = jobs
    managers = [{"targets": [f"127.0.0.1:{targets['alertmanager']}"]}]
    document["alerting"]["alertmanagers"] = [{"static_configs": managers}]
    (home / "rules").mkdir()
    for path in (PROMETHEUS / "rules").glob("*.yml"):
        (home / "rules" / path.name).write_text(in_a_hurry(path.read_text()))
    found = home / "prometheus.yml"
    found.write_text(yaml.safe_dump(document))
    return found


@contextmanager
def _running(command: list[str], home: Path, port: int) -> "Iterator[subprocess.Popen[bytes]]":
    command = [*command, f"--web.listen-address=127.0.0.1:{port}"]
    with running(command, home / f"{port}.log", ready=lambda: _healthy(port)) as process:
        yield process


def _healthy(port: int) -> bool:
    """Whether it listens; the older exporters have no page that says more."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/-/healthy").status_code in {200, 404}
    except httpx.TransportError:
        return False


@contextmanager
def _answering(receiver: Receiver) -> Iterator[None]:
    @Request.application
    def hook(request: Request) -> Response:
        if receiver.accepts:
            receiver.heard.append(request.get_json())
        return Response(status=200 if receiver.accepts else 400)

    server = make_server("127.0.0.1", receiver.port, hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
