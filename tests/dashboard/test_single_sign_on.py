"""People who sign in by a provider: who comes in, as whom, and what a viewer may not do."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.serving import make_server

from dashboard import people, sign_in
from dashboard.provider import Provider
from include.customers.contacts import contacts_table
from include.errors import ConfigurationError
from include.settings import Settings
from tests.dashboard.conftest import WAIT_MILLISECONDS, Serve, served
from tests.dashboard.provider import enter, signed_by

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.slow


def door(settings: Settings) -> Flask:
    """What stands in front of the pages, and one page that says who looks at it."""
    server = Flask("dashboard", template_folder=str(Path(people.__file__).parent / "templates"))
    server.add_url_rule("/page", view_func=lambda: f"{people.present()}")
    sign_in.register(server, settings)
    return server


@pytest.fixture(scope="module")
def url(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of that door."""
    settings = signed_by(provider, tmp_path_factory.mktemp("door"))
    with served(make_server("127.0.0.1", 0, door(settings), threaded=True)) as found:
        yield found


@pytest.fixture
def browser(url: str) -> Iterator[httpx.Client]:
    """A browser without cookies."""
    with httpx.Client(base_url=url, headers={"Accept": "text/html"}) as client:
        yield client


@pytest.mark.parametrize(
    ("sub", "name", "role"),
    [
        ("vera", "vera@bank.example", "viewer"),
        ("otto", "otto@bank.example", "operator"),
        ("ada", "ada", "admin"),
    ],
)
def test_a_claim_gives_the_role(sub: str, name: str, role: str, browser: httpx.Client) -> None:
    assert enter(browser, sub).text == f"Person(name='{name}', role='{role}')"


def test_who_has_no_role_is_told_which_there_are(browser: httpx.Client) -> None:
    answer = enter(browser, "nemo")
    assert answer.status_code == 403
    assert "churn-viewer, churn-operator, churn-admin" in answer.text
    assert browser.get("/page").status_code == 302


def test_everybody_begins_on_the_sign_in_page_and_comes_back(browser: httpx.Client) -> None:
    asked = browser.get("/page?a=1&b=2")
    page = browser.get(asked.headers["Location"])
    assert 'href="/auth/begin?next=/page?a%3D1%26b%3D2"' in page.text
    assert browser.get("/page", headers={"Accept": "*/*"}).status_code == 401


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example"]
)
def test_nobody_is_led_to_another_site(wanted: str, browser: httpx.Client) -> None:
    begun = browser.get("/auth/begin", params={"next": wanted})
    back = browser.post(begun.headers["Location"], data={"sub": "vera"})
    assert browser.get(back.headers["Location"]).headers["Location"] == "/"


def test_the_provider_is_asked_with_state_nonce_and_pkce(browser: httpx.Client) -> None:
    query = parse_qs(urlsplit(browser.get("/auth/begin").headers["Location"]).query)
    assert {"state", "nonce", "code_challenge"} <= query.keys()
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [f"{browser.base_url}/auth/callback"]


def test_a_foreign_sign_in_is_refused(url: str, browser: httpx.Client) -> None:
    with httpx.Client(base_url=url) as thief:
        begun = thief.get("/auth/begin")
        back = thief.post(begun.headers["Location"], data={"sub": "ada"}).headers["Location"]
    answer = browser.get(back)  # as a link that somebody sent
    assert answer.status_code == 401
    assert "the sign-in was not finished" in answer.text
    assert browser.get("/page").status_code == 302


def test_who_says_no_at_the_provider_may_try_again(browser: httpx.Client) -> None:
    begun = browser.get("/auth/begin")
    back = browser.post(begun.headers["Location"], data={"action": "deny"})
    answer = browser.get(back.headers["Location"])
    assert answer.status_code == 401
    assert 'href="/auth/begin"' in answer.text


def test_signing_out_ends_every_session_of_that_person(url: str, browser: httpx.Client) -> None:
    with httpx.Client(base_url=url) as other, httpx.Client(base_url=url) as colleague:
        for each, sub in ((browser, "vera"), (other, "vera"), (colleague, "otto")):
            enter(each, sub)
        assert browser.post("/sign-out").headers["Location"] == "/sign-in"
        assert other.get("/page").status_code == 401
        assert colleague.get("/page").status_code == 200
    leaving = browser.get("/auth/leave").headers["Location"]
    assert "/oauth2/end_session?post_logout_redirect_uri=" in leaving


@pytest.mark.parametrize(
    ("more", "status"),
    [({}, 200), ({"oidc_viewer": "others"}, 401), ({"oidc_client_id": "x"}, 401)],
)
def test_a_session_lasts_while_its_rules_do(
    more: dict[str, Any], status: int, provider: str, tmp_path: Path
) -> None:
    server = make_server("127.0.0.1", 0, door(signed_by(provider, tmp_path)), threaded=True)
    with served(server) as url, httpx.Client(base_url=url) as browser:
        enter(browser, "vera")
        cookie = browser.cookies["churn_dashboard"]
    later = door(signed_by(provider, tmp_path, **more)).test_client()
    later.set_cookie("churn_dashboard", cookie)
    assert later.get("/page").status_code == status


