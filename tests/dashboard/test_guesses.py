"""Wrong passwords: who guesses waits, and nobody else."""

import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from dashboard import guesses
from tests.dashboard.test_sessions import PASSWORD, enter, worker

GUESSER, NEIGHBOUR, ANALYST = "192.0.2.1", "192.0.2.2", "198.51.100.7"


def guess(client: FlaskClient, times: int, address: str) -> list[int]:
    """Type a wrong password so often; the answers' statuses."""
    return [enter(client, "wrong", REMOTE_ADDR=address) for _ in range(times)]


def test_a_guesser_waits_alone(tmp_path: Path) -> None:
    client = worker(tmp_path)
    assert guess(client, 12, GUESSER) == [401] * 10 + [429] * 2
    assert enter(client, REMOTE_ADDR=GUESSER) == 429  # or guessing would go on
    assert enter(client, REMOTE_ADDR=NEIGHBOUR) == 302


def test_all_workers_count_together(tmp_path: Path) -> None:
    workers = [worker(tmp_path), worker(tmp_path)]
    found = [enter(workers[n % 2], "wrong", REMOTE_ADDR=GUESSER) for n in range(12)]
    assert found == [401] * 10 + [429] * 2


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("", "unix:", True),
    ],
)
def test_an_address_is_what_one_customer_of_a_provider_has(
    one: str, other: str, together: bool, tmp_path: Path
) -> None:
    client = worker(tmp_path)
    guess(client, 10, one)
    assert guess(client, 1, other) == [429 if together else 401]


def test_a_known_browser_is_counted_by_itself(tmp_path: Path) -> None:
    known, stranger = worker(tmp_path), worker(tmp_path)
    enter(known, REMOTE_ADDR=ANALYST)
    known.post("/sign-out")
    guess(stranger, 10, ANALYST)  # from the same address, as behind one proxy
    assert enter(stranger, REMOTE_ADDR=ANALYST) == 429
    assert enter(known, REMOTE_ADDR=ANALYST) == 302
    assert guess(known, 11, ANALYST) == [401] * 10 + [429]


def test_many_addresses_together_leave_known_browsers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guesses, "STRANGERS_MAX", 20)
    known, stranger = worker(tmp_path), worker(tmp_path)
    enter(known, REMOTE_ADDR=ANALYST)
    found = [guess(stranger, 1, f"203.0.113.{n}")[0] for n in range(21)]
    assert found == [401] * 20 + [429]
    answer = stranger.post("/sign-in", data={"password": PASSWORD})
    assert "only a browser that has signed in before may try" in answer.text
    assert enter(known, REMOTE_ADDR=ANALYST) == 302


def test_a_made_up_browser_is_a_stranger(tmp_path: Path) -> None:
    client = worker(tmp_path)
    for n in range(10):
        client.set_cookie("churn_browser", f"browser{n}", path="/sign-in")
        guess(client, 1, GUESSER)
    assert guess(client, 1, GUESSER) == [429]


def test_behind_a_proxy_the_client_is_counted(tmp_path: Path) -> None:
    """Only what our own proxy wrote, the last address, is believed."""
    client = worker(tmp_path, dashboard_proxies=1)

    def ask(forwarded: str) -> int:
        data, headers = {"password": "wrong"}, {"X-Forwarded-For": forwarded}
        return client.post("/sign-in", data=data, headers=headers).status_code

    assert [ask(f"10.0.0.{n}, {GUESSER}") for n in range(11)] == [401] * 10 + [429]
    assert ask(NEIGHBOUR) == 401


def test_without_a_proxy_nobody_names_an_address(tmp_path: Path) -> None:
    client = worker(tmp_path)
    found = [
        client.post(
            "/sign-in", data={"password": "wrong"}, headers={"X-Forwarded-For": f"10.0.0.{n}"}
        ).status_code
        for n in range(11)
    ]
    assert found[-1] == 429


def test_the_minute_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = worker(tmp_path)
    assert guess(client, 11, GUESSER)[-1] == 429
    later = time.time() + guesses.WINDOW_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert enter(client, REMOTE_ADDR=GUESSER) == 302
