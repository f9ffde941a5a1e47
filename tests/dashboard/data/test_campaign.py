"""Starting a campaign: who is listed where several start at once, or one starts twice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from dashboard.data import campaign
from dashboard.data.campaign import StartedCampaign
from dashboard.data.list_view import ListView
from include.customers import contacts
from include.customers.contacts import Mark, contacts_table
from include.customers.database import opened
from include.errors import DatabaseUnavailable

ROWS = [{"customer": key, "probability": 0.5} for key in range(1, 301)]
ANALYSTS = 4
NOW = datetime.now(UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """A database of either kind in which nobody was marked."""
    with opened(database_url) as engine:
        contacts.create_contacts(engine)
        yield engine


def start(engine: sa.Engine, rows: Any = ROWS, **more: Any) -> StartedCampaign:
    facts = {"control_share": 0.1, "model_version": "1", "now": NOW}
    return campaign.start(engine, rows, **{**facts, **more})


def listed_in(engine: sa.Engine) -> list[tuple[int, str]]:
    """Who is in which campaign, by customer."""
    table = contacts_table()
    query = sa.select(table.c.customer, table.c.campaign).order_by(table.c.customer)
    with engine.connect() as connection:
        return list(connection.execute(query).tuples())


def test_analysts_who_start_at_once_list_nobody_twice(engine: sa.Engine) -> None:
    together = Barrier(ANALYSTS)

    def begin(place: int) -> StartedCampaign:
        together.wait()
        return start(engine, ROWS[40 * place :])

    with ThreadPoolExecutor(ANALYSTS) as pool:
        found = list(pool.map(begin, range(ANALYSTS)))
    customers = [customer for customer, _ in listed_in(engine)]
    assert (
        len(customers) == len(set(customers)) == sum(each.listed + each.control for each in found)
    )
    assert customers == list(range(customers[0], 301))


@pytest.mark.parametrize("listed", [True, False])
def test_who_was_marked_in_the_meantime_is_left_out(engine: sa.Engine, listed: bool) -> None:
    before = [Mark(key, "listed" if listed else "snoozed") for key in range(1, 101)]
    contacts.mark(engine, before, now=NOW)
    found = start(engine)
    assert (found.listed, found.control, found.taken) == (180, 20, 100)
    again = start(engine)
    assert (again.listed, again.control, again.taken) == (0, 0, 300)


def test_a_rest_that_is_over_hides_nobody(engine: sa.Engine) -> None:
    contacts.mark(engine, [Mark(1, "called")], now=NOW - timedelta(days=91))
    assert start(engine).taken == 0


def test_a_click_that_comes_twice_starts_one_campaign(engine: sa.Engine) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda rows: start(engine, rows, name="one"), [ROWS, ROWS[:250]]))
    third = start(engine, [], name="one")
    assert sorted(each.began_before for each in found) == [False, True]
    sizes = {(each.listed, each.control) for each in (*found, third)}
    assert sizes <= {(270, 30), (225, 25)} and len(sizes) == 1
    assert len(listed_in(engine)) == sum(*sizes)


@pytest.mark.parametrize(("outcome_days", "days"), [(30, 90), (120.5, 121)])
def test_the_control_group_is_left_alone_until_its_window_closes(
    engine: sa.Engine, outcome_days: float, days: int
) -> None:
    start(engine, outcome_days=outcome_days)
    table = contacts_table()
    hidden = sa.select(table.c.kind, sa.func.min(table.c.hidden_until)).group_by(table.c.kind)
    with engine.connect() as connection:
        until = dict(connection.execute(hidden).tuples().all())
    assert until["control"] == contacts.utc(NOW + timedelta(days=days))
    assert until["listed"] == contacts.utc(NOW + timedelta(days=30))


def test_a_lock_that_somebody_keeps_is_named(
    mariadb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts, "LOCKED_SECONDS", 0)
    with opened(mariadb_url) as engine:
        contacts.create_contacts(engine)
        with contacts.marking(engine), pytest.raises(DatabaseUnavailable, match="try again"):
            start(engine)
        assert start(engine).listed == 270  # the lock was given back


def test_a_page_names_its_campaign_by_what_it_shows() -> None:
    attempt, other = campaign.new_name(NOW), campaign.new_name(NOW)
    views = [ListView.from_values(values) for values in ({}, {"sort": "risk:asc"}, {"budget": "9"})]
    first, sorted_otherwise, poorer = (campaign.name_of(attempt, v, now=NOW) for v in views)
    assert first == sorted_otherwise != poorer
    assert campaign.name_of(other, views[0], now=NOW) != first


@pytest.mark.parametrize("attempt", [None, 5, "", "x" * 999, ["a"], "2026-11-27 03:50 abcdeg"])
def test_an_odd_attempt_gets_a_name_of_its_own(attempt: Any) -> None:
    names = {campaign.name_of(attempt, ListView(), now=NOW) for _ in range(2)}
    assert len(names) == 2 and max(map(len, names)) <= 64
