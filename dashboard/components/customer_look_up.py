"""The field in the header that finds one customer by number, from any page."""

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

PATH = "/customer"
NUMBER = "number"  # of the customer, in the URL's query
TYPED_MAX = 40  # more is no number


def create_look_up() -> Component:
    """A plain form: the browser's own way to ask for a page, by Enter or a phone's search key."""
    field = dmc.TextInput(
        id="look-up",
        name=NUMBER,
        placeholder="Customer number",
        autoComplete="off",
        required=True,
        size="sm",
        attributes={
            "input": {"inputMode": "numeric", "enterKeyHint": "search", "maxLength": TYPED_MAX}
        },
        **{"aria-label": "Look up a customer by number"},
    )
    return html.Form(field, action=PATH, method="get", role="search", className="look-up")
