"""The campaign's promise in words, and the list of a campaign that was started."""

import csv
import io
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from dashboard.components.campaign_panel import create_promise, create_started
from dashboard.components.control_group import create_note
from dashboard.data.call_list import CampaignSum
from dashboard.data.campaign import StartedCampaign
from dashboard.data.rules import CALLS_MAX, CallRules
from dashboard.data.sources import open_sources
from dashboard.pages import customers
from include.customers.contacts import Mark, mark
from include.params import CampaignRules
from include.settings import Settings
from include.target import Target

CAMPAIGN = "2026-11-23 10:00 a+b&c"


def lines_at(client: FlaskClient, href: str, **query: Any) -> list[dict[str, str]]:
    """A CSV file of the dashboard, by line."""
    text = client.get(href, query_string=query or None).data.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_a_started_campaigns_file_keeps_its_rules(
    client: FlaskClient, bank_engine: sa.Engine
) -> None:
    rules = CallRules(years=5.0, success=0.5, cost=20.0, budget=200.0)
    promised = lines_at(client, "/campaign.csv", **asdict(rules))
    marks = [Mark(int(line["Customer"]), "listed", campaign=CAMPAIGN) for line in promised]
    mark(bank_engine, marks, now=datetime.now(UTC))
    alert: Any = create_started(StartedCampaign(CAMPAIGN, len(marks), 0), rules)
    assert len(promised) == 10
    assert lines_at(client, alert.children[1].href) == promised


@pytest.mark.parametrize(
    ("calls", "budget", "words"),
    [
        (250, 3000.0, "Call 225 customers for $2,700 (the budget's limit, less a control group of"),
        (250, 3000.0, "About 90 of them would leave; the calls should bring $900 more"),
        (0, 120.0, "widen the filters, raise the budget"),
        (4, 120.0, "(every call that pays)"),
        (10, 120.0, "(the budget's limit, less a control group of 1)"),
        (CALLS_MAX, 12.0 * CALLS_MAX, "(the budget's limit, less"),
        (CALLS_MAX, 1_000_000.0, "(the most that one campaign may have; the budget pays for more"),
    ],
)
def test_the_promise_names_what_limits_it(calls: int, budget: float, words: str) -> None:
    found = CampaignSum(calls=calls, leavers=0.4 * calls, value=4.0 * calls, spent=12.0 * calls)
    assert words in str(create_promise(found, CallRules(budget=budget)))


@pytest.mark.parametrize(
    ("started", "words"),
    [
        (StartedCampaign(CAMPAIGN, 225, 25), "225 customers to call, 25 drawn at random"),
        (StartedCampaign(CAMPAIGN, 90, 10, taken=150), "150 more are left out"),
        (StartedCampaign(CAMPAIGN, 0, 0, taken=250), "No campaign was started: all 250 customers"),
        (StartedCampaign(CAMPAIGN, 0, 0), "There is nobody to call"),
        (StartedCampaign(CAMPAIGN, 225, 25, began_before=True), "has started its campaign already"),
    ],
)
def test_a_start_says_what_came_of_it(started: StartedCampaign, words: str) -> None:
    assert words in str(create_started(started, CallRules()))


@pytest.mark.parametrize(
    ("calls", "rules", "words"),
    [
        (250, {}, "25 of 250 can show next to nothing. If 20% would leave within 90 days"),
        (250, {}, "with a chance of 11%. Not even calls that keep everybody would show reliably."),
        (250, {}, "Enough are about 3,780 customers at this share or 1,223 customers by"),
        (250, {"control": 0.5}, "125 of 250 can show next to nothing"),
        (900, {"control": 0.5}, "450 of 900 can show too little"),
        (3780, {}, "378 of 3,780 is large enough"),
        (3780, {}, "a chance of 80%. In 4 of 5 campaigns it shows calls that keep 30% or more"),
        (3780, {}, "keep 30% or more: 6.0 points fewer leave, 14.0% instead of 20%."),
        (250, {"control": 0.0}, "none of 250. Nobody will be able to tell"),
        (4, {}, "none of 4. Nobody will be able to tell"),
        (6, {}, "1 of 6 can show next to nothing"),
    ],
)
def test_what_a_control_group_could_show_is_said_beforehand(
    calls: int, rules: dict[str, float], words: str
) -> None:
    found = CampaignSum(calls=calls, leavers=0.8 * calls, value=9.0, spent=12.0 * calls)
    note: Any = create_note(found, CallRules(**rules), CampaignRules())
    assert words in note.children
    assert ("warning" in note.className) == ("large enough" not in note.children)


def test_early_warning_plans_with_the_lists_own_leavers() -> None:
    """As many as the sentence above it says, within the days that the model speaks of."""
    target = Target(kind="horizon", gap_days=14, horizon_days=60)
    found = CampaignSum(calls=3780, leavers=415.8, value=9.0, spent=9.0)
    note: Any = create_note(found, CallRules(), CampaignRules(), target)
    assert "If 11% would leave within 60 days" in note.children and "too little" in note.children


def test_parameters_that_cannot_be_read_leave_the_list_alone(
    bank_settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text("campaigns: 5")
    broken = bank_settings.model_copy(update={"params_file": tmp_path / "params.yaml"})
    sources = open_sources(broken)
    page = str(customers.create_page(sources, {}))
    sources.close()
    assert "promise-text" in page and "params.yaml: " in page and "risk-grid" in page
