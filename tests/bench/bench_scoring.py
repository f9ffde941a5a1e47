"""How fast a night is, whole against its parts alone; run by `make bench-scoring`.

Customers lie in a private MariaDB. The night is scored in ranges, once by one worker process and
once by two, as Airflow's executors would. Its parts, each alone in the same run and on one thread:
connectorx reading the same columns at once, XGBoost's `inplace_predict` and the contributions in
memory, and the same scores written into an empty table. Airflow itself is not in it: it adds its
start-up and about a second a task.
"""

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import connectorx
import sqlalchemy as sa
import xgboost as xgb

from include.champion import versions
from include.contract import load_contract
from include.customers.database import open_engine, opened
from include.customers.mysql_arrow import connectorx_url
from include.customers.sample import sample_customers
from include.params import Params, load_params
from include.scoring import bulk
from include.scoring import table as score_table
from include.scoring.plan_ranges import Portion, plan_ranges
from include.scoring.run import ScoringRun
from include.scoring.score_range import Scored, score_range
from include.scoring.summarise_scores import summarise_scores
from include.settings import Settings
from include.store import LocalStore, Store
from tests.bench.customers import load_made_up
from tests.bench.memory import peak_mib
from tests.conftest import database_daemon
from tests.include.nights import REVENUE, fitted_on, put_champion

TRAINED_ON = 10_000
DAY = date(2026, 11, 22)


@dataclass(frozen=True)
class Place:
    """Where the customers and the scores are."""

    url: str
    store: Store
    params: Params

    def night(self, day: date) -> ScoringRun:
        """A night there, with its own connections."""
        return ScoringRun(
            dag_run_id="bench",
            store=self.store,
            engine=open_engine(self.url),
            rules=self.params.scoring,
            rejected_share_max=self.params.validation.rejected_share_max,
            day=day,
            now=datetime.now(UTC),
            revenue=REVENUE,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    daemon = shutil.which("mariadbd") or shutil.which("mysqld") or ""
    home = Path(tempfile.mkdtemp(prefix="churn-bench-"))
    try:
        with database_daemon(daemon, home) as url:
            bench(prepared(url, home, rows), rows)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def bench(place: Place, rows: int) -> None:
    """All measurements on one server."""
    two = a_night(place, rows, workers=2, day=DAY)
    one = a_night(place, rows, workers=1, day=DAY + timedelta(days=1))
    raw = raw_seconds(place)
    for name, seconds in raw.items():
        write(f"alone: {name}", seconds, rows)
    total = sum(raw.values())
    write("the parts alone, together", total, rows)
    sys.stdout.write(f"whole against its parts alone, one worker: {one / total:.2f}\n")
    sys.stdout.write(f"speed-up of two workers: {one / two:.2f}\n")


def a_night(place: Place, rows: int, *, workers: int, day: date) -> float:
    """Seconds of a night by processes that have imported everything, as Airflow's have."""
    start_over(place)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn) as pool:
        list(pool.map(warmed, range(workers)))
        started = time.perf_counter()
        portions = plan_ranges(place.night(day))
        found = list(pool.map(partial(worked, place, day), portions))
        summary = summarise_scores(place.night(day), portions, [scored for scored, _ in found])
        seconds = time.perf_counter() - started
    for step, taken in summary.seconds.items():
        write(f"{workers} worker(s): {step}", taken, rows)
    write(f"{workers} worker(s): {summary.scored:,} scored in {len(found)} ranges", seconds, rows)
    peak = max(peak for _, peak in found)
    sys.stdout.write(f"peak memory of a worker: {peak:.0f} MiB\n")
    return seconds


def warmed(_: int) -> None:
    """Nothing; importing this module is what takes its time."""
    time.sleep(0.5)


def worked(place: Place, day: date, portion: Portion) -> tuple[Scored, float]:
    """One range, and the process's peak memory in MiB."""
    scored = score_range(place.night(day), portion)
    return scored, peak_mib()


def raw_seconds(place: Place) -> dict[str, float]:
    """What the night does with the library's own calls, each part alone."""
    manifest, _ = versions.read_version(place.store, "1")
    files = versions.read_files(place.store, manifest, bulk.SCORING_FILES)
    scorer, step = bulk.BulkScorer(manifest, files), place.params.scoring.chunk_rows
    booster = xgb.Booster({"nthread": 1})
    booster.load_model(bytearray(files[versions.TREES_FILE]))
    names = ", ".join([manifest.contract.key.name, *manifest.columns])
    query = f"SELECT {names} FROM churners ORDER BY {manifest.contract.key.name}"
    url = connectorx_url(sa.make_url(place.url))
    read, customers = timed(lambda: connectorx.read_sql(url, query, return_type="arrow"))
    inputs = scorer.inputs(manifest.contract.matrix(customers.to_pandas(), manifest.columns))
    chunks = [inputs[start : start + step] for start in range(0, len(inputs), step)]
    scores = connectorx.read_sql(url, f"SELECT * FROM {score_table.TABLE}", return_type="arrow")
    start_over(place)
    engine, moment = open_engine(place.url), datetime.now(UTC)
    score_table.stage(engine, moment)
    own = score_table.table_of(engine, moment)
    return {
        "read by connectorx": read,
        "inplace_predict": timed(lambda: booster.inplace_predict(inputs))[0],
        "contributions": timed(lambda: [scorer.reasons(chunk) for chunk in chunks])[0],
        "write": timed(lambda: score_table.write_scores(engine, own, scores))[0],
        "indexes": timed(lambda: score_table.publish(engine, moment))[0],
    }


def start_over(place: Place) -> None:
    """No scores."""
    with opened(place.url) as engine:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS churn_scores")


def prepared(url: str, home: Path, rows: int) -> Place:
    """Customers in the database, and a champion of the project's own parameters."""
    with sa.create_engine(url).begin() as connection:
        connection.exec_driver_sql("CREATE DATABASE bench CHARACTER SET utf8mb4")
    with opened(f"{url}/bench") as engine:
        load_made_up(engine, rows)
    contract, params = load_contract(), load_params(Settings().params_file)
    fitted = fitted_on(sample_customers(TRAINED_ON, seed=20), contract, params)
    store = LocalStore(home / "store")
    put_champion(store, fitted, contract, params, version="1")
    return Place(f"{url}/bench", store, params)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that the work takes, and what comes of it."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def write(name: str, seconds: float, rows: int) -> None:
    """One line of the table, shown at once."""
    sys.stdout.write(f"{name:44} {seconds:8.1f} s {rows / max(seconds, 1e-9):12,.0f} rows/s\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
