"""The compose files keep what they promise: healed, limited, hidden, and without known secrets."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.settings import PROJECT, Settings
from infra.compose.environment import environment_text, write_environment

BASE = PROJECT / "docker-compose.yaml"
CELERY = PROJECT / "infra" / "compose" / "docker-compose.celery.yaml"
PRODUCTION = PROJECT / "infra" / "compose" / "docker-compose.production.yaml"
TEXTS = {path.name: path.read_text() for path in (BASE, CELERY, PRODUCTION)}
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXTS[BASE.name])["services"]
WITH_CELERY = SERVICES | {
    "redis": yaml.safe_load(TEXTS[CELERY.name])["services"]["redis"],
}
ON_EC2: dict[str, dict[str, Any]] = yaml.safe_load(TEXTS[PRODUCTION.name])["services"]
ALL = WITH_CELERY | {"caddy": ON_EC2["caddy"]}
JOBS = {"store-init", "airflow-init", "bootstrap"}
KEEPERS = {"mysql", "postgres", "s3", "redis"}
SECRET = re.compile(r"PASSWORD|SECRET|KEYS?$|KEY_ID$|TOKEN")
FROM_ENVIRONMENT = re.compile(r"^\$\{CHURN_[A-Z0-9_]+:\?run make env\}$")
ON_EC2_SETTINGS = {
    "CHURN_REGISTRY": "1234.dkr.ecr.eu-central-1.amazonaws.com/",
    "CHURN_TAG": "abc",
    "CHURN_STORE_URI": "s3://bucket/prefix",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "CHURN_DOMAIN": "example.com",
    "CHURN_TLS_EMAIL": "ops@example.com",
}


@pytest.mark.parametrize("name", sorted(ALL.keys() - JOBS))
def test_a_service_has_a_health_check_and_is_started_again(name: str) -> None:
    assert ALL[name]["restart"] == "unless-stopped"
    check = ALL[name]["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} <= check.keys()


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_job_is_tried_again_and_needs_no_health_check(name: str) -> None:
    assert SERVICES[name]["restart"].startswith("on-failure")
    assert "healthcheck" not in SERVICES[name]


@pytest.mark.parametrize("name", sorted(ALL))
def test_everything_is_limited(name: str) -> None:
    assert {"mem_limit", "cpus", "pids_limit", "logging"} <= ALL[name].keys()
    assert ALL[name]["logging"]["options"]["max-size"]
    assert "no-new-privileges:true" in ALL[name]["security_opt"]


@pytest.mark.parametrize("name", sorted(WITH_CELERY))
def test_no_port_is_published_beyond_loopback(name: str) -> None:
    for port in WITH_CELERY[name].get("ports", []):
        assert str(port).startswith("127.0.0.1:"), port


def test_on_ec2_only_the_tls_proxy_is_public() -> None:
    assert {name for name, service in ON_EC2.items() if "ports" in service} == {"caddy"}
    assert [str(port) for port in ON_EC2["caddy"]["ports"]] == ["80:80", "443:443"]


def test_data_is_on_a_network_without_a_way_in_or_out() -> None:
    networks = yaml.safe_load(TEXTS[BASE.name])["networks"]
    assert networks["data"]["internal"] is True
    for name in KEEPERS:
        assert WITH_CELERY[name]["networks"] == ["data"], name
        assert "ports" not in WITH_CELERY[name]


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_secret_comes_from_the_environment(name: str) -> None:
    environment = ALL[name].get("environment", {})
    for variable, value in environment.items():
        if SECRET.search(variable) and not variable.endswith("PASSWORDS_FILE"):
            assert FROM_ENVIRONMENT.match(value), f"{name}: {variable}"


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_address_holds_a_known_password(text: str) -> None:
    for password in re.findall(r"://[\w-]*:([^\s@]+)@", text):
        assert FROM_ENVIRONMENT.match(password), password


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_secret_has_a_default(text: str) -> None:
    for variable, default in re.findall(r"\$\{([A-Z0-9_]+):?-([^}]*)\}", text):
        assert not SECRET.search(variable), f"{variable} falls back to {default!r}"


@pytest.mark.parametrize("name", sorted(ALL))
def test_images_are_pinned(name: str) -> None:
    image = ALL[name]["image"]
    if "churn-" in image:
        assert re.fullmatch(r"\$\{CHURN_REGISTRY:-\}churn-\w+:\$\{CHURN_TAG:-latest\}", image)
        assert (PROJECT / ALL[name]["build"]["dockerfile"]).is_file()
    else:
        assert re.fullmatch(r"[a-z/-]+:v?\d[\w.]*", image), image


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_is_mounted_is_there(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
        if source.startswith("./"):
            assert (PROJECT / source).exists(), source


def test_the_store_may_be_left_out_for_real_s3() -> None:
    for name, service in SERVICES.items():
        assert "s3" not in service.get("depends_on", {}), name


def test_on_ec2_everybody_uses_the_role() -> None:
    with_keys = {n for n, s in SERVICES.items() if "AWS_ACCESS_KEY_ID" in s.get("environment", {})}
    for name in with_keys - {"s3"}:
        assert ON_EC2[name]["environment"]["AWS_ACCESS_KEY_ID"] == "", name
        assert ON_EC2[name]["environment"]["AWS_ENDPOINT_URL"] == "", name


def test_on_ec2_every_image_of_ours_comes_from_the_registry() -> None:
    ours = {name for name, service in SERVICES.items() if "churn-" in service["image"]}
    for name in ours:
        assert ON_EC2[name]["image"].startswith("${CHURN_REGISTRY:?"), name
        assert "${CHURN_TAG:?" in ON_EC2[name]["image"], name


def test_metrics_are_refused_on_every_public_site() -> None:
    text = (PROJECT / "infra" / "compose" / "Caddyfile").read_text()
    sites = re.findall(r"^\w+\.\{\$CHURN_DOMAIN\} \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    assert len(sites) == 4
    assert all(site.startswith("\timport public\n") for site in sites)
    assert "@metrics path /metrics /metrics/*\n\trespond @metrics 403" in text


def test_every_variable_that_is_needed_is_made() -> None:
    needed = set(re.findall(r"\$\{([A-Z0-9_]+):\?run make env\}", "".join(TEXTS.values())))
    assert needed == set(re.findall(r"^(CHURN_[A-Z0-9_]+)=.", environment_text(), re.MULTILINE))


def test_the_defaults_of_settings_are_those_of_the_code() -> None:
    fields, found = Settings.model_fields, dict[str, Any]()
    for name, default in re.findall(r"CHURN_(\w+): \$\{CHURN_\w+:-([0-9.]+)\}", TEXTS[BASE.name]):
        if name.lower() in fields:
            found[name] = float(default) == fields[name.lower()].default
    assert found.pop("API_WORKERS") is False  # of one container, not of the machine
    assert found and all(found.values()), found


def test_every_choice_that_is_offered_is_one() -> None:
    offered = set(re.findall(r"^#([A-Z][A-Z0-9_]+)=", environment_text(), re.MULTILINE))
    for variable in offered - {"COMPOSE_FILE"}:
        assert f"${{{variable}" in TEXTS[BASE.name], variable


def test_secrets_are_new_each_time_and_readable_by_the_owner_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_environment(tmp_path / name)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    values = [set(_values(tmp_path / name)) for name in ("one", "two")]
    assert values[0] & values[1] == {"churn"}  # the project's name
    assert all(len(value) >= 24 for value in values[0] - {"churn"})


def test_an_environment_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("mine\n")
    done = _run("python3", "-m", "infra.compose.environment", str(path))
    assert done.returncode == 1 and "stays as it is" in done.stderr
    assert path.read_text() == "mine\n"


@pytest.fixture(scope="module", params=["docker-compose", "docker compose"])
def compose(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Compose with a fresh environment, in each form that this machine has."""
    command = str(request.param).split()
    if shutil.which(command[0]) is None or _run(*command, "version").returncode != 0:
        pytest.skip(f"{request.param} is not on this machine")
    path = tmp_path_factory.mktemp("environment") / ".env"
    write_environment(path)
    return [*command, "--env-file", str(path)]


