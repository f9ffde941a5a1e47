"""The file for other systems: its contract, word for word, and that it says what the list says."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from dashboard.data import crm_file
from dashboard.data.call_list import CallList
from dashboard.data.list_view import ListView
from include.customers.contacts import Mark, mark
from include.errors import DataError
from include.scoring.table import score_table
from include.settings import PROJECT
from include.target import STATE

VERSION_1 = (
    "customer_id,probability,risk_band,rise_since_last_night,rise_since_last_week,reason_1,"
    "reason_2,reason_3,expected_call_value_usd,value_at_stake_usd,spend_12_months_usd,"
    "revolving_balance_usd,credit_limit_usd,card,months_inactive_12_months,"
    "transactions_12_months,status,call_result,has_left,model_version,scored_at"
)
VERSION_2 = VERSION_1 + ",gap_days,horizon_days,flagged_since,sign,call_by"
SHARE = re.compile(r"-?[01]\.\d{1,4}")


def lines_of(data: bytes) -> list[dict[str, str]]:
    """The file as another system reads it."""
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


def view(**values: str) -> ListView:
    return ListView.from_values(values)


@pytest.mark.parametrize(("version", "header"), [(1, VERSION_1), (2, VERSION_2)])
def test_the_header_of_a_version_stays(client: FlaskClient, version: int, header: str) -> None:
    found = client.get(f"/crm/v{version}.csv?bands=none")
    assert found.data == (header + "\r\n").encode()  # without a byte-order mark
    assert found.content_type == "text/csv; charset=utf-8"
    assert f"customers-v{version}-" in found.headers["Content-Disposition"]


def test_another_version_is_not_there(client: FlaskClient) -> None:
    assert client.get("/crm/v3.csv").status_code == 404


def test_the_documented_columns_are_the_files() -> None:
    page = (PROJECT / "docs" / "crm.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == VERSION_2.split(",")


def test_every_customer_of_the_view_is_in_it_once_by_number(
    client: FlaskClient, bank_engine: sa.Engine
) -> None:
    lines = lines_of(client.get("/crm/v1.csv").data)
    numbers = [int(line["customer_id"]) for line in lines]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == CallList(bank_engine, view()).count() > 3 * crm_file.ROWS


def test_a_line_says_what_the_list_says(client: FlaskClient, bank_engine: sa.Engine) -> None:
    (row,) = CallList(bank_engine, view()).page(0, 1)
    wanted = {"customer": {"type": "equals", "filter": row["customer"]}}
    asked = {"filters": json.dumps(wanted)}
    (line,) = lines_of(client.get("/crm/v1.csv", query_string=asked).data)
    assert float(line["probability"]) == round(row["probability"], 4)
    assert float(line["expected_call_value_usd"]) == round(row["call_value"], 2)
    assert line["card"] == row["card"] and line["risk_band"] == row["band"]
    assert [line[f"reason_{place}"] for place in (1, 2, 3)] == [n for n, _ in row["reasons"]]
    assert (line["status"], line["call_result"], line["has_left"]) == ("open", "", "0")
    assert line["model_version"] == "1" and datetime.fromisoformat(line["scored_at"]).tzinfo
    assert line["rise_since_last_week"] == ""  # another version's


@pytest.mark.parametrize(
    "values",
    [
        {"bands": "critical"},
        {"rose": "night"},
        {"view": "campaign"},
        {"filters": '{"card": {"type": "contains", "filter": "gold"}}', "left": "1"},
        {"status": "called"},
    ],
)
def test_the_present_filters_apply(
    client: FlaskClient, bank_engine: sa.Engine, values: dict[str, str]
) -> None:
    somebody = [row["customer"] for row in CallList(bank_engine, view()).page(0, 5)]
    mark(bank_engine, [Mark(somebody[0], "called")], now=datetime.now(UTC))
    mark(bank_engine, [Mark(somebody[1], "result", "stays")], now=datetime.now(UTC))
    lines = lines_of(client.get("/crm/v1.csv", query_string=values).data)
    assert len(lines) == CallList(bank_engine, view(**values)).count() > 0
    if values.get("status"):
        told = {int(line["customer_id"]): (line["status"], line["call_result"]) for line in lines}
        assert told == {somebody[0]: ("called", ""), somebody[1]: ("called", "stays")}
    if values.get("rose"):
        assert all(float(line["rise_since_last_night"]) >= 0.0005 for line in lines)
        assert all(SHARE.fullmatch(line["rise_since_last_night"]) for line in lines)


def test_no_cell_acts_as_a_formula_and_none_ends_a_line() -> None:
    marked = Mark(1, "result", "stays")
    numbers = dict.fromkeys(("risk", "rise_night", "call_value", "value", "spend"), -3.25)
    row: dict[str, Any] = {
        **dict.fromkeys(("customer", "balance", "credit_limit", "has_left", "rise_week"), 1),
        **dict.fromkeys(("months_inactive", "transactions"), None),
        **numbers,
        **{"band": "+high", "card": '=HYPERLINK("x"),\r\n"', "model_version": "@1"},
        "reasons": [("-a,b", 1.0), ("b", -1.0), ("\t=c", 0.5)],
        "mark": marked,
        "scored_at": datetime(2026, 11, 27, 3, 0, 5, 999),
    }
    lines = crm_file.crm_lines([[row]], crm_file.VERSION_1, lambda _: STATE)
    (line,) = lines_of(b"".join(lines))
    assert (line["risk_band"], line["model_version"]) == ("'+high", "'@1")
    assert line["card"] == '\'=HYPERLINK("x"),\r\n"'
    assert [line[f"reason_{place}"] for place in (1, 2, 3)] == ["'-a,b", "'\t=c", ""]
    assert float(line["expected_call_value_usd"]) == -3.25  # a number is no formula
    assert (line["months_inactive_12_months"], line["scored_at"]) == ("", "2026-11-27T03:00:05Z")


def test_so_many_customers_are_in_memory_as_one_part_has(bank_engine: sa.Engine) -> None:
    asked: list[str] = []
    sa.event.listen(bank_engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    parts = CallList(bank_engine, view()).everybody(rows=10)
    assert len(next(parts)) == 10 and len(asked) == 2  # the customers, their marks
    assert len(next(parts)) == 10 and len(asked) == 4


@pytest.fixture
def later_night(bank_engine: sa.Engine) -> Iterator[None]:
    """Another moment in half of the rows while the test runs, as after a swap."""
    table = score_table()
    with bank_engine.begin() as connection:
        middle = connection.scalar(sa.select(sa.func.avg(table.c.customer)))
        moment = connection.scalar(sa.select(table.c.scored_at).limit(1))
        second = sa.update(table).where(table.c.customer > middle)
        connection.execute(second.values(scored_at=datetime(2030, 1, 1)))
    yield
    with bank_engine.begin() as connection:
        connection.execute(sa.update(table).values(scored_at=moment))


def test_a_file_never_mixes_two_nights(later_night: None, bank_engine: sa.Engine) -> None:
    parts = CallList(bank_engine, view()).everybody(rows=100)
    assert len(next(parts)) == 100
    with pytest.raises(DataError, match="replaced by a new night's meanwhile: ask again"):
        list(parts)
