"""Which customers the list shows, and the one place that keeps the page's state and URL."""

from collections.abc import Mapping, Sequence

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from dashboard.data.list_view import ListView

STATUS_NAMES = {
    "open": "Open calls",
    "listed": "On a campaign's list",
    "called": "Called",
    "snoozed": "Snoozed",
    "control": "Control group",
    "all": "Everybody",
}


def create_filters(view: ListView, known_bands: Sequence[str]) -> Component:
    """Risk bands, status, a customer's number, and what else narrows the list."""
    bands = dmc.ChipGroup(
        [
            dmc.Chip(name.capitalize(), value=name, size="sm", variant="outline")
            for name in known_bands
        ],
        id="filter-bands",
        multiple=True,
        value=list(view.bands),
    )
    status = dmc.Select(
        id="filter-status",
        data=[{"value": value, "label": label} for value, label in STATUS_NAMES.items()],
        value=view.status,
        allowDeselect=False,
        size="sm",
        w=165,
        **{"aria-label": "Status"},
    )
    find = dmc.TextInput(
        id="filter-find",
        value="" if view.find is None else str(view.find),
        placeholder="Customer number",
        debounce=400,
        size="sm",
        w=165,
        **{"aria-label": "Find a customer by number"},
    )
    which = dmc.SegmentedControl(
        id="filter-view",
        data=[
            {"value": "all", "label": "All"},
            {"value": "campaign", "label": "Only this campaign"},
        ],
        value="campaign" if view.campaign_only else "all",
        size="sm",
    )
    left = dmc.Switch(
        id="filter-left", label="Also who already left", checked=view.with_left, size="sm"
    )
    risk = html.Div(
        dmc.Group([dmc.Text("Risk", size="sm", fw=600), bands], gap=6),
        role="group",
        **{"aria-label": "Risk bands"},
    )
    return dmc.Group([which, risk, status, find, left], gap="sm", className="filters")


def create_state(values: Mapping[str, str]) -> Component:
    """The page's state in the browser: what the filters say, and with the grid's order."""
    return html.Div(
        [
            dcc.Store(id="risk-view", data=dict(values)),
            dcc.Store(id="risk-query", data=dict(values)),
            dcc.Store(id="marked"),
        ]
    )


def register(app: Dash) -> None:
    """Collect the controls into the state, and write the state into the URL."""
    app.clientside_callback(
        ClientsideFunction("churn", "collectView"),
        Output("risk-view", "data"),
        Input("filter-bands", "value"),
        Input("filter-status", "value"),
        Input("filter-find", "value"),
        Input("filter-left", "checked"),
        Input("filter-view", "value"),
        Input("rule-years", "value"),
        Input("rule-success", "value"),
        Input("rule-cost", "value"),
        Input("rule-budget", "value"),
        Input("rule-control", "value"),
        State("risk-view", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("churn", "composeQuery"),
        Output("risk-query", "data"),
        Output("campaign-link", "href"),
        Input("risk-view", "data"),
        Input("risk-grid", "getRowsRequest"),
        Input("open-customer", "data"),
        State("risk-query", "data"),
    )
