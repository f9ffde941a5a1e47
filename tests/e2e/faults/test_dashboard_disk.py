"""The dashboard on a disk that takes nothing more: people read on, and writes are refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.settings import Settings
from tests.dashboard import bank
from tests.dashboard.conftest import Dashboard
from tests.full_disk import fill
from tests.webapp.conftest import loopback_port

pytestmark = pytest.mark.slow

ROWS = 300
CUSTOMER = int(bank.people(ROWS)["CLIENTNUM"].iloc[0])
MARK = {"type": "note-mark", "what": "called"}
NOTE: dict[str, Any] = {
    "output": "..history.children...marked.data...note.value..",
    "outputs": [
        {"id": "history", "property": "children"},
        {"id": "marked", "property": "data"},
        {"id": "note", "property": "value"},
    ],
    "inputs": [[{"id": MARK, "property": "n_clicks", "value": 1}]],
    "changedPropIds": ['{"type":"note-mark","what":"called"}.n_clicks'],
    "state": [
        {"id": "noted-customer", "property": "data", "value": CUSTOMER},
        {"id": "note", "property": "value", "value": "x" * 400},
        {"id": "snooze-days", "property": "value", "value": 30},
    ],
}


@pytest.fixture
def full(small_disk: Path) -> Iterator[tuple[Dashboard, Path]]:
    """A dashboard with all that it has on one disk, and that disk."""
    settings = Settings(var_dir=small_disk / "var")
    bank.open_bank(settings, rows=ROWS)
    found = Dashboard(
        loopback_port(),
        settings.var_dir,
        {"CHURN_DASHBOARD_PASSWORD": "sesame", "CHURN_DASHBOARD_WORKERS": "1"},
        api_url="http://127.0.0.1:9",
    )
    yield found.start(), small_disk
    found.stop()


def sign_in(browser: httpx.Client) -> httpx.Response:
    return browser.post("/sign-in", data={"password": "sesame"})


def first_page(browser: httpx.Client) -> str:
    referrer = {"Referer": f"{browser.base_url}/"}
    return browser.get("/_dash-layout", headers=referrer).text


@pytest.mark.parametrize("small_disk", ["size=24m,nr_inodes=400"], indirect=True)
def test_who_is_inside_reads_on_and_whoever_writes_is_told_that_the_disk_is_full(
    full: tuple[Dashboard, Path],
) -> None:
    server, disk = full
    with httpx.Client(base_url=server.url) as inside, httpx.Client(base_url=server.url) as late:
        assert sign_in(inside).status_code == 302
        taken = fill(disk)
        told = sign_in(late)
        assert told.status_code == 503 and "the disk is full" in told.text
        assert "Whom to call today" in first_page(inside)
        refused = inside.post("/_dash-update-component", json=NOTE)
        assert refused.status_code == 200 and "full" in refused.text, refused.text
        for each in taken:
            each.unlink()
        assert sign_in(late).status_code == 302
        assert "called" in late.post("/_dash-update-component", json=NOTE).text
        assert "Whom to call today" in first_page(late)
