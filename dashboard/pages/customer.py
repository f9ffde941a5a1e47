"""One customer, looked up by number: what the drawer of the list shows, as a page."""

from collections.abc import Mapping

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from dashboard.components import customer_look_up
from dashboard.components.customer_drawer import create_customer
from dashboard.components.customer_look_up import NUMBER, TYPED_MAX
from dashboard.components.shell import create_heading
from dashboard.data.customer import UnknownCustomer, customer_number
from dashboard.data.sources import Sources
from include.contract import LARGEST_INTEGER

PATH = customer_look_up.PATH
CHECK = "The customer table has nobody of this number: look whether a digit is wrong."
EXPECTED = f"A customer's number has digits alone and is at most {LARGEST_INTEGER:,}."


def create_page(sources: Sources, query: Mapping[str, str]) -> Component:
    """The customer whose number the URL has, or why there is nobody to show."""
    typed = query.get(NUMBER, "").strip()
    if not typed:
        return create_heading("Which customer?", "Type a number into the field at the top.")
    customer = customer_number(typed)
    if customer is None:
        return create_heading(f"“{_shortened(typed)}” is no customer's number", EXPECTED)
    try:
        found = create_customer(sources, customer)
    except UnknownCustomer:
        return create_heading(f"There is no customer {customer}", CHECK)
    return html.Div(
        [
            create_heading(f"Customer {customer}"),
            dcc.Store(id="marked"),
            dmc.Paper(html.Div(found, className="customer-body"), className="customer-page"),
        ]
    )


def _shortened(typed: str) -> str:
    return typed if len(typed) <= TYPED_MAX else typed[:TYPED_MAX] + "…"
