"""Airflow's options stand once, in airflow.cfg, and everybody's Airflow reads them there."""

import configparser
import json
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest
import yaml

from include.settings import PROJECT
from infra.local import airflow
from infra.local.services import Layout, base_environment

IN_FORCE = """
import json
from airflow.configuration import conf
known = conf.configuration_description
print(json.dumps([[s, k, conf.get(s, k), k in known[s]["options"]] for s, k in %r]))
"""


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


def test_airflow_knows_and_reads_every_option(places: Layout) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_FORCE % list(shared())],
        env=dict(of_the_laptop(places)),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert [f"{section}.{name}" for section, name, _, known in found if not known] == []
    different = {(s, k): value for s, k, value, _ in found if value != shared()[s, k]}
    assert different == {
        ("dag_processor", "refresh_interval"): "10",  # a person waits for it
        ("core", "simple_auth_manager_users"): "admin:admin,operator:op,viewer:viewer",
    }


@pytest.mark.parametrize("place", ["laptop", "containers"])
def test_no_option_stands_twice(place: str, places: Layout) -> None:
    environment = of_the_laptop(places) if place == "laptop" else of_the_containers()
    for (section, name), value in shared().items():
        variable = f"AIRFLOW__{section}__{name}".upper()
        assert environment.get(variable) != value, variable


def test_the_image_reads_the_same_file() -> None:
    dockerfile = (PROJECT / "Dockerfile.airflow").read_text()
    copied = airflow.CONFIG.parent.relative_to(PROJECT)
    assert f"COPY --chown=airflow:0 {copied}/ {copied}/\n" in dockerfile
    assert f" AIRFLOW_CONFIG=/opt/airflow/{copied}/airflow.cfg " in dockerfile
