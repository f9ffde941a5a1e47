"""A champion that is made once, a bank of a thousand customers, and nights over it."""

from collections.abc import Iterator

import pandas as pd
import pytest
from sqlalchemy import Engine

from include.contract import Contract
from include.params import load_params
from include.scoring.run import ScoringRun
from include.settings import Settings
from include.store import LocalStore
from tests.include.bank_days import promote
from tests.include.banks import bank_of
from tests.include.conftest import changed
from tests.include.nights import PEOPLE, RANGES, Version, fitted_on, night_of, version_of


@pytest.fixture(scope="session")
def champion(people: pd.DataFrame, contract: Contract) -> Version:
    """A quick model of them."""
    shape = {"n_estimators": 10, "max_depth": 3}
    params = changed(load_params(Settings().params_file), shape)
    fitted = fitted_on(people.head(PEOPLE), contract, params)
    return version_of(fitted, contract, params, version="1")


@pytest.fixture
def bank(database_url: str, people: pd.DataFrame) -> Iterator[Engine]:
    """A database of either kind with a thousand of the customers."""
    yield from bank_at(database_url, people)


@pytest.fixture
def sqlite_bank(sqlite_url: str, people: pd.DataFrame) -> Iterator[Engine]:
    """The same on SQLite only."""
    yield from bank_at(sqlite_url, people)


@pytest.fixture
def night(local_store: LocalStore, bank: Engine, champion: Version) -> ScoringRun:
    """A night with a champion, in four ranges of several chunks."""
    promote(local_store, *champion)
    return night_of(local_store, bank, **RANGES)


@pytest.fixture
def sqlite_night(local_store: LocalStore, sqlite_bank: Engine, champion: Version) -> ScoringRun:
    """The same on SQLite only, where no other SQL is at stake."""
    promote(local_store, *champion)
    return night_of(local_store, sqlite_bank, **RANGES)


def bank_at(url: str, people: pd.DataFrame) -> Iterator[Engine]:
    """The database while a test runs."""
    engine = bank_of(url, people.head(PEOPLE))
    yield engine
    engine.dispose()
