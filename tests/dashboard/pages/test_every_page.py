"""Each page in a real browser, on real data: it loads, it is quiet, and axe has no objection."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe

from dashboard.components.heat_map import create_cell_detail
from dashboard.data.sources import open_sources
from include.settings import Settings
from include.store import LocalStore
from tests.dashboard import bank
from tests.dashboard.conftest import Dashboard, OpenPage, until
from tests.webapp.champions import make_version, publish

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow  # each page in both schemes and widths

PAGES = {
    "/": "Whom to call today",
    "/score": "Score this customer",
    "/score?tab=file": "Drop a CSV file here",
    "/model": "Confusion matrix",
    "/performance": "How to read this",
    "/drift?day=2026-11-20&feature=Customer_Age": "What followed",
    "/?rose=night": "compared with 25 Nov 2026",
    f"/customer?number={bank.people()['CLIENTNUM'].iloc[0]}": "Most towards",
    "/customer?number=1": "There is no customer 1",
    "/service": "The service answers with model 1",
}
PLOTTED = ".js-plotly-plot .main-svg"
READY = {"/": ".risk-bar", "/model": PLOTTED, "/performance": PLOTTED}
SERIOUS = {"serious", "critical"}


@pytest.mark.parametrize("path", PAGES)
def test_page_is_quiet_and_usable(dashboard: Dashboard, open_page: OpenPage, path: str) -> None:
    page = open_page(dashboard.url + path)
    page.get_by_text(PAGES[path]).first.wait_for()
    if path in READY:
        page.locator(READY[path]).first.wait_for()
    until(page, "document.title.endsWith(' – Churn') && document.querySelector('#page h1')")
    assert objections(page) == []
    page.emulate_media(color_scheme="dark")
    page.locator("html[data-mantine-color-scheme=dark]").wait_for(state="attached")
    assert objections(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    until(page, "document.documentElement.scrollWidth <= innerWidth")


def test_a_phone_shows_first_whom_to_call(dashboard: Dashboard, open_page: OpenPage) -> None:
    page = open_page(dashboard.url)
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator(".risk-number").first.wait_for()
    until(page, "document.querySelector('.risk-grid').getBoundingClientRect().top < 450")
    score = page.get_by_role("link", name="Score")  # a shut menu is in nobody's way by Tab either
    assert score.count() == 0
    page.get_by_role("button", name="Menu", expanded=False).press("Enter")
    page.get_by_role("button", name="Menu", expanded=True).wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Menu", expanded=False).press("Enter")
    score.click()
    page.get_by_role("button", name="Menu", expanded=False).wait_for()
    page.get_by_role("button", name="Score this customer").wait_for()


def objections(page: "Page") -> list[str]:
    """What axe finds serious or worse, once colours have stopped changing."""
    until(page, "document.getAnimations().every(each => each.playState !== 'running')")
    found = Axe().run(page).response["violations"]
    return [violation["id"] for violation in found if violation["impact"] in SERIOUS]


def test_a_cell_is_compared_with_its_own_version(tmp_path: Path) -> None:
    settings, store = Settings(var_dir=tmp_path), LocalStore(tmp_path / "store")
    publish(store, bank.whole_version("1"))
    publish(store, make_version("2"))  # the champion since; it has no reference
    day = bank.write_drift_days(store)
    detail = create_cell_detail(open_sources(settings), day.isoformat(), "Customer_Age")
    assert "Training customers" in repr(detail)


def test_evidently_report_is_shut_in(dashboard: Dashboard, open_page: OpenPage) -> None:
    page = open_page(dashboard.url + "/drift")
    frame = page.frame_locator("#report-frame")
    frame.get_by_text("Evidently's page").wait_for()
    page.get_by_role("button", name="20 Nov, Age").click()
    page.get_by_text("31% of customers differ, drifted").first.wait_for()
    assert "feature=Customer_Age" in page.url
