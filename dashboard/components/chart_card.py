"""A chart on a card: title, the sentence that says what it says, and the figure."""

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from dashboard.charts import Chart
from dashboard.theme import FIGURE_CONFIG

HEIGHT = 300


def create_chart(chart: Chart, *, height: int = HEIGHT, in_row: bool = False) -> Component:
    """The card; for a screen reader the figure is an image that the sentence describes.

    Charts `in_row` leave room for three lines of words, so that their figures are level.
    """
    graph = dcc.Graph(
        figure=chart.figure,
        config=FIGURE_CONFIG,
        style={"height": f"{height}px"},
        responsive=True,
    )
    image = html.Div(
        graph,
        role="img",
        className="chart",
        style={"minHeight": f"{height}px"},  # also before Plotly has come, or all below would jump
        **{"aria-label": f"{chart.title}. {chart.sentence}"},
    )
    room = {"base": 0, "sm": 62} if in_row else 0
    return dmc.Paper(
        [
            dmc.Title(chart.title, order=3, size="h5"),
            dmc.Text(chart.sentence, size="sm", c="dimmed", mb="xs", mih=room),
            image,
        ]
    )
