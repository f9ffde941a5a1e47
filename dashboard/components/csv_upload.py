"""A CSV file of customers: checked as a whole, scored in parts through the API, given back."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate
from pydantic import BaseModel

from dashboard import people
from dashboard.components.states import create_failure, error_text
from dashboard.components.tables import create_head, create_scroll, create_table
from dashboard.data import uploads
from dashboard.data.sources import Sources
from dashboard.data.uploads import Upload, UploadGone
from dashboard.labels import WITHOUT_HISTORY, counted, percent
from include.customers.csv_file import SCORED_BYTES_MAX, SCORED_ROWS_MAX
from include.errors import ChurnError

PREVIEW_ROWS = 5
FAULTS_SHOWN = 100
LIMITS = (
    f"CSV in UTF-8, one row for each customer: at most {SCORED_ROWS_MAX:,} rows and "
    f"{SCORED_BYTES_MAX // 2**20} MB"
)


def create_upload() -> Component:
    """Where a file is dropped, and what comes of it; not for who may only look."""
    if not people.may_write():
        return dmc.Text("Who may look only uploads no files: that takes the role operator.")
    drop = dcc.Upload(
        html.Div(
            [
                html.Strong("Drop a CSV file here, or press to choose one"),
                dmc.Text(LIMITS, size="sm", c="dimmed"),
            ],
            **{"data-bytes-max": SCORED_BYTES_MAX},
        ),
        id="upload",
        max_size=-1,  # what Dash refuses it drops in silence: dashboard.js says why instead
        className="upload",
        className_active="upload",
    )
    return dmc.Paper(
        dmc.Stack(
            [
                dmc.Anchor(
                    "Download the template (CSV)",
                    href="/score/template.csv",
                    refresh=True,
                    size="sm",
                    w="fit-content",
                ),
                drop,
                html.Div(id="upload-reading", **{"aria-live": "polite"}),
                html.Div(id="upload-preview", **{"aria-live": "polite"}),
                html.Div(id="upload-progress", **{"aria-live": "polite"}),
                dcc.Store(id="upload-state"),
                dcc.Store(id="upload-step"),
                dcc.Store(id="upload-next"),
            ]
        )
    )


def create_preview(name: str, upload: Upload, token: str | None) -> Component:
    """The first rows, and either every fault or the button that scores."""
    ignored = (
        dmc.Text(f"Columns that are not used: {', '.join(upload.ignored)}.", size="sm")
        if upload.ignored
        else None
    )
    count = len(upload.records)
    first = f", the first {PREVIEW_ROWS}" if count > PREVIEW_ROWS else ""
    told = f"{counted(count, 'row')}{first}:" if count else "no whole row"
    parts = [
        dmc.Text(f"{name}: {told}", fw=600, style={"overflowWrap": "anywhere"}),
        ignored,
        _create_table(upload.records[:PREVIEW_ROWS]) if count else None,
    ]
    if token is None:
        return dmc.Stack([*parts, create_faults(upload)], gap="sm")
    button = dmc.Button(f"Score {counted(count, 'customer')}", id="score-file", w="fit-content")
    return dmc.Stack([*parts, button], gap="sm")


def create_faults(upload: Upload) -> Component:
    """Every fault by its row in the file."""
    faults, count = upload.faults, upload.faults_found
    shown = [
        (f"{fault.row:,}", fault.column or "the whole row", fault.expected, fault.found)
        for fault in faults[:FAULTS_SHOWN]
    ]
    within = counted(len({fault.row for fault in faults}), "row")
    within = within if len(faults) == count else f"more than {within}"
    more = f" The first {FAULTS_SHOWN} are shown." if count > FAULTS_SHOWN else ""
    told = (
        f"{counted(count, 'value')} in {within} "
        f"{'is' if count == 1 else 'are'} not right, so nothing was scored. Correct the file and "
        f"upload it again.{more}"
    )
    names = ("Row", "Column", "Expected", "Found")
    table = create_table(names, shown, "Faults", id="upload-faults")
    return html.Div([dmc.Alert(told, color="orange", variant="light", mb="sm"), table])


def _create_table(records: Sequence[dict[str, Any]]) -> Component:
    names = uploads.column_names(records)
    rows = [html.Tr([html.Td(str(record.get(name, ""))) for name in names]) for record in records]
    table = html.Table([create_head(names), html.Tbody(rows)], className="plain preview")
    return create_scroll(table, "The first rows")


def create_progress(state: dict[str, Any]) -> Component:
    """How far it is; at the end the figures and the file."""
    if state.get("fault"):
        return dmc.Alert(state["fault"], color="orange", variant="light")
    done, total = state["done"], state["total"]
    bar = dmc.Progress(
        value=100 * done / total, size="lg", **{"aria-label": f"{done} of {total} rows scored"}
    )
    if done < total:
        return dmc.Stack([dmc.Text(f"{done:,} of {total:,} rows scored …", size="sm"), bar])
    share = percent(state["leaving"] / total, decimals=1)
    told = f"{counted(total, 'row')} scored, {state['leaving']:,} of them as leaving ({share})."
    if state.get("warns_early"):  # its threshold is hardly ever reached
        told = f"{counted(total, 'row')} scored: call in the order of risk, the highest first."
    link = dmc.Anchor(
        "Download the result (CSV)",
        href=f"/score/result/{state['token']}.csv",
        refresh=True,
        id="result-link",
        **{"data-download": "result"},
    )
    past = dmc.Text(WITHOUT_HISTORY, size="sm", c="dimmed") if state.get("defaulted") else None
    return dmc.Stack([past, dmc.Text(told, id="upload-done"), bar, link], gap="sm")


class UploadState(BaseModel):
    """What the browser keeps of an upload; how far it is scored is known here alone."""

    token: str | None


def register(app: Dash, sources: Sources) -> None:
    """Read and check a file when it comes, score it part by part when asked."""
    _register_reading(app, sources)
    _register_scoring(app, sources)


def _register_reading(app: Dash, sources: Sources) -> None:
    var_dir = sources.settings.var_dir

    @app.callback(
        Output("upload-preview", "children"),
        Output("upload-state", "data"),
        Output("upload-progress", "children"),
        # Or the same file, corrected elsewhere and chosen again, would change nothing here.
        Output("upload", "contents"),
        Input("upload", "contents"),
        State("upload", "filename"),
        prevent_initial_call=True,
        running=[(Output("upload-reading", "children"), "Reading the file …", "")],
    )
    def read_file(contents: str | None, name: str | None) -> Any:
        if contents is None:
            raise PreventUpdate
        try:
            people.writer()
            upload = uploads.read_upload(uploads.decode(contents), sources.serving_contract())
            token = None if upload.faults else uploads.keep(var_dir, upload)
        except ChurnError as error:
            return create_failure(error, title="This file was not taken"), None, "", None
        state = {"token": token, "done": 0, "total": len(upload.records)}
        return create_preview(name or "the file", upload, token), state, "", None


def _register_scoring(app: Dash, sources: Sources) -> None:
    @app.callback(
        Output("upload-step", "data"),
        Input("score-file", "n_clicks"),
        State("upload-state", "data"),
        prevent_initial_call=True,
    )
    def begin(clicks: int | None, state: UploadState | None) -> Any:
        if not clicks or not state or not state.token:
            return no_update
        return state.model_dump()

    @app.callback(
        Output("upload-progress", "children", allow_duplicate=True),
        Output("upload-next", "data"),
        Input("upload-step", "data"),
        prevent_initial_call=True,
    )
    def score_part(state: UploadState | None) -> Any:
        if not state or not state.token:
            return no_update, no_update
        found = next_state(sources, state.token)
        return create_progress(found), found

    app.clientside_callback(
        ClientsideFunction("churn", "nextPart"),
        Input("upload-next", "data"),
        State("upload-state", "data"),
        prevent_initial_call=True,
    )


def next_state(sources: Sources, token: str) -> dict[str, Any]:
    """The state after one more part; with a fault where the API refused or did not answer."""
    var_dir = sources.settings.var_dir
    try:
        found = asdict(uploads.score_next(var_dir, token, sources.api))
        if found["done"] == found["total"]:
            found |= uploads.summarise(var_dir, token)
            found["warns_early"] = sources.targets.shown(found["version"]).is_early_warning
    except ChurnError as error:
        told = error_text(error)
        if not isinstance(error, UploadGone):
            told += " Press the button to go on from there."
        return {"token": token, "fault": told}
    return found
