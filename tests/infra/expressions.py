"""Every PromQL expression of the dashboards and the rules, and the metrics that it names."""

import json
import re
from typing import Any

import yaml

from include.settings import PROJECT

RULES = sorted((PROJECT / "infra" / "prometheus" / "rules").glob("*.yml"))
BOARDS = sorted((PROJECT / "infra" / "grafana" / "dashboards").glob("*.json"))
# What is left of an expression when matchers, groupings, ranges and functions are gone.
MATCHERS = re.compile(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"")
GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
NAME = re.compile(r"(?<![\w.:])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])")
WORDS = {"and", "or", "unless", "offset", "bool", "sum", "min", "max", "count", "avg"}


def panels() -> list[tuple[str, dict[str, Any]]]:
    """Every panel by dashboard and title."""
    return [
        (f"{path.stem}: {panel['title']}", panel)
        for path in BOARDS
        for panel in json.loads(path.read_text())["panels"]
        if panel["type"] != "row"
    ]


def panel_expressions() -> list[str]:
    """What the panels ask."""
    return [target["expr"] for _, panel in panels() for target in panel["targets"]]


def rules() -> list[dict[str, Any]]:
    """Every rule, of alerts and of recordings."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """The rules that ring."""
    return [rule for rule in rules() if "alert" in rule]


def metrics_named() -> set[str]:
    """Every metric that a panel or a rule names."""
    said = [*panel_expressions(), *(rule["expr"] for rule in rules())]
    return set().union(*(names_in(each) for each in said))


def names_in(expression: str) -> set[str]:
    """The metrics of one expression."""
    bare = GROUPING.sub(" ", MATCHERS.sub(" ", expression))
    durations = re.compile(r"(\d+[smhdwy])+")
    return {
        each for each in NAME.findall(bare) if each not in WORDS and not durations.fullmatch(each)
    }
