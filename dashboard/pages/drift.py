"""Whether customers change: a calendar of effects, what is behind each, and what followed."""

from collections.abc import Mapping, Sequence

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, html
from dash.development.base_component import Component

from dashboard.components import heat_map
from dashboard.components.shell import create_heading
from dashboard.components.states import create_empty, sentence
from dashboard.drift_days import DriftDay, read_days
from dashboard.sources import Sources

PATH = "/drift"
STATUS_NAMES = {
    "drifted": "Drifted",
    "quiet": "Quiet",
    "too_few_rows": "Too few customers",
    "no_predictions": "Nobody asked",
}


def create_page(sources: Sources, query: Mapping[str, str]) -> Component:
    """The latest days, the newest one's report, and the cell that the URL names."""
    days = read_days(sources.store)
    if not days:
        return html.Div(
            [
                create_heading("Drift"),
                create_empty(
                    "No drift run yet",
                    "Each day churn_drift compares the customers asked about with those the model "
                    "was trained on. Its first findings appear here.",
                ),
            ]
        )
    shown = next((d for d in days if d.date.isoformat() == query.get("report")), days[-1])
    detail = None
    if query.get("day") and query.get("feature"):
        detail = heat_map.create_cell_detail(sources, query["day"], query["feature"])
    return html.Div(
        [
            create_heading("Drift", told(days)),
            dmc.Paper(heat_map.create_heat_map(days[::-1]), mb="md"),
            html.Div(detail, id="drift-detail", **{"aria-live": "polite"}),
            _section("What followed", create_consequences(days)),
            _section("Evidently report", create_report(days, shown)),
        ]
    )


def told(days: Sequence[DriftDay]) -> str:
    """The page in a sentence."""
    drifted = [day for day in days if day.drifted]
    last = days[-1]
    latest = f"Latest, {last.date:%d %b %Y}: {last.explanation.rstrip('.')}."
    if not drifted:
        return f"No drift on the last {len(days)} days. {latest}"
    return f"Drift on {len(drifted)} of the last {len(days)} days. {latest}"


def create_consequences(days: Sequence[DriftDay]) -> Component:
    """Each day's status, and what the guards said where it drifted."""
    rows = []
    for day in reversed(days):
        guards = [
            html.Li(f"{'✓' if guard.passed else '✕'} {sentence(guard.explanation)}")
            for guard in day.retraining.guards
        ]
        outcome = day.retraining.explanation or "–"
        rows.append(
            html.Tr(
                [
                    html.Th(f"{day.date:%d %b %Y}", scope="row"),
                    html.Td(STATUS_NAMES.get(day.status, day.status)),
                    html.Td(f"{day.rows:,}"),
                    html.Td([sentence(outcome), html.Ul(guards) if guards else None]),
                ]
            )
        )
    head = html.Thead(
        html.Tr([html.Th(t, scope="col") for t in ("Day", "Status", "Answers", "Training")])
    )
    table = html.Table([head, html.Tbody(rows)], className="plain")
    region = {"aria-label": "What followed each day"}
    return dmc.Paper(html.Div(table, className="scroll", tabIndex=0, role="region", **region))


def create_report(days: Sequence[DriftDay], shown: DriftDay) -> Component:
    """The choice of a day, and its report in a frame of its own."""
    data = [
        {
            "value": day.date.isoformat(),
            "label": f"{day.date:%d %b %Y}: {STATUS_NAMES.get(day.status, day.status)}",
        }
        for day in reversed(days)
    ]
    choice = dmc.Select(
        id="report-day",
        label="Day",
        data=data,
        value=shown.date.isoformat(),
        allowDeselect=False,
        w=260,
        mb="sm",
    )
    frame = html.Iframe(
        id="report-frame",
        src=f"/drift/report/{shown.date.isoformat()}",
        title="Evidently report",
        className="report",
        sandbox="allow-scripts",
    )
    return html.Div([choice, frame])


def register(app: Dash, sources: Sources) -> None:
    """The heat map's callbacks, and the report of the chosen day."""
    heat_map.register(app, sources)
    app.clientside_callback(
        ClientsideFunction("churn", "showReport"),
        Input("report-day", "value"),
        prevent_initial_call=True,
    )


def _section(title: str, content: Component) -> Component:
    return html.Section([dmc.Title(title, order=2, size="h3", mt="xl", mb="sm"), content])
