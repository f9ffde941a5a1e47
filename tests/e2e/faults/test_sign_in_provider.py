"""Signing in while the OpenID provider fails, changes its keys, or is somebody else."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from werkzeug.serving import make_server

from dashboard.provider import ANSWER_SECONDS
from tests.dashboard.conftest import served
from tests.dashboard.provider import signed_by
from tests.dashboard.test_single_sign_on import door
from tests.e2e.faults.issuer import Issuer
from tests.e2e.faults.matrix import faults
from tests.e2e.faults.proxy import Proxy

pytestmark = pytest.mark.slow

FAULTS = faults("sign-in", "provider")
DAY = 24 * 3600


@dataclass
class Entrance:
    """The dashboard's door, its provider, and a proxy between the two."""

    url: str
    issuer: Issuer
    behind: str  # the provider's address past the proxy, which browsers use
    proxy: Proxy
    browsers: list[httpx.Client] = field(default_factory=list)

    def browser(self) -> httpx.Client:
        """Another one, without cookies."""
        headers = {"Accept": "text/html"}
        self.browsers.append(httpx.Client(base_url=self.url, headers=headers, timeout=60))
        return self.browsers[-1]

    def leave_for_provider(self, browser: httpx.Client) -> dict[str, str]:
        """Ask to be signed in; what the provider sends the browser back with."""
        begun = browser.get("/auth/begin", params={"next": "/page"})
        assert begun.status_code == 302, begun.text
        back: dict[str, str] = httpx.get(
            begun.headers["Location"].replace(self.proxy.url, self.behind)
        ).json()
        return back

    def enter(self, browser: httpx.Client) -> int:
        """Sign in; the status of the answer."""
        back = self.leave_for_provider(browser)
        return browser.get("/auth/callback", params=back).status_code


@pytest.fixture
def entrance(tmp_path: Path) -> Iterator[Entrance]:
    with ExitStack() as stack:
        issuer = Issuer()
        behind = stack.enter_context(
            served(make_server("127.0.0.1", 0, issuer.application, threaded=True))
        )
        proxy = Proxy("127.0.0.1", urlsplit(behind).port or 0, dawdle_seconds=0.2)
        stack.callback(proxy.close)
        issuer.url = proxy.url
        server = make_server("127.0.0.1", 0, door(signed_by(issuer.url, tmp_path)), threaded=True)
        found = Entrance(stack.enter_context(served(server)), issuer, behind, proxy)
        yield found
        for browser in found.browsers:
            browser.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_who_begins_while_the_provider_fails_is_told_so_and_comes_in_afterwards(
    entrance: Entrance, fault: str
) -> None:
    browser = entrance.browser()
    entrance.proxy.set(fault)
    started = time.monotonic()
    if fault == "slow":
        assert entrance.enter(browser) == 302
    else:
        answer = browser.get("/auth/begin")
        assert answer.status_code == 503 and "does not answer: try again" in answer.text
    assert time.monotonic() - started < ANSWER_SECONDS + 5
    entrance.proxy.set("pass")
    assert entrance.enter(browser) == 302 and browser.get("/page").status_code == 200


@pytest.mark.parametrize("fault", FAULTS)
def test_who_comes_back_while_the_provider_fails_is_not_let_in_and_those_inside_stay(
    entrance: Entrance, fault: str
) -> None:
    inside, browser = entrance.browser(), entrance.browser()
    assert entrance.enter(inside) == 302
    back = entrance.leave_for_provider(browser)
    entrance.proxy.set(fault)
    answer = browser.get("/auth/callback", params=back)
    assert answer.status_code == (302 if fault == "slow" else 503), answer.text
    assert browser.get("/page").status_code == (200 if fault == "slow" else 302)
    assert inside.get("/page").status_code == 200
    entrance.proxy.set("pass")
    assert entrance.enter(browser) == 302 and browser.get("/page").status_code == 200


def test_new_keys_of_the_provider_lock_nobody_out(entrance: Entrance) -> None:
    early, late = entrance.browser(), entrance.browser()
    assert entrance.enter(early) == 302
    entrance.issuer.rotate()
    assert entrance.enter(late) == 302
    assert (early.get("/page").status_code, late.get("/page").status_code) == (200, 200)


def test_a_token_that_somebody_else_signed_opens_nothing(entrance: Entrance) -> None:
    browser = entrance.browser()
    entrance.issuer.forge()
    assert entrance.enter(browser) == 401
    assert browser.get("/page").status_code == 302


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"aud": "another client"}, 401),
        ({"iss": "https://evil.example"}, 401),
        ({"nonce": "of another sign-in"}, 401),
        ({"exp": -DAY}, 401),
        ({"iat": DAY, "exp": 2 * DAY}, 401),
        ({"iat": 60, "exp": 360}, 302),
    ],
    ids=[
        *("for another client", "of another issuer", "of another sign-in", "of yesterday"),
        *("by a clock a day ahead", "by a clock a minute ahead"),
    ],
)
def test_a_token_opens_only_what_and_when_it_was_made_for(
    entrance: Entrance, claims: dict[str, Any], status: int
) -> None:
    browser = entrance.browser()
    entrance.issuer.claims = {
        name: int(time.time()) + value if isinstance(value, int) else value  # seconds from now
        for name, value in claims.items()
    }
    assert entrance.enter(browser) == status
