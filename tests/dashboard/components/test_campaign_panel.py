"""The campaign's promise in words, and the list of a campaign that was started."""

import csv
import io
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from dashboard.components.campaign_panel import create_promise, create_started
from dashboard.data.call_list import CampaignSum
from dashboard.data.campaign import StartedCampaign
from dashboard.data.rules import CALLS_MAX, CallRules
from include.customers.contacts import Mark, mark

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
        (5, 120.0, "every call that pays"),
        (10, 120.0, "the budget's limit"),
        (CALLS_MAX, 12.0 * CALLS_MAX, "the budget's limit"),
        (CALLS_MAX, 1_000_000.0, "the most that one campaign may have; the budget pays for more"),
    ],
)
def test_the_promise_names_what_limits_it(calls: int, budget: float, words: str) -> None:
    found = CampaignSum(calls=calls, leavers=1.0, value=9.0, spent=12.0 * calls)
    assert f"({words})" in str(create_promise(found, CallRules(budget=budget)))
