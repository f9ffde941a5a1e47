"""The first page: whom to call today, and why."""

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard.components import campaign_panel, customer_drawer, list_filters, risk_grid
from dashboard.components.shell import create_heading
from dashboard.components.states import create_empty
from dashboard.data.customer import customer_number
from dashboard.data.list_view import ListView
from dashboard.data.nights import Night
from dashboard.data.rules import query_values
from dashboard.data.sources import Sources
from include.errors import ChurnError
from include.target import Target

PATH = "/"
WAIT_MILLISECONDS = 3000
RULES = ("years", "success", "cost", "budget", "control")
NARROWED = ("bands", "status", "left", "view", "rose", "sign", "due", "filters")
KNOWN = (*RULES, *NARROWED, "sort", "customer")


def create_page(sources: Sources, query: Mapping[str, str]) -> Component:
    """The page in the state that the URL describes."""
    night = sources.nights.latest()
    if night is None:
        return _create_waiting()
    values = {name: query[name] for name in KNOWN if name in query}
    view = ListView.from_values(values)
    target = sources.targets.shown(night.model_version)
    drawer = customer_drawer.create_drawer()
    _open(drawer, values.get("customer", ""))
    return html.Div(
        [
            create_heading("Whom to call today", _subtitle(night, target)),
            list_filters.create_state(values),
            campaign_panel.create_panel(sources, view, target),
            list_filters.create_filters(view, night.bands, target),
            list_filters.create_comparisons(night, target),
            risk_grid.create_marking(),
            risk_grid.create_first_rows(sources, values, target),
            risk_grid.create_grid(view, target),
            drawer,
            dmc.NotificationContainer(id="notices", position="bottom-right"),
        ],
        className="customers",
    )


def register(app: Dash, sources: Sources) -> None:
    """The callbacks of everything on the page."""
    campaign_panel.register(app, sources)
    list_filters.register(app)
    risk_grid.register(app, sources)
    customer_drawer.register(app, sources)

    @app.callback(
        Output("page", "children", allow_duplicate=True),
        Input("list-wait", "n_intervals"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def look_again(_ticks: int | None, search: str | None) -> Any:
        try:
            if sources.nights.latest() is None:
                return no_update
            return create_page(sources, query_values(search))
        except ChurnError:
            return no_update


def _open(drawer: Any, customer: str) -> None:
    drawer.children[0].data = customer_number(customer)


def _subtitle(night: Night, target: Target) -> str:
    says = f", which says who {target}" if target.is_early_warning else ""
    return (
        f"{night.rows:,} customers, scored {night.scored_at:%d %b %Y %H:%M} UTC by model "
        f"{night.model_version}{says}. Open a row to see why."
    )


def _create_waiting() -> Component:
    heading = create_heading("Whom to call today")
    note = create_empty(
        "Nobody was scored yet",
        "The run churn_scoring fills this list: each night, and as soon as there is another model "
        "in production. After an update of the system, too, it waits for the next run. To have it "
        "now, start churn_scoring in Airflow, or say “make score” where the stack runs. The first "
        "model comes of churn_training.",
    )
    return dmc.Box([heading, note, dcc.Interval(id="list-wait", interval=WAIT_MILLISECONDS)])
