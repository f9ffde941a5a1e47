"""The worklist on SQLite and on a MySQL-compatible server: built, renewed, asked."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from dashboard.data.call_list import CallList, ListView
from dashboard.data.worklist import Revenue, Worklist, WorklistKeeper, build, scores_stamp
from include.customers import contacts, loading
from include.customers.contacts import Mark
from include.customers.database import open_engine
from include.scoring.table import score_table
from tests.dashboard import bank

REVENUE = Revenue(per_spend=0.015, per_balance=0.18)
ROWS = 600


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def scored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Scored customers in a database of either kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('worklist') / 'churn.db'}"
    else:
        server, name = request.getfixturevalue("mariadb_server"), f"churn_{secrets.token_hex(6)}"
        with closing_engine(server) as engine, engine.begin() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
        url = f"{server}/{name}"
    with closing_engine(url) as engine:
        loading.create_table(engine)
        contacts.create_contacts(engine)
        loading.load_customers(engine, bank.people(ROWS), now=datetime.now(UTC))
        bank.score_everybody(engine, bank.people(ROWS))
        yield engine


@contextmanager
def closing_engine(url: str) -> Iterator[sa.Engine]:
    """An engine whose connections end with the block."""
    engine = open_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(scored: sa.Engine) -> Iterator[sa.Engine]:
    """The same, whose marks go with the test."""
    yield scored
    with scored.begin() as connection:
        connection.execute(sa.delete(contacts.contacts_table()))


def built(engine: sa.Engine) -> Worklist:
    """The list as it is now, made anew where scores have changed."""
    keeper, stamp = WorklistKeeper(engine, REVENUE), scores_stamp(engine, REVENUE)
    found = keeper.in_use()
    if found is None or found.stamp != stamp:
        build(engine, REVENUE, stamp=stamp or "", now=datetime.now(UTC))
        found = keeper.in_use()
    assert found is not None and found.stamp == stamp
    return found


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"sort": "balance:asc"},
        {"bands": "low", "left": "1"},
        {"status": "all", "filters": '{"card": {"type": "contains", "filter": "blue"}}'},
        {"filters": '{"spend": {"type": "inRange", "filter": 1000, "filterTo": 4000}}'},
        {"view": "campaign"},
        {"filters": '{"spend": {"type": "lessThan", "filter": 99999999999999999999}}'},
        {"filters": '{"spend": {"type": "lessThan", "filter": 1' + 400 * "0" + "}}"},
        {"filters": '{"spend": {"type": "lessThan", "filter": Infinity}}'},
        {"filters": '{"risk": {"conditions": [1]}}'},
        {"filters": '{"risk": {"conditions": 5}}'},
        {"filters": 9999 * '{"risk":'},
    ],
)
def test_pages_and_count_agree(engine: sa.Engine, values: dict[str, str]) -> None:
    calls = CallList(engine, built(engine), ListView.from_values(values))
    rows = [*calls.page(0, 300), *calls.page(300, 700)]
    assert len({row["customer"] for row in rows}) == len(rows) == calls.count() > 0


def test_joined_conditions_narrow_a_list(engine: sa.Engine) -> None:
    above, below = ({"type": kind, "filter": 50} for kind in ("greaterThan", "lessThan"))
    worklist = built(engine)
    counts = {
        operator: CallList(engine, worklist, view_of(operator, [above, below])).count()
        for operator in ("AND", "OR")
    }
    everybody = CallList(engine, worklist, ListView()).count()
    assert 0 == counts["AND"] < counts["OR"] < everybody


def view_of(operator: str, conditions: list[dict[str, object]]) -> ListView:
    """A view with one filter of two conditions."""
    filters = {"transactions": {"operator": operator, "conditions": conditions}}
    return ListView.from_values({"filters": json.dumps(filters)})


def test_a_marked_customer_is_on_another_list(engine: sa.Engine) -> None:
    worklist = built(engine)
    first = CallList(engine, worklist, ListView()).page(0, 1)[0]["customer"]
    contacts.mark(engine, [Mark(first, "called")], now=datetime.now(UTC))
    assert CallList(engine, worklist, ListView()).page(0, 1)[0]["customer"] != first
    called = CallList(engine, worklist, ListView.from_values({"status": "called"}))
    assert [row["customer"] for row in called.page(0, 9)] == [first]


def test_counts_follow_marks(engine: sa.Engine) -> None:
    worklist = built(engine)
    whole = CallList(engine, worklist, ListView()).count()
    for place, row in enumerate(CallList(engine, worklist, ListView()).page(0, 3), start=1):
        contacts.mark(engine, [Mark(row["customer"], "called")], now=datetime.now(UTC))
        assert CallList(engine, worklist, ListView()).count() == whole - place


def test_new_scores_make_a_new_list(engine: sa.Engine) -> None:
    before = built(engine)
    with engine.begin() as connection:
        connection.execute(sa.update(score_table()).values(model_version="2"))
    after = built(engine)
    assert {before.table.name, after.table.name} == {"churn_worklist_a", "churn_worklist_b"}
    assert after.model_version == "2"
