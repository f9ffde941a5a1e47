"""What a page shows when there is nothing to show: empty, loading, or something is down."""

from collections.abc import Callable
from typing import Any

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard.data.api_client import ApiDown, ApiProblem
from include.errors import ChurnError


def create_empty(title: str, advice: str) -> Component:
    """A calm note where data will be."""
    return dmc.Paper(
        [
            html.Div("◌", className="state-sign", **{"aria-hidden": "true"}),
            dmc.Title(title, order=2, size="h3"),
            dmc.Text(advice, c="dimmed", maw=560, mx="auto"),
        ],
        ta="center",
        py=56,
        className="state",
    )


def create_failure(error: ChurnError, *, title: str | None = None) -> Component:
    """What went wrong, and what to do, in the error's own words."""
    return dmc.Alert(
        dmc.Text(error_text(error), size="sm"),
        title=title or error_title(error),
        color="orange",
        variant="light",
        className="failure",
        **{"data-state": "failure"},
    )


def create_or_explain(create: Callable[..., Component], *arguments: Any) -> Component:
    """What is to be shown, or why it cannot be."""
    try:
        return create(*arguments)
    except ChurnError as error:
        return create_failure(error)


def error_title(error: ChurnError) -> str:
    """The kind of the error in a few words."""
    if isinstance(error, ApiDown):
        return "The prediction service does not answer"
    if isinstance(error, ApiProblem):
        return {503: "No champion yet", 401: "The service refuses the dashboard's key"}.get(
            error.status, "The prediction service refuses this"
        )
    return "This cannot be shown at the moment"


def error_text(error: ChurnError) -> str:
    """The error for people: what happened and what to do."""
    if isinstance(error, ApiDown):
        return (
            f"{sentence(str(error))} Lists and marks still work; scores and explanations come "
            "back with the service."
        )
    if isinstance(error, ApiProblem) and error.status == 503:
        return (
            "The service runs, but no model is in production yet. Train one: start churn_training "
            "in Airflow."
        )
    return sentence(str(error))


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    text = text.strip()
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def create_loading() -> Component:
    """Grey bars in the shape of what comes."""
    bars = [dmc.Skeleton(height=height, radius="md") for height in (28, 120, 320)]
    return dmc.Stack(bars, **{"aria-busy": "true"})
