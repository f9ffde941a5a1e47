"""The first page: the list and the campaign to the cell, marks, the drawer and what-if."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx
import pandas as pd
import pytest
import sqlalchemy as sa

from dashboard.components.what_if import changed_record, integer_names
from dashboard.pages import customers
from include.contract import load_contract
from include.customers.contacts import Mark, contacts_table, mark
from include.settings import Settings
from tests.dashboard import bank
from tests.dashboard.conftest import Dashboard, OpenPage, Serve, until, visit
from tests.webapp.conftest import Server

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

YEARS, SUCCESS, COST = 2.0, 0.30, 12.0
PER_SPEND, PER_BALANCE = 0.015, 0.18


@pytest.fixture
def expected(bank_engine: sa.Engine) -> pd.DataFrame:
    """Every call that is open, by value, reckoned here and not by the dashboard."""
    people = pd.read_sql("SELECT * FROM churners", bank_engine)
    scores = pd.read_sql("SELECT customer, probability, band FROM churn_scores", bank_engine)
    both = scores.merge(people, left_on="customer", right_on="CLIENTNUM")
    both = both[both["Attrition_Flag"] != "Attrited Customer"]
    spend, balance = both["Total_Trans_Amt"], both["Total_Revolving_Bal"]
    both["stake"] = YEARS * (PER_SPEND * spend + PER_BALANCE * balance)
    both["gain"] = both["probability"] * both["stake"] * SUCCESS - COST
    return both.sort_values(["gain", "customer"], ascending=False, ignore_index=True)


def lines_of(text: str) -> list[dict[str, str]]:
    """A CSV file as a spreadsheet reads it."""
    return list(csv.DictReader(io.StringIO(text.lstrip("\ufeff"))))


def test_campaign_list_is_right_to_the_cell(dashboard: Dashboard, expected: pd.DataFrame) -> None:
    answer = httpx.get(dashboard.url + "/campaign.csv", params={"budget": "1200"})
    lines = lines_of(answer.content.decode("utf-8"))
    assert len(lines) == 100
    for line, (_, row) in zip(lines, expected.head(100).iterrows(), strict=True):
        assert int(line["Customer"]) == row["customer"]
        assert float(line["Risk of leaving (%)"]) == round(100 * row["probability"], 1)
        assert line["Risk band"] == row["band"]
        assert abs(float(line["Expected value of a call ($)"]) - row["gain"]) < 0.006
        assert abs(float(line["Value at stake ($)"]) - row["stake"]) < 0.006
        assert float(line["Spend, 12 months ($)"]) == row["Total_Trans_Amt"]
        assert line["Card"] == row["Card_Category"]
        assert int(line["Transactions, 12 months"]) == row["Total_Trans_Ct"]


@pytest.fixture(scope="module")
def first_page(dashboard: Dashboard, browser_context: "BrowserContext") -> "Iterator[Page]":
    """The first page, which its tests leave as it was."""
    with visit(browser_context, dashboard.url + "/") as opened:
        yield opened


def test_grid_shows_the_same_list(first_page: "Page", expected: pd.DataFrame) -> None:
    page = first_page
    page.locator('.ag-row[row-index="4"] .risk-bar').wait_for()
    for place in range(5):
        cells = page.locator(f'.ag-row[row-index="{place}"] [role="gridcell"]')
        text = " ".join(cells.all_inner_texts())
        row = expected.iloc[place]
        assert str(row["customer"]) in text
        assert f"{100 * row['probability']:.1f}%" in text
        assert f"${round(row['gain']):,}" in text
    best = expected.head(250)
    told = page.locator("#promise-text").inner_text()
    assert "Call 225 customers for $2,700" in told  # 25 are kept aside
    assert f"${round(0.9 * best['gain'].sum()):,}" in told


def test_row_opens_closes_and_opens_again(first_page: "Page", expected: pd.DataFrame) -> None:
    page = first_page
    cell = page.locator('.ag-row[row-index="0"] [col-id="customer"]')
    drawer = page.get_by_role("dialog", name=f"Customer {expected['customer'].iloc[0]}")
    cell.click()
    drawer.get_by_text("Most towards").wait_for()
    until(page, "location.search.includes('customer=')")
    page.keyboard.press("Escape")
    drawer.wait_for(state="hidden")
    until(page, "!location.search.includes('customer=')")
    cell.focus()
    page.keyboard.press("Enter")
    drawer.get_by_text("Most towards").wait_for()
    page.keyboard.press("Escape")
    drawer.wait_for(state="hidden")
    until(page, "document.activeElement.closest('.ag-row')")
    page.keyboard.press("Tab")  # leaves the grid, whose cells are many
    until(page, "document.activeElement.closest('.ag-paging-panel')")


def test_filters_of_the_url_reach_grid_and_file(
    dashboard: Dashboard, open_page: OpenPage, expected: pd.DataFrame
) -> None:
    gold = expected[expected["Card_Category"] == "Gold"]
    filters = json.dumps({"card": {"filterType": "text", "type": "equals", "filter": "gold"}})
    page = open_page(f"{dashboard.url}/?{urlencode({'filters': filters})}")
    page.locator(".ag-paging-row-summary-panel", has_text=f"of {len(gold):,}").wait_for()
    assert row_ids(page, 3) == gold["customer"].head(3).tolist()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download this list").click()
    cards = {line["Card"] for line in lines_of(download.value.path().read_text("utf-8"))}
    assert cards == {"Gold"}


def row_ids(page: "Page", count: int) -> list[int]:
    """The customers of the grid's first rows, once they are there."""
    rows = [page.locator(f'.ag-row[row-index="{place}"][row-id]').first for place in range(count)]
    return [int(row.get_attribute("row-id") or 0) for row in rows]


