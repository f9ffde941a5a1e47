"""Why a customer is scored so: contributions as bars, readable as a table too."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard.components.tables import create_head
from dashboard.labels import feature_label, percent, short_label, value_text

BARS_SHOWN = 10


def create_bars(explanation: Mapping[str, Any]) -> Component:
    """The largest contributions to the log-odds: to the right towards leaving, to the left away."""
    contributions = explanation["contributions"]
    shown = contributions[:BARS_SHOWN]
    widest = max((abs(each["contribution"]) for each in shown), default=1.0) or 1.0
    rest = sum(each["contribution"] for each in contributions[BARS_SHOWN:])
    rows = [_create_bar(each, widest) for each in shown]
    head = create_head(("What the model looked at", "Value", "Keeps ← · → leaves"))
    note = f"All other columns together: {_signed(rest)}. Units: log-odds of leaving."
    return html.Div(
        [
            dmc.Text(reason_sentence(shown, explanation["probability"]), size="sm", mb=6),
            html.Table([head, html.Tbody(rows)], className="bars"),
            dmc.Text(note, size="xs", c="dimmed", mt=4),
        ]
    )


def reason_sentence(contributions: Sequence[Mapping[str, Any]], probability: float) -> str:
    """The chart in plain words."""
    towards = [short_label(c["feature"]).lower() for c in contributions if c["contribution"] > 0]
    away = [short_label(c["feature"]).lower() for c in contributions if c["contribution"] < 0]
    told = f"The model gives {percent(probability, decimals=1)}."
    if towards:
        told += f" Most towards leaving: {_listed(towards[:3])}."
    if away:
        told += f" Most towards staying: {_listed(away[:2])}."
    return told


def _create_bar(each: Mapping[str, Any], widest: float) -> Component:
    contribution = each["contribution"]
    side = "towards" if contribution > 0 else "away"
    bar = html.Div(
        html.Div(className=f"bar {side}", style={"width": f"{50 * abs(contribution) / widest}%"}),
        className="bar-room",
    )
    value = "computed" if each.get("engineered") else value_text(each["feature"], each["value"])
    return html.Tr(
        [
            html.Th(feature_label(each["feature"]), scope="row"),
            html.Td(value),
            html.Td(
                html.Div(
                    [bar, html.Span(_signed(contribution), className="bar-value")],
                    className="bar-line",
                )
            ),
        ]
    )


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '−'}{abs(value):.2f}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
