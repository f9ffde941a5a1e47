"""The frame around the pages: unknown paths, and a session that ends while a page is open."""

from pathlib import Path

import httpx
import pytest
from flask.testing import FlaskClient

from dashboard.application import create_application
from include.build import project_version
from include.settings import Settings
from tests.dashboard.conftest import Dashboard, OpenPage, Serve, until

pytestmark = pytest.mark.slow

PATHS = ["/", "/score", "/score/", "/model", "/performance", "/drift", "/service"]


@pytest.mark.parametrize("path", PATHS)
def test_pages_are_found(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/nowhere", "/score/x", "/scores", "/robots.txt", "/wp-login.php"]
)
def test_other_paths_are_not_but_lead_on(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "dash_renderer" in answer.text


def test_an_unknown_page_leads_to_the_known_ones(dashboard: Dashboard, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    found = page.goto(dashboard.url + "/nowhere")
    assert found is not None and found.status == 404
    page.get_by_role("heading", name="There is no such page", level=1).wait_for()
    until(page, "document.title === 'No such page – Churn'")
    page.get_by_role("link", name="Score").click()
    page.get_by_role("button", name="Score this customer").wait_for()


def test_a_page_whose_database_is_down_keeps_its_heading(tmp_path: Path) -> None:
    down = Settings(var_dir=tmp_path, database_url="mysql+pymysql://bank@127.0.0.1:9/customers")
    client = create_application(down).server.test_client()
    layout = client.get("/_dash-layout", headers={"Referer": "http://localhost/"}).text
    assert '"children":"Customers at risk","order":1' in layout and "database runs" in layout


def test_an_open_page_asks_again_when_its_session_has_ended(
    open_page: OpenPage, serve: Serve, tmp_path: Path
) -> None:
    url = serve(Settings(var_dir=tmp_path, api_url="http://127.0.0.1:9", dashboard_password="x"))
    page = open_page(url + "/model")
    page.get_by_label("Password").fill("x")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("No champion yet").wait_for()
    cookies = {each["name"]: each["value"] for each in page.context.cookies(url)}
    assert httpx.post(url + "/sign-out", cookies=cookies).status_code == 302
    page.get_by_role("link", name="Drift").click()
    page.get_by_role("button", name="Sign in").wait_for()
    assert page.url == url + "/sign-in?next=/drift"


def test_the_foot_says_which_build_runs(dashboard: Dashboard, open_page: OpenPage) -> None:
    page = open_page(dashboard.url)
    foot = page.locator("footer.foot")
    commit = foot.get_attribute("title")
    assert foot.inner_text() == f"Churn {project_version()}, commit {str(commit)[:7]}"