def test_a_view_that_is_sent_opens_the_same(dashboard: Dashboard, open_page: OpenPage) -> None:
    page = open_page(dashboard.url + "/")
    page.locator(".risk-bar").first.wait_for()
    page.get_by_text("Only this campaign").click()
    page.get_by_text("Medium", exact=True).click()
    page.get_by_label("Cost per call").fill("15")
    page.locator(".ag-header-cell[col-id=balance] .ag-header-cell-label").click()
    until(
        page,
        "['view=campaign','bands=medium','cost=15','sort=balance'].every("
        "part => location.search.includes(part))",
    )
    page.locator(".ag-header-cell[col-id=balance][aria-sort=ascending]").wait_for()
    other = open_page(page.url)
    other.locator('.ag-row[row-index="2"] .risk-bar').wait_for()
    assert other.get_by_label("Cost per call").input_value() == "$15"
    assert set(other.locator(".risk-band").all_inner_texts()) == {"medium"}
    told = other.locator("#promise-text").inner_text()
    page.locator("#promise-text", has_text=told).wait_for()
    first = row_ids(other, 1)[0]
    page.locator(f'.ag-row[row-index="0"][row-id="{first}"]').first.wait_for()


def test_marks_take_customers_off_the_list(
    dashboard: Dashboard, open_page: OpenPage, expected: pd.DataFrame, bank_engine: sa.Engine
) -> None:
    page = open_page(dashboard.url + "/")
    first, second = (str(key) for key in expected["customer"].head(2))
    page.locator(f'[row-id="{first}"] input[type="checkbox"]').first.check()
    page.get_by_role("button", name="Snooze 30 days").click()
    page.locator(f'.ag-row[row-index="0"][row-id="{second}"]').first.wait_for()
    with bank_engine.connect() as connection:
        rows = connection.execute(sa.select(contacts_table())).mappings().all()
    assert [(row["customer"], row["kind"]) for row in rows] == [(int(first), "snoozed")]
    assert (rows[0]["hidden_until"] - rows[0]["marked_at"]).days == 30


