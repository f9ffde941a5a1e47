"""Starting a campaign: who is listed where several start at once, or one starts twice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from dashboard.data import campaign
from dashboard.data.campaign import StartedCampaign
from include.customers import contacts
from include.customers.contacts import contacts_table
from include.customers.database import open_engine

ROWS = [{"customer": key, "probability": 0.5} for key in range(1, 301)]
ANALYSTS = 4


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """A database of either kind in which nobody was marked."""
    engine = open_engine(database_url)
    contacts.create_contacts(engine)
    yield engine
    engine.dispose()


def start(engine: sa.Engine, rows: Any = ROWS, **more: Any) -> StartedCampaign:
    facts = {"control_share": 0.1, "model_version": "1", "now": datetime.now(UTC)}
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
