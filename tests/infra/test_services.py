"""What the services are told: the stack's own addresses, and nothing of another installation."""

import json
import stat
from collections.abc import Mapping

import pytest
from sqlalchemy import create_engine

from include.settings import PROJECT
from infra.airflow import login
from infra.local import airflow
from infra.local.services import Layout, api_service, base_environment, mlflow_service


@pytest.fixture
def of_airflow(places: Layout) -> Mapping[str, str]:
    """The environment of Airflow's processes on SQLite."""
    return airflow.airflow_environment(
        places, base_environment(places, {}), database_url="sqlite:////data/churn.db"
    )


def test_the_users_settings_are_kept_and_another_installation_does_not_leak_in(
    places: Layout,
) -> None:
    theirs = {"AIRFLOW_CONN_CHURN_DB": "{}", "CHURN_STORE_URI": "s3://b", "HOME": "/home/a"}
    other = ("AIRFLOW_HOME", "AIRFLOW__CORE__EXECUTOR", "MLFLOW_REGISTRY_URI", "_AIRFLOW_X")
    proxies = {"NO_PROXY": "intra.net", "MLFLOW_TRACKING_URI": "http://elsewhere"}
    found = base_environment(places, theirs | proxies | dict.fromkeys(other, "theirs"))
    assert found.items() >= theirs.items()
    assert not found.keys() & set(other)
    assert found["MLFLOW_TRACKING_URI"] == places.mlflow.url
    assert found["NO_PROXY"] == found["no_proxy"] == "intra.net,127.0.0.1,localhost"
    for name in ("DO_NOT_TRACK", "ORT_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY"):
        assert found[name] in ("1", "true")
    connection = airflow.airflow_environment(places, found, database_url="sqlite:////a")
    assert connection["AIRFLOW_CONN_CHURN_DB"] == "{}"


def test_every_server_binds_loopback(places: Layout, of_airflow: Mapping[str, str]) -> None:
    environment = base_environment(places, {"CHURN_API_HOST": "0.0.0.0"})
    assert api_service(places, environment).environment["CHURN_API_HOST"] == "127.0.0.1"
    command = mlflow_service(places, environment).command
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert of_airflow["AIRFLOW__API__HOST"] == "127.0.0.1"


def test_all_that_is_written_lies_below_var(places: Layout, of_airflow: Mapping[str, str]) -> None:
    for name in ("AIRFLOW_HOME", "AIRFLOW__LOGGING__BASE_LOG_FOLDER", "MPLCONFIGDIR"):
        assert of_airflow[name].startswith(str(places.var))
    assert str(places.var) in of_airflow["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]


def test_writers_of_airflows_database_wait_for_each_other_and_not_for_readers(
    places: Layout, of_airflow: Mapping[str, str]
) -> None:
    airflow.prepare(places)
    engine = create_engine(of_airflow["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.connect() as database:
        assert database.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        waits = database.exec_driver_sql("PRAGMA busy_timeout").scalar()
    engine.dispose()
    assert waits == airflow.LOCKED_SECONDS * 1000


def test_only_the_scheduler_preloads(of_airflow: Mapping[str, str]) -> None:
    assert airflow.scheduler(of_airflow).environment["PYTHONPATH"].split(":") == [
        str(airflow.PRELOAD),
        str(PROJECT),
    ]
    assert airflow.dag_processor(of_airflow).environment["PYTHONPATH"] == str(PROJECT)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("sqlite:////a b/churn.db", {"conn_type": "sqlite", "host": "/a b/churn.db"}),
        (
            "mysql+pymysql://me:p%40ss@db:3307/bank",
            {
                "conn_type": "mysql",
                "host": "db",
                "port": 3307,
                "login": "me",
                "password": "p@ss",
                "schema": "bank",
            },
        ),
        ("mysql://db/bank", {"conn_type": "mysql", "host": "db", "schema": "bank"}),
        (
            "mariadb+pymysql://db/bank?ssl_ca=/etc/ca.pem",
            {
                "conn_type": "mysql",
                "host": "db",
                "schema": "bank",
                "extra": {"ssl_ca": "/etc/ca.pem"},
            },
        ),
    ],
)
def test_a_database_url_becomes_a_connection(url: str, wanted: dict[str, object]) -> None:
    assert json.loads(airflow.connection(url)) == wanted


def test_secrets_and_passwords_are_made_once_and_for_the_owner_alone(places: Layout) -> None:
    names = ("CORE__FERNET_KEY", "API__SECRET_KEY", "API_AUTH__JWT_SECRET")
    found = []
    for _ in range(2):
        airflow.prepare(places)
        keys = airflow.airflow_environment(places, {}, database_url="sqlite:////a")
        passwords = airflow.passwords(places)
        assert keys["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == (
            "admin:admin,operator:op,viewer:viewer"
        )
        assert list(passwords) == ["admin", "operator", "viewer"]
        found.append([*passwords.values(), *(keys[f"AIRFLOW__{name}"] for name in names)])
    assert found[0] == found[1]
    assert len(set(found[0])) == 6 and min(map(len, found[0][:3])) >= 12
    for path in (places.passwords, places.airflow_home / "secret"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_one_password_of_an_older_stack_stays(places: Layout) -> None:
    login.write_passwords(places.passwords, {"admin": "as before"})
    airflow.prepare(places)
    passwords = airflow.passwords(places)
    assert passwords["admin"] == "as before" and {"operator", "viewer"} < passwords.keys()
