"""How fast a night is, against the raw limits of the same machine; run by `make bench-scoring`.

Customers lie in a private MariaDB. The night is scored in ranges, once by one worker process and
once by two, as Airflow's executors would. The limits, measured in the same run: the server's own
client dumping the same rows, XGBoost's `inplace_predict` in memory, and LOAD DATA of the same
scores. Airflow itself is not in it: it adds its start-up and about a second a task.
"""

import argparse
import csv
import multiprocessing
import shutil
import subprocess
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

import numpy as np
import sqlalchemy as sa
import xgboost as xgb

from include.champion import versions
from include.champion.native_trees import trees_input
from include.contract import load_contract
from include.customers import loading
from include.customers.database import open_engine
from include.customers.sample import sample_customers
from include.params import Params, load_params
from include.scoring import table as score_table
from include.scoring.plan_ranges import Portion, plan_ranges
from include.scoring.run import ScoringRun
from include.scoring.score_range import Scored, score_range
from include.scoring.summarise_scores import summarise_scores
from include.settings import Settings
from include.store import LocalStore, Store
from include.training import fit
from tests.bench.memory import peak_mib
from tests.conftest import database_daemon
from tests.include.nights import REVENUE, fitted_on, put_champion

FIRST_KEY = 700_000_001
LOADED_AT_ONCE = 250_000
TRAINED_ON = 10_000
DAY = date(2026, 11, 22)
STEPS = (
    "read",
    "check",
    "features",
    "score",
    "reasons",
    "rows",
    "write part",
    "write table",
    "load",
)


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
            revenue=REVENUE,
            day=day,
            now=datetime.now(UTC),
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory-rows", type=int, default=0, help="once more with so many rows")
    arguments = parser.parse_args()
    daemon = shutil.which("mariadbd") or shutil.which("mysqld") or ""
    home = Path(tempfile.mkdtemp(prefix="churn-bench-"))
    try:
        with database_daemon(daemon, home) as url:
            bench(url, home, arguments.rows, arguments.memory_rows)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def bench(url: str, home: Path, rows: int, memory_rows: int) -> None:
    """All measurements on one server."""
    place, fitted = prepared(url, home, rows)
    write(f"{rows:,} customers, {fitted.trees.n_estimators} trees, champion pinned")
    raw = raw_seconds(place, home, fitted, rows)
    for name, seconds in raw.items():
        write(f"  raw  {name:34} {seconds:8.1f} s {rows / seconds:12,.0f} rows/s")
    alone = a_night(place, workers=1, day=DAY)
    both = a_night(place, workers=2, day=DAY + timedelta(days=1))
    compare(alone, raw, rows)
    write(f"one worker  {alone.seconds:8.1f} s {rows / alone.seconds:12,.0f} rows/s")
    write(f"two workers {both.seconds:8.1f} s {rows / both.seconds:12,.0f} rows/s")
    write(f"speed-up of two workers: {alone.seconds / both.seconds:.2f}")
    total = sum(raw.values())
    write(f"two workers take {both.seconds / total:.2f} × the raw parts ({total:.1f} s), one takes")
    write(f"{alone.seconds / total:.2f} ×; peak memory of a worker {alone.peak_mib:.0f} MiB")
    if memory_rows > rows:
        few = a_night(place, workers=2, day=DAY + timedelta(days=2), ranges_each=1)
        fill(place.url, first=FIRST_KEY + rows, rows=memory_rows - rows)
        many = a_night(place, workers=2, day=DAY + timedelta(days=3), ranges_each=1)
        write(f"{memory_rows:,} customers, a process for each range: {many.seconds:.1f} s")
        write(f"peak memory of a process {many.peak_mib:.0f} MiB against {few.peak_mib:.0f} MiB")


@dataclass(frozen=True)
class Measured:
    """One night."""

    seconds: float
    planning: float
    proving: float
    steps: dict[str, float]
    peak_mib: float


def a_night(place: Place, *, workers: int, day: date, ranges_each: int | None = None) -> Measured:
    """A night by so many worker processes, which have imported everything, as Airflow's have.

    Airflow gives each range a process of its own: `ranges_each=1` does so too, with its imports.
    """
    spawn = multiprocessing.get_context("spawn")
    start_over(place)
    with ProcessPoolExecutor(workers, spawn, max_tasks_per_child=ranges_each) as pool:
        if ranges_each is None:
            list(pool.map(warmed, range(workers)))
        started = time.perf_counter()
        portions = plan_ranges(place.night(day))
        planned = time.perf_counter()
        found = list(pool.map(partial(worked, place, day), portions))
        done = time.perf_counter()
        summary = summarise_scores(place.night(day), portions, [scored for scored, _ in found])
        ended = time.perf_counter()
    write(f"  {summary.scored:,} scored once in {len(portions)} ranges by {workers} worker(s)")
    return Measured(
        seconds=ended - started,
        planning=planned - started,
        proving=ended - done,
        steps=summary.seconds,
        peak_mib=max(peak for _, peak in found),
    )


def worked(place: Place, day: date, portion: Portion) -> tuple[Scored, float]:
    """One range, and the process's peak memory in MiB."""
    scored = score_range(place.night(day), portion)
    return scored, peak_mib()


