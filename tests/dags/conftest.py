"""Airflow in a process of its own, because it configures logging and warnings for the whole one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
AnswersOf = Callable[..., Any]


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an empty metadata database."""
    home = tmp_path_factory.mktemp("airflow")
    _run("from airflow.utils.db import initdb; initdb()", home, {})
    return home


@pytest.fixture
def answers_of(airflow_home: Path) -> AnswersOf:
    """Runs a script that prints JSON in its last line, and returns that."""

    def run(script: str, **environment: str) -> Any:
        return json.loads(_run(script, airflow_home, environment).splitlines()[-1])

    return run


def _run(script: str, home: Path, environment: Mapping[str, str]) -> str:
    facts = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "PYTHONPATH": str(PROJECT),
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=home,
        env=facts,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    sys.stderr.write(done.stdout + done.stderr)
    return done.stdout
