"""Where the dashboard may listen while nobody is asked to sign in."""

import runpy
from pathlib import Path

import pytest

from dashboard.sign_in import refuse_open_door
from include.errors import ConfigurationError
from include.settings import Settings

GUNICORN = Path(__file__).resolve().parents[2] / "dashboard" / "gunicorn.conf.py"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.5", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_sign_in(address: str) -> None:
    refuse_open_door(Settings(), address)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "::", "10.0.0.7", "", "unix:/run/churn.sock", "/run/churn.sock"),
        *("localhost.example.com", "127.example.com", "::1.example.com"),
    ],
)
def test_any_other_address_does(address: str) -> None:
    with pytest.raises(ConfigurationError, match="without asking anybody to sign in"):
        refuse_open_door(Settings(), address)
    refuse_open_door(Settings(api_keys=("k",)), address)


@pytest.mark.parametrize(("host", "bind"), [("127.0.0.1", "127.0.0.1:8050"), ("::1", "[::1]:8050")])
def test_gunicorn_binds_the_host(monkeypatch: pytest.MonkeyPatch, host: str, bind: str) -> None:
    monkeypatch.setenv("CHURN_DASHBOARD_HOST", host)
    monkeypatch.setenv("CHURN_DASHBOARD_PORT", "8050")
    assert runpy.run_path(str(GUNICORN))["bind"] == bind
