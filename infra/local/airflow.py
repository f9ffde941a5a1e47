"""Airflow on SQLite: what `airflow standalone` starts, as services tuned for short tasks."""

import base64
import hashlib
import json
import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from include.customers.database import parse_url
from include.settings import PROJECT
from infra.airflow.client import AirflowClient
from infra.airflow.files import kept_secret
from infra.airflow.login import ROLES, USER, write_passwords
from infra.local.ports import HOST
from infra.local.services import Layout, Service, python_module

CONFIG = PROJECT / "infra" / "airflow" / "airflow.cfg"
LOCKED_SECONDS = (
    20  # how long one waits for another's write; a slow disk needs more than the usual 5
)
PRELOAD = CONFIG.parent / "preload"  # on the scheduler's path alone


def airflow_environment(
    places: Layout, environment: Mapping[str, str], *, database_url: str
) -> dict[str, str]:
    """The environment of every Airflow process and of the tasks that it runs."""
    connections = {
        "AIRFLOW_CONN_CHURN_DB": connection(database_url),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(
            {"conn_type": "aws"}
        ),  # the usual variables and roles
    }
    options = _options(places) | _secrets(places)
    configured = {f"AIRFLOW__{name}": value for name, value in options.items()}
    files = {"AIRFLOW_HOME": str(places.airflow_home), "AIRFLOW_CONFIG": str(CONFIG)}
    upkeep = {
        "CHURN_AIRFLOW_DATABASE_URL": metadata_url(places),
        "CHURN_MLFLOW_DATABASE_URL": places.mlflow_database_url,
    }
    return {**connections, **environment, **configured, **files, **upkeep}


def prepare(places: Layout) -> None:
    """Make the passwords, which Airflow would else make by itself and print, and the database."""
    places.airflow_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with closing(sqlite3.connect(_database(places))) as database:
        # Of the file, for good: four processes share it, and without a log readers stop writers.
        database.execute("PRAGMA journal_mode = WAL")
    known = passwords(places) if places.passwords.exists() else {}
    if not known.keys() >= ROLES.keys():  # a stack from before there were three has one
        made = {user: secrets.token_urlsafe(12) for user in ROLES}
        write_passwords(places.passwords, made | known)


def passwords(places: Layout) -> dict[str, str]:
    """The password of each of Airflow's users."""
    found: dict[str, str] = json.loads(places.passwords.read_text())
    return found


def client(places: Layout) -> AirflowClient:
    """Whoever uses this stack's Airflow, signed in as who may do everything."""
    return AirflowClient(places.airflow.url, user=USER, password=passwords(places)[USER])


def migration(environment: Mapping[str, str]) -> Service:
    """The job that makes or upgrades Airflow's database."""
    return Service("airflow-migrate", _airflow("db", "migrate"), environment, ends=True)


def api_server(places: Layout, environment: Mapping[str, str]) -> Service:
    """The web UI, the REST API, and the API that tasks talk to."""
    health = f"{places.airflow.url}/execution/health"  # the first call builds that app, for seconds
    return Service("airflow-api-server", _airflow("api-server"), environment, health)


def scheduler(environment: Mapping[str, str]) -> Service:
    """The scheduler and its task workers, which inherit the libraries that it has imported."""
    path = f"{PRELOAD}:{environment['PYTHONPATH']}"
    # Threads do not survive a fork, and OpenBLAS would make some while it is imported.
    extra = {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    command = _airflow("scheduler", "--skip-serve-logs")
    return Service("airflow-scheduler", command, {**environment, **extra})


def dag_processor(environment: Mapping[str, str]) -> Service:
    """The process that reads the DAG files."""
    return Service("airflow-dag-processor", _airflow("dag-processor"), environment)


def triggerer(environment: Mapping[str, str]) -> Service:
    """The process that waits for deferred tasks: none of ours defers, but the UI would miss it."""
    return Service("airflow-triggerer", _airflow("triggerer", "--skip-serve-logs"), environment)


def connection(database_url: str) -> str:
    """A SQLAlchemy URL as an Airflow connection; for SQLite the host is the file.

    What the URL says after its ? (TLS, a socket) goes along as the connection's extra.
    """
    url = parse_url(database_url)
    if url.get_backend_name() == "sqlite":
        return json.dumps({"conn_type": "sqlite", "host": url.database})
    backend = url.get_backend_name()
    found = {
        "conn_type": "mysql" if backend == "mariadb" else backend,
        "host": url.host,
        "port": url.port,
        "login": url.username,
        "password": url.password,
        "schema": url.database,
        "extra": dict(url.query),
    }
    return json.dumps({name: value for name, value in found.items() if value})


def _database(places: Layout) -> Path:
    return places.airflow_home / "airflow.db"


def metadata_url(places: Layout) -> str:
    """Where Airflow keeps its runs."""
    return f"sqlite:///{_database(places)}?timeout={LOCKED_SECONDS}"


def _airflow(*arguments: str) -> tuple[str, ...]:
    return python_module("airflow", *arguments)


def _options(places: Layout) -> dict[str, str]:
    """What airflow.cfg leaves open, and where a person who waits wants it sooner."""
    return {
        "CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(places.passwords),
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(map(":".join, ROLES.items())),
        "CORE__EXECUTION_API_SERVER_URL": f"{places.airflow.url}/execution/",
        "DATABASE__SQL_ALCHEMY_CONN": metadata_url(places),
        "LOGGING__BASE_LOG_FOLDER": str(places.airflow_logs),
        "API__HOST": HOST,
        "API__PORT": str(places.airflow.number),
        "API__BASE_URL": places.airflow.url,
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    }


def _secrets(places: Layout) -> dict[str, str]:
    """Keys that all of Airflow's processes share, so that logins outlive a restart."""
    seed = kept_secret(places.airflow_home / "secret")
    keys = {
        use: hashlib.sha256(f"{use}:{seed}".encode()) for use in ("fernet", "session", "tokens")
    }
    return {
        "CORE__FERNET_KEY": base64.urlsafe_b64encode(keys["fernet"].digest()).decode(),
        "API__SECRET_KEY": keys["session"].hexdigest(),
        "API_AUTH__JWT_SECRET": keys["tokens"].hexdigest(),
    }
