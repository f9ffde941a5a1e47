"""The call list on SQLite and on a MySQL-compatible server."""

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from dashboard.components.risk_grid import shown_row
from dashboard.data.call_list import CallList
from dashboard.data.campaign import campaign_csv
from dashboard.data.list_view import ListView
from dashboard.data.nights import Nights
from include.customers import contacts, loading
from include.customers.contacts import Mark
from include.customers.database import opened
from include.errors import DataError
from include.scoring.table import FLAGS, score_table
from tests.dashboard import bank

ROWS = 600
BANDS = ("critical", "high", "medium", "low")


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def scored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Scored customers in a database of either kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('list') / 'churn.db'}"
    else:
        server, name = request.getfixturevalue("mariadb_server"), f"churn_{secrets.token_hex(6)}"
        with sa.create_engine(server).begin() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
        url = f"{server}/{name}"
    with opened(url) as engine:
        loading.create_table(engine)
        loading.load_customers(engine, bank.people(ROWS), now=datetime.now(UTC))
        bank.score_everybody(engine, bank.people(ROWS), target=bank.WARNING)
        yield engine


def test_before_the_first_scoring_nobody_was_called(sqlite_url: str) -> None:
    with opened(sqlite_url) as engine:
        assert contacts.history(engine, 1) == []
        with pytest.raises(DataError, match="the first scoring makes it"):
            contacts.mark(engine, [Mark(1, "called")], now=datetime.now(UTC))


@pytest.fixture
def engine(scored: sa.Engine) -> Iterator[sa.Engine]:
    """The same, whose marks go with the test."""
    yield scored
    with scored.begin() as connection:
        connection.execute(sa.delete(contacts.contacts_table()))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"sort": "transactions:asc"},
        {"bands": "low", "left": "1"},
        {"status": "all", "filters": '{"card": {"type": "contains", "filter": "blue"}}'},
        {"filters": '{"spend": {"type": "inRange", "filter": 1000, "filterTo": 4000}}'},
        {"view": "campaign"},
        {"sign": "flagged"},
        {"sign": "new", "sort": "flagged_since:desc"},
        {"due": "week", "sort": "call_by:asc"},
        {"rose": "night"},
        {"rose": "night", "bands": "low", "sort": "risk:asc"},
        {"filters": '{"spend": {"type": "lessThan", "filter": 99999999999999999999}}'},
        {"filters": '{"spend": {"type": "lessThan", "filter": 1' + 400 * "0" + "}}"},
        {"filters": '{"spend": {"type": "lessThan", "filter": Infinity}}'},
        {"filters": '{"risk": {"conditions": [1]}}'},
        {"filters": '{"risk": {"conditions": 5}}'},
        {"filters": 9999 * '{"risk":'},
    ],
)
def test_pages_are_in_order_and_as_many_as_counted(
    engine: sa.Engine, values: dict[str, str]
) -> None:
    view = ListView.from_values(values)
    calls, ((name, way),) = CallList(engine, view), view.sort
    found = [(r[name], r["customer"]) for r in [*calls.page(0, 300), *calls.page(300, 700)]]
    assert found == sorted(set(found), reverse=way == "desc") and len(found) == calls.count() > 0


def test_whose_risk_rose_is_a_list_of_its_own(engine: sa.Engine) -> None:
    rose = CallList(engine, ListView.from_values({"rose": "night"}))
    rises = [row["rise_night"] for row in rose.page(0, 500)]
    assert rises == sorted(rises, reverse=True) and rises[-1] >= 0.05 and len(rises) == rose.count()
    everybody = CallList(engine, ListView.from_values({"sort": "rise_night:desc"}))
    assert [row["rise_night"] for row in everybody.page(0, len(rises))] == rises
    assert CallList(engine, ListView.from_values({"rose": "week"})).page(0, 9) == []
    assert ListView.from_values({"rose": "never"}) == ListView()


def test_the_list_of_early_warning_narrows_by_sign_and_by_date(engine: sa.Engine) -> None:
    found = {
        name: CallList(engine, ListView.from_values(values)).page(0, ROWS)
        for name, values in {
            "all": {},
            "flagged": {"sign": "flagged"},
            "new": {"sign": "new"},
            "quiet": {"sign": "quiet"},
            "week": {"due": "week"},
            "passed": {"due": "passed", "sort": "call_by:asc"},
        }.items()
    }
    today = datetime.now(UTC).date()
    assert {row["sign"] for row in found["all"]} == {None, "new", "quiet"}
    assert all((row["sign"] is None) == (row["call_by"] is None) for row in found["all"])
    assert sorted([*keys(found["new"]), *keys(found["quiet"])]) == sorted(keys(found["flagged"]))
    wait = timedelta(days=bank.WARNING.gap_days)
    assert all(row["call_by"] - row["flagged_since"] == wait for row in found["flagged"])
    assert keys(found["week"]) == [
        row["customer"] for row in found["flagged"] if row["call_by"] <= today + timedelta(days=7)
    ]
    passed = [row["call_by"] for row in found["passed"]]
    assert passed == sorted(passed) and passed[-1] < today and len(passed) < len(found["week"])


