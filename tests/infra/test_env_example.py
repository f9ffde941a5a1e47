""".env.example names every setting that there is, with the default that it has."""

import re
from typing import Any

import pytest
import yaml
from cfnlint.decode.cfn_yaml import loads

from include.settings import PROJECT, Settings, load_settings
from infra.aws.stacks import STACKS, setting, template
from infra.compose.environment import environment_text

TEXT = (PROJECT / ".env.example").read_text("utf-8")
OFFERED = dict(re.findall(r"^#([A-Z][A-Z0-9_]+)=(.*)$", TEXT, re.MULTILINE))
COMPOSE = [PROJECT / "docker-compose.yaml", *(PROJECT / "infra" / "compose").glob("*.yaml")]
ASKED_BY_COMPOSE = set(
    re.findall(r"\$\{([A-Z0-9_]+)", "".join(path.read_text("utf-8") for path in COMPOSE))
)
MADE_BY_MAKE_ENV = set(re.findall(r"^(\w+)=", environment_text(), re.MULTILINE))
MADE_BY_THE_STACKS = {"CHURN_AWS_PREFIX"}  # CHURN_STACK
SET_IN_CONTAINERS = {"CHURN_GIT_COMMIT", "CHURN_DRAIN_FILE"}


def fields() -> dict[str, Any]:
    """Each variable of Settings with its default."""
    return {
        field.validation_alias.choices[0]  # type: ignore[union-attr]
        if field.validation_alias
        else f"CHURN_{name.upper()}": field.default
        for name, field in Settings.model_fields.items()
    }


def parameters() -> dict[str, dict[str, Any]]:
    """Each variable of the templates' parameters with what the template says of it."""
    return {
        setting(name): told
        for part in STACKS
        for name, told in loads(template(part))["Parameters"].items()
    }


def test_every_setting_of_the_code_is_offered() -> None:
    assert fields().keys() - OFFERED.keys() == SET_IN_CONTAINERS


def test_every_variable_of_compose_is_offered_or_made() -> None:
    assert ASKED_BY_COMPOSE - OFFERED.keys() - MADE_BY_MAKE_ENV - SET_IN_CONTAINERS == set()


def test_every_parameter_of_the_templates_is_offered() -> None:
    offered = {name for name in OFFERED if name.startswith("CHURN_AWS_")}
    assert parameters().keys() - MADE_BY_THE_STACKS - {"CHURN_AWS_IMAGES_KEPT"} == offered


def test_nothing_is_offered_that_nobody_reads() -> None:
    known = fields().keys() | ASKED_BY_COMPOSE | parameters().keys()
    assert OFFERED.keys() - known == {"COMPOSE_FILE", "CHURN_STACK"}


def test_every_line_may_be_taken_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = load_settings()
    for name in OFFERED.keys() & fields().keys():
        monkeypatch.setenv(name, OFFERED[name])
    for name in (OFFERED.keys() | ASKED_BY_COMPOSE | MADE_BY_MAKE_ENV) - fields().keys():
        monkeypatch.setenv(name, "of something else")
    taken = load_settings()
    assert taken.api_workers is None and taken.params_file == unset.params_file
    assert taken.resolved_store_uri == unset.resolved_store_uri


@pytest.mark.parametrize("name", sorted(OFFERED.keys() & fields().keys()))
def test_a_default_is_the_one_of_the_code(name: str) -> None:
    default = fields()[name]
    if OFFERED[name]:
        told = getattr(default, "get_secret_value", lambda: default)()
        assert yaml.safe_load(OFFERED[name]) == told or OFFERED[name] == told


@pytest.mark.parametrize("name", sorted(OFFERED.keys() & parameters().keys()))
def test_a_default_is_the_one_of_the_template(name: str) -> None:
    assert OFFERED[name] == str(parameters()[name].get("Default", ""))
