"""The files that people meet first say what is so."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name
from packaging.version import Version

from include.errors import DataError
from include.settings import PROJECT, Settings
from infra.airflow.dag_files import dag_ids
from tests.e2e import screenshots

MAKE = (PROJECT / "Makefile").read_text()
CALLED = [*PROJECT.glob(".ci/*"), *PROJECT.glob("tests/containers/standins/*/entrypoint")]


def targets() -> list[str]:
    """The targets that `make help` explains."""
    return re.findall(r"^([a-z-]+):.*## ", MAKE, flags=re.MULTILINE)


def test_make_alone_lists_every_target() -> None:
    # Called from `make test`, make would tell which directory it enters.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make"], cwd=PROJECT, env=outside, capture_output=True, text=True, check=True
    )
    assert [line.split()[1] for line in done.stdout.splitlines()] == targets()
    # Even one that is named like a directory.
    done = subprocess.run(
        ["make", "-n", "research"], cwd=PROJECT, env=outside, capture_output=True, text=True
    )
    assert "-m research" in done.stdout, done


@pytest.mark.parametrize(
    ("asked", "handed_on"),
    [
        (["train", 'REASON=loses $50k, "they" say `id`'], '--reason=loses $50k, "they" say `id`'),
        (["rollback", "VERSION=2", "REASON=-x $(shell id)"], "--reason=-x $(shell id)"),
        (["forget", 'API_ID=a$b"c', "ASKED_BY=O'Neil"], "--asked-by=O'Neil|--log-only|--|a$b\"c"),
        (["forget", "CUSTOMER=-"], "forget|--|-"),
    ],
)
def test_what_people_write_reaches_a_command_as_it_stands(
    asked: list[str], handed_on: str, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nIFS='|'; printf '%s' \"$*\"\n")
    python.chmod(0o700)
    command = ["make", "-s", "-o", "setup", f"BIN={tmp_path}", *asked]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith(f"|{handed_on}"), done


@pytest.mark.parametrize("script", [*CALLED, PROJECT / "infra/local/setup.sh"], ids=str)
def test_scripts_parse_and_can_be_called(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert script not in CALLED or os.access(script, os.X_OK)


def test_every_supported_python_is_tested() -> None:
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    tested = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert 'requires-python = ">=3.11,<3.14"' in (PROJECT / "pyproject.toml").read_text()
    assert tested == ["3.11", "3.12", "3.13"]


def test_the_lock_pins_what_is_asked_for_and_names_no_index() -> None:
    lock = (PROJECT / "constraints.txt").read_text()
    asked = [
        path
        for depth in ("", "*/", "infra/*/")
        for path in PROJECT.glob(f"{depth}requirements.txt")
    ]
    assert len(asked) == 8
    assert set().union(*(_names(path.read_text()) for path in asked)) <= _names(lock)
    assert "://" not in lock and "--" not in re.sub("#.*", "", lock)
    assert re.search(r"^pandas==3\.0\.\d+", lock, re.MULTILINE)  # with which Evidently imports


def _names(requirements: str) -> set[str]:
    return {canonicalize_name(name) for name in re.findall(r"^[\w.-]+", requirements, re.MULTILINE)}


PAGES = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_pages_link_to_what_is_there(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_pages_name_only_targets_and_settings_that_exist() -> None:
    said = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)(?= *[`#A-Z]|$)", said, re.MULTILINE))
    assert {"run", "test", "up"} <= named <= set(targets())
    compose = (PROJECT / "docker-compose.yaml").read_text()
    known = {f"CHURN_{name.upper()}" for name in Settings.model_fields}
    offered = (PROJECT / ".env.example").read_text()
    known |= set(re.findall(r"\bCHURN_[A-Z0-9_]+", compose + offered))
    assert set(re.findall(r"\bCHURN_[A-Z0-9_]+", said)) <= known


def test_the_picture_of_the_parts_names_dags_that_exist() -> None:
    (picture,) = re.findall(r"```mermaid\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    named = set(re.findall(r"churn_\w+", picture))
    assert {"churn_training", "churn_drift", "churn_scoring"} <= named <= set(dag_ids())


def test_the_screenshots_are_small_and_each_is_one_that_the_script_takes() -> None:
    pictures = list((PROJECT / "docs" / "screenshots").iterdir())
    assert {picture.name for picture in pictures} == {f"{name}.png" for name in screenshots.SHOWN}
    assert sum(picture.stat().st_size for picture in pictures) <= screenshots.FOLDER_BYTES_MAX


def test_real_customers_are_on_no_screenshot(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'bank.db'}")
    with pytest.raises(DataError, match="expected made-up customers, found some"):
        screenshots.refuse_real_customers(settings)


def test_dependabot_looks_where_something_is_pinned() -> None:
    configuration = yaml.safe_load((PROJECT / ".github" / "dependabot.yml").read_text())
    for update in configuration["updates"]:
        for folder in update.get("directories", [update.get("directory")]):
            assert (PROJECT / folder.lstrip("/")).is_dir(), folder


def test_the_change_log_goes_from_new_to_old() -> None:
    text = (PROJECT / "CHANGELOG.md").read_text()
    first, *releases = re.findall(r"^## \[([^]]+)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)
    assert first == ("Unreleased", "")
    assert releases == sorted(releases, key=lambda each: Version(each[0]), reverse=True)
    dates = [date for _, date in releases]
    assert dates == sorted(dates, reverse=True) and all(dates)