def keys(rows: list[dict[str, Any]]) -> list[int]:
    """The customers of rows."""
    return [row["customer"] for row in rows]


def test_the_first_date_comes_before_those_who_have_none(engine: sa.Engine) -> None:
    rows = CallList(engine, ListView.from_values({"sort": "call_by:asc"})).page(0, ROWS)
    dates = [row["call_by"] for row in rows]
    flagged = [each for each in dates if each]
    assert (
        flagged
        and dates[: len(flagged)] == sorted(flagged)
        and set(dates[len(flagged) :]) == {None}
    )


def test_joined_conditions_narrow_a_list(engine: sa.Engine) -> None:
    above, below = ({"type": kind, "filter": 50} for kind in ("greaterThan", "lessThan"))
    counts = {
        operator: CallList(engine, view_of(operator, [above, below])).count()
        for operator in ("AND", "OR")
    }
    everybody = CallList(engine, ListView()).count()
    assert 0 == counts["AND"] < counts["OR"] < everybody


def view_of(operator: str, conditions: list[dict[str, object]]) -> ListView:
    """A view with one filter of two conditions."""
    filters = {"transactions": {"operator": operator, "conditions": conditions}}
    return ListView.from_values({"filters": json.dumps(filters)})


def test_marked_customers_are_on_another_list(engine: sa.Engine) -> None:
    whole, marked = CallList(engine, ListView()).count(), []
    for _ in range(2):
        marked.append(CallList(engine, ListView()).page(0, 1)[0]["customer"])
        contacts.mark(engine, [Mark(marked[-1], "called")], now=datetime.now(UTC))
        assert CallList(engine, ListView()).count() == whole - len(marked)
    called = CallList(engine, ListView.from_values({"status": "called"}))
    assert [row["customer"] for row in called.page(0, 9)] == marked
    assert {row["status"] for row in called.page(0, 9)} == {"called"}
    contacts.mark(engine, [Mark(marked[0], "called")], now=datetime(2026, 1, 1, tzinfo=UTC))
    back = CallList(engine, ListView()).page(0, 1)[0]  # rested long enough
    assert (back["customer"], back["status"]) == (marked[0], "open")


def test_what_a_record_lacks_sorts_filters_and_shows(engine: sa.Engine) -> None:
    calls = CallList(engine, ListView.from_values({"sort": "card:asc"}))
    key = calls.page(0, 1)[0]["customer"]
    lacking = {"card": None, "revenue": None, "at_risk": None}
    with engine.begin() as connection:
        table = score_table()
        connection.execute(sa.update(table).where(table.c.customer == key).values(lacking))
    assert calls.page(0, 1)[0]["customer"] == key
    blank = {"filters": '{"card": {"type": "blank"}}'}
    rows = CallList(engine, ListView.from_values(blank)).page(0, 9)
    assert [shown_row(row)["call_value"] for row in rows] == [None]
    assert campaign_csv(rows).decode().count(f"{key},") == 1


def test_the_list_is_the_last_nights(engine: sa.Engine) -> None:
    nights = Nights(engine)
    first = nights.latest()
    bank.score_everybody(engine, bank.people(ROWS).head(ROWS // 2))
    second = nights.latest()
    assert first is not None and second is not None and first.scored_at < second.scored_at
    assert (first.rows, second.rows, second.model_version) == (ROWS, ROWS // 2, "1")
    assert second.compared == bank.EARLIER
    assert [*second.bands] == [b for b in BANDS if b in second.bands] and second.bands


def test_scores_without_flags_make_a_list_until_the_next_night(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'churn.db'}") as engine:
        bank.score_everybody(engine, bank.people(ROWS))
        with engine.begin() as connection:
            for name in FLAGS:
                connection.exec_driver_sql(f"ALTER TABLE churn_scores DROP COLUMN {name}")
        nights = Nights(engine)
        assert nights.latest() is not None
        for values in ({}, {"sort": "call_by:asc"}, {"view": "campaign"}):
            rows = CallList(engine, ListView.from_values(values), nights.table()).page(0, 9)
            assert len(rows) == 9 and {row["sign"] for row in rows} == {None}
        flagged = CallList(engine, ListView.from_values({"sign": "new"}), nights.table())
        assert (flagged.page(0, 9), flagged.count()) == ([], 0)
        bank.score_everybody(engine, bank.people(ROWS), target=bank.WARNING)
        nights.latest()
        assert CallList(engine, ListView.from_values({"sign": "new"}), nights.table()).count() > 0


def test_an_earlier_releases_scores_make_no_list(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'churn.db'}") as engine:
        assert Nights(engine).latest() is None
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE churn_scores (customer, probability)")
            connection.exec_driver_sql("INSERT INTO churn_scores VALUES (1, 0.5)")
        assert Nights(engine).latest() is None
