"""How the prediction service is at the moment."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component
from pydantic import BaseModel, FiniteFloat

from dashboard.components.shell import create_heading
from dashboard.components.states import create_failure, create_loading
from dashboard.data.api_metrics import (
    LiveFigures,
    live_from_counters,
    live_from_prometheus,
    parse_exposition,
)
from dashboard.data.sources import Sources
from dashboard.labels import counted, percent
from include.errors import ChurnError

PATH = "/service"
REFRESH_MILLISECONDS = 5000
WINDOW_SECONDS = 60.0


class Reading(BaseModel):
    """The service's counters at a moment, as the browser keeps them for the next question."""

    at: FiniteFloat
    counters: dict[str, float | None]  # JSON has no NaN


def create_page(sources: Sources, query: Mapping[str, str]) -> Component:
    """The frame; the figures come by themselves and are renewed every few seconds."""
    origin = "Prometheus" if sources.settings.prometheus_url else "the service's own /metrics"
    return html.Div(
        [
            create_heading("Service", f"Live figures from {origin}, renewed every five seconds."),
            dcc.Interval(id="service-tick", interval=REFRESH_MILLISECONDS),
            dcc.Store(id="service-before"),
            html.Div(create_loading(), id="service-body"),
            _create_links(sources),
        ]
    )


def _create_links(sources: Sources) -> Component:
    settings = sources.settings
    links = {
        "API documentation": (settings.api_public_url or settings.api_url) + "/docs",
        "MLflow": settings.mlflow_public_url or settings.tracking_uri,
        "Airflow": settings.airflow_public_url or f"http://127.0.0.1:{settings.airflow_port}",
    }
    anchors = [
        html.A(name, href=url, target="_blank", rel="noopener noreferrer")
        for name, url in links.items()
    ]
    return dmc.Group(anchors, gap="lg", mt="lg", className="links")


def create_figures(health: Mapping[str, Any], live: LiveFigures) -> Component:
    """What serves, and how it does."""
    ready = bool(health.get("model_loaded"))
    told = service_sentence(health, live)
    figures = [
        ("Model version", str(health.get("model_version") or "none")),
        ("Ready", "yes" if ready else "no"),
        ("Answers per second", _number(live.rate, "{:.1f}")),
        ("Median latency", _milliseconds(live.p50)),
        ("99th percentile", _milliseconds(live.p99)),
        ("Server errors", percent(live.errors, decimals=1)),
        ("Refused requests", percent(live.refused, decimals=1)),
        ("Answers not yet logged", _number(live.pending, "{:,.0f}")),
        ("Answers lost to the log", _number(live.lost, "{:,.0f}")),
    ]
    cards = [
        html.Dl(html.Div([html.Dt(name), html.Dd(value)], className="figure"), className="card")
        for name, value in figures
    ]
    return html.Div(
        [
            dmc.Text(told, mb="md", id="service-told"),
            dmc.SimpleGrid(cards, cols={"base": 2, "sm": 3}),
        ]
    )


def service_sentence(health: Mapping[str, Any], live: LiveFigures) -> str:
    """The state in a sentence."""
    if not health.get("model_loaded"):
        return "The service runs, but has no model to answer with."
    told = f"The service answers with model {health.get('model_version')}"
    if live.window is None:
        told += f"; {counted(int(live.answered or 0), 'answer')} since it began"
    elif live.rate:
        told += f", {live.rate:.1f} times a second over {live.window}"
    else:
        told += f"; nobody asked in {live.window}"
    troubled = (live.errors or 0) > 0 or (live.lost or 0) > 0
    return told + (". Look at its errors." if troubled else ". All is well.")


def register(app: Dash, sources: Sources) -> None:
    """Ask the service again and again."""

    @app.callback(
        Output("service-body", "children"),
        Output("service-before", "data"),
        Input("service-tick", "n_intervals"),
        State("service-before", "data"),
    )
    def refresh(_ticks: int | None, before: list[Reading] | None) -> Any:
        try:
            health = sources.api.health()
            live, reading = read_live(sources, [each.model_dump() for each in before or ()])
        except ChurnError as error:
            return create_failure(error), None
        return create_figures(health, live), reading


def read_live(
    sources: Sources, before: Sequence[Mapping[str, Any]] | None
) -> tuple[LiveFigures, list[Mapping[str, Any]] | None]:
    """The figures of the last minute, and the readings that the next is to be compared with."""
    if sources.settings.prometheus_url:
        return live_from_prometheus(sources.settings.prometheus_url), None
    told = sources.api.metrics()
    try:
        counters = parse_exposition(told)
    except ValueError as error:
        raise sources.api.no_api("Prometheus' text format", told) from error
    reading: Mapping[str, Any] = {"at": time.time(), "counters": counters}
    kept = [each for each in before or [] if reading["at"] - each["at"] <= WINDOW_SECONDS]
    if not kept:
        return live_from_counters(counters, {}, seconds=0.0), [reading]
    first, last = kept[0], kept[-1]
    seconds = max(reading["at"] - first["at"], 0.1)
    live = live_from_counters(counters, first["counters"], seconds=seconds)
    # A few readings are enough for a window that slides: each travels with every question.
    apart = reading["at"] - last["at"] >= WINDOW_SECONDS / 3
    return live, [*kept, reading] if apart else kept


def _number(value: float | None, pattern: str) -> str:
    return "–" if value is None else pattern.format(value)


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:.1f} ms"
