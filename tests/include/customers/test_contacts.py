"""Who marked what, also in a table from before that was kept."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from include.customers import contacts
from include.customers.contacts import AUTHOR_CHARACTERS, Mark
from include.errors import DataError

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """A database of either kind, with the table."""
    found = sa.create_engine(database_url)
    contacts.create_contacts(found)
    yield found
    found.dispose()


def authors(engine: sa.Engine) -> list[str]:
    """Who marked customer 1, the latest first."""
    return [row["author"] for row in contacts.history(engine, 1)]


def make_older(engine: sa.Engine) -> None:
    """Turn the table into one of a release that kept no author, with a mark in it."""
    contacts.mark(engine, [Mark(1, "called")], now=NOW)
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {contacts.TABLE} DROP COLUMN author"))


def test_an_author_is_kept(engine: sa.Engine) -> None:
    contacts.mark(engine, [Mark(1, "called", author="anna@bank.example")], now=NOW)
    contacts.mark(engine, [Mark(1, "snoozed")], now=NOW)
    assert authors(engine) == ["", "anna@bank.example"]


@pytest.mark.parametrize("first", ["history", "mark", "create_contacts"])
def test_an_older_table_takes_authors_whoever_comes_first(first: str, engine: sa.Engine) -> None:
    make_older(engine)
    if first == "history":
        assert authors(engine) == [""]
    if first == "create_contacts":
        contacts.create_contacts(engine)
    contacts.mark(engine, [Mark(1, "called", author="anna")], now=NOW)
    assert authors(engine) == ["anna", ""]


def test_an_older_release_still_writes(engine: sa.Engine) -> None:
    row = {c.name: 0 for c in contacts.contacts_table().columns if c.name not in {"id", "author"}}
    moment = str(contacts.utc(NOW))
    row |= {"customer": 1, "marked_at": moment, "hidden_until": moment}
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    with engine.begin() as connection:
        connection.execute(
            sa.text(f"INSERT INTO {contacts.TABLE} ({names}) VALUES ({values})"), row
        )
    assert authors(engine) == [""]


def test_somebody_else_may_have_added_it_first(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, True])
    monkeypatch.setattr(contacts, "_has_author", lambda _engine: next(answers))
    contacts.mark(engine, [Mark(1, "called", author="anna")], now=NOW)
    assert next(answers, None) is None  # it looked again after the database had refused


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(DataError, match="at most 128 characters, found 129"):
        Mark(1, "called", author="a" * (AUTHOR_CHARACTERS + 1))
