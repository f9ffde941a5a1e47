"""Tables of words and numbers: scrollable by keyboard, and one card for each row on a phone."""

from collections.abc import Iterable, Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

SHORT_CHARACTERS = 20  # dates, figures and single words stay on one line


def create_table(
    names: Sequence[str], rows: Sequence[Sequence[Any]], label: str, **more: Any
) -> Component:
    """A table with a header for each column; the first cell of a row names the row."""
    head = create_head(names)
    body = html.Tbody([_create_row(names, row) for row in rows])
    table = html.Table([head, body], className="plain stacked", **more)
    return create_scroll(table, label)


def create_head(names: Sequence[Any]) -> Component:
    """The headers of a table's columns."""
    return html.Thead(html.Tr([html.Th(name, scope="col") for name in names]))


def create_figures(figures: Iterable[tuple[str, str]]) -> Component:
    """Names and their figures, side by side."""
    cards = [
        html.Div([html.Dt(name), html.Dd(value)], className="figure") for name, value in figures
    ]
    return html.Dl(cards, className="figures")


def _create_row(names: Sequence[str], row: Sequence[Any]) -> Component:
    first, *rest = row
    cells = [
        html.Td(cell, className=_width(cell), **{"data-label": name})
        for name, cell in zip(names[1:], rest, strict=True)
    ]
    named = {} if isinstance(first, str) and first[:1].isalpha() else {"data-label": names[0]}
    return html.Tr([html.Th(first, scope="row", **named), *cells])


def _width(cell: Any) -> str:
    return "short" if isinstance(cell, str) and len(cell) <= SHORT_CHARACTERS else ""


def create_scroll(table: Component, label: str) -> Component:
    """Reachable by keyboard, or nobody without a mouse could scroll it."""
    region = {"aria-label": label}
    return html.Div(table, className="scroll", tabIndex=0, role="region", **region)