def start_over(place: Place) -> None:
    """An empty table, as it is for LOAD DATA."""
    engine = open_engine(place.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS churn_scores")
    engine.dispose()


def warmed(_: int) -> None:
    """Nothing; the imports are what costs."""
    time.sleep(0.5)


def compare(found: Measured, raw: dict[str, float], rows: int) -> None:
    """A night's parts, with the raw limit beside those that have one."""
    for step in STEPS:
        seconds = found.steps.get(step, 0.0)
        write(f"  ours {step:34} {seconds:8.1f} s {rows / max(seconds, 1e-9):12,.0f} rows/s")
    write(f"  ours {'plan':34} {found.planning:8.1f} s")
    write(f"  ours {'summary and proof':34} {found.proving:8.1f} s")
    score = raw["inplace_predict"] / found.steps["score"]
    write(f"scoring reaches {score:.2f} of raw inplace_predict")


def raw_seconds(place: Place, home: Path, fitted: fit.Fitted, rows: int) -> dict[str, float]:
    """The limits, each measured once."""
    return {
        "client dump": timed(lambda: dump(place, home)),
        "inplace_predict": predict_seconds(place, fitted, rows),
        **load_data(place, home, rows),
    }


def dump(place: Place, home: Path) -> None:
    """The same columns by the server's own client, to a file."""
    url = sa.make_url(place.url)
    client = shutil.which("mariadb") or shutil.which("mysql") or ""
    names = ", ".join(["CLIENTNUM", *load_contract().feature_names])
    command = [
        *(client, "--no-defaults", f"--host={url.host}", f"--port={url.port}"),
        *(f"--user={url.username}", f"--password={url.password}", "--quick", "--batch"),
        *("-e", f"SELECT {names} FROM churners ORDER BY CLIENTNUM", str(url.database)),
    ]
    with (home / "dump.tsv").open("wb") as output:
        subprocess.run(command, stdout=output, check=True)


def predict_seconds(place: Place, fitted: fit.Fitted, rows: int) -> float:
    """`inplace_predict` of so many rows in memory, on one thread, as each worker has."""
    manifest, _ = versions.read_version(place.store, "1")
    contract = load_contract()
    sample = sample_customers(100_000, seed=9)
    features = trees_input(manifest, contract.matrix(sample, fitted.columns))
    booster = fitted.trees.get_booster()
    booster.set_param({"nthread": 1})
    booster.inplace_predict(features[:1000], predict_type="margin")
    seconds = timed(lambda: booster.inplace_predict(features, predict_type="margin"))
    slow = timed(lambda: booster.predict(xgb.DMatrix(features[:2000]), pred_contribs=True))
    write(
        f"  XGBoost's own pred_contribs: {2000 / slow:,.0f} rows/s, so {rows * slow / 2000:,.0f} s"
    )
    return seconds * rows / len(features)


def load_data(place: Place, home: Path, rows: int) -> dict[str, float]:
    """LOAD DATA of as many made-up scores from a file of the server's own, and their indexes."""
    path = home / "data" / "scores.tsv"
    reasons = '[{"feature":"Total_Trans_Ct","contribution":-1.2345},' * 2
    with path.open("w", newline="") as file:
        lines = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)
        random = np.random.default_rng(1).random(rows)
        for place_in, probability in enumerate(random.tolist()):
            of_record = [0, 150.5, 150.5 * probability, 4000, 800, 9000, "Blue", 2, 60]
            lines.writerow(
                [FIRST_KEY + place_in, probability, "medium", reasons + reasons, "1", "2026-11-22"]
                + of_record
            )
    path.chmod(0o644)
    engine, moment = open_engine(place.url), datetime.now(UTC)
    score_table.stage(engine, moment)
    name = score_table.table_of(engine, moment).name
    with engine.begin() as connection:
        loading_in = timed(
            lambda: connection.exec_driver_sql(f"LOAD DATA INFILE '{path}' INTO TABLE {name}")
        )
    return {"LOAD DATA": loading_in, "indexes": timed(lambda: score_table.publish(engine, moment))}


def prepared(url: str, home: Path, rows: int) -> tuple[Place, fit.Fitted]:
    """Customers in the database, and a champion of the project's own parameters."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE DATABASE bench CHARACTER SET utf8mb4")
    contract, params = load_contract(), load_params(Settings().params_file)
    fill(f"{url}/bench", first=FIRST_KEY, rows=rows)
    fitted = fitted_on(sample_customers(TRAINED_ON, seed=20), contract, params)
    store = LocalStore(home / "store")
    put_champion(store, fitted, contract, params, version="1")
    return Place(f"{url}/bench", store, params), fitted


def fill(url: str, *, first: int, rows: int) -> None:
    """Load sample customers."""
    engine = open_engine(url)
    loading.create_table(engine)
    for start in range(0, rows, LOADED_AT_ONCE):
        some = min(LOADED_AT_ONCE, rows - start)
        frame = sample_customers(some, seed=first + start, first_key=first + start)
        loading.load_customers(engine, frame, now=datetime.now(UTC))
    engine.dispose()


def timed(work: Callable[[], Any]) -> float:
    """Seconds that the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def write(line: str) -> None:
    """One line of the table, shown at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
