"""One customer: how likely to leave and why, beside the typical one, and what was noted."""

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard.components import contact_notes, reason_bars, what_if
from dashboard.components.states import create_failure, create_or_explain
from dashboard.components.tables import create_head
from dashboard.data.champions import TypicalValue
from dashboard.data.customer import CustomerNumber, read_record, read_score
from dashboard.data.sources import Sources
from dashboard.labels import feature_label, percent, risk_words, value_text
from include.contract import Contract
from include.errors import ChurnError
from include.scoring.earlier import RISES
from include.target import STATE, Target


def create_drawer() -> Component:
    """The drawer, closed."""
    return html.Div(
        [
            dcc.Store(id="open-customer"),
            dcc.Store(id="wanted-customer"),
            dmc.Drawer(
                [html.Div(id="customer-body", className="customer-body")],
                id="customer-drawer",
                title="Customer",
                position="right",
                size="lg",
                padding="md",
                opened=False,
                closeButtonProps={"aria-label": "Close"},
            ),
        ]
    )


def create_customer(sources: Sources, customer: int) -> Component:
    """Everything about one customer; what the API cannot say is said to be missing."""
    contract, typical = sources.contract_and_typical()
    row = read_record(sources.engine, contract, customer, rules=sources.history_rules())
    profile = {name: row[name] for name in contract.feature_names}
    # A change that no snapshot knows is not sent: the API counts it as none.
    record = {n: v for n, v in profile.items() if v is not None or n not in contract.defaults}
    table = sources.nights.table()
    score = read_score(sources.engine, table, customer) if table is not None else None
    has_left = row[contract.target.name] == contract.target.positive
    explanation, fault = _explanation(sources, record)
    said = explanation or score or {}
    probability, version = said.get("probability"), said.get("model_version")
    target = sources.targets.shown(version) if version else STATE
    by = "by today's record" if explanation else "as last scored"
    parts = [
        dcc.Store(id="now-probability", data=probability),
        _create_summary(probability, score, f"{_risk_told(target)}, {by}", has_left=has_left),
        contact_notes.create_notes(sources, customer),
        _section("Why", fault or reason_bars.create_bars(explanation or {})),
        _section("What if", what_if.create_what_if(record, contract, typical, target)),
        _section("Profile", create_profile(profile, typical, contract)),
    ]
    return dmc.Stack(parts, gap="lg")


def _explanation(
    sources: Sources, record: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, Component | None]:
    try:
        return sources.api.explain(record), None
    except ChurnError as error:
        return None, create_failure(error)


def _create_summary(
    probability: float | None, score: Mapping[str, Any] | None, words: str, *, has_left: bool
) -> Component:
    told = []
    if score is not None:
        told.append(
            f"At the scoring of {score['scored_at']:%d %b %Y %H:%M} UTC it was "
            f"{percent(score['probability'], decimals=1)} (model {score['model_version']})"
            f"{_rises(score)}."
        )
        told += _flag(score)
    if has_left:
        told.append("This customer has already closed the account.")
    number = "unknown" if probability is None else percent(probability, decimals=1)
    return html.Div(
        [
            html.Span(number, className="big-number", id="customer-probability"),
            dmc.Text(words, span=True, size="sm"),
            dmc.Text(" ".join(told), size="sm", c="dimmed"),
        ]
    )


def _risk_told(target: Target) -> str:
    first = f", after the first {target.gap_days}" if target.gap_days else ""
    return f"{risk_words(target)}{first}"


def _flag(score: Mapping[str, Any]) -> list[str]:
    """Since when somebody is on the list of early warning, why, and by when to call."""
    if score.get("flagged_since") is None:
        return []
    sign = "already quiet" if score["quiet"] else "a new sign"
    since = f"On the list since {score['flagged_since']:%d %b %Y}, {sign}"
    return [f"{since}: call by {score['call_by']:%d %b %Y}."]


def _rises(score: Mapping[str, Any]) -> str:
    told = [
        f"{abs(points):.1f} points {'more' if points > 0 else 'less'} than last {span}"
        for span, name in RISES.items()
        if score[name] is not None and abs(points := 100 * score[name]) >= 0.05
    ]
    return f": {' and '.join(told)}" if told else ""


def create_profile(
    record: Mapping[str, Any], typical: Mapping[str, TypicalValue], contract: Contract
) -> Component:
    """Each column beside the typical customer who stays."""
    rows = [_profile_row(name, record[name], typical.get(name)) for name in contract.feature_names]
    head = create_head(("", "This customer", "Typical of who stays"))
    return html.Table([head, html.Tbody(rows)], className="profile")


def _profile_row(name: str, value: Any, typical: TypicalValue | None) -> Component:
    unusual = ""
    if typical and typical.low is not None and typical.high is not None:
        if isinstance(value, int | float):
            unusual = "▲" if value > typical.high else "▼" if value < typical.low else ""
    meaning = {"▲": "above the middle half", "▼": "below the middle half"}.get(unusual, "")
    return html.Tr(
        [
            html.Th(feature_label(name), scope="row"),
            html.Td([value_text(name, value), " ", html.Span(unusual, title=meaning)]),
            html.Td("–" if typical is None else value_text(name, typical.value)),
        ]
    )


def _section(title: str, content: Any) -> Component:
    return html.Section([dmc.Title(title, order=3, size="h4", mb=8), content])


def register(app: Dash, sources: Sources) -> None:
    """Open the drawer on a customer."""
    app.clientside_callback(
        ClientsideFunction("churn", "openDrawer"),
        Output("customer-drawer", "opened"),
        Output("customer-drawer", "title"),
        Output("customer-body", "children"),
        Output("wanted-customer", "data"),
        Input("open-customer", "data"),
        State("customer-drawer", "opened"),
    )
    app.clientside_callback(
        ClientsideFunction("churn", "closeDrawer"),
        Output("open-customer", "data", allow_duplicate=True),
        Input("customer-drawer", "opened"),
        State("open-customer", "data"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("customer-body", "children", allow_duplicate=True),
        Input("wanted-customer", "data"),
        prevent_initial_call=True,
    )
    def show_customer(customer: CustomerNumber | None) -> Any:
        if customer is None:
            return no_update
        return create_or_explain(create_customer, sources, customer)

    what_if.register(app, sources)
    contact_notes.register(app, sources)
