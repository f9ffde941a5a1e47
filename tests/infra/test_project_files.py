"""The files that people meet first say what is so."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from include.settings import PROJECT, Settings

MAKE = (PROJECT / "Makefile").read_text()


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
    named = set(re.findall(r"\bmake ([a-z]+)", (PROJECT / "README.md").read_text()))
    assert named <= set(targets())
    assert {"run", "test"} <= named


def test_the_environment_example_names_only_settings_that_exist() -> None:
    text = (PROJECT / ".env.example").read_text()
    known = {f"CHURN_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"CHURN_[A-Z_]+", text)) <= known


@pytest.mark.parametrize("script", [".ci/run", ".ci/containers", "infra/local/setup.sh"])
def test_scripts_parse(script: str) -> None:
    subprocess.run(["bash", "-n", PROJECT / script], check=True)


def test_continuous_integration_can_be_called() -> None:
    assert os.access(PROJECT / ".ci" / "run", os.X_OK)


def test_every_supported_python_is_tested() -> None:
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "tests.yml").read_text())
    tested = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert 'requires-python = ">=3.11,<3.14"' in (PROJECT / "pyproject.toml").read_text()
    assert tested == ["3.11", "3.12", "3.13"]


def test_the_lock_pins_what_is_asked_for() -> None:
    pinned = {_name(line) for line in _lines(PROJECT / "constraints.txt")}
    infra = ("infra/local", "infra/airflow", "infra/mlflow")
    for room in (".", "webapp", "dashboard", *infra, "tests"):
        wanted = {_name(line) for line in _lines(PROJECT / room / "requirements.txt")}
        assert wanted <= pinned, room


def test_the_lock_names_no_index_and_keeps_pandas_where_evidently_imports() -> None:
    text = (PROJECT / "constraints.txt").read_text()
    assert "://" not in text and "--" not in "\n".join(_lines(PROJECT / "constraints.txt"))
    assert re.search(r"^pandas==3\.0\.\d+", text, flags=re.MULTILINE)


def _lines(path: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def _name(requirement: str) -> str:
    return re.split(r"[\s<>=!;\[~]", requirement, maxsplit=1)[0].lower().replace("_", "-")
