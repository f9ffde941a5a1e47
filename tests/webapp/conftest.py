"""Champions, an application in this process, and whole servers on loopback."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient

from include.addresses import host_and_port
from include.settings import Settings
from include.store import LocalStore
from tests.ports import free_ports
from tests.webapp.champions import Version, make_version, publish, records
from webapp import create_app

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
WORKERS = 2
POLL_SECONDS = 0.3
GUNICORN = ("gunicorn", "-c", "webapp/gunicorn.conf.py", "webapp:create_app()")


@pytest.fixture(scope="session")
def version_1() -> Version:
    """A champion on all columns."""
    return make_version("1")


@pytest.fixture(scope="session")
def version_2() -> Version:
    """Another one, with other answers."""
    return make_version("2", seed=2)


@pytest.fixture
def record() -> dict[str, Any]:
    """A customer whom every champion accepts."""
    return dict(records(1)[0])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Everything below a directory of the test's own; nothing happens by itself for a while."""
    return Settings(var_dir=tmp_path / "var", champion_poll_seconds=60)


@pytest.fixture
def var_store(settings: Settings) -> LocalStore:
    """The store that `settings` point to."""
    return LocalStore(settings.var_dir / "store")


@pytest.fixture
def client(settings: Settings, var_store: LocalStore, version_1: Version) -> FlaskClient:
    """The API in this process, serving version 1, without background threads."""
    publish(var_store, version_1)
    return client_of(settings)


def client_of(settings: Settings) -> FlaskClient:
    """The API in this process, after one look at the pointer."""
    app = create_app(settings, background=False)
    app.extensions["churn"].holder.poll()
    return app.test_client()


def loopback_port() -> int:
    """A port on which nobody listens, and which nobody else is given."""
    return free_ports(1)[0]


@dataclass
class Server:
    """The API as it runs in production, or under another server, on a loopback port."""

    port: int
    var_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    host: str = "127.0.0.1"
    command: Sequence[str] = GUNICORN

    def __post_init__(self) -> None:
        # Each request is a new connection; certificates are not loaded, which takes longer.
        self.http = httpx.Client(
            base_url=self.url, headers={"Connection": "close"}, verify=False, timeout=10
        )

    @property
    def url(self) -> str:
        return f"http://{host_and_port(self.host, self.port)}"

    @property
    def log(self) -> str:
        return (self.var_dir / "api.log").read_text()

    @property
    def spool(self) -> Path:
        return self.var_dir / "spool"

    def start(self, *, ready: bool = True) -> "Server":
        """Start the server and wait until each worker has a champion, or until it lives."""
        self.var_dir.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "CHURN_VAR_DIR": str(self.var_dir),
            "CHURN_API_PORT": str(self.port),
            "CHURN_API_WORKERS": str(WORKERS),
            "TMPDIR": str(self.var_dir),
            "CHURN_CHAMPION_POLL_SECONDS": str(POLL_SECONDS),
            "CHURN_LOG_FLUSH_SECONDS": "1",
            **self.environment,
        }
        command = [part.format(port=self.port) for part in (sys.executable, "-m", *self.command)]
        with (self.var_dir / "api.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdout=log, stderr=log
            )
        path = "/ready" if ready else "/health"
        self.until(lambda: self.http.get(path).status_code == 200, seconds=START_SECONDS)
        if ready:
            self.until(self.is_whole, seconds=START_SECONDS)
        return self

    def is_whole(self) -> bool:
        """Whether there are as many workers as there should be, and each has a champion."""
        workers = self.workers()
        lines = [line for line in self.log.splitlines() if '"message":"serving version' in line]
        wanted = int(self.environment.get("CHURN_API_WORKERS", WORKERS))
        return len(workers) == wanted and all(
            any(f'"process":{worker}' in line for line in lines) for worker in workers
        )

    def has_shipped(self) -> bool:
        """Whether every logged answer is in the store."""
        return self.metric("prediction_log_pending_rows") == 0

    def until(self, true: Callable[[], bool], *, seconds: float = 30.0) -> None:
        """Wait for something to become true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if true():
                    return
            except httpx.TransportError:
                pass
            assert self.process is None or self.process.poll() is None, self.log
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s; the server's log:\n{self.log}")

    def workers(self) -> list[int]:
        """The worker processes' ids, without shippers."""
        assert self.process is not None
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def stop(self, *, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server, gently unless told otherwise."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=40)
            self.process = None

    def metric(self, name: str, **labels: str) -> float:
        """One sample of /metrics, NaN while there is none."""
        wanted = ",".join(f'{label}="{value}"' for label, value in labels.items())
        found = samples(self.http.get("/metrics").text)
        return found.get(f"{name}{{{wanted}}}" if labels else name, math.nan)


def samples(text: str) -> dict[str, float]:
    """What /metrics says, by name and labels."""
    pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


@pytest.fixture(scope="session")
def _session_server(
    tmp_path_factory: pytest.TempPathFactory, version_1: Version
) -> Iterator[Server]:
    found = Server(loopback_port(), tmp_path_factory.mktemp("server"))
    publish(LocalStore(found.var_dir / "store"), version_1)
    yield found.start()
    found.stop()


@pytest.fixture
def running(_session_server: Server) -> Server:
    """A server on version 1, shared by the tests that leave it so; they may kill its workers."""
    _session_server.until(_session_server.is_whole)
    return _session_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that a test starts when it is ready for it; its store is a directory."""
    found = Server(loopback_port(), tmp_path / "server")
    yield found
    found.stop()


@pytest.fixture
def server_store(server: Server) -> LocalStore:
    """The store of `server`."""
    return LocalStore(server.var_dir / "store")


def body(document: Any) -> bytes:
    """JSON as a client sends it."""
    return json.dumps(document).encode()