def test_the_password_opens_nothing_beside_a_provider(provider: str, tmp_path: Path) -> None:
    client = door(signed_by(provider, tmp_path, dashboard_password="sesame")).test_client()
    assert client.post("/sign-in", data={"password": "sesame"}).status_code == 405
    assert client.get("/page").status_code == 401


def test_a_provider_that_is_down_is_said(tmp_path: Path) -> None:
    client = door(signed_by("http://127.0.0.1:9", tmp_path)).test_client()
    answer = client.get("/auth/begin")
    assert answer.status_code == 503
    assert "does not answer: try again" in answer.text


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"oidc_client_secret": None}, "needs CHURN_OIDC_CLIENT_ID and CHURN_OIDC_CLIENT_SECRET"),
        ({"oidc_issuer": "http://login.bank.example"}, "expected https://…, or http:// on this"),
        ({"oidc_issuer": "login.bank.example"}, "expected https://…"),
        ({"oidc_role_claim": "roles["}, "expected JMESPath such as roles"),
    ],
)
def test_half_a_provider_is_refused_at_the_start(
    more: dict[str, Any], told: str, tmp_path: Path
) -> None:
    given = signed_by("https://login.bank.example", tmp_path, **more)
    with pytest.raises(ConfigurationError, match=told.replace("(", "\\(").replace("[", "\\[")):
        Provider(Flask("dashboard"), given)


@pytest.fixture
def page(browser_context: "BrowserContext") -> "Iterator[Page]":
    """A page of a browser without cookies; the provider's asks another host for its style."""
    assert browser_context.browser is not None
    context = browser_context.browser.new_context()
    context.set_default_timeout(WAIT_MILLISECONDS)
    context.route("https://**/*", lambda route: route.fulfill(body=""))
    yield context.new_page()
    context.close()


def sign_in_as(page: "Page", sub: str) -> None:
    """What somebody does in a browser."""
    page.get_by_role("link", name="Sign in", exact=True).click()
    page.get_by_role("button", name=sub).click()
    page.locator("#who").wait_for()


@pytest.fixture
def bank_url(provider: str, bank_settings: Settings, serve: Serve) -> str:
    """The bank's dashboard, with people."""
    return serve(signed_by(provider, bank_settings.var_dir))


def test_a_viewer_sees_and_changes_nothing(
    bank_url: str, page: "Page", bank_engine: sa.Engine
) -> None:
    page.goto(bank_url + "/")
    sign_in_as(page, "vera")
    assert page.locator("#who").inner_text() == "vera@bank.example (viewer)"
    row = page.locator('.ag-row[row-index="0"] [col-id="customer"]')
    row.click()
    page.get_by_text("Nothing noted yet").wait_for()
    assert page.get_by_label("Mark this customer").count() == 0
    assert page.get_by_role("button", name="Start campaign").is_disabled()
    # What the page does not offer, a request of its own gets no further with.
    told = page.evaluate(
        """async () => (await fetch("/_dash-update-component", {method: "POST",
            headers: {"Content-Type": "application/json"}, body: JSON.stringify({
            output: "..history.children...marked.data...note.value..",
            outputs: [{id: "history", property: "children"}, {id: "marked", property: "data"},
                {id: "note", property: "value"}],
            inputs: [[{id: {type: "note-mark", what: "called"}, property: "n_clicks", value: 1}]],
            changedPropIds: ['{"type":"note-mark","what":"called"}.n_clicks'],
            state: [{id: "noted-customer", property: "data", value: 1},
                {id: "note", property: "value", value: ""},
                {id: "snooze-days", property: "value", value: 30}]})})).text()"""
    )
    assert "you may look here and change nothing" in told
    with bank_engine.connect() as connection:
        assert connection.execute(sa.select(contacts_table())).all() == []
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Score").click()
    page.get_by_role("tab", name="CSV file").click()
    page.get_by_text("Who may look only uploads no files").wait_for()


def test_an_operators_mark_says_who_made_it(
    bank_url: str, page: "Page", bank_engine: sa.Engine
) -> None:
    page.goto(bank_url + "/")
    sign_in_as(page, "otto")
    page.locator('.ag-row[row-index="0"] [col-id="customer"]').click()
    page.get_by_label("Mark this customer").get_by_role("button", name="Stays").click()
    page.get_by_text("called: stays, by otto@bank.example").wait_for()
    with bank_engine.connect() as connection:
        (author,) = connection.scalars(sa.select(contacts_table().c.author))
    assert author == "otto@bank.example"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in", exact=True).wait_for()
