"""What the browser fetches: little, packed, kept; and no question that the page has answered."""

import gzip
import re
from typing import TYPE_CHECKING

import pytest
from flask.testing import FlaskClient

from dashboard import create_server
from dashboard.browser_files import SUITES
from include.settings import Settings
from tests.dashboard.conftest import Dashboard, OpenPage

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Route
    from werkzeug.test import TestResponse

PACKED = {"Accept-Encoding": "gzip"}


def scripts(client: FlaskClient) -> list[str]:
    """The scripts of the page that loads everything."""
    return re.findall(r'<script src="([^"]+)"', client.get("/").text)


def packed_file(client: FlaskClient, path: str) -> "TestResponse":
    """A file as browsers get it."""
    return client.get(path, headers=PACKED, buffered=True)


def test_scripts_are_packed_and_kept(client: FlaskClient) -> None:
    for path in scripts(client):
        plain, packed = client.get(path, buffered=True), packed_file(client, path)
        assert "immutable" in packed.headers["Cache-Control"]
        assert plain.headers.get("Content-Encoding") is None
        if len(plain.data) < 1400:
            continue
        assert gzip.decompress(packed.data) == plain.data
        assert len(packed.data) < len(plain.data) / 2
        assert packed.headers["Vary"] == "Accept-Encoding"


def test_only_scripts_in_use_are_sent(client: FlaskClient) -> None:
    found = scripts(client)
    assert not [path for path in found if "dash_table" in path]
    assert len([path for path in found if "dash_ag_grid/async-community" in path]) == 1


def test_data_is_never_kept(client: FlaskClient) -> None:
    for path in ("/", "/_dash-layout", "/campaign.csv"):
        assert client.get(path, headers=PACKED).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("headers", [{}, PACKED])
def test_changed_files_are_asked_for_again(client: FlaskClient, headers: dict[str, str]) -> None:
    answer = client.get("/assets/dashboard.css", headers=headers, buffered=True)
    assert "immutable" not in answer.headers["Cache-Control"]
    known = {"If-None-Match": answer.headers["ETag"], **headers}
    again = client.get("/assets/dashboard.css", headers=known, buffered=True)
    assert again.status_code == 304


def test_first_page_asks_once(dashboard: Dashboard, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.post_data or "") if r.method == "POST" else None)
    page.goto(dashboard.url + "/?sort=balance:desc")
    page.locator('.ag-row[row-index="0"] .risk-bar').wait_for()
    assert asked == []
    page.get_by_label("Next Page").click()
    page.locator('.ag-row[row-index="50"] .risk-bar').wait_for()
    assert any("getRowsResponse" in each for each in asked)


def test_the_first_page_comes_with_its_frame(client: FlaskClient) -> None:
    named = client.get("/_dash-layout", headers={"Referer": "http://localhost/score?tab=file"})
    assert "Drop a CSV file here" in named.text
    unknown = client.get("/_dash-layout", headers={"Referer": "http://localhost/nowhere"})
    assert "There is no such page" in unknown.text
    crowded = "&".join(f"x{number}=1" for number in range(99))
    assert client.get("/_dash-layout", headers={"Referer": f"http://localhost/?{crowded}"}).text
    for headers in ({}, {"Referer": "http://elsewhere.example/score?tab=file"}):
        assert "Drop a CSV file here" not in client.get("/_dash-layout", headers=headers).text


def test_a_browser_that_keeps_its_url_to_itself_is_served_too(
    dashboard: Dashboard, open_page: OpenPage
) -> None:
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.post_data or "") if r.method == "POST" else None)
    page.route("**/score*", _answer_without_referrers)
    page.goto(dashboard.url + "/score?tab=file")
    page.get_by_text("Drop a CSV file here").wait_for()
    assert any('"page.children"' in each for each in asked)


def _answer_without_referrers(route: "Route") -> None:
    answer = route.fetch()
    route.fulfill(response=answer, headers={**answer.headers, "referrer-policy": "no-referrer"})


def test_a_worker_has_the_scripts_of_a_page_that_another_sent(
    client: FlaskClient, bank_settings: Settings
) -> None:
    fresh = create_server(bank_settings)
    files = [*scripts(client), f"{SUITES}dash/dcc/async-upload.js"]
    found = [fresh.test_client().get(path, buffered=True).status_code for path in files]
    fresh.extensions["churn"].close()
    assert found == [200] * len(files)
