"""A bank, its API and its dashboard as real processes, and a browser to look with."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.serving import BaseWSGIServer, make_server

from dashboard import create_server
from include.customers.contacts import contacts_table, create_contacts
from include.drift import performance
from include.settings import Settings
from include.store import LocalStore
from tests.dashboard import bank
from tests.dashboard.provider import running_provider
from tests.include.drift.performance_example import EXAMPLE
from tests.ports import free_ports
from tests.webapp.conftest import Server

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page

PROJECT = Path(__file__).resolve().parents[2]
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
OURS = re.compile("http://127.0.0.1:|data:|blob:|about:")
WAIT_MILLISECONDS = 60_000  # of a machine that does other things too


@dataclass
class Dashboard(Server):
    """The dashboard under gunicorn, beside a bank's API."""

    api_url: str = ""

    def start(self, *, ready: bool = True) -> "Dashboard":
        """Start the dashboard and wait until it lives."""
        environment = {
            **os.environ,
            "CHURN_VAR_DIR": str(self.var_dir),
            "CHURN_DASHBOARD_PORT": str(self.port),
            "CHURN_API_URL": self.api_url,
            **self.environment,
        }
        command = [
            *(sys.executable, "-m", "gunicorn", "-c", "dashboard/gunicorn.conf.py"),
            "dashboard:create_server()",
        ]
        with (self.var_dir / "api.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdout=log, stderr=log
            )
        self.until(lambda: httpx.get(self.url + "/health").status_code == 200, seconds=60)
        return self


@pytest.fixture(scope="session")
def bank_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Where the bank of all tests lies: customers, scores, a champion, drift days, outcomes."""
    settings = Settings(var_dir=tmp_path_factory.mktemp("bank"))
    bank.open_bank(settings)
    store = LocalStore(settings.var_dir / "store")
    bank.write_drift_days(store)
    store.write(performance.KEY, EXAMPLE.to_bytes())
    return settings


@pytest.fixture(scope="session")
def api(bank_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The bank's API; its store is the bank's."""
    environment = {
        "CHURN_STORE_URI": bank_settings.resolved_store_uri,
        "CHURN_API_WORKERS": "1",
    }
    server = Server(free_ports(1)[0], tmp_path_factory.mktemp("api"), environment)
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def dashboard(api: Server, bank_settings: Settings) -> Iterator[Dashboard]:
    """The dashboard of the bank."""
    server = Dashboard(free_ports(1)[0], bank_settings.var_dir, api_url=api.url)
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def client(bank_settings: Settings) -> Iterator[FlaskClient]:
    """The bank's dashboard in this process."""
    server = create_server(bank_settings)
    yield server.test_client()
    server.extensions["churn"].close()


@pytest.fixture
def bank_engine(bank_settings: Settings) -> Iterator[sa.Engine]:
    """The bank's database, whose marks go with the test."""
    engine = sa.create_engine(bank_settings.resolved_database_url)
    create_contacts(engine)
    yield engine
    with engine.begin() as connection:
        connection.execute(sa.delete(contacts_table()))
    engine.dispose()


Serve = Callable[[Settings], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves dashboards beside the bank's in this process, which starts no other; their URLs."""
    with ExitStack() as servers:
        yield lambda settings: servers.enter_context(_served(settings))


@contextmanager
def _served(settings: Settings) -> Iterator[str]:
    app = create_server(settings)
    with served(make_server("127.0.0.1", 0, app, threaded=True)) as url:
        yield url
    app.extensions["churn"].close()


@contextmanager
def served(server: BaseWSGIServer) -> Iterator[str]:
    """The server's URL, while it serves in a thread."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The issuer of an OpenID Connect provider."""
    with running_provider(tmp_path_factory.mktemp("provider")) as url:
        yield url


@pytest.fixture(scope="session")
def browser_context() -> "Iterator[BrowserContext]":
    """Debian's chromium, which keeps the dashboard's scripts from one page to the next."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium on this machine: apt-get install chromium to run this")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
        context.set_default_timeout(WAIT_MILLISECONDS)
        yield context
        browser.close()


OpenPage = Callable[[str], "Page"]


@pytest.fixture
def open_page(browser_context: "BrowserContext") -> "Iterator[OpenPage]":
    """Opens pages that go with the test."""
    with ExitStack() as pages:
        yield lambda url: pages.enter_context(visit(browser_context, url))


@contextmanager
def visit(context: "BrowserContext", url: str) -> "Iterator[Page]":
    """A page that writes no error to the console and asks no other host."""
    page, objections = context.new_page(), list[str]()
    page.on("console", lambda m: objections.append(_told(m)) if m.type == "error" else None)
    page.on("pageerror", lambda error: objections.append(str(error)))
    page.on("request", lambda r: None if OURS.match(r.url) else objections.append(r.url))
    page.goto(url)
    yield page
    page.close()
    # A wrong password, or a session that ended; and a page that is not there.
    assert [each for each in objections if not re.search("of 401|/nowhere$", each)] == []


def _told(message: "ConsoleMessage") -> str:
    return f"{message.text} {message.location['url']}"


def until(page: "Page", expression: str) -> None:
    """Wait until it is true in the page, whose policy forbids Playwright's own way to wait."""
    deadline = time.monotonic() + WAIT_MILLISECONDS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"still not true: {expression}"
        page.wait_for_timeout(50)
