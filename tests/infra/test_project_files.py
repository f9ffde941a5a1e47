"""The files that people meet first say what is so."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

from include.settings import PROJECT

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
    phony = re.search(r"^\.PHONY: (.*)$", MAKE, flags=re.MULTILINE)
    assert phony and sorted(phony[1].split()) == sorted(targets())


def test_the_readme_names_only_targets_that_exist() -> None:
    named = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", (PROJECT / "README.md").read_text()))
    assert named <= set(targets())
    assert {"run", "test"} <= named


@pytest.mark.parametrize("script", [*CALLED, PROJECT / "infra/local/setup.sh"], ids=str)
def test_scripts_parse_and_can_be_called(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert script not in CALLED or os.access(script, os.X_OK)


def test_every_supported_python_is_tested() -> None:
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "tests.yml").read_text())
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
    assert len(asked) == 7
    assert set().union(*(_names(path.read_text()) for path in asked)) <= _names(lock)
    assert "://" not in lock and "--" not in re.sub("#.*", "", lock)
    assert re.search(r"^pandas==3\.0\.\d+", lock, re.MULTILINE)  # with which Evidently imports


def _names(requirements: str) -> set[str]:
    return {canonicalize_name(name) for name in re.findall(r"^[\w.-]+", requirements, re.MULTILINE)}
