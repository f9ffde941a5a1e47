"""Campaigns: who was listed and who was kept aside, and how many had left when the window closed.

A campaign's outcome window begins with it and lasts the same days for all its customers; a label
counts when it became known within. Both sides count by intention to treat: who was on the list
counts as listed, reached or not.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from include.customers.campaign_effect import Group, Stratum
from include.customers.contacts import TABLE, contacts_table, is_there, utc
from include.customers.database import reading
from include.customers.table import TABLE as CUSTOMERS
from include.customers.table import published_contract

SIDES = ("listed", "control")
LEFT, STAYED, NOT_COUNTED = "left", "stayed", "not counted"
LATEST = 200  # campaigns that are looked at; each costs a question


@dataclass(frozen=True)
class CampaignOutcome:
    """One campaign: its two sides, and what of them cannot be counted."""

    name: str
    started_at: datetime
    closes_at: datetime
    is_closed: bool
    listed: Group  # before the window has closed, who left says nothing yet
    control: Group
    not_counted: int  # of both sides; `_fates` says who

    @property
    def is_comparable(self) -> bool:
        """Whether it can be told from it what calls do."""
        return self.is_closed and min(self.listed.customers, self.control.customers) > 0

    @property
    def stratum(self) -> Stratum:
        """The campaign as a part of the comparison over all of them."""
        return Stratum(self.listed, self.control)


@dataclass(frozen=True)
class BegunCampaign:
    """A campaign as it was started."""

    name: str
    started_at: datetime
    listed: int
    control: int


def campaign_outcomes(
    engine: sa.Engine, *, outcome_days: float, now: datetime
) -> list[CampaignOutcome]:
    """The latest campaigns, the last one first."""
    if not is_there(engine):
        return []
    table, began = contacts_table(), sa.func.min(contacts_table().c.marked_at)
    campaigns = (
        sa.select(table.c.campaign, began)
        .where(table.c.kind.in_(SIDES), table.c.campaign != "")
        .group_by(table.c.campaign)
        .order_by(began.desc(), table.c.campaign.desc())
        .limit(LATEST)
    )
    window = timedelta(days=outcome_days)
    with reading(engine, TABLE) as connection:
        return [
            _outcome(connection, name, start.replace(tzinfo=UTC), window, now)
            for name, start in connection.execute(campaigns).tuples().all()
        ]


def begun_campaign(connection: sa.Connection, name: str) -> BegunCampaign | None:
    """A campaign by its name; None where it never began."""
    table = contacts_table()
    query = (
        sa.select(table.c.kind, sa.func.count(), sa.func.min(table.c.marked_at))
        .where(table.c.campaign == name, table.c.kind.in_(SIDES))
        .group_by(table.c.kind)
    )
    rows = connection.execute(query).tuples().all()
    if not rows:
        return None
    sizes = {kind: count for kind, count, _ in rows}
    start = min(moment for _, _, moment in rows).replace(tzinfo=UTC)
    return BegunCampaign(name, start, sizes.get("listed", 0), sizes.get("control", 0))


def last_campaign(engine: sa.Engine) -> BegunCampaign | None:
    """The campaign that began last, whoever started it."""
    table = contacts_table()
    latest = (
        sa.select(table.c.campaign)
        .where(table.c.kind.in_(SIDES), table.c.campaign != "")
        .order_by(table.c.id.desc())
        .limit(1)
    )
    if not is_there(engine):
        return None
    with reading(engine, TABLE) as connection:
        name = connection.scalar(latest)
        return None if name is None else begun_campaign(connection, name)


def _outcome(
    connection: sa.Connection, name: str, start: datetime, window: timedelta, now: datetime
) -> CampaignOutcome:
    rows = connection.execute(_fates(name, start, window)).tuples().all()
    counts = {(kind, fate): count for kind, fate, count in rows}

    def group(kind: str) -> Group:
        left = counts.get((kind, LEFT), 0)
        return Group(left + counts.get((kind, STAYED), 0), left)

    return CampaignOutcome(
        name=name,
        started_at=start,
        closes_at=start + window,
        is_closed=start + window <= now,
        listed=group("listed"),
        control=group("control"),
        not_counted=sum(count for (_, fate), count in counts.items() if fate == NOT_COUNTED),
    )


def _fates(name: str, start: datetime, window: timedelta) -> "sa.Select[Any]":
    """A campaign's customers, counted by side and by what became of them.

    Not counted is who was in an earlier campaign whose window was still open, who had left before,
    who is no longer in the table or without a label, and who left at a moment that nobody knows.
    """
    contract, marks = published_contract(), contacts_table()
    key, target, moment = contract.key.name, contract.target, contract.labelled_at.name
    people: Any = sa.table(CUSTOMERS, *(sa.column(each) for each in (key, target.name, moment)))
    left, labelled_at = people.c[target.name] == target.positive, people.c[moment]
    fate = sa.case(
        (_in_an_earlier_window(marks, start - window), NOT_COUNTED),
        (left & (labelled_at <= utc(start)), NOT_COUNTED),
        (left & (labelled_at <= utc(start + window)), LEFT),
        (left & labelled_at.is_(None), NOT_COUNTED),  # until a training dates the label
        (people.c[target.name].in_(target.categories), STAYED),
        else_=NOT_COUNTED,
    )
    return (
        sa.select(marks.c.kind, fate.label("fate"), sa.func.count())
        .select_from(marks.outerjoin(people, people.c[key] == marks.c.customer))
        .where(marks.c.campaign == name, marks.c.kind.in_(SIDES))
        .group_by(marks.c.kind, sa.text("fate"))
    )


def _in_an_earlier_window(marks: sa.Table, since: datetime) -> Any:
    """Whether the customer was in a campaign before, whose window was open when this one began."""
    earlier = marks.alias()
    return sa.exists().where(
        earlier.c.customer == marks.c.customer,
        earlier.c.kind.in_(SIDES),
        earlier.c.id < marks.c.id,
        earlier.c.marked_at > utc(since),
    )
