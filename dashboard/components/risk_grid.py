"""The grid of customers: paged, sorted and filtered by the database."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component
from pydantic import BaseModel, Field

from dashboard import people
from dashboard.data.call_list import CallList
from dashboard.data.campaign import SIGNS, reasons_text, rounded
from dashboard.data.list_view import ListView
from dashboard.data.sources import Sources
from dashboard.labels import risk_heading
from include.errors import ChurnError
from include.scoring.earlier import RISES
from include.target import Target

PAGE_ROWS = 50
NUMBER_FILTER = {"buttons": ["reset"], "maxNumConditions": 2, "debounceMs": 300}
ACTIONS = {
    "called": "Called",
    "snoozed": "Snooze 30 days",
    "stays": "Stays",
    "leaves": "Leaves",
    "not_reached": "Not reached",
    "reopened": "Put back",
}
ROW_MAX = 2**53
NOBODY = "No customer fits this view: widen the filters."
TEXTS = {"reasons", "status", "card", "customer", "sign", "call_by", "flagged_since"}
POINTS = {"function": "churnPoints(params.value)"}
DAY = {"function": "churnDay(params.value)"}
DOLLARS = {"function": "churnMoney(params.value)"}


class SortedBy(BaseModel):
    """A column of the grid, and which way it is sorted."""

    colId: str
    sort: str


class RowsRequest(BaseModel):
    """What the grid asks for when somebody scrolls, sorts or filters."""

    startRow: int = Field(ge=0, le=ROW_MAX)
    endRow: int = Field(ge=0, le=ROW_MAX)
    sortModel: list[SortedBy] | None = None
    filterModel: dict[str, Any] | None = None


def create_grid(view: ListView, target: Target) -> Component:
    """The grid as the view has it."""
    grid = dag.AgGrid(
        id="risk-grid",
        rowModelType="infinite",
        columnDefs=column_definitions(view, target),
        defaultColDef={"resizable": True, "sortable": True, "minWidth": 90},
        filterModel=dict(view.filters),
        getRowId="params.data.id",
        eventListeners={"cellKeyDown": ["churnOpenOnEnter(params, setEventData)"]},
        dashGridOptions={
            "pagination": True,
            "paginationPageSize": PAGE_ROWS,
            "paginationPageSizeSelector": False,
            "cacheBlockSize": PAGE_ROWS,
            "maxConcurrentDatasourceRequests": 1,
            "maxBlocksInCache": 6,
            "infiniteInitialRowCount": 1,
            "rowHeight": 44,
            "rowBuffer": 4,
            "rowSelection": {"mode": "multiRow", "headerCheckbox": False},
            "selectionColumnDef": {"pinned": "left", "width": 46, "maxWidth": 46},
            "enableCellTextSelection": True,
            # Arrows move among the rows: a page has 850 cells before what stands below it.
            "tabToNextCell": {"function": "false"},
        },
        style={"height": "min(72vh, 860px)", "minHeight": "420px"},
        className="risk-grid",
    )
    return html.Section(grid, **{"aria-label": "Customers at risk"})


def column_definitions(view: ListView, target: Target) -> list[dict[str, Any]]:
    """The columns, with the view's order marked; those of early warning where it is one."""
    order = {name: (place, direction) for place, (name, direction) in enumerate(view.sort)}
    columns = [
        _column("customer", "Customer", width=128, cellClass="customer-cell", pinned="left"),
        _column(
            "risk",
            risk_heading(target),
            width=225 if target.is_early_warning else 190,
            minWidth=90,
            cellRenderer="ChurnRisk",
            headerTooltip=f"P({target}), in percent",
        ),
        _column("call_value", "Call value", width=150, valueFormatter=DOLLARS),
        _column("value", "At stake", width=118, valueFormatter=DOLLARS),
        _column(
            "reasons",
            "Why",
            width=280,
            sortable=False,
            filter=False,
            flex=1,
            tooltipField="reasons",
        ),
        _column("status", "Status", width=110, sortable=False, filter=False),
        _column("spend", "Spend", width=120, valueFormatter=DOLLARS),
        _column("balance", "Balance", width=125, valueFormatter=DOLLARS),
        _column("card", "Card", width=110, filter="agTextColumnFilter"),
        _column("months_inactive", "Months inactive", width=175),
        _column("transactions", "Transactions", width=155),
    ]
    rises = _rise_columns()
    if target.is_early_warning:
        sign, call_by, since = _warning_columns()
        columns[3:3] = [sign, call_by]
        columns.append(since)
    beside_risk = rises.pop(RISES[view.rose]) if view.rose else None
    columns[2:2] = [beside_risk] if beside_risk else []
    columns += rises.values()
    for column in columns:
        if column["field"] in order:
            place, direction = order[column["field"]]
            column |= {"sort": direction, "sortIndex": place}
    return columns


