"""What was noted of customers, and the buttons that note it: for one, or for all selected."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component
from pydantic import BaseModel

from dashboard import people
from dashboard.data.customer import CustomerNumber
from dashboard.data.sources import Sources
from dashboard.labels import counted
from include.customers import contacts
from include.customers.contacts import Mark
from include.errors import ChurnError

MARKS_MAX = 5000  # at once
RESULTS = {
    "stays": "Stays",
    "undecided": "Undecided",
    "leaves": "Leaves",
    "not_reached": "Not reached",
}
KIND_NAMES = {
    "listed": "put on a campaign's list",
    "control": "kept aside as control group",
    "called": "called",
    "snoozed": "snoozed",
    "reopened": "put back on the list",
}


class Selected(BaseModel):
    """A row of the grid that somebody ticked."""

    customer: CustomerNumber


def create_notes(sources: Sources, customer: int) -> Component:
    """The buttons for this customer, for who may press them, and everything noted before."""
    history = html.Div(create_history(sources, customer), id="history", **{"aria-live": "polite"})
    parts = [*_create_marking(customer), history] if people.may_write() else [history]
    return html.Section(parts, **{"aria-label": "Contact"})


def _create_marking(customer: int) -> list[Component]:
    buttons = [
        _create_button("called", "Called", variant="filled"),
        *(_create_button(result, name) for result, name in RESULTS.items()),
        _create_button("snoozed", "Snooze"),
        _create_button("reopened", "Put back"),
    ]
    days = dmc.NumberInput(
        id="snooze-days",
        label="Snooze for",
        value=30,
        min=1,
        max=365,
        suffix=" days",
        w=110,
        size="xs",
    )
    note = dmc.TextInput(
        id="note",
        label="Note",
        placeholder="What was said",
        inputProps={"maxLength": contacts.NOTE_CHARACTERS},
        size="xs",
        style={"flex": 1, "minWidth": 160},
    )
    return [
        dcc.Store(id="noted-customer", data=customer),
        dmc.Group([days, note], align="end", mb=8),
        html.Div(dmc.Group(buttons, gap=6), role="group", **{"aria-label": "Mark this customer"}),
    ]


def _create_button(what: str, name: str, *, variant: str = "default") -> Component:
    return dmc.Button(
        name, id={"type": "note-mark", "what": what}, variant=variant, size="compact-sm"
    )


def create_history(sources: Sources, customer: int) -> Component:
    """Marks of one customer, the latest first."""
    rows = contacts.history(sources.engine, customer)
    if not rows:
        return dmc.Text("Nothing noted yet.", size="sm", c="dimmed", mt=8)
    items = [html.Li(history_text(row)) for row in rows[:10]]
    return html.Ul(items, className="history")


def history_text(row: dict[str, Any]) -> str:
    """One mark as a line."""
    kind = KIND_NAMES.get(row["kind"], row["kind"])
    if row["kind"] == "result":
        kind = f"called: {RESULTS.get(row['result'], row['result']).lower()}"
    if row["kind"] == "snoozed":
        kind += f" until {row['hidden_until']:%d %b %Y}"
    author = f", by {row['author']}" if row["author"] else ""
    note = f" – {row['note']}" if row["note"] else ""
    return f"{row['marked_at']:%d %b %Y %H:%M} UTC: {kind}{author}{note}"


def mark_of(
    customer: int, what: str, *, note: str = "", days: int | None = None, author: str = ""
) -> Mark:
    """A button's meaning, when that person pressed it."""
    said: dict[str, Any] = {"note": note, "author": author}
    if what in RESULTS:
        return Mark(customer, "result", result=what, **said)  # type: ignore[arg-type]
    kept = days if what == "snoozed" else None
    return Mark(customer, what, days=kept, **said)  # type: ignore[arg-type]


def register(app: Dash, sources: Sources) -> None:
    """Write marks, for one customer and for all selected."""

    @app.callback(
        Output("history", "children"),
        Output("marked", "data"),
        Output("note", "value"),
        Input({"type": "note-mark", "what": ALL}, "n_clicks"),
        State("noted-customer", "data"),
        State("note", "value"),
        State("snooze-days", "value"),
        prevent_initial_call=True,
    )
    def mark_one(
        clicks: Sequence[int | None], customer: CustomerNumber, note: str | None, days: Any
    ) -> Any:
        if not any(clicks) or not ctx.triggered_id:
            return no_update, no_update, no_update
        now = datetime.now(UTC)
        try:
            days = int(days) if isinstance(days, int | float) else 30
            what, author = ctx.triggered_id["what"], people.writer().name
            mark = mark_of(customer, what, note=note or "", days=days, author=author)
            contacts.mark(sources.engine, [mark], now=now)
            return create_history(sources, customer), now.isoformat(), ""
        except ChurnError as error:
            return dmc.Alert(str(error), color="orange", mt=8), no_update, no_update

    @app.callback(
        Output("marked", "data", allow_duplicate=True),
        Output("notices", "sendNotifications"),
        Input({"type": "mark", "what": ALL}, "n_clicks"),
        State("risk-grid", "selectedRows"),
        prevent_initial_call=True,
    )
    def mark_selected(clicks: Sequence[int | None], selected: list[Selected] | None) -> Any:
        if not any(clicks) or not ctx.triggered_id or not selected:
            return no_update, no_update
        what, now = ctx.triggered_id["what"], datetime.now(UTC)
        try:
            author = people.writer().name
            marks = [mark_of(row.customer, what, author=author) for row in selected[:MARKS_MAX]]
            contacts.mark(sources.engine, marks, now=now)
        except ChurnError as error:
            return no_update, [_notice(str(error), color="orange")]
        done = _notice(f"{counted(len(marks), 'customer')} marked: {what.replace('_', ' ')}.")
        return now.isoformat(), [done]


def _notice(message: str, *, color: str = "brand") -> dict[str, Any]:
    return {
        "action": "show",
        "id": f"notice-{datetime.now(UTC).timestamp()}",
        "message": message,
        "color": color,
        "autoClose": 5000,
    }
