"""Score one customer by form, or a file of them, through the API."""

from collections.abc import Mapping

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, dcc, html
from dash.development.base_component import Component

from dashboard.components import csv_upload, record_form
from dashboard.components.shell import create_heading
from dashboard.data.sources import Sources

PATH = "/score"


def create_page(sources: Sources, query: Mapping[str, str]) -> Component:
    """The form and the upload."""
    contract, typical = sources.contract_and_typical()
    tabs = dmc.Tabs(
        [
            dmc.TabsList(
                [dmc.TabsTab("One customer", value="one"), dmc.TabsTab("CSV file", value="file")],
                mb="md",
            ),
            dmc.TabsPanel(record_form.create_form(contract, typical, query), value="one"),
            dmc.TabsPanel(csv_upload.create_upload(), value="file"),
        ],
        id="score-tabs",
        value="file" if query.get("tab") == "file" else "one",
    )
    told = "Answers come from the model in production and are logged as what-if or bulk."
    return html.Div([create_heading("Score", told), dcc.Store(id="score-query"), tabs])


def register(app: Dash, sources: Sources) -> None:
    """The callbacks of both."""
    record_form.register(app, sources)
    csv_upload.register(app, sources)
    app.clientside_callback(
        ClientsideFunction("churn", "keepScoreQuery"),
        Input("score-query", "data"),
        Input("score-tabs", "value"),
        prevent_initial_call=True,
    )
