"""The campaign: what a call costs and saves, how far the budget reaches, and whom it reaches."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard import people
from dashboard.components.control_group import create_note
from dashboard.components.states import create_or_explain
from dashboard.components.tables import create_figures
from dashboard.data import campaign
from dashboard.data.call_list import CampaignSum
from dashboard.data.campaign import StartedCampaign
from dashboard.data.list_view import ListView
from dashboard.data.rules import CallRules
from dashboard.data.sources import Sources
from dashboard.labels import counted, money
from include.customers.campaigns import BegunCampaign, last_campaign
from include.errors import ChurnError
from include.target import STATE, Target

BUDGET_SHOWN_MAX = 20_000
BUDGET_MARKS = range(0, BUDGET_SHOWN_MAX + 1, 5000)
NOBODY = "There is nobody to call under these rules."
EXPLAINED = (
    "Value of a call = risk of leaving × yearly revenue × years kept × success rate − cost. "
    "Yearly revenue is estimated from spend and balance."
)


def create_panel(sources: Sources, view: ListView, target: Target) -> Component:
    """Budget and rules on one side, what they promise on the other."""
    last = last_campaign(sources.engine)
    started = create_last(last, view.rules) if last else None
    return dmc.Paper(
        dmc.Grid(
            [
                dmc.GridCol(_create_budget(view.rules), span={"base": 12, "md": 5}),
                dmc.GridCol(
                    _create_start(_create_prospect(sources, view, target), started),
                    span={"base": 12, "md": 7},
                ),
            ],
            gutter="xl",
        ),
        mb="md",
    )


def _create_budget(rules: CallRules) -> Component:
    slider = dmc.Slider(
        id="rule-budget-slider",
        min=0,
        max=BUDGET_SHOWN_MAX,
        step=100,
        value=min(rules.budget, BUDGET_SHOWN_MAX),
        updatemode="mouseup",
        label=None,
        thumbLabel="Budget in dollars",
        marks=[{"value": v, "label": f"${v // 1000}k" if v else "$0"} for v in BUDGET_MARKS],
        mb="xl",
    )
    budget = _number("rule-budget", "Budget", rules.budget, prefix="$", step=500, high=1_000_000)
    numbers = [
        _number("rule-cost", "Cost per call", rules.cost, prefix="$", step=1, low=0.01),
        _number("rule-success", "Success rate", 100 * rules.success, suffix="%", low=1, high=100),
        _number("rule-years", "Years kept", rules.years, step=0.5, low=0.1, high=20),
        _number("rule-control", "Control group", 100 * rules.control, suffix="%", step=5, high=50),
    ]
    return dmc.Stack(
        [
            dmc.Title("Campaign", order=2, size="h4"),
            budget,
            slider,
            dmc.SimpleGrid(numbers, cols={"base": 2, "sm": 4, "md": 2, "xl": 4}, spacing="sm"),
        ],
        gap="sm",
    )


def _number(name: str, label: str, value: float, **limits: Any) -> Component:
    low, high = limits.pop("low", 0), limits.pop("high", 10_000)
    return dmc.NumberInput(
        id=name,
        label=label,
        value=round(value, 4),
        min=low,
        max=high,
        clampBehavior="blur",
        thousandSeparator=",",
        debounce=300,
        size="sm",
        **limits,
    )


def _create_prospect(sources: Sources, view: ListView, target: Target) -> list[Component]:
    found = sources.calls(view).campaign_sum()
    # A params.yaml that cannot be read takes its note with it, and not the list of calls.
    note = create_or_explain(
        lambda: create_note(found, view.rules, sources.campaign_rules(), target)
    )
    return [create_promise(found, view.rules, target), note]


def _create_start(prospect: list[Component], started: Component | None) -> Component:
    buttons = dmc.Group(
        [
            dmc.Button(
                "Start campaign", id="start-campaign", size="sm", disabled=not people.may_write()
            ),
            dmc.Anchor(
                "Download this list (CSV)",
                id="campaign-link",
                href="/campaign.csv",
                refresh=True,
                size="sm",
                **{"data-download": "list"},
            ),
        ],
        gap="md",
    )
    return dmc.Stack(
        [
            html.Div(prospect, id="promise", **{"aria-live": "polite"}),
            buttons,
            dcc.Store(id="campaign-attempt", data=campaign.new_name(datetime.now(UTC))),
            html.Div(started, id="started", **{"aria-live": "polite"}),
            dmc.Text(EXPLAINED, size="xs", c="dimmed"),
        ],
        gap="sm",
    )


def create_promise(found: CampaignSum, rules: CallRules, target: Target = STATE) -> Component:
    """What the list promises, first as a sentence, then as figures."""
    if found.calls == 0:
        return dmc.Text(
            "Nobody is left whom it pays to call: widen the filters, raise the budget, the success "
            "rate or the years, or lower the cost of a call.",
            fw=500,
        )
    aside = campaign.control_size(found.calls, rules.control)
    called = found.calls - aside
    # Drawn at random, the control group has its share of everything; nobody calls it.
    leavers, value, spent = (
        each * called / found.calls for each in (found.leavers, found.value, found.spent)
    )
    limit = _limit(found, rules) + (f", less a control group of {aside:,}" if aside else "")
    within = f" within {target.horizon_days} days" if target.is_early_warning else ""
    told = (
        f"Call {counted(called, 'customer')} for {money(spent)} ({limit}). About {leavers:,.0f} of "
        f"them would leave{within}; the calls should bring {money(value)} more than they cost."
    )
    figures = [
        ("Calls", f"{called:,}"),
        ("Would leave", f"{leavers:,.0f}"),
        ("Cost", money(spent)),
        ("Expected gain", money(value)),
    ]
    return html.Div([create_figures(figures), dmc.Text(told, id="promise-text", size="sm")])


def _limit(found: CampaignSum, rules: CallRules) -> str:
    if found.calls < rules.calls:
        return "every call that pays"
    if rules.is_capped:
        return "the most that one campaign may have; the budget pays for more"
    return "the budget's limit"


def create_started(started: StartedCampaign, rules: CallRules) -> Component:
    """That a campaign began, and where its list is, reckoned by the rules that chose it."""
    sizes = (
        f"{counted(started.listed, 'customer')} to call, {started.control:,} drawn at random and "
        "kept as the control group"
    )
    told = f"Campaign started: {sizes}. "
    if started.began_before:
        told = (
            f"This page has started its campaign already: {sizes}. Load the "
            "page again to start another one by the same rules. "
        )
    if not started.listed + started.control + started.taken:
        return dmc.Text(NOBODY)
    if not started.listed + started.control:
        return dmc.Alert(
            f"No campaign was started: all {started.taken:,} customers of this list were put on "
            "another list or marked in the meantime. Load the page again to see who is left.",
            color="orange",
            mt="xs",
        )
    if started.taken:
        told += (
            f"{started.taken:,} more are left out: they were put on another list or marked in the "
            "meantime. "
        )
    link = _create_list_link(started.name, rules)
    left = ". The figures above are now those of the next list, of who is left."
    return dmc.Alert([told, link, left], color="brand", variant="light", mt="xs")


def create_last(last: BegunCampaign, rules: CallRules) -> Component:
    """Which campaign began last: whoever is not sure whether theirs did sees it here."""
    told = (
        f"Last campaign: {last.started_at:%d %b %Y %H:%M} UTC, "
        f"{counted(last.listed, 'customer')} to call, {last.control:,} in the control group. "
    )
    return dmc.Text([told, _create_list_link(last.name, rules)], size="sm", c="dimmed")


def _create_list_link(name: str, rules: CallRules) -> Component:
    return dmc.Anchor(
        "Download its list (CSV)",
        href="/campaign.csv?" + urlencode({"campaign": name, **asdict(rules)}),
        refresh=True,
        size="sm",
        **{"data-download": "started"},
    )


def register(app: Dash, sources: Sources) -> None:
    """Reckon the promise as rules and filters change; start a campaign when asked."""
    app.clientside_callback(
        ClientsideFunction("churn", "linkBudget"),
        Output("rule-budget", "value"),
        Output("rule-budget-slider", "value"),
        Input("rule-budget", "value"),
        Input("rule-budget-slider", "value"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("promise", "children"),
        Input("risk-query", "data"),
        Input("marked", "data"),
        prevent_initial_call=True,
    )
    def promise(query: dict[str, str] | None, _marked: Any) -> Any:
        try:
            night, view = sources.nights.latest(), ListView.from_values(query or {})
            target = sources.targets.shown(night.model_version) if night else STATE
            return _create_prospect(sources, view, target)
        except ChurnError as error:
            return dmc.Text(str(error), className="warning")

    _register_start(app, sources)


def _register_start(app: Dash, sources: Sources) -> None:
    @app.callback(
        Output("started", "children"),
        Output("marked", "data", allow_duplicate=True),
        Input("start-campaign", "n_clicks"),
        State("risk-query", "data"),
        State("campaign-attempt", "data"),
        prevent_initial_call=True,
        running=[(Output("start-campaign", "loading"), True, False)],
    )
    def start_campaign(
        _clicks: int | None, query: dict[str, str] | None, attempt: str | None
    ) -> Any:
        now = datetime.now(UTC)
        view = ListView.from_values(query or {})
        try:
            author = people.writer().name
            night, rows = sources.nights.latest(), sources.calls(view).campaign_rows()
            if night is None:
                return NOBODY, no_update
            started = campaign.start(
                sources.engine,
                rows,
                control_share=view.rules.control,
                model_version=night.model_version,
                now=now,
                name=campaign.name_of(attempt, view, now=now),
                outcome_days=sources.campaign_rules().outcome_days,
                author=author,
            )
        except ChurnError as error:
            return dmc.Alert(str(error), color="orange"), no_update
        return create_started(started, view.rules), now.isoformat()
