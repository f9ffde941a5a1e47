"""What the stack is made of: each service's command, environment and health page."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from include.settings import PROJECT, Settings
from infra.local.ports import HOST, Port

LOOPBACK = f"{HOST},localhost"
# Another installation's settings must not leak in; connections and variables are the user's own.
FOREIGN = ("AIRFLOW_", "_AIRFLOW_", "MLFLOW_")
OURS = ("AIRFLOW_CONN_", "AIRFLOW_VAR_")


@dataclass(frozen=True)
class Service:
    """One long-running process of the stack."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health_url: str = ""
    ends: bool = False  # a job, whose end with code 0 is what it was started for


@dataclass(frozen=True)
class Layout:
    """Where everything of a run lies, and on which ports it listens."""

    var: Path
    api: Port
    airflow: Port
    mlflow: Port
    dashboard: Port

    @property
    def ports(self) -> tuple[Port, ...]:
        """Every port that the stack binds."""
        return (self.api, self.airflow, self.mlflow, self.dashboard)

    @property
    def urls(self) -> dict[str, str]:
        """Where each service is found."""
        names = ("api", "airflow", "mlflow", "dashboard")
        return {name: port.url for name, port in zip(names, self.ports, strict=True)}

    @property
    def airflow_home(self) -> Path:
        """Airflow's database, logs and secrets."""
        return self.var / "airflow"

    @property
    def airflow_logs(self) -> Path:
        """The logs of tasks."""
        return self.airflow_home / "logs"

    @property
    def mlflow_home(self) -> Path:
        """MLflow's database and artifacts."""
        return self.var / "mlflow"

    @property
    def mlflow_database_url(self) -> str:
        """Where MLflow keeps runs and versions."""
        return f"sqlite:///{self.mlflow_home / 'mlflow.db'}"

    @property
    def passwords(self) -> Path:
        """The file that Airflow's own login reads."""
        return self.airflow_home / "passwords.json"

    @property
    def stack_file(self) -> Path:
        """What the stack says of itself while it runs."""
        return self.var / "stack.json"

    @property
    def record(self) -> Path:
        """Which processes were started."""
        return self.var / "run" / "processes.json"

    @property
    def lock(self) -> Path:
        """What a `make run` holds while it lives."""
        return self.record.with_name("lock")

    @property
    def scratch(self) -> Path:
        """Files of one run only; emptied at the next start."""
        return self.var / "tmp"

    def log(self, name: str) -> Path:
        """A service's output."""
        return self.var / "logs" / f"{name}.log"


def layout(settings: Settings) -> Layout:
    """The stack's places, from the settings."""
    return Layout(
        var=settings.var_dir.resolve(),
        api=Port("the API", settings.api_port, "CHURN_API_PORT"),
        airflow=Port("Airflow", settings.airflow_port, "CHURN_AIRFLOW_PORT"),
        mlflow=Port("MLflow", settings.mlflow_port, "CHURN_MLFLOW_PORT"),
        dashboard=Port("the dashboard", settings.dashboard_port, "CHURN_DASHBOARD_PORT"),
    )


def base_environment(places: Layout, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What every service gets: the caller's environment, the stack's addresses, and no tracking."""
    kept = {
        name: value
        for name, value in inherited.items()
        if name.startswith(OURS) or not name.startswith(FOREIGN)
    }
    direct = inherited.get("NO_PROXY") or inherited.get("no_proxy")
    direct = f"{direct},{LOOPBACK}" if direct else LOOPBACK
    return kept | {
        "CHURN_VAR_DIR": str(places.var),
        "CHURN_API_URL": places.api.url,
        "MLFLOW_TRACKING_URI": places.mlflow.url,
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
        "MPLCONFIGDIR": str(places.var / "matplotlib"),
        "NO_PROXY": direct,
        "no_proxy": direct,
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "ORT_DISABLE_TELEMETRY": "1",  # a thread from its import on, which would not survive a fork
    }


def mlflow_service(places: Layout, environment: Mapping[str, str]) -> Service:
    """The MLflow server on SQLite, its artifacts in a directory."""
    home = places.mlflow_home
    home.mkdir(parents=True, exist_ok=True)
    command = (
        *python_module("mlflow", "server", "--workers", "1"),
        *("--host", HOST, "--port", str(places.mlflow.number)),
        *("--backend-store-uri", places.mlflow_database_url),
        *("--artifacts-destination", str(home / "artifacts")),
        *("--allowed-hosts", f"{HOST}:*,localhost:*"),
    )
    extra = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven processes of 150 MB for nothing here
        "MLFLOW_SERVER_X_FRAME_OPTIONS": "NONE",  # Airflow's UI shows it in a frame
    }
    return Service("mlflow", command, {**environment, **extra}, f"{places.mlflow.url}/health")


def api_service(places: Layout, environment: Mapping[str, str]) -> Service:
    """The inference API under gunicorn."""
    command = python_module("gunicorn", "-c", "webapp/gunicorn.conf.py", "webapp:create_app()")
    extra = {
        "CHURN_API_HOST": HOST,
        "CHURN_API_PORT": str(places.api.number),
        "TMPDIR": str(places.scratch),  # where its metrics lie
    }
    return Service("api", command, {**environment, **extra}, f"{places.api.url}/health")


def dashboard_service(places: Layout, environment: Mapping[str, str]) -> Service:
    """The analysts' dashboard under gunicorn."""
    command = python_module(
        "gunicorn", "-c", "dashboard/gunicorn.conf.py", "dashboard:create_server()"
    )
    extra = {
        "CHURN_DASHBOARD_HOST": HOST,
        "CHURN_DASHBOARD_PORT": str(places.dashboard.number),
        "CHURN_AIRFLOW_PORT": str(places.airflow.number),
    }
    health = f"{places.dashboard.url}/health"
    return Service("dashboard", command, {**environment, **extra}, health)


def python_module(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module with this Python."""
    return (sys.executable, "-m", "infra.airflow.launch", name, *arguments)
