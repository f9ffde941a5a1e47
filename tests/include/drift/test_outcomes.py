"""Whose outcome counts, and as what: labels in time, and whom a call may have moved."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from include.customers import contacts, loading
from include.customers.contacts import Mark
from include.drift.performance import Performance, VersionWeek
from include.params import CampaignRules
from include.store import LocalStore
from tests.include.bank_days import CONTRACT, log, people
from tests.include.drift.conftest import Measure

PREDICTED = datetime(2026, 5, 4, 12, tzinfo=UTC)  # as `log` has it
RIPE = datetime(2026, 6, 10, 0, 30, tzinfo=UTC)  # 30 days after the week's Sunday
LEFT, STAYED = CONTRACT.target.positive, "Existing Customer"
ASKED = people(200)


def label(bank: Engine, frame: pd.DataFrame, at: datetime, **values: Any) -> None:
    """Labels arrive."""
    loading.load_customers(bank, frame.assign(**values), now=at)


def only(found: Performance) -> VersionWeek:
    (week,) = found.weeks
    return week


def in_days(days: float) -> datetime:
    return PREDICTED + timedelta(days=days)


@pytest.mark.parametrize(
    ("left_on", "left", "stayed", "gone_before"),
    [(-1, 0, 0, 200), (0.01, 200, 0, 0), (29.9, 200, 0, 0), (30.1, 0, 200, 0)],
)
def test_who_left_within_the_days_has_left_and_who_left_later_has_stayed(
    measured: Measure,
    local_store: LocalStore,
    bank: Engine,
    left_on: float,
    left: int,
    stayed: int,
    gone_before: int,
) -> None:
    log(local_store, ASKED)
    label(bank, ASKED, in_days(left_on), Attrition_Flag=LEFT)
    week = only(measured(RIPE))
    found = week.realised
    assert (week.ripe, week.gone_before) == (left + stayed, gone_before)
    assert (found.left if found else 0) == left


def test_who_has_no_label_is_counted_and_left_out(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    log(local_store, ASKED)
    label(bank, ASKED.head(150), in_days(5))
    label(bank, ASKED.head(50), in_days(6), Attrition_Flag=None)  # taken back
    week = only(measured(RIPE))
    assert (week.customers, week.ripe, week.unlabelled) == (200, 100, 100)


def begin_campaign(bank: Engine, frame: pd.DataFrame, kind: Any, at: datetime) -> None:
    """Customers are put on a campaign's list, or kept aside from it."""
    contacts.create_contacts(bank)
    keys = [int(key) for key in frame["CLIENTNUM"]]
    contacts.mark(bank, [Mark(key, kind, campaign="c") for key in keys], now=at)


def test_the_answers_about_called_customers_are_not_judged(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    log(local_store, ASKED)
    begin_campaign(bank, ASKED.head(50), "listed", in_days(1))
    begin_campaign(bank, ASKED.tail(50), "control", in_days(1))
    label(bank, ASKED, in_days(5))
    week = only(measured(RIPE))
    assert (week.ripe, week.called) == (150, 50)
    assert week.realised and week.realised.left == int(CONTRACT.labels(ASKED.tail(150)).sum())


@pytest.mark.parametrize(
    ("kind", "called_on", "left_on", "judged"),
    [  # in days after the question, which asks about 30 days; a call's window has as many
        ("listed", -2, 5, False),
        ("listed", 10, 5, True),  # left before the call
        ("listed", 10, 25, False),  # left after the call
        ("listed", 10, None, False),  # stayed after the call
        ("listed", -2, 29, False),  # the call had a part in the question's days
        ("listed", -35, 5, True),  # closed before the question
        ("listed", 35, None, True),  # had stayed for 30 days before the call
        ("called", 10, 25, False),  # outside any campaign
        ("control", 10, 25, True),
        ("snoozed", 10, None, True),
    ],
)
def test_a_call_hides_what_came_of_it(
    measured: Measure,
    local_store: LocalStore,
    bank: Engine,
    kind: Any,
    called_on: float,
    left_on: float | None,
    judged: bool,
) -> None:
    one = ASKED.head(1)
    log(local_store, one)
    begin_campaign(bank, one, kind, in_days(called_on))
    at = in_days(-50 if left_on is None else left_on)
    label(bank, one, at, Attrition_Flag=STAYED if left_on is None else LEFT)
    week = only(measured(RIPE, campaigns=CampaignRules(outcome_days=30)))
    assert (week.ripe, week.called) == (int(judged), int(not judged))
    assert week.realised is None or week.realised.left == (left_on is not None)


def test_called_customers_are_judged_where_the_parameters_say_so(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    log(local_store, ASKED)
    begin_campaign(bank, ASKED, "listed", in_days(1))
    label(bank, ASKED, in_days(5))
    used = CampaignRules(listed_customers="used")
    assert only(measured(RIPE, campaigns=used)).ripe == 200


def test_of_a_customers_calls_each_has_its_window(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    log(local_store, ASKED.head(20))
    for days, count in ((-80, 20), (-60, 10), (5, 10)):  # closed, closed, with a part in it
        begin_campaign(bank, ASKED.head(count), "listed", in_days(days))
    label(bank, ASKED, in_days(-100), Attrition_Flag=STAYED)
    week = only(measured(RIPE, campaigns=CampaignRules(outcome_days=30)))
    assert (week.ripe, week.called) == (10, 10)
