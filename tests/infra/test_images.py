"""What the Dockerfiles promise, as far as it can be seen without building them."""

import json
import os
import re
import subprocess

import pytest

from include.settings import PROJECT
from infra.compose import build
from tests.containers.images import STANDINS, base_of, catalogue

OURS = ("webapp/Dockerfile", "dashboard/Dockerfile", "infra/mlflow/Dockerfile")
ALL = (*OURS, "Dockerfile.airflow")
CI = PROJECT / ".ci" / "containers"
ASKED = [*PROJECT.glob("*/requirements.txt"), *PROJECT.glob("infra/*/requirements.txt")]


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Each instruction and its words, continued lines joined."""
    lines = (PROJECT / dockerfile).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", text)
    parts = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, rest.strip()) for name, _, rest in parts]


def words(found: list[tuple[str, str]], wanted: str) -> list[str]:
    """The words of every instruction of a kind."""
    return [rest for name, rest in found if name == wanted]


def last_stage(dockerfile: str) -> list[tuple[str, str]]:
    """What the image that is kept is made by."""
    found = instructions(dockerfile)
    return found[max(i for i, (name, _) in enumerate(found) if name == "FROM") :]


@pytest.mark.parametrize("dockerfile", ALL)
def test_an_image_has_a_pinned_base_the_locks_packages_and_no_root(dockerfile: str) -> None:
    assert all(rest.startswith("${") for rest in words(instructions(dockerfile), "FROM"))
    assert re.fullmatch(r"(python|apache/airflow):[\w.-]*\d+\.\d+[\w.-]*", base_of(dockerfile))
    installs = [rest for _, rest in instructions(dockerfile) if "-r " in rest and "uv " in rest]
    assert any("--constraint constraints.txt" in rest for rest in installs)
    *_, user = words(last_stage(dockerfile), "USER")
    assert user.split(":")[0] not in ("root", "0")


def test_images_have_one_python_and_the_airflow_of_the_requirements() -> None:
    assert len({re.findall(r"3\.1\d(?!\.)", base_of(each))[-1] for each in ALL}) == 1
    asked = re.search(r"^apache-airflow==(\S+)", (PROJECT / "requirements.txt").read_text(), re.M)
    assert asked and f"-{asked[1]}-" in base_of("Dockerfile.airflow")


@pytest.mark.parametrize("dockerfile", OURS)
def test_our_images_take_packages_from_a_stage_and_are_asked_with_python(dockerfile: str) -> None:
    kept = last_stage(dockerfile)
    assert not re.search(r"\b(pip|uv|apt-get|apt) install\b", " ".join(words(kept, "RUN")))
    assert any("--from=packages" in rest for rest in words(kept, "COPY"))
    command = json.loads(words(kept, "HEALTHCHECK")[-1].partition("CMD ")[2])
    assert command[0] == "python" and "/health" in command[-1]
    compile(command[-1], dockerfile, "exec")


@pytest.mark.parametrize("dockerfile", ALL)
def test_an_image_knows_its_version_and_its_commit(dockerfile: str) -> None:
    if dockerfile == "infra/mlflow/Dockerfile":  # nothing of ours runs in it
        return
    assert any("pyproject.toml" in rest for rest in words(instructions(dockerfile), "COPY"))
    assert "CHURN_GIT_COMMIT=$GIT_COMMIT" in " ".join(words(last_stage(dockerfile), "ENV"))


def test_make_images_builds_what_the_compose_files_ask_for() -> None:
    asked = {x.name.partition(":")[0]: x.dockerfile for x in catalogue().values() if x.dockerfile}
    assert asked == build.IMAGES


def test_a_build_is_labelled_and_takes_a_package_index_and_proxies_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHURN_GIT_COMMIT", "c0ffee")
    monkeypatch.setenv("PIP_INDEX_URL", "an index")
    command = build.build_command("churn-webapp:c0ffee", "webapp/Dockerfile")
    version = re.search(r'^version = "(.+)"$', (PROJECT / "pyproject.toml").read_text(), re.M)
    assert version
    for word in ("GIT_COMMIT=c0ffee", "PIP_INDEX_URL=an index"):
        assert command[command.index(word) - 1] == "--build-arg"
    for word in (f"version={version[1]}", "revision=c0ffee"):
        assert command[command.index(f"org.opencontainers.image.{word}") - 1] == "--label"
    assert any(word.startswith("org.opencontainers.image.created=20") for word in command)


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        ("https://user:secret@example.org/a/b.git", "https://example.org/a/b.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("", ""),
    ],
)
def test_a_label_tells_no_password(remote: str, told: str) -> None:
    assert build.source(remote) == told


def test_nothing_names_where_packages_or_images_come_from() -> None:
    named_here = (
        *ALL,
        "requirements.txt",
        ".dockerignore",
        ".ci/run",
        ".ci/packages",
        ".ci/containers",
    )
    files = [*(PROJECT / each for each in named_here), *ASKED]
    files += [each for each in STANDINS.rglob("*") if each.is_file() and each.suffix != ".pyc"]
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace")
        hosts = re.findall(r"https?://([\w.-]+)|\b((?:[\w-]+\.)+(?:org|io|com|net))\b", text)
        named = {a or b for a, b in hosts} - {"127.0.0.1", "docker.io"}  # the Debian package
        assert not named, f"{path.relative_to(PROJECT)} names {named}"


def test_only_what_images_need_is_sent_to_docker() -> None:
    rules = re.findall(r"^[^#\n].*", (PROJECT / ".dockerignore").read_text(), re.M)
    assert rules[0] == "*"
    copied = {
        word.split("/")[0]
        for dockerfile in ALL
        for rest in words(instructions(dockerfile), "COPY")
        if "--from" not in rest
        for word in rest.split()[:-1]
        if not word.startswith("--")
    }
    assert copied == {rule[1:].split("/")[0] for rule in rules if rule.startswith("!")}
    assert {"**/.env", "**/secrets"} <= set(rules)


def test_every_image_of_the_stack_can_be_had_without_a_registry() -> None:
    foreign = [each.name for each in catalogue().values() if not each.dockerfile]
    folders = {path.parent.name for path in STANDINS.glob("*/Dockerfile")}
    missing = {name.rpartition(":")[0].rpartition("/")[2] for name in foreign} - folders
    assert missing == {"grafana"}  # Debian has none


def test_continuous_integration_says_why_it_leaves_the_containers_out() -> None:
    environment = {**os.environ, "CHURN_CI_CONTAINERS": "no"}
    done = subprocess.run([CI], env=environment, capture_output=True, text=True, check=True)
    assert "not run: CHURN_CI_CONTAINERS=no" in done.stdout
