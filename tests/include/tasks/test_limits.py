"""A task that hangs is ended, wherever it hangs."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from include.tasks import limits

PROJECT = Path(__file__).resolve().parents[3]
# Native code that answers no signal for an hour.
HANGS = """
import hashlib
from datetime import timedelta
from include.tasks import limits
limits.GRACE = timedelta()
with limits.ended_by_force(timedelta(seconds=0.2)):
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2**31 - 1)
"""
ENDS = """
import time
from datetime import timedelta
from include.tasks import limits
limits.GRACE = timedelta()
with limits.ended_by_force(timedelta(seconds=0.2)):
    pass
time.sleep(0.4)
"""


@pytest.mark.parametrize(("script", "code"), [(HANGS, 1), (ENDS, 0)], ids=["hangs", "ends"])
def test_native_code_that_never_returns_is_ended_and_said_where(script: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert ("Timeout (" in done.stderr) == (code == 1), done.stderr
    assert ('File "<string>", line 7 in <module>' in done.stderr) == (code == 1)


def test_a_task_without_a_limit_may_take_its_time() -> None:
    with limits.ended_by_force(None):
        pass


def test_limits_grow_with_the_setting_and_a_run_ends_before_the_next_night(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert limits.run_limit() < timedelta(days=1)
    monkeypatch.setenv("CHURN_TASK_HOURS", "2.5")
    assert limits.task_limit() == timedelta(hours=2.5)
    assert limits.run_limit() == timedelta(hours=15)
    assert limits.search_limit() == timedelta(days=7, hours=15)
