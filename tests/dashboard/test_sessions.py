"""Who is signed in, and until when: on every worker, whatever copy of a cookie is shown."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dashboard import sessions, sign_in
from dashboard.kept_files import Marks
from include.settings import Settings

PASSWORD = "sesame"
COOKIE = "churn_dashboard"
PAGE = "/page"


def worker(var_dir: Path, **more: Any) -> FlaskClient:
    """What a worker has in front of its pages, one of them, and a browser without cookies."""
    server = Flask("dashboard")
    server.add_url_rule(PAGE, view_func=lambda: "a page")
    sign_in.register(server, Settings(var_dir=var_dir, **{"dashboard_password": PASSWORD, **more}))
    return server.test_client()


def enter(client: FlaskClient, password: str = PASSWORD, **environ: Any) -> int:
    """Sign in; the status of the answer."""
    return client.post(
        "/sign-in", data={"password": password}, environ_overrides=environ
    ).status_code


def copied(cookie_of: FlaskClient, to: FlaskClient) -> FlaskClient:
    """The other browser, with a copy of the first one's session."""
    cookie = cookie_of.get_cookie(COOKIE)
    assert cookie is not None
    to.set_cookie(COOKIE, cookie.value)
    return to


def test_a_session_counts_on_every_worker_until_somebody_signs_out(tmp_path: Path) -> None:
    first, thief = worker(tmp_path), worker(tmp_path)
    assert enter(first) == 302
    copied(first, thief)
    assert (first.get(PAGE).status_code, thief.get(PAGE).status_code) == (200, 200)
    assert first.post("/sign-out").headers["Location"] == "/sign-in"
    copied(thief, first)
    assert (first.get(PAGE).status_code, thief.get(PAGE).status_code) == (401, 401)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"dashboard_password": "new"}),
        ({"dashboard_password": None, "api_keys": ("a", PASSWORD)},) * 2,
        (
            {"dashboard_password": None, "api_keys": (PASSWORD, "b")},
            {"dashboard_password": None, "api_keys": ("b",)},
        ),
        (
            {"dashboard_password": None, "api_keys": (PASSWORD,)},
            {"dashboard_password": "other", "api_keys": (PASSWORD,)},
        ),
        ({}, {"dashboard_secret": "another"}),
    ],
    ids=["password", "nothing", "key", "password instead of key", "cookies' key"],
)
def test_what_signed_in_must_still_be_accepted(
    before: dict[str, Any], after: dict[str, Any], tmp_path: Path
) -> None:
    old = worker(tmp_path, **before)
    assert enter(old) == 302
    new = copied(old, worker(tmp_path, **after))
    assert new.get(PAGE).status_code == (200 if before == after else 401)


def test_a_session_ends_though_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = worker(tmp_path)
    enter(client)
    assert "Set-Cookie" not in client.get(PAGE).headers  # or each visit would renew it
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + sessions.SESSION_SECONDS - 5)
    assert client.get(PAGE).status_code == 200
    monkeypatch.setattr(time, "time", lambda: now + sessions.SESSION_SECONDS + 5)
    assert client.get(PAGE).status_code == 401


def test_signing_in_sweeps_what_ended(tmp_path: Path) -> None:
    client = worker(tmp_path)
    enter(client)
    (ended,) = (tmp_path / "sessions").iterdir()
    os.utime(ended, (0, 0))
    assert client.get(PAGE).status_code == 401
    enter(client)
    assert ended not in (tmp_path / "sessions").iterdir()
    assert client.get(PAGE).status_code == 200


def test_a_forged_cookie_opens_nothing(tmp_path: Path) -> None:
    client, stranger = worker(tmp_path), worker(tmp_path, dashboard_secret="of somebody else")
    enter(stranger)
    assert copied(stranger, client).get(PAGE).status_code == 401


@pytest.mark.parametrize(
    ("settings", "headers", "secure"),
    [
        ({}, {}, False),
        ({"dashboard_public_url": "https://churn.example.org"}, {}, True),
        ({"dashboard_public_url": "http://127.0.0.1:8050"}, {}, False),
        ({"dashboard_proxies": 1}, {"X-Forwarded-Proto": "https"}, True),
        ({}, {"X-Forwarded-Proto": "https"}, False),
    ],
)
def test_cookies_keep_to_tls_where_there_is_tls(
    settings: dict[str, Any], headers: dict[str, str], secure: bool, tmp_path: Path
) -> None:
    client = worker(tmp_path, **settings)
    answer = client.post("/sign-in", data={"password": PASSWORD}, headers=headers)
    cookies = answer.headers.getlist("Set-Cookie")
    assert len(cookies) == 2
    for cookie in cookies:
        assert ("; Secure" in cookie) is secure
        assert "; HttpOnly" in cookie and "; SameSite=Lax" in cookie


def test_keys_are_for_programs_where_a_password_is_set(tmp_path: Path) -> None:
    client = worker(tmp_path, api_keys=("k1",))
    assert enter(client, "k1") == 401
    assert "Sign in with the dashboard&#39;s password" in client.get("/sign-in").text
    client = worker(tmp_path, api_keys=("k1", "k2"), dashboard_password=None)
    assert "Sign in with an API key" in client.get("/sign-in").text
    assert enter(client, "k2") == 302


def test_a_full_disk_is_said_to_whoever_signs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = worker(tmp_path)

    def full(*_given: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "touch", full)
        answer = client.post("/sign-in", data={"password": PASSWORD})
    assert answer.status_code == 503
    assert f"cannot write to {tmp_path / 'sessions'}: the disk is full" in answer.text
    enter(client)
    monkeypatch.setattr(Path, "touch", full)
    assert client.post("/sign-out").status_code == 302  # which needs no space


def test_marks_count_for_their_time_alone(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "marks", 60)
    assert ("a-1" in marks, marks.count("a-")) == (False, 0)
    for name in ("a-1", "a-2", "b-1"):
        marks.add(name)
    os.utime(tmp_path / "marks" / "a-2", (0, 0))
    assert ("a-1" in marks, "a-2" in marks, marks.count("a-")) == (True, False, 1)
    assert (tmp_path / "marks").stat().st_mode & 0o077 == 0