def _rise_columns() -> dict[str, dict[str, Any]]:
    """By name: how the risk changed since an earlier night."""
    return {
        name: _column(
            name,
            f"Since last {span}",
            width=185,
            valueFormatter=POINTS,
            headerTooltip=f"Change of the risk since last {span}, in percentage points",
        )
        for span, name in RISES.items()
    }


def _warning_columns() -> list[dict[str, Any]]:
    """Which sign somebody gives, and by when to call; empty for who is not on the list."""
    passed = f"params.value && params.value < '{datetime.now(UTC).date()}'"
    told = {
        "sign": "New: not inactive for long, nor down to a part of the transactions, and still "
        "among the most likely to leave",
        "call_by": "Before this day nobody leaves whom the model means; it has passed where it is "
        "coloured",
        "flagged_since": "The first night of those without a break in which the customer was among "
        "the most likely to leave",
    }
    return [
        _column(
            "sign", "Sign", width=125, sortable=False, filter=False, headerTooltip=told["sign"]
        ),
        _column(
            "call_by",
            "Call by",
            width=140,
            filter=False,
            headerTooltip=told["call_by"],
            valueFormatter=DAY,
            cellClassRules={"warning": passed},
        ),
        _column(
            "flagged_since",
            "On the list since",
            width=150,
            filter=False,
            headerTooltip=told["flagged_since"],
            valueFormatter=DAY,
        ),
    ]


def _column(field: str, name: str, *, width: int, **more: Any) -> dict[str, Any]:
    numeric = field not in TEXTS
    kind = {"type": "rightAligned"} if numeric and field != "risk" else {}
    base = {
        "field": field,
        "headerName": name,
        "width": width,
        "minWidth": width - 20,
        "filter": "agNumberColumnFilter",
        "filterParams": NUMBER_FILTER,
    }
    return {**base, **kind, **more}


def create_first_rows(sources: Sources, values: Mapping[str, str], target: Target) -> Component:
    """The first rows, sent with the page so that the grid need not ask for them."""
    view = ListView.from_values(values)
    known = {column["field"] for column in column_definitions(view, target)}
    request = {
        "startRow": 0,
        "endRow": PAGE_ROWS,
        "filterModel": dict(view.filters),
        "sortModel": [{"colId": name, "sort": way} for name, way in view.sort if name in known],
    }
    found = rows_answer(sources.calls(request_view(values, request)), request)
    return html.Div(
        [
            dcc.Store(id="first-rows", data={"request": request, "response": found}),
            dcc.Store(id="rows-request"),
            html.Div("" if found["rowCount"] else NOBODY, id="list-fault", role="status"),
        ]
    )


def create_marking() -> Component:
    """What can be done with the selected customers."""
    buttons = [
        dmc.Button(
            name,
            id={"type": "mark", "what": what},
            variant="default",
            size="compact-sm",
            disabled=True,
        )
        for what, name in ACTIONS.items()
    ]
    told = dmc.Text("Select customers to mark them", id="selected-text", size="sm")
    return html.Div(
        dmc.Group([told, *buttons], gap="xs"),
        className="marking",
        role="group",
        hidden=not people.may_write(),  # and still there, because the grid's callbacks count them
        **{"aria-label": "Mark the selected customers"},
    )