@pytest.fixture
def on_ec2(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in ON_EC2_SETTINGS.items():
        monkeypatch.setenv(name, value)
    yield


def test_compose_reads_the_file_without_a_word(compose: list[str]) -> None:
    done = _run(*compose, "config")
    assert done.returncode == 0 and done.stderr == ""
    assert set(yaml.safe_load(done.stdout)["services"]) == set(SERVICES)


def test_compose_hands_tasks_to_workers(compose: list[str]) -> None:
    done = _run(*compose, "-f", str(BASE), "-f", str(CELERY), "config")
    assert done.returncode == 0 and done.stderr == ""
    merged = yaml.safe_load(done.stdout)["services"]
    assert merged["airflow-worker"]["environment"]["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert {"redis", "airflow-init"} <= merged["airflow-worker"]["depends_on"].keys()


@pytest.mark.usefixtures("on_ec2")
def test_compose_reads_what_runs_on_ec2(compose: list[str]) -> None:
    done = _run(*compose, "-f", str(BASE), "-f", str(PRODUCTION), "config")
    assert done.returncode == 0 and done.stderr == ""
    merged = yaml.safe_load(done.stdout)["services"]
    assert merged["webapp"]["environment"]["CHURN_STORE_URI"] == "s3://bucket/prefix"
    assert merged["webapp"]["image"] == "1234.dkr.ecr.eu-central-1.amazonaws.com/churn-webapp:abc"


def test_without_an_environment_compose_says_what_to_do(compose: list[str], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("COMPOSE_PROJECT_NAME=churn\n")
    done = _run(*compose[: compose.index("--env-file")], "--env-file", str(empty), "config")
    assert done.returncode != 0 and "make env" in done.stderr


def _values(path: Path) -> list[str]:
    lines = (line for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return [line.partition("=")[2] for line in lines]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    settings = {name: v for name, v in os.environ.items() if name in {"PATH", "HOME"}}
    outside = {name: v for name, v in os.environ.items() if name in ON_EC2_SETTINGS}
    return subprocess.run(
        command, cwd=PROJECT, env=settings | outside, capture_output=True, text=True, check=False
    )
