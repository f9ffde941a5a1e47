"""Whether the version in production treats groups of customers alike, as its evaluation found."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard.components.states import sentence
from dashboard.components.tables import create_table
from dashboard.labels import percent
from include.champion.fairness import Fairness, ServedGroup, fairness_text
from include.target import Target


def create_fairness(
    found: Sequence[Fairness], *, target: Target, rules: Mapping[str, Any]
) -> Component:
    """A sentence for each column and, shut, its groups; `rules` are the gate's of then."""
    if not found:
        return dmc.Text("This version is from before fairness was measured.", c="dimmed")
    limits = rules.get("fairness", {})
    parts: list[Any] = [_create_sentence(each, limits) for each in found]
    parts.append(dmc.Text(_rule_text(target, rules), size="sm", c="dimmed"))
    rows = [_row(group) for each in found for group in each.groups if group.rows]
    if rows:
        names = ("Group", "Customers", "Left", "Selected", "Of its leavers selected", "Compared")
        table = create_table(names, rows, "Groups of customers")
        parts.append(html.Details([html.Summary(f"All {len(rows)} groups in figures"), table]))
    return dmc.Paper(parts)


def _create_sentence(found: Fairness, limits: Mapping[str, Any]) -> Component:
    told, verdict = sentence(fairness_text(found)), _verdict(found, limits)
    label = html.B(f"{found.by}: {verdict}. ") if verdict else ""
    return dmc.Text([label, told], size="sm", mb="xs")


def _verdict(found: Fairness, limits: Mapping[str, Any]) -> str:
    """What the intervals say of the limits; '' where there are none of either."""
    if found.gap_interval is None or found.ratio_interval is None or not limits:
        return ""
    gap, ratio = limits["gap_max"], limits["ratio_min"]
    if found.gap_interval[0] > gap or found.ratio_interval[1] < ratio:
        return "beyond the limits"
    if found.gap_interval[1] <= gap and found.ratio_interval[0] >= ratio:
        return "within the limits"
    return "too few customers to tell, since an interval crosses a limit"


def _rule_text(target: Target, rules: Mapping[str, Any]) -> str:
    who = "on the list" if target.is_early_warning else "at or above the threshold"
    told, limits = f"On hold-out customers; selected is who is {who}.", rules.get("fairness", {})
    if {"gap_max", "ratio_min"} <= limits.keys() and "confidence" in rules:
        told += (
            f" In brackets, {percent(rules['confidence'])} intervals; a person is asked where a "
            f"whole one lies above {limits['gap_max']} for the difference, or below "
            f"{limits['ratio_min']} for the ratio."
        )
    return told


def _row(group: ServedGroup) -> tuple[str, ...]:
    return (
        group.name,
        f"{group.rows:,}",
        f"{group.leavers:,}",
        percent(group.selected_share, decimals=1),
        percent(group.found_share, decimals=1),
        "yes" if group.judged else "too few",
    )
