"""Which customers the list shows, and the one place that keeps the page's state and URL."""

from collections.abc import Mapping, Sequence

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from dashboard.data.crm_file import crm_path
from dashboard.data.list_view import ListView
from dashboard.data.nights import Night
from include.scoring.earlier import SPANS, Span
from include.target import Target

ANY = "any"
ROSE_NAMES: dict[str, str] = {
    ANY: "Any change of risk",
    **{span: f"Rose since last {span}" for span in SPANS},
}
SIGN_NAMES = {
    ANY: "On the list or not",
    "flagged": "On the list",
    "new": "New sign",
    "quiet": "Already quiet",
}
DUE_NAMES = {
    ANY: "Any call-by date",
    "week": "Call within 7 days",
    "passed": "Call-by passed",
}
STATUS_NAMES = {
    "open": "Open calls",
    "listed": "On a campaign's list",
    "called": "Called",
    "snoozed": "Snoozed",
    "control": "Control group",
    "all": "Everybody",
}


def create_filters(view: ListView, known_bands: Sequence[str], target: Target) -> Component:
    """Risk bands, change of risk, status, and what else narrows the list."""
    bands = dmc.ChipGroup(
        [
            dmc.Chip(name.capitalize(), value=name, size="sm", variant="outline")
            for name in known_bands
        ],
        id="filter-bands",
        multiple=True,
        value=list(view.bands),
    )
    status = _select("filter-status", "Status", STATUS_NAMES, view.status, width=160)
    rose = _select("filter-rose", "Change of risk", ROSE_NAMES, view.rose, width=185)
    # Hidden they are still there, for the page's state is made of them.
    shown = None if target.is_early_warning else "none"
    sign = _select("filter-sign", "Sign", SIGN_NAMES, view.sign, width=168, display=shown)
    due = _select("filter-due", "Call by", DUE_NAMES, view.due, width=178, display=shown)
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
    return dmc.Group([which, risk, sign, due, rose, status, left], gap="sm", className="filters")


def _select(
    name: str,
    label: str,
    names: Mapping[str, str],
    value: str | None,
    *,
    width: int,
    display: str | None = None,
) -> Component:
    return dmc.Select(
        id=name,
        data=[{"value": each, "label": told} for each, told in names.items()],
        value=value or ANY,
        allowDeselect=False,
        size="sm",
        w=width,
        display=display,
        **{"aria-label": label},
    )


def create_comparisons(night: Night, target: Target) -> Component:
    """Since when the changes of risk are, and the way to have the list as a file."""
    told = " ".join(comparison_text(night, span) for span in SPANS)
    link = dmc.Anchor(
        "These customers for a CRM (CSV)",
        id="crm-link",
        href=crm_path(target),
        refresh=True,
        size="sm",
        **{"data-download": "crm"},
    )
    text = dmc.Text(told, id="comparisons", size="sm", c="dimmed")
    return dmc.Group([text, link], justify="space-between", gap="xs", className="comparisons")


def comparison_text(night: Night, span: Span) -> str:
    """With what the night's scores are compared, or why they are not."""
    before = next((each for each in night.compared if each.span == span), None)
    name = f"last {span}"
    if before is None:
        return f"Risk since {name}: unknown, nobody was scored then."
    if before.model_version != night.model_version:
        return (
            f"Risk since {name}: not compared, for the scores of {before.date:%d %b %Y} are "
            f"another version's ({before.model_version}, now {night.model_version})."
        )
    return f"Risk since {name}: compared with {before.date:%d %b %Y}."


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
        Input("filter-left", "checked"),
        Input("filter-view", "value"),
        Input("filter-rose", "value"),
        Input("filter-sign", "value"),
        Input("filter-due", "value"),
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
        Output("crm-link", "href"),
        Input("risk-view", "data"),
        Input("risk-grid", "getRowsRequest"),
        Input("open-customer", "data"),
        State("risk-query", "data"),
        State("crm-link", "href"),
    )
    app.clientside_callback(
        ClientsideFunction("churn", "sortByRise"),
        Input("filter-rose", "value"),
        prevent_initial_call=True,
    )
