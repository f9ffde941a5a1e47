"""Databases for history: empty ones, and such as hold the history of a test file's own."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from include.customers.database import opened
from tests.include.history.tiny import Tiny, fill


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An empty database of either kind."""
    with opened(database_url) as engine:
        yield engine


@pytest.fixture
def history(engine: Engine, tiny: Tiny) -> Engine:
    """A database of either kind that holds it."""
    fill(engine, tiny)
    return engine


@pytest.fixture
def local_history(sqlite_url: str, tiny: Tiny) -> Iterator[Engine]:
    """The same on SQLite."""
    with opened(sqlite_url) as engine:
        fill(engine, tiny)
        yield engine
