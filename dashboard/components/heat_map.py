"""Days × features as a table of buttons: each shows its effect, and opens what is behind it."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, ClientsideFunction, Dash, Input, Output, ctx, dcc, html, no_update
from dash.development.base_component import Component

from dashboard import charts
from dashboard.components.chart_card import create_chart
from dashboard.components.states import create_or_explain
from dashboard.components.tables import create_head
from dashboard.data import drift_days
from dashboard.data.drift_days import main_group, verdict_of
from dashboard.data.sources import Sources
from dashboard.labels import feature_label, percent
from include.champion.versions import read_version
from include.drift.findings import DriftDay, Verdict

# Cividis, light end first: even to the eye and safe for colour blindness (Nuñez et al. 2018).
SCALE = ("#eae6c2", "#d6c96a", "#b5ab6e", "#8e8d75", "#6b7277", "#47566c", "#1f3d6d")
SCALE_TOP = 0.35  # an effect from here on has the darkest colour
DARK_FROM = 4  # from this step on the text is white
MARK = "●"


def create_heat_map(days: Sequence[DriftDay], chosen: tuple[str, str]) -> Component:
    """The table, its scale, and where a cell's distributions appear; `chosen` is marked."""
    groups = [group for day in days if (group := main_group(day))]
    features = list(dict.fromkeys(v.feature for group in groups for v in group.verdicts))
    corner = html.Span("Feature", className="hidden")
    head = create_head([corner, *(f"{day.date:%d %b}" for day in days)])
    body = [
        html.Tr(
            [
                html.Th(feature_label(feature), scope="row"),
                *(html.Td(_create_cell(day, feature, chosen)) for day in days),
            ]
        )
        for feature in features
    ]
    table = html.Table([head, html.Tbody(body)])
    region = {"aria-label": "Effect by day and feature"}
    shown = [html.Div(table, className="heat", tabIndex=0, role="region", **region)]
    shown.append(_create_scale())
    if not features:
        shown = [dmc.Text("No feature was compared on any of these days.", size="sm", c="dimmed")]
    return html.Div([*shown, dcc.Store(id="drift-cell")])


def _create_cell(day: DriftDay, feature: str, chosen: tuple[str, str]) -> Component:
    verdict = verdict_of(day, feature)
    if verdict is None:
        return html.Span(className="void", title=f"{day.date:%d %b}: not tested")
    step = colour_step(verdict.effect)
    told = cell_text(day, verdict)
    style = {"background": SCALE[step], "color": "#fff" if step >= DARK_FROM else "#1a1b1e"}
    return html.Button(
        MARK if verdict.drifted else "",
        id={"type": "drift-cell", "day": day.date.isoformat(), "feature": feature},
        title=told,
        style=style,
        className="chosen" if chosen == (day.date.isoformat(), feature) else "",
        **{"aria-label": told},
    )


def colour_step(effect: float) -> int:
    """The place of an effect on the scale."""
    return min(int(effect / SCALE_TOP * len(SCALE)), len(SCALE) - 1)


def cell_text(day: DriftDay, verdict: Verdict) -> str:
    """A cell in words."""
    found = "drifted" if verdict.drifted else "significant" if verdict.significant else "quiet"
    return (
        f"{day.date:%d %b}, {feature_label(verdict.feature)}: {percent(verdict.effect)} of "
        f"customers differ, {found}"
    )


def _create_scale() -> Component:
    size = {"width": "22px", "height": "12px", "display": "inline-block"}
    swatches = [html.Span(style={"background": colour, **size}) for colour in SCALE]
    return dmc.Group(
        [
            dmc.Text("0%", size="xs"),
            html.Span(swatches, **{"aria-hidden": "true"}),
            dmc.Text(f"{percent(SCALE_TOP)} of customers differ or more", size="xs"),
            dmc.Text(f"{MARK} drifted: significant and above the floor", size="xs"),
        ],
        gap="xs",
        mt="xs",
    )


def significance(q_value: float) -> str:
    """How surely the difference is none of chance."""
    return "q < 0.001" if q_value < 0.001 else f"q = {q_value:.2g}"


def create_cell_detail(sources: Sources, day_text: str, feature: str) -> Component:
    """The distributions behind a cell: what was asked that day against the reference."""
    days = drift_days.read_days(sources.store)
    day = next((each for each in days if each.date.isoformat() == day_text), None)
    group, verdict = (main_group(day), verdict_of(day, feature)) if day else (None, None)
    if day is None or verdict is None or group is None:
        return dmc.Text("This cell has no test behind it.", c="dimmed")
    told = f"{cell_text(day, verdict)} ({significance(verdict.q_value)})."
    # The day was tested against its own version's customers, whoever is the champion by now.
    manifest, _ = read_version(sources.store, group.version)
    if feature not in manifest.contract.feature_names:
        return dmc.Text(told)
    places, reference = sources.references.summary(manifest).bins.get(feature, ([], []))
    logged = drift_days.read_logged(sources.store, day.date, feature, manifest=manifest)
    current: list[float] = []
    if logged is not None and places:
        current = drift_days.shares_like(logged, places, manifest=manifest, feature=feature)
    if not current:
        told += " The day's log is no longer in the store, so only the reference is drawn."
    return create_chart(charts.distribution(feature, places, reference, current, sentence=told))


def register(app: Dash, sources: Sources) -> None:
    """Show what is behind a cell."""

    @app.callback(
        Output("drift-detail", "children"),
        Output("drift-cell", "data"),
        Input({"type": "drift-cell", "day": ALL, "feature": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def show_cell(clicks: Sequence[int | None]) -> Any:
        if not any(clicks) or not ctx.triggered_id:
            return no_update, no_update
        day, feature = ctx.triggered_id["day"], ctx.triggered_id["feature"]
        detail = create_or_explain(create_cell_detail, sources, day, feature)
        return detail, {"day": day, "feature": feature}

    app.clientside_callback(
        ClientsideFunction("churn", "chooseCell"),
        Input("drift-cell", "data"),
        prevent_initial_call=True,
    )
