"""The page of the model: what it says of the campaigns' outcomes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from dashboard.data.sources import Sources, open_sources
from dashboard.pages import model
from include.contract import load_contract
from include.customers import contacts
from include.customers.contacts import Mark
from include.settings import Settings
from tests.dashboard import bank

LONG_AGO = datetime.now(UTC) - timedelta(days=200)
KEYS = [int(key) for key in bank.people(3000)[load_contract().key.name]]


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    """A bank of 3,000 customers, none of whom has left."""
    settings = Settings(var_dir=tmp_path)
    bank.open_bank(settings, rows=3000, scored=False)
    found = open_sources(settings)
    contacts.create_contacts(found.engine)
    label(found.engine, KEYS, "Existing Customer", LONG_AGO - timedelta(days=100))
    yield found
    found.close()


def label(engine: sa.Engine, keys: list[int], flag: str, at: datetime) -> None:
    """What the bank knows of customers, and since when."""
    values = {"Attrition_Flag": flag, "labelled_at": contacts.utc(at).isoformat(sep=" ")}
    people = sa.table("churners", *(sa.column(name) for name in ("CLIENTNUM", *values)))
    with engine.begin() as connection:
        connection.execute(sa.update(people).where(people.c.CLIENTNUM.in_(keys)).values(**values))


def run_campaign(
    engine: sa.Engine,
    first: int,
    *,
    listed: tuple[int, int],
    control: tuple[int, int],
    began: datetime = LONG_AGO,
) -> None:
    """A campaign over the customers from `first` on; of each side so many left after 30 days."""
    for kind, (count, left) in (("listed", listed), ("control", control)):
        keys = KEYS[first : first + count]
        marks = [Mark(key, kind, campaign=f"campaign {first // 1000}") for key in keys]  # type: ignore[arg-type]
        contacts.mark(engine, marks, now=began)
        label(engine, keys[:left], "Attrited Customer", began + timedelta(days=30))
        first += count


def test_uneven_campaigns_without_effect_show_none(sources: Sources) -> None:
    run_campaign(sources.engine, 0, listed=(900, 450), control=(100, 50))
    run_campaign(sources.engine, 1000, listed=(100, 5), control=(100, 5))
    told = str(model.create_page(sources, {}))
    assert "too early to say" in told and "the calls helped" not in told
