"""A stack's places in a directory of the test's own, and processes that behave or do not."""

import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.settings import Settings
from infra.airflow import dag_files, dag_runs
from infra.local.services import Layout, Service, layout
from tests.ports import free_ports

MakeService = Callable[..., Service]


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """What commands change for their own process."""
    found = os.umask(0o022)
    yield
    os.umask(found)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose data and ports nobody else uses."""
    api, airflow, mlflow, dashboard = free_ports(4)
    return Settings(
        var_dir=tmp_path / "var",
        api_port=api,
        airflow_port=airflow,
        mlflow_port=mlflow,
        dashboard_port=dashboard,
        _env_file=None,
    )


@pytest.fixture
def places(settings: Settings) -> Layout:
    """Where that stack's files lie."""
    return layout(settings)


@pytest.fixture
def make_service(tmp_path: Path) -> MakeService:
    """A service that runs a few lines of Python; MARK is a file that it may write to."""

    def make(name: str, source: str, *, ends: bool = False) -> Service:
        script = tmp_path / f"{name}.py"
        script.write_text(textwrap.dedent(source))
        environment = {"MARK": str(tmp_path / f"{name}.mark"), "PATH": "/usr/bin:/bin"}
        return Service(name, (sys.executable, str(script)), environment, ends=ends)

    return make


@pytest.fixture
def quick_polling(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Runs are followed without pauses, and what is shown is kept."""
    for module in (dag_runs, dag_files):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(dag_files, "REST_SECONDS", 0.1)
    caplog.set_level("INFO", logger="infra.airflow")
