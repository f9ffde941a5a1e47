"""Sessions of a dashboard whose clock was wrong when somebody signed in."""

import os
import time
from pathlib import Path

import pytest

from dashboard.sessions import SESSION_SECONDS
from tests.dashboard.test_sessions import PAGE, enter, worker

DAY_SECONDS = 24 * 3600


@pytest.mark.parametrize("skew", [DAY_SECONDS, -DAY_SECONDS], ids=["ahead", "behind"])
def test_no_session_of_a_wrong_clock_lasts_longer_than_one_of_a_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skew: int
) -> None:
    client, now = worker(tmp_path), time.time()
    monkeypatch.setattr(time, "time", lambda: now + skew)
    assert enter(client) == 302
    (mark,) = (tmp_path / "sessions").iterdir()
    os.utime(mark, (now + skew, now + skew))  # the kernel's clock was wrong, too
    assert client.get(PAGE).status_code == 200
    # Since it was set right.
    monkeypatch.setattr(time, "time", lambda: now + SESSION_SECONDS + 60)
    assert client.get(PAGE).status_code == 401
    monkeypatch.setattr(time, "time", lambda: now)
    assert enter(client) == 302 and client.get(PAGE).status_code == 200
