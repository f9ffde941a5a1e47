"""Which build runs, on a laptop, in an image, and where nothing tells it."""

import subprocess
from pathlib import Path

import pytest

from include import build
from include.build import Build, present_build
from include.settings import PROJECT


def test_a_configured_commit_wins() -> None:
    assert present_build("abc").commit == "abc"


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="this is no checkout")
def test_a_checkout_knows_its_commit() -> None:
    asked = ["git", "-C", str(PROJECT), "rev-parse", "HEAD"]
    head = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    assert present_build("").commit == head


def test_where_nothing_tells_it_the_build_is_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build, "PROJECT", tmp_path)
    found = present_build("")
    assert found == Build("unknown", "unknown")
    assert found.short_commit == "unknown"


def test_a_commit_is_abbreviated_as_git_does() -> None:
    assert Build("1.0.0", "f5be7835a0c1").short_commit == "f5be783"
