"""Scoring through the page: faults of a file by row, a result to download, an API that is down."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow.parquet as pq
import pytest

from dashboard.data.api_client import ApiDown, ChurnApi
from include.contract import load_contract
from include.customers.csv_file import SCORED_BYTES_MAX
from include.settings import Settings
from include.store import Store, open_store
from tests.dashboard import bank
from tests.dashboard.conftest import Dashboard, OpenPage, Serve, until, visit
from tests.webapp.champions import records
from tests.webapp.conftest import Server

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

CONTRACT = load_contract()


def csv_file(path: Path, rows: list[dict[str, object]]) -> Path:
    """The rows as a file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["customer_id", *CONTRACT.feature_names])
        writer.writeheader()
        writer.writerows(rows)
    return path


def people(count: int) -> list[dict[str, object]]:
    """Rows as an analyst would upload them."""
    return [{"customer_id": 1000 + i, **record} for i, record in enumerate(records(count))]


@pytest.fixture(scope="module")
def file_tab(dashboard: Dashboard, browser_context: "BrowserContext") -> "Iterator[Page]":
    """The tab that takes files, which each test gives another one."""
    with visit(browser_context, dashboard.url + "/score?tab=file") as opened:
        yield opened


def test_upload_lists_every_fault_by_its_line(file_tab: "Page", tmp_path: Path) -> None:
    rows = people(4)
    rows[1]["Gender"] = "X"
    rows[3] |= {"Customer_Age": 7, "Credit_Limit": "much"}
    page = file_tab
    page.locator("#upload input").set_input_files(csv_file(tmp_path / "people.csv", rows))
    page.get_by_text("3 values in 2 rows are not right").wait_for()
    found = page.locator("#upload-faults tbody tr").all_inner_texts()
    assert [line.split("\t")[:2] for line in found] == [
        ["3", "Gender"],
        ["5", "Customer_Age"],
        ["5", "Credit_Limit"],
    ]
    assert page.locator("#score-file").count() == 0


def test_upload_is_scored_through_the_api(file_tab: "Page", api: Server, tmp_path: Path) -> None:
    rows = people(2300)  # three parts
    page = file_tab
    page.locator("#upload input").set_input_files(csv_file(tmp_path / "people.csv", rows))
    page.get_by_role("button", name="Score 2,300 customers").click()
    page.get_by_text("2,300 rows scored").wait_for()
    with page.expect_download() as download:
        page.locator("#result-link").click()
    lines = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    answer = httpx.post(api.url + "/predict_batch", json={"records": rows}).json()
    assert [float(line["risk_of_leaving_percent"]) for line in lines] == [
        round(100 * p, 2) for p in answer["probabilities"]
    ]
    assert [int(line["customer_id"]) for line in lines] == [row["customer_id"] for row in rows]


def test_the_log_says_where_questions_came_from(
    file_tab: "Page", api: Server, bank_settings: Settings, tmp_path: Path
) -> None:
    page = file_tab
    page.get_by_role("tab", name="One customer").click()
    page.get_by_role("button", name="Score this customer").click()
    page.locator("#one-probability").wait_for()
    page.get_by_role("tab", name="CSV file").click()
    page.locator("#upload input").set_input_files(csv_file(tmp_path / "two.csv", people(2)))
    page.get_by_role("button", name="Score 2 customers").click()
    page.get_by_text("2 rows scored").wait_for()
    store = open_store(bank_settings.resolved_store_uri)
    api.until(lambda: {"bulk", "what-if"} <= logged_sources(store), seconds=60)


def logged_sources(store: Store) -> set[str]:
    """Every source in the prediction log."""
    keys = [each.key for each in store.list("predictions/") if each.key.endswith(".parquet")]
    tables = [pq.read_table(io.BytesIO(store.read(key).data), columns=["source"]) for key in keys]
    return {source for table in tables for source in table["source"].to_pylist()}


def test_what_was_uploaded_comes_back_without_formulas(file_tab: "Page", tmp_path: Path) -> None:
    rows = people(2)
    rows[0]["customer_id"] = '=HYPERLINK("http://127.0.0.1")'
    page = file_tab
    page.locator("#upload input").set_input_files(csv_file(tmp_path / "people.csv", rows))
    page.get_by_role("button", name="Score 2 customers").click()
    with page.expect_download() as download:
        page.locator("#result-link").click()
    lines = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    assert [line["customer_id"] for line in lines] == ['\'=HYPERLINK("http://127.0.0.1")', "1001"]


MARKUP = '<img src="x" onerror="window.hit = 1">'


def test_what_was_uploaded_is_shown_as_words(file_tab: "Page", tmp_path: Path) -> None:
    page, path = file_tab, csv_file(tmp_path / "people.csv", people(2))
    names, first, second = path.read_text().splitlines()
    quoted = '"' + MARKUP.replace('"', '""') + '"'
    lines = [f"{names},{quoted}", f"{quoted}{first[first.index(',') :]},1", f"{second},1"]
    for text in ("\n".join(lines), "\n".join(lines).replace(",F,", f",{quoted},")):
        file = {"name": MARKUP, "mimeType": "text/csv", "buffer": text.encode()}
        page.locator("#upload input").set_input_files(file)  # type: ignore[arg-type]
        shown = page.locator("#upload-preview")
        shown.get_by_text(f"{MARKUP}: ").wait_for()
        shown.get_by_text(f"Columns that are not used: {MARKUP}").wait_for()
        page.locator("#upload-faults" if text.count(quoted) > 2 else "#score-file").wait_for()
    assert shown.inner_text().count(MARKUP) >= 3
    assert page.evaluate("[window.hit, document.querySelectorAll('img[src=x]').length]") == [
        None,
        0,
    ]


