"""The compose files keep what they promise: healed, limited, hidden, and without known secrets."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.settings import PROJECT, Settings
from infra.compose.environment import environment_text, write_environment
from tests.containers.images import services_of

BASE = PROJECT / "docker-compose.yaml"
CELERY = PROJECT / "infra" / "compose" / "docker-compose.celery.yaml"
PRODUCTION = PROJECT / "infra" / "compose" / "docker-compose.production.yaml"
AWS = PROJECT / "infra" / "compose" / "docker-compose.aws.yaml"
RDS = PROJECT / "infra" / "compose" / "docker-compose.rds.yaml"
SSO = PROJECT / "infra" / "compose" / "docker-compose.sso.yaml"
FILES = (BASE, CELERY, PRODUCTION, AWS, RDS, SSO)
TEXTS = {path: path.read_text() for path in FILES}
SERVICES, OF_CELERY, ON_EC2, ON_AWS, WITH_RDS, WITH_PEOPLE = map(services_of, FILES)
SECOND = "webapp-next"  # which a deployment starts
ALL = {**SERVICES, "redis": OF_CELERY["redis"], "caddy": ON_EC2["caddy"]}
KEEPERS = {"mysql", "postgres", "s3", "redis"}
JOBS = {"store-init", "airflow-init", "bootstrap"}
SECRET = re.compile(r"PASSWORD(?!S_FILE)|SECRET|KEYS?$|KEY_ID$|TOKEN")
FROM_ENVIRONMENT = re.compile(r"\$\{CHURN_[A-Z0-9_]+:\?run make env\}")
OUR_IMAGE = re.compile(r"\$\{CHURN_REGISTRY:-\}churn-\w+:\$\{CHURN_TAG:-latest\}")
FOREIGN_IMAGE = re.compile(r"[a-z/-]+:v?\d[\w.]*")
ON_EC2_IMAGE = "1234.dkr.ecr.eu-central-1.amazonaws.com/churn-webapp:abc"
ON_EC2_SETTINGS = {
    "CHURN_REGISTRY": "1234.dkr.ecr.eu-central-1.amazonaws.com/",
    "CHURN_TAG": "abc",
    "CHURN_STORE_URI": "s3://bucket/prefix",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "CHURN_DOMAIN": "example.com",
    "CHURN_TLS_EMAIL": "ops@example.com",
}
PEOPLE_SETTINGS = {
    **ON_EC2_SETTINGS,
    "CHURN_OIDC_ISSUER": "https://login.example.com",
    "CHURN_OIDC_CLIENT_ID": "churn",
    "CHURN_OIDC_CLIENT_SECRET": "hush",
    "CHURN_OIDC_ROLE_CLAIM": "realm_access.roles",
}
TOLD_OF_PEOPLE = {
    "dashboard": ["https://login.example.com", "realm_access.roles", "https://mlflow.example.com"],
    "airflow-api-server": ["FabAuthManager", "webserver_config.py", "--proxy-headers"],
    "airflow-init": ["infra.airflow.service_user", "FabAuthManager"],
    "grafana": ["to_array(realm_access.roles), 'churn-viewer') && 'Viewer'", "/run/provider"],
    "caddy": ["sso.caddy"],
}


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_service_is_healed_and_limited(name: str) -> None:
    service = ALL[name]
    if name in JOBS:
        assert service["restart"].startswith("on-failure") and "healthcheck" not in service
    else:
        assert service["restart"] == "unless-stopped"
        wanted = {"test", "interval", "timeout", "retries", "start_period"}
        assert wanted <= service["healthcheck"].keys()
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    assert service["logging"]["options"]["max-size"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_service_is_hidden_and_takes_its_secrets_from_the_environment(name: str) -> None:
    ports = [str(port) for port in ALL[name].get("ports", [])]
    if name in KEEPERS:
        assert ALL[name]["networks"] == ["data"] and not ports
    if name == "caddy":
        assert ports == ["${CHURN_HTTP_PORT:-80}:80", "${CHURN_HTTPS_PORT:-443}:443"]
    else:
        assert all(port.startswith("127.0.0.1:") for port in ports), ports
    for variable, value in ALL[name].get("environment", {}).items():
        assert not SECRET.search(variable) or FROM_ENVIRONMENT.fullmatch(value), variable


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_service_is_made_of_what_is_pinned_and_there(name: str) -> None:
    service = ALL[name]
    if "churn-" in service["image"]:
        assert OUR_IMAGE.fullmatch(service["image"])
        assert (PROJECT / service["build"]["dockerfile"]).is_file()
    else:
        assert FOREIGN_IMAGE.fullmatch(service["image"])
    for volume in service.get("volumes", []):
        source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
        assert not source.startswith("./") or (PROJECT / source).exists(), source
    assert "s3" not in service.get("depends_on", {})  # a bucket of S3 may stand for it


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_our_own_services_have_no_capabilities_and_the_web_tier_writes_nothing(name: str) -> None:
    service = SERVICES[name]
    if "churn-" in service["image"]:
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service
    if name in ("webapp", SECOND, "dashboard", "mlflow"):
        assert service["read_only"] is True
    for later in map(services_of, FILES[1:]):
        assert later.get(name, {}).keys().isdisjoint({"cap_add", "privileged", "read_only"})


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_mlflow_answers_to_its_own_names_alone(path: Path) -> None:
    environment = services_of(path).get("mlflow", {}).get("environment", {})
    names = environment.get("MLFLOW_SERVER_ALLOWED_HOSTS", "mlflow:5000").split(",")
    assert "*" not in names and "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE" not in environment
    assert path != BASE or names == ["mlflow:5000", "localhost:*", "127.0.0.1:*"]


def test_only_the_tls_proxy_is_public_on_ec2_and_nothing_leaves_the_data_network() -> None:
    assert {name for name, service in ON_EC2.items() if "ports" in service} == {"caddy"}
    assert yaml.safe_load(TEXTS[BASE])["networks"]["data"]["internal"] is True


@pytest.mark.parametrize("text", TEXTS.values(), ids=[path.name for path in TEXTS])
def test_no_file_knows_a_secret(text: str) -> None:
    in_addresses = re.findall(r"://[\w-]*:([^\s@]+)@", text)
    assert [each for each in in_addresses if not FROM_ENVIRONMENT.fullmatch(each)] == []
    with_defaults = re.findall(r"\$\{([A-Z0-9_]+):?-[^}]*\}", text)
    assert [name for name in with_defaults if SECRET.search(name)] == []


def test_on_ec2_everybody_uses_the_role_and_our_images_come_from_the_registry() -> None:
    for name, service in SERVICES.items():
        if "AWS_ACCESS_KEY_ID" in service.get("environment", {}) and name != "s3":
            environment = ON_EC2[name]["environment"]
            assert environment["AWS_ACCESS_KEY_ID"] == environment["AWS_ENDPOINT_URL"] == "", name
        if "churn-" in service["image"]:
            asked = re.match(r"\$\{CHURN_REGISTRY:\?.*\$\{CHURN_TAG:\?", ON_EC2[name]["image"])
            assert asked, name


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_the_second_api_of_a_deployment_is_like_the_first_in_every_file(path: Path) -> None:
    services = services_of(path)
    own = {"ports", "networks", "profiles"}
    first, second = (services.get(name, {}) for name in ("webapp", SECOND))
    assert {k: v for k, v in first.items() if k not in own} == {
        k: v for k, v in second.items() if k not in own
    }


def test_only_a_deployment_starts_the_second_api_and_the_proxy_knows_both() -> None:
    assert SERVICES[SECOND]["profiles"] and not SERVICES[SECOND]["ports"]
    for network in ("data", "front"):
        # Who asks for `webapp` finds whichever is there; the proxy tells them apart.
        assert SERVICES[SECOND]["networks"][network]["aliases"] == ["webapp"]
        assert SERVICES["webapp"]["networks"][network]["aliases"] == ["webapp-present"]
    text = (PROJECT / "infra" / "compose" / "Caddyfile").read_text()
    assert "reverse_proxy webapp-present:8000 webapp-next:8000 {\n\t\tlb_policy first\n" in text


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_on_aws_each_part_sees_the_credentials_of_its_own_role_alone(name: str) -> None:
    if "AWS_ACCESS_KEY_ID" not in SERVICES[name].get("environment", {}) or name == "s3":
        assert "/run/churn" not in str(ON_AWS.get(name)), name
        return
    part = {"webapp": "web", SECOND: "web", "store-init": "keeper", "bootstrap": "airflow"}.get(
        name, name.split("-")[0]
    )
    mounts = [each for each in ON_AWS[name]["volumes"] if "/run/churn" in each]
    assert mounts == [f"/run/churn/{part}:/run/aws:ro"]
    assert ON_AWS[name]["environment"]["AWS_CONFIG_FILE"] == "/run/aws/config"


def test_no_shared_password_opens_a_page_where_people_have_accounts() -> None:
    grafana = WITH_PEOPLE["grafana"]["environment"]
    assert grafana["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert grafana["GF_AUTH_BASIC_ENABLED"] == "false"
    assert grafana["GF_AUTH_GENERIC_OAUTH_ROLE_ATTRIBUTE_STRICT"] == "true"
    airflow = [name for name in SERVICES if name.startswith("airflow-") or name == "bootstrap"]
    for name in airflow:  # they all read users by the same manager
        assert "AIRFLOW__CORE__AUTH_MANAGER" in WITH_PEOPLE[name]["environment"], name


def test_nobody_waits_for_the_database_that_rds_stands_for() -> None:
    for name, service in SERVICES.items():
        assert "mysql" not in WITH_RDS.get(name, service).get("depends_on", {}), name
        if "CHURN_DATABASE_URL" in service.get("environment", {}):
            assert "ssl_ca" in WITH_RDS[name]["environment"]["CHURN_DATABASE_URL"]
            assert "/etc/churn/rds.pem:/run/rds.pem:ro" in WITH_RDS[name]["volumes"]


def test_metrics_are_refused_on_every_public_site() -> None:
    text = (PROJECT / "infra" / "compose" / "Caddyfile").read_text()
    sites = re.findall(
        r"^\{\$CHURN_CADDY_SCHEME\}\w+\.\{\$CHURN_DOMAIN\} \{\n(.*?)^\}",
        text,
        re.MULTILINE | re.DOTALL,
    )
    assert len(sites) == 4
    assert all(site.startswith("\timport public\n") for site in sites)
    assert "@metrics path /metrics /metrics/*\n\trespond @metrics 403" in text


def test_every_variable_that_is_needed_is_made() -> None:
    needed = set(re.findall(r"\$\{([A-Z0-9_]+):\?run make env\}", "".join(TEXTS.values())))
    assert needed == set(re.findall(r"^(CHURN_[A-Z0-9_]+)=.", environment_text(), re.MULTILINE))


def test_the_defaults_of_settings_are_those_of_the_code() -> None:
    fields, found = Settings.model_fields, dict[str, Any]()
    for name, default in re.findall(r"CHURN_(\w+): \$\{CHURN_\w+:-([0-9.]+)\}", TEXTS[BASE]):
        if name.lower() in fields:
            found[name] = float(default) == fields[name.lower()].default
    assert found.pop("API_WORKERS") is False  # of one container, not of the machine
    assert found and all(found.values()), found


def test_secrets_are_new_each_time_and_readable_by_the_owner_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_environment(tmp_path / name)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    one, two = (_values(tmp_path / name) for name in ("one", "two"))
    assert one & two == {"churn"}  # the project's name
    assert all(len(value) >= 24 for value in one - {"churn"})


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


@pytest.mark.parametrize(
    ("overrides", "settings", "told"),
    [
        ((), {}, {"webapp": ["churn-webapp:latest"]}),
        ((CELERY,), {}, {"airflow-worker": ["CeleryExecutor", "redis", "airflow-init"]}),
        ((PRODUCTION,), ON_EC2_SETTINGS, {"webapp": ["s3://bucket/prefix", ON_EC2_IMAGE]}),
        ((PRODUCTION, AWS), ON_EC2_SETTINGS, {"webapp": ["/run/churn/web", "/run/aws/config"]}),
        ((PRODUCTION, SSO), PEOPLE_SETTINGS, TOLD_OF_PEOPLE),
    ],
    ids=["alone", "celery", "production", "aws", "people"],
)
def test_compose_reads_the_files_without_a_word(
    compose: list[str], overrides: tuple[Path, ...], settings: dict[str, str], told: Any
) -> None:
    files = [word for path in (BASE, *overrides) for word in ("-f", str(path))]
    done = _run(*compose, *files, "config", **settings)
    assert done.returncode == 0 and done.stderr == ""
    merged = yaml.safe_load(done.stdout)["services"]
    assert set(merged) >= set(SERVICES) - {SECOND}
    for name, words in told.items():
        assert [word for word in words if word not in str(merged[name])] == []


def test_without_an_environment_compose_says_what_to_do(compose: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("COMPOSE_PROJECT_NAME=churn\n")
    done = _run(*compose[:-1], str(tmp_path / "empty"), "config")
    assert done.returncode != 0 and "make env" in done.stderr


def _values(path: Path) -> set[str]:
    return set(re.findall(r"^[^#=]+=(.*)$", path.read_text(), re.MULTILINE))


def _run(*command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        command,
        cwd=PROJECT,
        env=environment | settings,
        capture_output=True,
        text=True,
        check=False,
    )
