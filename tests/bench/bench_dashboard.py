"""The first page with many customers: python -m tests.bench.bench_dashboard --rows 1000000.

It fills a bank with made-up rows, in SQLite or where CHURN_DATABASE_URL says, starts the dashboard
under gunicorn, and prints the time to swap a night's table in, to answer each kind of question, to
an interactive page in chromium where there is one, and the server's memory.
"""

import argparse
import os
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import sqlalchemy as sa

from dashboard.data.call_list import CallList
from dashboard.data.list_view import ListView
from dashboard.data.nights import Nights
from include.contract import load_contract
from include.customers import loading
from include.customers.contacts import create_contacts
from include.customers.database import open_engine
from include.customers.rows import upsert_rows
from include.customers.sample import sample_customers
from include.scoring import comparisons
from include.scoring import table as score_table
from include.settings import Settings
from tests.bench.loader import write
from tests.dashboard.bank import EARLIER, list_rows
from tests.dashboard.conftest import ARGUMENTS, Dashboard
from tests.ports import free_ports

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

BATCH_ROWS = 100_000
VISITS = 9
QUESTIONS = {
    "default order": {},
    "order by risk": {"sort": "risk:desc"},
    "order by balance": {"sort": "balance:desc"},
    "order by transactions, up": {"sort": "transactions:asc"},
    "whose risk rose since last night": {"rose": "night"},
    "one band": {"bands": "high"},
    "filter by spend": {"filters": '{"spend": {"type": "greaterThan", "filter": 9000}}'},
    "filter by card, order by risk": {
        "filters": '{"card": {"type": "contains", "filter": "gold"}}',
        "sort": "risk:desc",
    },
}


def main() -> None:
    """Print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    home = Path(tempfile.mkdtemp(prefix="churn-bench-"))
    try:
        measure(Settings(var_dir=home, store_uri=(home / "store").as_uri()), rows)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def measure(settings: Settings, rows: int) -> None:
    """Everything, on a bank of that many customers."""
    engine = open_engine(settings.resolved_database_url)
    moment = datetime.now(UTC)
    fill(engine, rows, moment)
    started = time.perf_counter()
    comparisons.write(engine, moment, EARLIER)
    score_table.publish(engine, moment)
    write(f"table of {rows:,} indexed and swapped in: {time.perf_counter() - started:.1f} s")
    write(f"which night it is, asked first: {timed(Nights(engine).latest, times=1):.0f} ms")
    for name, values in QUESTIONS.items():
        calls = CallList(engine, ListView.from_values(values))
        page, count = timed(lambda calls=calls: calls.page(0, 50)), timed(calls.count)
        write(f"{name}: page {page:.0f} ms, count {count:.0f} ms")
    calls = CallList(engine, ListView())
    write(f"sum of a campaign of 250 calls: {timed(calls.campaign_sum):.0f} ms")
    look(settings)


def fill(engine: sa.Engine, rows: int, moment: datetime) -> None:
    """Customers and scores; the scores are drawn, for only their number matters here."""
    loading.create_table(engine)
    create_contacts(engine)
    score_table.stage(engine, moment)
    table = score_table.table_of(engine, moment)
    contract, random = load_contract(), np.random.default_rng(1)
    base = sample_customers(min(rows, BATCH_ROWS), seed=1)
    for start in range(0, rows, len(base)):
        frame = base.assign(**{contract.key.name: base[contract.key.name] + start})
        frame[contract.labelled_at.name] = None
        with engine.begin() as connection:
            upsert_rows(connection, frame, keeps_moment=False)
        found = list_rows(frame, random.beta(0.4, 2.5, len(frame)), now=moment)
        score_table.write_scores(engine, table, found)


def look(settings: Settings) -> None:
    """The page in a browser, cold and warm, and what the server's processes hold."""
    (port,) = free_ports(1)
    server = Dashboard(port, settings.var_dir, api_url="http://127.0.0.1:9").start()
    try:
        path = shutil.which("chromium")
        if path is None:
            write("no chromium: the page itself was not measured")
        else:
            look_with(path, server.url)
        assert server.process is not None
        family = [psutil.Process(pid) for pid in server.workers()]
        memory = sum(each.memory_info().rss for each in family) / 2**20
        write(f"memory of the workers: {memory:.0f} MiB")
    finally:
        server.stop()


def look_with(path: str, url: str) -> None:
    """Medians over visits with an empty cache, and with what the visit before left in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        found: dict[str, list[tuple[float, float]]] = {"first visit": [], "second visit": []}
        for _ in range(VISITS):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            for visits in found.values():
                visits.append(visit(context, url))
            context.close()
        browser.close()
    machine = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    for name, visits in found.items():
        seconds, work = (np.array(column) for column in zip(*visits, strict=True))
        write(
            f"first page interactive, {name}: {np.median(seconds):.2f} s (of {VISITS}: "
            f"{seconds.min():.2f} to {seconds.max():.2f}), of which {np.median(work):.2f} s "
            f"the work of the browser's main thread ({machine})"
        )


def visit(context: "BrowserContext", url: str) -> tuple[float, float]:
    """Seconds until the rows are there and the page is idle; of them, its main thread's own work.

    On a machine that does other things too only the second figure can be compared.
    """
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    started = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator(".risk-bar").first.wait_for()
    page.evaluate("new Promise(done => requestIdleCallback(done))")
    seconds = time.perf_counter() - started
    metrics = session.send("Performance.getMetrics")["metrics"]
    page.close()
    return seconds, {each["name"]: each["value"] for each in metrics}["TaskDuration"]


def timed(ask: Any, *, times: int = 5) -> float:
    """The median, in milliseconds."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        ask()
        found.append(1000 * (time.perf_counter() - started))
    return float(np.median(found))


if __name__ == "__main__":
    main()
