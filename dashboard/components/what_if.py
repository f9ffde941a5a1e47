"""What if: the features that a bank can hope to change, and the API's answer as they move."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component
from pydantic import BaseModel, FiniteFloat

from dashboard.components.states import error_text
from dashboard.data.champions import TypicalValue
from dashboard.data.sources import Sources
from dashboard.labels import UNITS, feature_label, percent, risk_words
from include.contract import Column, Contract
from include.errors import ChurnError
from include.target import STATE, Target

CHANGEABLE = (
    "Total_Trans_Ct",
    "Total_Trans_Amt",
    "Total_Ct_Chng_Q4_Q1",
    "Total_Relationship_Count",
    "Months_Inactive_12_mon",
    "Contacts_Count_12_mon",
    "Total_Revolving_Bal",
    "Credit_Limit",
)
STEPS = 100


class SliderName(BaseModel):
    """Which feature a slider moves."""

    name: str


def create_what_if(
    record: Mapping[str, Any],
    contract: Contract,
    typical: Mapping[str, TypicalValue],
    target: Target = STATE,
) -> Component:
    """A slider for each changeable feature, beginning at what it is."""
    names = [name for name in CHANGEABLE if record.get(name) is not None]
    columns = [contract.column(name) for name in names if name in contract.feature_names]
    sliders = [_create_slider(column, record, typical.get(column.name)) for column in columns]
    return dmc.Stack(
        [
            dcc.Store(id="what-if-record", data=dict(record)),
            # Kept with the record, so that a drag asks the API and nobody else.
            dcc.Store(id="what-if-integers", data=integer_names(contract)),
            dcc.Store(id="what-if-words", data=risk_words(target)),
            _create_gaps([n for n in contract.of_records.feature_names if record.get(n) is None]),
            html.Div(
                dmc.Text("Move a slider to ask the model.", size="sm"),
                id="what-if-answer",
                className="what-if-answer",
                **{"aria-live": "polite"},
            ),
            dmc.SimpleGrid(sliders, cols={"base": 1, "xs": 2}, spacing="lg"),
            dmc.Text(
                "The answer is the model's, for a customer who has always been so. It does not "
                "promise that changing the number changes the mind. Unused credit and the share "
                "used follow limit and balance.",
                size="xs",
                c="dimmed",
            ),
        ],
        gap="sm",
    )


def _create_gaps(names: Sequence[str]) -> Component | None:
    """What the record lacks: the model may refuse it, and there is nothing to move."""
    if not names:
        return None
    told = (
        "The record is incomplete, and the model may refuse it. The customer table has no value "
        f"for: {'; '.join(feature_label(name) for name in names)}."
    )
    return dmc.Text(told, id="what-if-gaps", className="warning", size="sm")


def _create_slider(
    column: Column, record: Mapping[str, Any], typical: TypicalValue | None
) -> Component:
    value = record[column.name]
    low, high, step = slider_range(column, value, typical)
    name = feature_label(column.name)
    unit = UNITS.get(column.name, "")
    return html.Div(
        [
            dmc.Text(f"{name}{f' ({unit})' if unit else ''}", size="sm", fw=500, mb=22),
            dmc.Slider(
                id={"type": "what-if", "name": column.name},
                min=low,
                max=high,
                step=step,
                value=value,
                updatemode="drag",
                thumbLabel=name,
                size="sm",
                marks=[{"value": value, "label": "now"}],
                mb="md",
            ),
        ]
    )


def slider_range(
    column: Column, value: float, typical: TypicalValue | None
) -> tuple[float, float, float]:
    """From the least that makes sense to twice of what is usual, on round steps."""
    usual = typical.high if typical and typical.high is not None else value
    high = max(2 * value, 2 * usual, 1.0)
    low = max(column.minimum or 0.0, 0.0)
    high = min(high, column.maximum if column.maximum is not None else high)
    if column.type == "integer":
        step = float(max(1, round((high - low) / STEPS)))
        return low, float(round(high)), 1.0 if step < 5 else step
    step = 0.01 if high < 20 else 10.0
    return low, high, step


def integer_names(contract: Contract) -> list[str]:
    """The columns that take whole numbers alone."""
    return [column.name for column in contract.features if column.type == "integer"]


def changed_record(
    record: Mapping[str, Any], changes: Mapping[str, Any], integers: Sequence[str]
) -> dict[str, Any]:
    """The record with changes; what is computed from limit and balance follows them.

    So do the changes over past snapshots of what is changed.
    """
    found = dict(record)
    for name, value in changes.items():
        if value is None or value == record.get(name):
            continue
        found[name] = round(value) if name in integers else float(value)
        for change in (each for each in record if each.startswith(f"{name}_Change_")):
            found[change] = record[change] + found[name] - record[name]
    limit, balance = found.get("Credit_Limit"), found.get("Total_Revolving_Bal")
    moved = any(found.get(n) != record.get(n) for n in ("Credit_Limit", "Total_Revolving_Bal"))
    if moved and limit is not None and balance is not None:
        found["Avg_Open_To_Buy"] = max(float(limit) - float(balance), 0.0)
        found["Avg_Utilization_Ratio"] = round(float(balance) / float(limit), 3) if limit else 0.0
    return found


def create_answer(probability: float, before: float | None, version: str, words: str) -> Component:
    """The new probability, and how far it is from the present one."""
    moved = "" if before is None else _moved(100 * (probability - before))
    return html.Div(
        [
            html.Span(
                percent(probability, decimals=1),
                className="big-number",
                id="what-if-probability",
                **{"data-probability": repr(probability)},
            ),
            dmc.Text(f"{words}{moved} (model {version})", size="sm", span=True),
        ]
    )


def _moved(points: float) -> str:
    if abs(points) < 0.05:
        return ", as it is now"
    return f", {abs(points):.1f} points {'more' if points > 0 else 'less'} than now"


def register(app: Dash, sources: Sources) -> None:
    """Ask the API for each position of the sliders."""

    @app.callback(
        Output("what-if-answer", "children"),
        Input({"type": "what-if", "name": ALL}, "value"),
        State({"type": "what-if", "name": ALL}, "id"),
        State("what-if-record", "data"),
        State("what-if-integers", "data"),
        State("what-if-words", "data"),
        State("now-probability", "data"),
        prevent_initial_call=True,
    )
    def answer(
        values: Sequence[FiniteFloat | None],
        names: Sequence[SliderName],
        record: dict[str, Any] | None,
        integers: Sequence[str] | None,
        words: str | None,
        before: FiniteFloat | None,
    ) -> Any:
        if record is None or not len(values) == len(names) > 0:
            return no_update
        changes = {each.name: value for each, value in zip(names, values, strict=True)}
        asked = changed_record(record, changes, integers or ())
        try:
            found = sources.api.predict(asked, source="what-if")
        except ChurnError as error:
            return dmc.Text(error_text(error), className="warning", size="sm")
        told = words or risk_words(STATE)
        return create_answer(found["probabilities"][0], before, found["model_version"], told)