def test_the_same_file_can_be_uploaded_again(file_tab: "Page", tmp_path: Path) -> None:
    page, file = file_tab, csv_file(tmp_path / "same.csv", people(2))
    for _ in range(2):
        page.locator("#upload input").set_input_files(file)
        assert page.locator("#upload-done").count() == 0  # it is read anew
        page.get_by_role("button", name="Score 2 customers").click()
        page.get_by_text("2 rows scored").wait_for()


def test_a_failed_scoring_goes_on_where_it_stopped(
    bank_settings: Settings,
    api: Server,
    open_page: OpenPage,
    serve: Serve,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    really_ask = ChurnApi.predict_batch

    def fail_once(api: ChurnApi, part: list[Any], *, source: Any) -> dict[str, Any]:
        asked.append(part[0]["customer_id"])
        if len(asked) == 2:
            raise ApiDown("the API did not answer")
        return really_ask(api, part, source=source)

    monkeypatch.setattr(ChurnApi, "predict_batch", fail_once)
    page = open_page(
        serve(bank_settings.model_copy(update={"api_url": api.url})) + "/score?tab=file"
    )
    page.locator("#upload input").set_input_files(csv_file(tmp_path / "p.csv", people(2100)))
    button = page.get_by_role("button", name="Score 2,100 customers")
    button.click()
    page.get_by_text("Press the button to go on from there.").wait_for()
    button.click()
    page.locator("#upload-done").wait_for()
    assert asked == [1000, 2000, 2000, 3000]


def test_a_file_over_the_limit_stays_in_the_browser(file_tab: "Page", tmp_path: Path) -> None:
    page, small = file_tab, csv_file(tmp_path / "small.csv", people(2))
    page.locator("#upload input").set_input_files(small)
    page.get_by_role("button", name="Score 2 customers").wait_for()
    large = tmp_path / "large.csv"
    large.write_bytes(b"a" * (SCORED_BYTES_MAX + 1))
    sent: list[int] = []
    page.on("request", lambda request: sent.append(len(request.post_data or "")))
    page.locator("#upload input").set_input_files(large)
    page.get_by_text("large.csv has 31,457,281 bytes, at most 31,457,280 are read").wait_for()
    page.locator("#score-file").wait_for(state="detached")
    assert max(sent, default=0) < 10_000
    page.locator("#upload input").set_input_files(small)
    page.get_by_role("button", name="Score 2 customers").wait_for()


def test_a_workbook_is_refused_with_a_reason(file_tab: "Page", tmp_path: Path) -> None:
    workbook = tmp_path / "people.xlsx"
    workbook.write_bytes(b"PK\x03\x04\xff\xfe")
    page = file_tab
    page.locator("#upload input").set_input_files(workbook)
    page.get_by_text("save it as CSV (UTF-8), not as a workbook").wait_for()


def test_the_url_follows_the_tabs(dashboard: Dashboard, open_page: OpenPage) -> None:
    page = open_page(dashboard.url + "/score?Customer_Age=50")
    page.get_by_role("tab", name="CSV file").wait_for()
    assert page.url.endswith("?Customer_Age=50")
    page.get_by_role("tab", name="CSV file").click()
    until(page, "location.search === '?tab=file'")
    page.get_by_role("tab", name="One customer").click()
    until(page, "location.search === ''")


def test_form_shows_a_fault_beside_its_field(dashboard: Dashboard, open_page: OpenPage) -> None:
    page = open_page(dashboard.url + "/score")
    page.set_viewport_size({"width": 390, "height": 844})  # the button is far below the field
    page.get_by_label("Age (years)").fill("7")
    page.get_by_role("button", name="Score this customer").click()
    page.get_by_text("expected an integer from 18 to 120").wait_for()
    until(page, "document.activeElement.matches('[aria-invalid=true]')")
    until(page, "document.activeElement.getBoundingClientRect().top > 56")
    page.get_by_label("Age (years)").fill("47")
    page.get_by_role("button", name="Score this customer").click()
    page.locator("#one-probability").wait_for()


def test_pages_say_that_the_api_is_down(
    bank_settings: Settings, open_page: OpenPage, serve: Serve
) -> None:
    url = serve(bank_settings.model_copy(update={"api_url": "http://127.0.0.1:9"}))
    page = open_page(url + "/service")
    page.get_by_text("The prediction service does not answer").wait_for()
    key = bank.people()["CLIENTNUM"].iloc[1]
    page.goto(f"{url}/?customer={key}")
    page.get_by_text("The prediction service does not answer").wait_for()
    page.locator(".risk-bar").first.wait_for()  # the list does without it


def test_empty_states_and_sign_in(open_page: OpenPage, serve: Serve, tmp_path: Path) -> None:
    secrets = {"dashboard_password": "sesame", "api_keys": ("open door",)}
    url = serve(Settings(var_dir=tmp_path, api_url="http://127.0.0.1:9", **secrets))
    page = open_page(url + "/model")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("That password is not right.").wait_for()
    page.get_by_label("Password").fill("sesame")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("No champion yet").wait_for()
    page.get_by_role("link", name="Drift").click()
    page.get_by_text("No drift run yet").wait_for()
    page.get_by_role("link", name="Customers at risk").click()
    page.get_by_text("Nobody was scored yet").wait_for()
    assert httpx.get(url + "/campaign.csv").status_code == 401
    assert httpx.get(url + "/_dash-layout").status_code == 401
    assert "open door" not in page.content()
