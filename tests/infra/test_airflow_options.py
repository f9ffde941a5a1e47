"""Airflow's options stand once, in airflow.cfg, and everybody's Airflow reads them there.

Among them those that keep it shut: no example, no default password, nothing secret shown.
"""

import configparser
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.settings import PROJECT, Settings
from infra.airflow.login import ROLES
from infra.local import airflow
from infra.local.services import Layout, base_environment, layout

IN_FORCE = """
import json
from airflow.configuration import conf
known = conf.configuration_description
options = [[s, k, conf.get(s, k), k in known[s]["options"]] for s, k in %r]
import airflow.settings
airflow.settings.initialize()
from airflow.sdk.log import redact
print(json.dumps({"options": options, "shown": redact(%r)}))
"""
# Airflow's own defaults, which no variable of ours may turn round.
SHUT = {
    ("core", "simple_auth_manager_all_admins"): "False",
    ("core", "hide_sensitive_var_conn_fields"): "True",
    ("api", "expose_config"): "False",
}
NAMES = [
    *("CHURN_DATABASE_URL", "CHURN_AIRFLOW_DATABASE_URL", "CHURN_ID_KEY", "CHURN_API_KEYS"),
    *("CHURN_TUNING_STORAGE", "CHURN_RATE_LIMIT_STORAGE", "CHURN_DASHBOARD_PASSWORD"),
    *("CHURN_DASHBOARD_SECRET", "CHURN_OIDC_CLIENT_SECRET", "AWS_SECRET_ACCESS_KEY"),
]
KEYS = ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET")


def shared() -> dict[tuple[str, str], str]:
    """Each option of airflow.cfg by its section and name."""
    parser = configparser.ConfigParser()
    parser.read(airflow.CONFIG)
    return {
        (section, name): parser[section][name] for section in parser for name in parser[section]
    }


def of_the_laptop(places: Layout) -> Mapping[str, str]:
    """The environment of Airflow without containers."""
    environment = base_environment(places, dict(os.environ))
    return airflow.airflow_environment(places, environment, database_url="sqlite:////a")


def of_the_containers() -> Mapping[str, str]:
    """The environment of Airflow in containers."""
    compose = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
    return dict(compose["services"]["airflow-scheduler"]["environment"])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow says of its options on a laptop, and how it shows each name with a value."""
    places = layout(Settings(var_dir=tmp_path_factory.mktemp("airflow"), _env_file=None))
    given = {name: "in the open" for name in (*NAMES, "report_uri")}
    done = subprocess.run(
        [sys.executable, "-c", IN_FORCE % ([*shared(), *SHUT], given)],
        env=dict(of_the_laptop(places)),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_airflow_knows_and_reads_every_option(told: dict[str, Any]) -> None:
    found, wanted = told["options"], shared() | SHUT
    assert [f"{section}.{name}" for section, name, _, known in found if not known] == []
    different = {(s, k): value for s, k, value, _ in found if value != wanted[s, k]}
    assert different == {
        ("dag_processor", "refresh_interval"): "10",  # a person waits for it
        ("core", "simple_auth_manager_users"): "admin:admin,operator:op,viewer:viewer",
    }
    assert shared()["core", "load_examples"] == "False"


def test_airflow_shows_no_secret_beside_its_name(told: dict[str, Any]) -> None:
    assert told["shown"] == dict.fromkeys(NAMES, "***") | {"report_uri": "in the open"}


def test_no_two_stacks_share_a_key_and_none_has_a_default(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        places = layout(Settings(var_dir=tmp_path / name, _env_file=None))
        airflow.prepare(places)
        keys = {each: of_the_laptop(places)[each] for each in KEYS}
        found.append({*keys.values(), *airflow.passwords(places).values()})
        assert stat.S_IMODE(places.passwords.stat().st_mode) == 0o600
    assert len(found[0]) == len(found[1]) == len(KEYS) + len(ROLES)
    assert not found[0] & found[1] and min(map(len, found[0] | found[1])) >= 16


@pytest.mark.parametrize("place", ["laptop", "containers"])
def test_no_option_stands_twice(place: str, places: Layout) -> None:
    environment = of_the_laptop(places) if place == "laptop" else of_the_containers()
    for section, name in (*SHUT, ("core", "load_examples"), ("core", "sensitive_var_conn_names")):
        assert f"AIRFLOW__{section}__{name}".upper() not in environment
    for (section, name), value in shared().items():
        variable = f"AIRFLOW__{section}__{name}".upper()
        assert environment.get(variable) != value, variable


def test_the_image_reads_the_same_file() -> None:
    dockerfile = (PROJECT / "Dockerfile.airflow").read_text()
    copied = airflow.CONFIG.parent.relative_to(PROJECT)
    assert f"COPY --chown=airflow:0 {copied}/ {copied}/\n" in dockerfile
    assert f" AIRFLOW_CONFIG=/opt/airflow/{copied}/airflow.cfg " in dockerfile
