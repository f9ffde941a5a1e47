"""What the Dockerfiles promise, as far as it can be seen without building them."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from include.settings import PROJECT
from tests.containers.images import STANDINS, base_of, catalogue

OURS = ("webapp/Dockerfile", "dashboard/Dockerfile", "infra/mlflow/Dockerfile")
ALL = (*OURS, "Dockerfile.airflow")
CI = PROJECT / ".ci" / "containers"
REQUIREMENTS = (
    *("requirements.txt", "webapp/requirements.txt", "dashboard/requirements.txt"),
    *("infra/local/requirements.txt", "infra/mlflow/requirements.txt"),
    "infra/airflow/requirements.txt",
)


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Each instruction and its words, continued lines joined."""
    lines = (PROJECT / dockerfile).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", text)
    words = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, rest.strip()) for name, _, rest in words]


def last_stage(dockerfile: str) -> list[tuple[str, str]]:
    """What the image that is kept is made by."""
    found = instructions(dockerfile)
    return found[max(i for i, (name, _) in enumerate(found) if name == "FROM") :]


@pytest.mark.parametrize("dockerfile", ALL)
def test_the_base_is_an_argument_with_a_pinned_default(dockerfile: str) -> None:
    froms = [rest for name, rest in instructions(dockerfile) if name == "FROM"]
    assert all(rest.startswith("${") for rest in froms), froms
    assert re.fullmatch(r"(python|apache/airflow):[\w.-]*\d+\.\d+[\w.-]*", base_of(dockerfile))


def test_airflow_is_the_version_that_the_requirements_ask_for() -> None:
    asked = re.search(r"^apache-airflow==(\S+)", (PROJECT / "requirements.txt").read_text(), re.M)
    assert asked and f"-{asked[1]}-" in base_of("Dockerfile.airflow")


def test_all_images_have_the_same_python() -> None:
    versions = {re.findall(r"3\.1\d(?!\.)", base_of(each))[-1] for each in ALL}
    assert len(versions) == 1, versions


@pytest.mark.parametrize("dockerfile", ALL)
def test_nothing_runs_as_root(dockerfile: str) -> None:
    users = [rest for name, rest in last_stage(dockerfile) if name == "USER"]
    assert users and users[-1].split(":")[0] not in ("root", "0")


@pytest.mark.parametrize("dockerfile", OURS)
def test_a_health_check_asks_the_service_with_python_alone(dockerfile: str) -> None:
    checks = [rest for name, rest in last_stage(dockerfile) if name == "HEALTHCHECK"]
    command = json.loads(checks[-1].partition("CMD ")[2])
    assert command[0] == "python"
    compile(command[-1], dockerfile, "exec")
    assert "/health" in command[-1]


@pytest.mark.parametrize("dockerfile", OURS)
def test_packages_come_from_a_stage_of_their_own(dockerfile: str) -> None:
    runs = " ".join(rest for name, rest in last_stage(dockerfile) if name == "RUN")
    assert not re.search(r"\b(pip|uv|apt-get|apt) install\b", runs)
    assert any(
        name == "COPY" and "--from=packages" in rest for name, rest in last_stage(dockerfile)
    )


@pytest.mark.parametrize("dockerfile", ALL)
def test_packages_are_those_of_the_lock(dockerfile: str) -> None:
    installs = [rest for name, rest in instructions(dockerfile) if "-r " in rest and "uv " in rest]
    assert any("--constraint constraints.txt" in rest for rest in installs)


@pytest.mark.parametrize("requirements", REQUIREMENTS)
def test_every_requirement_of_an_image_is_pinned(requirements: str) -> None:
    pins = {_name(line) for line in _lines("constraints.txt")}
    assert {_name(line) for line in _lines(requirements)} <= pins


def test_nothing_names_where_packages_or_images_come_from() -> None:
    files = [
        PROJECT / each
        for each in (*ALL, *REQUIREMENTS, ".dockerignore", ".ci/run", ".ci/containers")
    ]
    files += [each for each in STANDINS.rglob("*") if each.is_file() and each.suffix != ".pyc"]
    for path in files:
        hosts = re.findall(r"https?://([\w.-]+)|\b((?:[\w-]+\.)+(?:org|io|com|net))\b", _text(path))
        named = {a or b for a, b in hosts} - {"127.0.0.1", "docker.io"}  # the Debian package
        assert not named, f"{path.relative_to(PROJECT)} names {named}"


def test_only_what_images_need_is_sent_to_docker() -> None:
    rules = [
        line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line[:1] != "#"
    ]
    assert rules[0] == "*"
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        word.split("/")[0]
        for dockerfile in ALL
        for name, rest in instructions(dockerfile)
        if name == "COPY" and "--from" not in rest
        for word in rest.split()[:-1]
        if not word.startswith("--")
    }
    assert copied == {rule.split("/")[0] for rule in sent}
    assert {"**/.env", "**/secrets"} <= set(rules)


def test_every_image_of_the_stack_can_be_had_without_a_registry() -> None:
    foreign = [each.name for each in catalogue().values() if not each.dockerfile]
    folders = {path.parent.name for path in STANDINS.glob("*/Dockerfile")}
    missing = {name.rpartition(":")[0].rpartition("/")[2] for name in foreign} - folders
    assert missing == {"grafana"}  # Debian has none


@pytest.mark.parametrize("script", [*sorted(STANDINS.glob("*/entrypoint")), CI], ids=str)
def test_scripts_parse_and_can_be_called(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert script.stat().st_mode & 0o111


def test_continuous_integration_says_why_it_leaves_the_containers_out() -> None:
    environment = {**os.environ, "CHURN_CI_CONTAINERS": "no"}
    done = subprocess.run([CI], env=environment, capture_output=True, text=True, check=True)
    assert "not run: CHURN_CI_CONTAINERS=no" in done.stdout


def test_continuous_integration_bounds_the_time_of_the_containers() -> None:
    script = (PROJECT / ".ci" / "run").read_text()
    assert 'timeout --kill-after=60 "$CONTAINER_SECONDS" .ci/containers' in script
    seconds = re.search(r"^CONTAINER_SECONDS=(\d+)$", script, re.M)
    assert seconds and int(seconds[1]) <= 25 * 60


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _lines(name: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in (PROJECT / name).read_text().splitlines())
    return [line for line in lines if line]


def _name(requirement: str) -> str:
    return re.split(r"[\s<>=!;\[~]", requirement, maxsplit=1)[0].lower().replace("_", "-")
