"""What became of a campaign's customers, on either kind of database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from include.customers import campaigns, contacts, loading
from include.customers.campaign_effect import Group
from include.customers.campaigns import CampaignOutcome, campaign_outcomes
from include.customers.contacts import Mark
from include.customers.database import opened
from include.customers.sample import sample_customers

BEGAN = datetime(2026, 3, 1, 9, tzinfo=UTC)
LEFT, STAYED = "Attrited Customer", "Existing Customer"


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """A hundred customers, numbered from 1, who have all stayed."""
    with opened(database_url) as engine:
        loading.create_table(engine)
        contacts.create_contacts(engine)
        people = sample_customers(100, seed=1, first_key=1).assign(Attrition_Flag=STAYED)
        loading.load_customers(engine, people, now=BEGAN - timedelta(days=100))
        yield engine


def begin(engine: sa.Engine, name: str, sides: dict[int, Any], *, day: float = 0) -> None:
    marks = [Mark(key, side, campaign=name) for key, side in sides.items()]
    contacts.mark(engine, marks, now=BEGAN + timedelta(days=day))


def label(engine: sa.Engine, key: int, flag: str | None, *, day: float | None) -> None:
    """What the table says of a customer since a day of the campaign; None: it has no date."""
    people = sa.table("churners", *map(sa.column, ("CLIENTNUM", "Attrition_Flag", "labelled_at")))
    moment = None if day is None else contacts.utc(BEGAN + timedelta(days=day))
    with engine.begin() as connection:
        connection.execute(
            sa.update(people)
            .where(people.c.CLIENTNUM == key)
            .values(Attrition_Flag=flag, labelled_at=sa.literal(moment, sa.DateTime()))
        )


def outcomes(engine: sa.Engine, *, day: float = 90) -> list[CampaignOutcome]:
    return campaign_outcomes(engine, outcome_days=90, now=BEGAN + timedelta(days=day))


def test_only_labels_from_within_the_window_count(engine: sa.Engine) -> None:
    begin(engine, "spring", dict.fromkeys(range(1, 9), "listed") | {9: "control", 10: "control"})
    days: dict[int, float | None] = {1: 0.5, 2: 90, 3: 91, 4: -1, 5: None, 9: 30}
    for key, day in days.items():
        label(engine, key, LEFT, day=day)
    label(engine, 6, None, day=None)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM churners WHERE CLIENTNUM = 7")
    (found,) = outcomes(engine)
    # 1 and 2 left within; 3 later and 8 not at all; of 4 to 7 nobody can tell.
    assert (found.listed, found.control) == (Group(4, 2), Group(2, 1))
    assert found.not_counted == 4 and found.is_comparable
    assert (found.started_at, found.closes_at) == (BEGAN, BEGAN + timedelta(days=90))


def test_a_customer_counts_in_the_campaign_that_came_first(engine: sa.Engine) -> None:
    begin(engine, "first", {1: "listed", 2: "control", 3: "control"})
    begin(engine, "second", {1: "listed", 2: "listed", 4: "control"}, day=40)
    begin(engine, "third", {1: "listed", 3: "listed", 5: "control"}, day=100)
    label(engine, 2, LEFT, day=60)
    third, second, first = outcomes(engine, day=300)
    assert (first.listed, first.control) == (Group(1, 0), Group(2, 1))
    assert (second.listed, second.control, second.not_counted) == (Group(0, 0), Group(1, 0), 2)
    assert (third.listed, third.control, third.not_counted) == (Group(1, 0), Group(1, 0), 1)
    assert not second.is_comparable


def test_a_customer_who_was_marked_twice_counts_once(engine: sa.Engine) -> None:
    for _ in range(2):
        begin(engine, "twice", {1: "listed", 2: "control"})
    (found,) = outcomes(engine)
    assert (found.listed, found.control, found.not_counted) == (Group(1, 0), Group(1, 0), 2)


@pytest.mark.parametrize(
    ("sides", "day", "comparable"),
    [
        ({1: "listed", 2: "control"}, 90, True),
        ({1: "listed", 2: "control"}, 89.9, False),
        ({1: "listed", 2: "listed"}, 90, False),
        ({1: "control", 2: "control"}, 90, False),
    ],
)
def test_a_campaign_is_compared_once_closed_and_with_two_sides(
    engine: sa.Engine, sides: dict[int, Any], day: float, comparable: bool
) -> None:
    begin(engine, "one", sides)
    assert [each.is_comparable for each in outcomes(engine, day=day)] == [comparable]


def test_the_last_campaign_is_the_one_that_began_last(engine: sa.Engine) -> None:
    assert campaigns.last_campaign(engine) is None and outcomes(engine) == []
    begin(engine, "first", {1: "listed", 2: "control"})
    begin(engine, "last", {3: "listed", 4: "listed", 5: "control"}, day=1)
    contacts.mark(engine, [Mark(9, "called"), Mark(8, "listed")], now=BEGAN + timedelta(days=2))
    found = campaigns.last_campaign(engine)
    assert found is not None and (found.name, found.listed, found.control) == ("last", 2, 1)
    assert found.started_at == BEGAN + timedelta(days=1)


def test_before_the_first_scoring_there_is_no_campaign(sqlite_url: str) -> None:
    with opened(sqlite_url) as engine:
        loading.create_table(engine)
        assert outcomes(engine) == [] and campaigns.last_campaign(engine) is None
