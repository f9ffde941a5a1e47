"""`make run` as a process of its own, in a directory and on ports of the test's own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.settings import PROJECT
from infra.local import processes
from infra.local.processes import Leader
from tests.ports import free_ports

START_SECONDS = 240
STOP_SECONDS = 30
DEMO_SECONDS = 400


@dataclass
class Started:
    """A `make run` that is up."""

    process: subprocess.Popen[bytes]
    output: Path
    var: Path

    @property
    def stack(self) -> dict[str, Any]:
        """stack.json as it is now."""
        found: dict[str, Any] = json.loads((self.var / "stack.json").read_text())
        return found

    @property
    def leaders(self) -> list[Leader]:
        """The services that it recorded."""
        return processes.read_record(self.var / "run" / "processes.json")

    @property
    def said(self) -> str:
        """What it printed."""
        return self.output.read_text()

    def stop(self, number: signal.Signals) -> int:
        """Stop it as a person or a service manager does; returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=STOP_SECONDS)


def environment_in(home: Path) -> dict[str, str]:
    """The environment of a stack below a directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHURN_")}
    names = [f"CHURN_{name}_PORT" for name in ("API", "AIRFLOW", "MLFLOW", "DASHBOARD")]
    ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
    alone = {"PYTHON_DOTENV_DISABLED": "true"}  # `.env` may name a bank's database
    own = {"CHURN_VAR_DIR": str(home / "var"), "CHURN_API_WORKERS": "1"}
    return {**kept, **alone, **ports, **own}


def start(environment: Mapping[str, str], *words: str, seconds: float = START_SECONDS) -> Started:
    """Start the stack and wait until it says that it is up."""
    var = Path(environment["CHURN_VAR_DIR"])
    var.mkdir(exist_ok=True)
    output = var.parent / "output"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local.run", *words],
            cwd=PROJECT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    started = Started(process, output, var)
    try:
        _wait_until_up(started, seconds)
    except BaseException:
        finish(started)
        raise
    return started


def _wait_until_up(started: Started, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not _is_up(started):
        assert started.process.poll() is None, started.said
        assert time.monotonic() < deadline, started.said
        time.sleep(0.2)


def _is_up(started: Started) -> bool:
    """Whether stack.json is there and not one that a killed run left."""
    try:
        return bool(started.stack["pid"] == started.process.pid)
    except FileNotFoundError:
        return False


def finish(started: Started) -> None:
    """Stop it as a service manager does, unless it has ended."""
    if started.process.poll() is None:
        started.stop(signal.SIGTERM)


def ended(
    command: str, environment: Mapping[str, str], *words: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command of `infra.local` that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", f"infra.local.{command}", *words],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )
