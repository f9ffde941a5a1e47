"""The form for one record: filled with a typical customer, each fault beside its field."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, html, no_update
from dash.development.base_component import Component

from dashboard.components import reason_bars
from dashboard.components.states import create_failure, create_or_explain
from dashboard.data.api_client import ApiProblem
from dashboard.data.champions import TypicalValue
from dashboard.data.sources import Sources
from dashboard.labels import UNITS, WITHOUT_HISTORY, feature_label, percent, risk_words
from include.contract import Column, Contract
from include.errors import ChurnError
from include.target import STATE, Target


def create_form(
    contract: Contract, typical: Mapping[str, TypicalValue], query: Mapping[str, str]
) -> Component:
    """A field for each column; a URL's values go before the typical ones."""
    filled = "Filled in: the typical customer." if typical else "Every field is needed."
    asked = contract.of_records.features
    fields = [_create_field(column, typical, query) for column in asked]
    return dmc.Grid(
        [
            dmc.GridCol(
                dmc.Paper(
                    [
                        dmc.SimpleGrid(fields, cols={"base": 1, "xs": 2, "lg": 3}, spacing="sm"),
                        dmc.Group(
                            [
                                dmc.Button("Score this customer", id="score-one"),
                                dmc.Text(filled, size="sm", c="dimmed"),
                            ],
                            mt="md",
                        ),
                    ]
                ),
                span={"base": 12, "md": 7},
            ),
            dmc.GridCol(
                dmc.Paper(
                    html.Div(
                        dmc.Text("The answer appears here.", c="dimmed"),
                        id="one-answer",
                        className="customer-body",
                        **{"aria-live": "polite"},
                    )
                ),
                span={"base": 12, "md": 5},
            ),
        ],
        gutter="md",
    )


def _create_field(
    column: Column, typical: Mapping[str, TypicalValue], query: Mapping[str, str]
) -> Component:
    known = typical.get(column.name)
    value = query.get(column.name, known.value if known else None)
    name = {"type": "field", "name": column.name}
    unit = UNITS.get(column.name)
    label = feature_label(column.name) + (f" ({unit})" if unit else "")
    if column.categories:
        chosen = value if value in column.categories else column.categories[0]
        data = [{"value": each, "label": each} for each in column.categories]
        return dmc.Select(
            id=name, label=label, data=data, value=chosen, allowDeselect=False, size="sm"
        )
    return dmc.NumberInput(
        id=name,
        label=label,
        value=_number(value),
        thousandSeparator=",",
        min=column.minimum,
        max=column.maximum,
        allowDecimal=column.type == "float",
        clampBehavior="none",  # a wrong number is shown as wrong, not changed
        size="sm",
    )


def _number(value: Any) -> float | int | str:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return ""
    return int(number) if number.is_integer() else number


def record_of(values: Mapping[str, Any], contract: Contract) -> dict[str, Any]:
    """The form's values as the API wants them; empty fields are left out, so that it names them."""
    found = {}
    for column in contract.features:
        value = values.get(column.name)
        if value is None or value == "":
            continue
        if not column.categories and isinstance(value, str):
            number = _number(value.replace(",", ""))
            value = value if number == "" else number
        found[column.name] = value
    return found


def create_answer(answer: Mapping[str, Any], why: Any, target: Target = STATE) -> Component:
    """The probability, what it means, and why."""
    probability, version = answer["probabilities"][0], answer["model_version"]
    label = "leaving" if answer["predictions"][0] else "staying"
    # Few who will leave are likelier to leave than to stay: there the label would only mislead.
    counts = "" if target.is_early_warning else f": counts as {label}"
    past = dmc.Text(WITHOUT_HISTORY, size="sm", c="dimmed") if answer.get("defaulted") else None
    return html.Div(
        [
            html.Span(
                percent(probability, decimals=1),
                className="big-number",
                id="one-probability",
                **{"data-probability": repr(probability)},
            ),
            dmc.Text(f"{risk_words(target)}{counts} (model {version})", span=True, size="sm"),
            past,
            dmc.Title("Why", order=2, size="h4", mt="md", mb=8),
            why,
        ]
    )


def register(app: Dash, sources: Sources) -> None:
    """Ask the API, and put its faults beside the fields."""
    app.clientside_callback(
        ClientsideFunction("churn", "showFault"),
        Input("one-answer", "children"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("one-answer", "children"),
        Output({"type": "field", "name": ALL}, "error"),
        Output("score-query", "data"),
        Input("score-one", "n_clicks"),
        State({"type": "field", "name": ALL}, "value"),
        prevent_initial_call=True,
        running=[(Output("score-one", "loading"), True, False)],
    )
    def score_one(_clicks: int | None, values: Sequence[Any]) -> Any:
        # Each value and each fault beside its own name.
        fields = zip(ctx.states_list[0], values, strict=True)
        given = {field["id"]["name"]: value for field, value in fields}
        names = [each["id"]["name"] for each in ctx.outputs_list[1]]
        record = record_of(given, sources.serving_contract())
        clean: list[str | None] = [None] * len(names)
        try:
            answer = sources.api.predict(record, source="what-if")
        except ApiProblem as problem:
            note = (
                dmc.Text("Some fields are not right: see beside them.", className="warning")
                if problem.faults
                else create_failure(problem)
            )
            return note, [problem.faults.get(name) for name in names], no_update
        except ChurnError as error:
            return create_failure(error), clean, no_update
        why = create_or_explain(lambda: reason_bars.create_bars(sources.api.explain(record)))
        target = sources.targets.shown(answer["model_version"])
        shown = create_answer(answer, why, target)
        return shown, clean, {name: str(value) for name, value in record.items()}
