"""The dashboard's pages as README shows them, while `make run` is up.

python -m tests.e2e.screenshots

It writes docs/screenshots/*.png, of made-up customers only: a stack with others is refused.
"""

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from include.customers.first_customers import MADE_UP, look_at_customers
from include.errors import ConfigurationError, DataError
from include.settings import PROJECT, Settings
from infra.local.running import exit_code, running_stack
from tests.dashboard.conftest import ARGUMENTS, WAIT_MILLISECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = PROJECT / "docs" / "screenshots"
SIZE = {"width": 1360, "height": 850}
COLOURS = 128  # a palette: a page is some 60 kB instead of 200
FOLDER_BYTES_MAX = 600_000  # everybody who clones the project downloads them


def _nothing(page: "Page") -> None:
    """The page as it opens."""


def _see_curves(page: "Page") -> None:
    page.locator(".scatterlayer .trace").first.wait_for()


def _open_customer(page: "Page") -> None:
    page.locator(".risk-bar").nth(1).click()
    page.locator("#customer-body table.bars").wait_for()


SHOWN: dict[str, tuple[str, Callable[["Page"], None]]] = {
    "customers": ("/", _nothing),
    "customer": ("/", _open_customer),
    "score": ("/score", _nothing),
    "model": ("/model", _see_curves),
    "drift": ("/drift", _nothing),
    "service": ("/service", _nothing),
}


def main() -> int:
    """The command line; 1 where there is no stack, no chromium, or somebody's real customers."""
    return exit_code("screenshots", take)


def take(settings: Settings) -> int:
    """One picture of each page."""
    places = running_stack(settings)
    refuse_real_customers(settings)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise ConfigurationError("no chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        page = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
        page.set_default_timeout(WAIT_MILLISECONDS)
        taken = {name: _picture(page, places.dashboard.url, *SHOWN[name]) for name in SHOWN}
        browser.close()
    write(taken, FOLDER)
    return 0


def refuse_real_customers(settings: Settings) -> None:
    """DataError unless this project made the table's customers up."""
    _, source = look_at_customers(settings.resolved_database_url)
    if source != MADE_UP:
        raise DataError(
            f"expected made-up customers, found some {source or 'of unknown origin'}: pictures are "
            "for everybody; name another CHURN_VAR_DIR, `make run`, and try again"
        )


def _picture(page: "Page", url: str, path: str, act: Callable[["Page"], None]) -> bytes:
    page.goto(url + path, wait_until="networkidle")
    page.locator("h1").first.wait_for()
    act(page)
    page.wait_for_load_state("networkidle")
    return page.screenshot(animations="disabled")


def write(taken: dict[str, bytes], folder: Path) -> None:
    """Write each picture with a palette; ConfigurationError when together they are too large."""
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for name, picture in taken.items():
        path = folder / f"{name}.png"
        image = Image.open(io.BytesIO(picture)).convert("RGB")
        image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        total += path.stat().st_size
        sys.stdout.write(f"{path}  {path.stat().st_size / 1000:.0f} kB\n")
    if total > FOLDER_BYTES_MAX:
        raise ConfigurationError(
            f"the pictures take {total:,} bytes, allowed are {FOLDER_BYTES_MAX:,}: "
            "show fewer pages, or use fewer colours"
        )


if __name__ == "__main__":
    sys.exit(main())
