"""An OpenID Connect provider as a process of its own, with people in each role and one in none."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.settings import Settings
from tests.conftest import running
from tests.ports import free_ports

MISSING = "no oidc-provider-mock here: pip install it, or `make setup`, to run this"
PEOPLE: dict[str, dict[str, Any]] = {
    "vera": {"email": "vera@bank.example", "roles": ["staff", "churn-viewer"]},
    "otto": {"email": "otto@bank.example", "roles": ["churn-operator", "churn-viewer"]},
    "ada": {"preferred_username": "ada", "roles": "churn-admin"},
    "nemo": {"email": "nemo@bank.example", "roles": ["not-churn-admin"]},
}


@contextmanager
def running_provider(home: Path) -> Iterator[str]:
    """Its issuer, while the process runs."""
    if find_spec("oidc_provider_mock") is None:
        pytest.skip(MISSING)
    port = free_ports(1)[0]
    claims = [json.dumps({"sub": sub, **said}) for sub, said in PEOPLE.items()]
    command = [
        *(sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)),
        *("--require-nonce", "true"),
        *(part for each in claims for part in ("--user-claims", each)),
    ]
    url = f"http://127.0.0.1:{port}"
    with running(command, home / "log", ready=lambda: _answers(url)):
        yield url


def signed_by(issuer: str, var_dir: Path, **more: Any) -> Settings:
    """Settings of a dashboard whose people this provider signs in."""
    given = {"oidc_issuer": issuer, "oidc_client_id": "churn", "oidc_client_secret": "hush"}
    return Settings(var_dir=var_dir, **{"api_url": "http://127.0.0.1:9", **given, **more})


def enter(browser: httpx.Client, sub: str, *, wanted: str = "/page") -> httpx.Response:
    """Sign in as that person does, by every redirect; what the last page answers."""
    begun = browser.get("/auth/begin", params={"next": wanted}, follow_redirects=False)
    back = browser.post(begun.headers["Location"], data={"sub": sub}, follow_redirects=False)
    return browser.get(back.headers["Location"], follow_redirects=True)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/.well-known/openid-configuration").status_code == 200
    except httpx.TransportError:
        return False