def request_view(query: Mapping[str, str], request: Mapping[str, Any]) -> ListView:
    """The view that a request of the grid asks for: the page's own, sorted as the grid says."""
    sort = ",".join(f"{s['colId']}:{s['sort']}" for s in request.get("sortModel") or [])
    filters = json.dumps(request.get("filterModel") or {})
    return ListView.from_values({**query, "sort": sort, "filters": filters})


def shown_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the grid shows it, rounded as shown."""
    names = ("customer", "band", "balance", "spend", "card", "months_inactive", "transactions")
    return {
        **{name: row[name] for name in (*names, "status")},
        "id": str(row["customer"]),
        # What is shown in whole dollars is rounded once.
        **{name: rounded(row[name], 4) for name in ("call_value", "value")},
        **{name: rounded(row[name], 1) for name in ("risk", *RISES.values())},
        "reasons": reasons_text(row["reasons"]) or "–",
        "sign": SIGNS.get(row["sign"], ""),
        **{name: str(row[name] or "") for name in ("call_by", "flagged_since")},
    }


def register(app: Dash, sources: Sources) -> None:
    """Answer the grid's requests, and follow what is done in it."""
    _register_rows(app, sources)
    _register_selection(app)
    app.clientside_callback(
        ClientsideFunction("churn", "fitPhone"),
        Output("risk-grid", "columnDefs"),
        Input("risk-grid", "id"),
        State("risk-grid", "columnDefs"),
    )


def _register_rows(app: Dash, sources: Sources) -> None:
    app.clientside_callback(
        ClientsideFunction("churn", "answerFirst"),
        Output("risk-grid", "getRowsResponse"),
        Output("first-rows", "data"),
        Output("rows-request", "data"),
        Input("risk-grid", "getRowsRequest"),
        State("first-rows", "data"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("risk-grid", "getRowsResponse", allow_duplicate=True),
        Output("list-fault", "children"),
        Input("rows-request", "data"),
        State("risk-view", "data"),
        prevent_initial_call=True,
    )
    def answer_rows(asked: RowsRequest | None, view: dict[str, str] | None) -> Any:
        if asked is None:
            return no_update, no_update
        request = asked.model_dump()
        try:
            calls = sources.calls(request_view(view or {}, request))
            found = rows_answer(calls, request)
            return found, "" if found["rowCount"] else NOBODY
        except ChurnError as error:
            return {"rowData": [], "rowCount": 0}, f"The list cannot be read: {error}"


def _register_selection(app: Dash) -> None:
    app.clientside_callback(
        ClientsideFunction("churn", "countSelected"),
        Output("selected-text", "children"),
        *(Output({"type": "mark", "what": what}, "disabled") for what in ACTIONS),
        Input("risk-grid", "selectedRows"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("churn", "openCustomer"),
        Output("open-customer", "data"),
        Input("risk-grid", "cellClicked"),
        Input("risk-grid", "eventData"),
        prevent_initial_call=True,
    )
    for changed in ("risk-view", "marked"):  # one callback each: a customer's page has no view
        app.clientside_callback(
            ClientsideFunction("churn", "refreshGrid"),
            Input(changed, "data"),
            prevent_initial_call=True,
        )


def rows_answer(calls: CallList, request: Mapping[str, Any]) -> dict[str, Any]:
    """One block of rows, and how many there are in all."""
    start, end = int(request["startRow"]), int(request["endRow"])
    rows = calls.page(start, end)
    # A short block is the last one: counting would only repeat what is known.
    total = start + len(rows) if 0 < len(rows) < end - start else calls.count()
    return {"rowData": [shown_row(row) for row in rows], "rowCount": total}