def test_a_double_click_starts_one_campaign_with_a_random_control_group(
    dashboard: Dashboard, open_page: OpenPage, bank_engine: sa.Engine
) -> None:
    page = open_page(dashboard.url + "/?budget=600&control=0.2")
    page.get_by_text("Call 40 customers").wait_for()
    page.get_by_text("Control group: 10 of 50 can show next to nothing").wait_for()
    page.get_by_role("button", name="Start campaign").dblclick()
    page.get_by_text("40 customers to call, 10 drawn at random").wait_for()
    page.get_by_role("button", name="Start campaign").click()
    page.get_by_text("has started its campaign already").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download its list").click()
    lines = lines_of(download.value.path().read_text("utf-8"))
    table = contacts_table()
    with bank_engine.connect() as connection:
        kinds = dict(connection.execute(sa.select(table.c.customer, table.c.kind)).tuples().all())
    assert sorted(int(line["Customer"]) for line in lines) == sorted(
        key for key, kind in kinds.items() if kind == "listed"
    )
    assert sum(kind == "control" for kind in kinds.values()) == 10


def test_list_appears_when_the_first_scores_do(
    open_page: OpenPage, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customers, "WAIT_MILLISECONDS", 300)
    settings = Settings(var_dir=tmp_path, api_url="http://127.0.0.1:9")
    page = open_page(serve(settings) + "/")
    page.get_by_text("Nobody was scored yet").wait_for()
    bank.open_bank(settings, rows=500)
    page.locator(".risk-bar").first.wait_for()


def test_what_if_is_the_apis_own_answer(
    dashboard: Dashboard,
    api: Server,
    open_page: OpenPage,
    expected: pd.DataFrame,
) -> None:
    row = expected.iloc[0]
    page = open_page(f"{dashboard.url}/?customer={row['customer']}")
    page.get_by_text("Most towards leaving").wait_for()
    slider = page.get_by_role("slider", name="Transactions, 12 months")
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    moved = int(slider.get_attribute("aria-valuenow") or 0)
    assert moved == row["Total_Trans_Ct"] + 5
    contract = load_contract()
    record = {name: row[name] for name in contract.feature_names}
    record = {n: v.item() if hasattr(v, "item") else v for n, v in record.items()}
    asked = changed_record(record, {"Total_Trans_Ct": moved}, integer_names(contract))
    answer = httpx.post(api.url + "/predict", json=asked, headers={"X-Churn-Source": "test"})
    shown = f'#what-if-probability[data-probability="{answer.json()["probabilities"][0]!r}"]'
    page.locator(shown).wait_for()


def test_result_is_noted_and_shown(
    dashboard: Dashboard, open_page: OpenPage, expected: pd.DataFrame, bank_engine: sa.Engine
) -> None:
    customer = int(expected["customer"].iloc[3])
    page = open_page(f"{dashboard.url}/?customer={customer}")
    page.get_by_label("Note").fill("moves abroad")
    page.get_by_label("Mark this customer").get_by_role("button", name="Leaves").click()
    page.get_by_text(re.compile("called: leaves – moves abroad")).wait_for()


MARKUP = '<img src="x" onerror="window.hit = 1">'


def test_notes_names_and_addresses_are_shown_as_words(
    dashboard: Dashboard, open_page: OpenPage, expected: pd.DataFrame, bank_engine: sa.Engine
) -> None:
    customer = int(expected["customer"].iloc[4])
    said = Mark(customer, "result", "stays", note=MARKUP, author=MARKUP)
    mark(bank_engine, [said], now=datetime.now(UTC))
    asked = {"customer": customer, "campaign": MARKUP, "filters": MARKUP, "sort": MARKUP}
    page = open_page(f"{dashboard.url}/?{urlencode(asked)}")
    page.get_by_text(f"called: stays, by {MARKUP} – {MARKUP}").wait_for()
    page.goto(f"{dashboard.url}/customer?{urlencode({'number': MARKUP})}")
    page.get_by_text(f"“{MARKUP}” is no customer's number").wait_for()
    assert page.evaluate("window.hit") is None and page.locator("img[src=x]").count() == 0
