"""Where the dashboard may listen while nobody is asked to sign in."""

import runpy
from pathlib import Path

import pytest

from dashboard.sign_in import refuse_open_door
from include.errors import ConfigurationError
from include.settings import Settings
from tests.dashboard.test_sessions import worker

GUNICORN = Path(__file__).resolve().parents[2] / "dashboard" / "gunicorn.conf.py"


def test_only_loopback_needs_no_sign_in() -> None:
    refuse_open_door(Settings(), "127.0.0.1")
    with pytest.raises(ConfigurationError, match="without asking anybody to sign in"):
        refuse_open_door(Settings(), "0.0.0.0")
    refuse_open_door(Settings(api_keys=("k",)), "0.0.0.0")


@pytest.mark.parametrize(("host", "bind"), [("127.0.0.1", "127.0.0.1:8050"), ("::1", "[::1]:8050")])
def test_gunicorn_binds_the_host(monkeypatch: pytest.MonkeyPatch, host: str, bind: str) -> None:
    monkeypatch.setenv("CHURN_DASHBOARD_HOST", host)
    monkeypatch.setenv("CHURN_DASHBOARD_PORT", "8050")
    assert runpy.run_path(str(GUNICORN))["bind"] == bind


def ask(host: str, tmp_path: Path, *, allowed_hosts: tuple[str, ...] = ()) -> tuple[int, str]:
    """What a dashboard without a sign-in answers to that Host."""
    client = worker(tmp_path, dashboard_password=None, allowed_hosts=allowed_hosts)
    answer = client.get("/page", environ_overrides={"HTTP_HOST": host})
    return answer.status_code, answer.text


def test_own_names_are_answered(tmp_path: Path) -> None:
    assert ask("localhost:8050", tmp_path) == (200, "a page")


@pytest.mark.parametrize("host", ["evil.example:8050", "", "localhost@evil.example", "l\xf6cal"])
def test_foreign_names_are_not(host: str, tmp_path: Path) -> None:
    status, told = ask(host, tmp_path)
    assert status == 421
    assert "list this one in CHURN_ALLOWED_HOSTS" in told


def test_a_name_that_is_listed_is_answered(tmp_path: Path) -> None:
    names = ("churn.example.org",)
    assert ask("churn.example.org:443", tmp_path, allowed_hosts=names)[0] == 200
    assert ask("x.churn.example.org", tmp_path, allowed_hosts=names)[0] == 421
