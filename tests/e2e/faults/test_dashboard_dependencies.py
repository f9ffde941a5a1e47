"""The dashboard while what it reads from fails: each page is there, or says why it is not."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa

from include.drift import performance
from include.settings import Settings
from include.store import open_store
from tests.conftest import AWS_DUMMY, empty_bucket
from tests.dashboard import bank
from tests.dashboard.conftest import Dashboard
from tests.e2e.faults.matrix import MATRIX
from tests.e2e.faults.proxy import Proxy
from tests.include.drift.performance_example import EXAMPLE
from tests.s3_answers import Answer, answering
from tests.webapp.conftest import Server, loopback_port

pytestmark = pytest.mark.slow

ROWS = 300
CUSTOMER = int(bank.people(ROWS)["CLIENTNUM"].iloc[0])
PAGE_SECONDS = 40.0  # within which every page says something, whatever fails
LATENCY_SECONDS = 0.1
FIGURE = {"status": "success", "data": {"result": [{"value": [0, "1.5"]}]}}
# What a page shows when it is whole.
PAGES = {
    "/": "Whom to call today",
    f"/customer?number={CUSTOMER}": "Most towards",
    "/score": "Score this customer",
    "/model": "Confusion matrix",
    "/performance": "How to read this",
    "/drift": "What followed",
    "/service": "The service answers with model 1",
    "/service by prometheus": "1.5 times a second over the last 5 minutes",
}
# What a page says in its place, or beside the rest of it, by what fails.
SAYS = {
    "store": {
        "/model": "://churn-",
        "/performance": "://churn-",
        "/drift": "://churn-",
    },
    "database": {
        "/": "Check that the database runs",
        f"/customer?number={CUSTOMER}": "Check that the database runs",
    },
    "api": {
        f"/customer?number={CUSTOMER}": "The prediction service does not answer",
        "/service": "The prediction service does not answer",
        "/service by prometheus": "The prediction service does not answer",
    },
    "prometheus": {"/service by prometheus": "Prometheus at"},
}
CASES = [
    (dependency, fault)
    for (component, dependency), faults in MATRIX.items()
    if component == "dashboard"
    for fault in faults
]


@dataclass
class Stand:
    """A bank in MariaDB and S3, its API, two dashboards, and a proxy before each of what they ask.

    The second dashboard takes the API's live figures from Prometheus.
    """

    proxies: dict[str, Proxy]
    dashboard: Dashboard
    by_prometheus: Dashboard

    def ask(self, page: str) -> str:
        """A page as its first visitor is sent it, with the callback that fills it."""
        path, _, by_prometheus = page.partition(" by ")
        server = self.by_prometheus if by_prometheus else self.dashboard
        with httpx.Client(base_url=server.url, timeout=2 * PAGE_SECONDS) as browser:
            if path == "/service":
                answer = browser.post("/_dash-update-component", json=TICK)
            else:
                referrer = {"Referer": server.url + path}
                answer = browser.get("/_dash-layout", headers=referrer)
        assert answer.status_code == 200, server.log[-3000:]
        return json.dumps(answer.json(), ensure_ascii=False)

    def ask_for_all(self) -> dict[str, str]:
        """Every page at once, as many people would: none may hold up the others."""
        with ThreadPoolExecutor(len(PAGES)) as people:
            return dict(zip(PAGES, people.map(self.ask, PAGES), strict=True))


TICK: dict[str, Any] = {
    "output": "..service-body.children...service-before.data..",
    "outputs": [
        {"id": "service-body", "property": "children"},
        {"id": "service-before", "property": "data"},
    ],
    "inputs": [{"id": "service-tick", "property": "n_intervals", "value": 1}],
    "changedPropIds": ["service-tick.n_intervals"],
    "state": [{"id": "service-before", "property": "data", "value": None}],
}


@pytest.fixture(scope="module")
def stand(
    s3_endpoint: str, mariadb_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    with ExitStack() as stack:
        store_uri = empty_bucket(s3_endpoint).uri
        database = sa.make_url(f"{mariadb_server}/churn_stand")
        with sa.create_engine(mariadb_server).begin() as connection:
            connection.execute(sa.text("CREATE DATABASE churn_stand"))
        aws = {**AWS_DUMMY, "CHURN_STORE_URI": store_uri, "AWS_ENDPOINT_URL": s3_endpoint}
        _open_bank(database, aws, stack)
        api = Server(loopback_port(), tmp_path_factory.mktemp("api"), aws)
        stack.callback(api.stop)
        api.start()
        figures = stack.enter_context(answering(Answer(200, body=json.dumps(FIGURE).encode())))
        proxies = {
            name: _proxy(url, stack)
            for name, url in {
                "store": s3_endpoint,
                "database": f"mysql://{database.host}:{database.port}",
                "api": api.url,
                "prometheus": figures.url,
            }.items()
        }
        environment = {
            **aws,
            "AWS_ENDPOINT_URL": proxies["store"].url,
            "CHURN_DATABASE_URL": database.set(port=proxies["database"].port).render_as_string(
                hide_password=False
            ),
            "CHURN_DASHBOARD_WORKERS": "1",
        }
        more = {"CHURN_PROMETHEUS_URL": proxies["prometheus"].url}
        found = Stand(
            proxies,
            *(
                Dashboard(
                    loopback_port(),
                    tmp_path_factory.mktemp("dashboard"),
                    environment | given,
                    api_url=proxies["api"].url,
                )
                for given in ({}, more)
            ),
        )
        for server in (found.dashboard, found.by_prometheus):
            stack.callback(server.stop)
            server.start()
        yield found


def _open_bank(database: sa.URL, aws: dict[str, str], stack: ExitStack) -> None:
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    for name, value in aws.items():
        patch.setenv(name, value)
    url = database.render_as_string(hide_password=False)
    settings = Settings(database_url=url, store_uri=aws["CHURN_STORE_URI"])
    bank.open_bank(settings, rows=ROWS)
    store = open_store(settings.resolved_store_uri)
    bank.write_drift_days(store)
    store.write(performance.KEY, EXAMPLE.to_bytes())


def _proxy(url: str, stack: ExitStack) -> Proxy:
    parts = urlsplit(url)
    found = Proxy(str(parts.hostname), parts.port or 0, dawdle_seconds=LATENCY_SECONDS)
    stack.callback(found.close)
    return found


@pytest.fixture
def whole(stand: Stand) -> Iterator[Stand]:
    """A stand of which everything answers, and answers again after the test, at once."""
    yield stand
    for proxy in stand.proxies.values():
        proxy.set("pass")
    for page, found in stand.ask_for_all().items():
        assert PAGES[page] in found, page


@pytest.mark.parametrize(("dependency", "fault"), CASES, ids=[" ".join(case) for case in CASES])
def test_every_page_is_whole_or_says_what_is_missing(
    whole: Stand, dependency: str, fault: str
) -> None:
    whole.proxies[dependency].set(fault)
    started = time.monotonic()
    for page, found in whole.ask_for_all().items():
        words = SAYS[dependency].get(page) if fault != "slow" else None
        assert (words or PAGES[page]) in found, (page, texts(found))
    assert time.monotonic() - started < PAGE_SECONDS


def texts(page: str) -> list[str]:
    """The longer strings of a page."""
    return [each for each in re.findall(r'"children": "([^"]*)"', page) if len(each) > 20]
