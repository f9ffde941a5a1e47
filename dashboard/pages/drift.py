"""Whether customers change: a calendar of effects, what is behind each, and what followed."""

from collections.abc import Mapping, Sequence

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, html
from dash.development.base_component import Component

from dashboard.components import heat_map
from dashboard.components.shell import create_heading, create_section
from dashboard.components.states import create_empty, create_or_explain, sentence
from dashboard.components.tables import create_scroll, create_table
from dashboard.data.drift_days import main_group, read_days
from dashboard.data.sources import Sources
from dashboard.labels import percent, short_label
from include.drift.findings import DriftDay

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
    detail = None
    chosen = query.get("day", ""), query.get("feature", "")
    if all(chosen):
        detail = create_or_explain(heat_map.create_cell_detail, sources, *chosen)
    return html.Div(
        [
            create_heading("Drift", drift_sentence(days)),
            dmc.Paper(heat_map.create_heat_map(days[::-1], chosen), mb="md"),
            html.Div(detail, id="drift-detail", **{"aria-live": "polite"}),
            create_section("What followed", create_consequences(days)),
            create_section("Evidently report", create_report(days, query.get("report", ""))),
        ]
    )


def drift_sentence(days: Sequence[DriftDay]) -> str:
    """The page in a sentence."""
    compared = [day for day in days if is_compared(day)]
    drifted = [day for day in days if day.drifted]
    last = days[-1]
    latest = f"Latest, {last.date:%d %b %Y}: {finding(last)}."
    if not compared:
        return f"Nothing was compared yet. {latest}"
    if len(compared) == 1:
        return f"{'Drift' if drifted else 'No drift'} on the one day that was compared. {latest}"
    if not drifted:
        return f"No drift on the last {len(compared)} days that were compared. {latest}"
    return f"Drift on {len(drifted)} of the last {len(compared)} days that were compared. {latest}"


def is_compared(day: DriftDay) -> bool:
    """Whether enough was asked to compare it, so that there is a report, too."""
    return day.status in {"drifted", "quiet"}


def finding(day: DriftDay) -> str:
    """What a day found, in an analyst's words."""
    group = main_group(day)
    changed = [v for v in (group.verdicts if group else ()) if v.drifted]
    if not changed:
        return day.explanation.rstrip(".")
    changed = sorted(changed, key=lambda verdict: -verdict.effect)
    parts = [f"{short_label(v.feature).lower()} ({percent(v.effect)})" for v in changed]
    return f"customers differ from those of the training in {', '.join(parts)}"


def create_consequences(days: Sequence[DriftDay]) -> Component:
    """Each day's status, and what the guards said where it drifted."""
    rows = []
    for day in reversed(days):
        guards = [
            html.Li(
                [
                    html.Span("✓ " if guard.passed else "✕ ", **{"aria-hidden": "true"}),
                    html.Span("Passed: " if guard.passed else "Stopped it: ", className="hidden"),
                    sentence(guard.explanation),
                ]
            )
            for guard in day.retraining.guards
        ]
        outcome = day.retraining.explanation or "–"
        rows.append(
            (
                f"{day.date:%d %b %Y}",
                STATUS_NAMES.get(day.status, day.status),
                answers_text(day),
                [sentence(outcome), html.Ul(guards, className="guards")],
            )
        )
    names = ("Day", "Status", "Answers", "Training")
    return dmc.Paper(create_table(names, rows, "What followed each day"))


def answers_text(day: DriftDay) -> str:
    """How many answers a day's log has, and how many of them are of somebody who was counted."""
    repeated = sum(group.repeated_rows for group in day.groups)
    return f"{day.rows:,}" + (f", of them {repeated:,} repeats" if repeated else "")


def create_report(days: Sequence[DriftDay], chosen: str) -> Component:
    """The choice of a day that was compared, and its report in a frame of its own."""
    days = [day for day in days if is_compared(day)]
    if not days:
        return dmc.Text("No day has a report yet: nothing was compared.", size="sm", c="dimmed")
    shown = next((day for day in days if day.date.isoformat() == chosen), days[-1])
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
    )
    link = html.A(
        "Open it in a tab of its own",
        id="report-link",
        href=f"/drift/report/{shown.date.isoformat()}",
        target="_blank",
        rel="noopener noreferrer",
    )
    frame = html.Iframe(
        id="report-frame",
        src=f"/drift/report/{shown.date.isoformat()}",
        title="Evidently report",
        className="report",
        sandbox="allow-scripts",
    )
    # Evidently's tables need room: a narrow screen scrolls sideways rather than losing columns.
    scrolled = create_scroll(frame, "Evidently report")
    return html.Div([dmc.Group([choice, link], align="end", mb="sm", className="links"), scrolled])


def register(app: Dash, sources: Sources) -> None:
    """The heat map's callbacks, and the report of the chosen day."""
    heat_map.register(app, sources)
    app.clientside_callback(
        ClientsideFunction("churn", "showReport"),
        Input("report-day", "value"),
        prevent_initial_call=True,
    )
