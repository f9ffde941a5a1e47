"""What a day of drift detection costs; run by `make bench-drift`.

Writes a day's log as the API does, in thousands of objects, and measures from the store to
drift.json, each step in a process of its own: against pandas with `scipy.stats.ks_2samp` on these
files, and Evidently's preset on fewer. Every step may use all cores: Arrow's threads decode for
pandas, ours for us.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from include.drift.collect_predictions import collect_predictions
from include.drift.detect_drift import detect_drift
from include.drift.plan_parts import plan_parts
from include.drift.statistics import SCORE
from include.predictions import log as prediction_log
from include.predictions.objects import encoded
from include.store import LocalStore
from tests.bench.loader import write
from tests.bench.memory import peak_mib
from tests.include.bank_days import CONTRACT, DAY, drift_run, people, publish, score

REFERENCE_ROWS = 10_000
EVIDENTLY_ROWS = 500_000
NUMERIC = [column.name for column in CONTRACT.features if not column.categories]
CATEGORICAL = [column.name for column in CONTRACT.features if column.categories]
COLUMNS = [*CONTRACT.feature_names, SCORE]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--anonymous", action="store_true", help="rows of nobody, each different")
    parser.add_argument("--step", nargs=2, metavar=("NAME", "DIRECTORY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        report(*arguments.step)
        return
    with tempfile.TemporaryDirectory(prefix="churn-bench-drift-") as home:
        compare(Path(home), arguments)


def compare(home: Path, arguments: argparse.Namespace) -> None:
    """Every step on the same rows."""
    rows, objects = arguments.rows, arguments.objects
    write_day(home / "day", rows, objects, anonymous=arguments.anonymous)
    write_day(home / "quarter", rows // 4, objects // 4, anonymous=arguments.anonymous)
    whose = "anonymous" if arguments.anonymous else "logged"
    write(f"{rows:,} {whose} predictions, {len(COLUMNS)} columns, {objects:,} objects")
    ours = row("store to drift.json", measured("whole", home / "day"), rows)
    reading = row("  of it reading", measured("reading", home / "day"), rows)
    write(f"  reading is {reading['cpu_seconds'] / ours['cpu_seconds']:.0%} of the CPU")
    row("store to drift.json, 1/4", measured("whole", home / "quarter"), rows // 4)
    theirs = row("pandas and SciPy", measured("pandas", home / "day"), rows)
    write(f"  the whole is {times(theirs, ours)} as fast")
    write_day(home / "evidently", EVIDENTLY_ROWS, EVIDENTLY_ROWS // 5000)
    row("Evidently's preset", measured("evidently", home / "evidently"), EVIDENTLY_ROWS)


def row(name: str, found: dict[str, float], rows: int) -> dict[str, float]:
    """Print one step; other loads on the machine disturb its CPU seconds least."""
    each = found["cpu_seconds"] / rows * 1e6
    write(
        f"{name:30} {found['seconds']:8.2f} s {found['cpu_seconds']:8.2f} s of CPU {each:8.2f} "
        f"a million rows {found['mebibytes']:8,.0f} MiB peak"
    )
    return found


def times(theirs: dict[str, float], ours: dict[str, float]) -> str:
    """How often ours fits into theirs."""
    wall, worked = (theirs[each] / ours[each] for each in ("seconds", "cpu_seconds"))
    return f"{wall:.1f} × (in CPU {worked:.1f} ×)"


def measured(name: str, home: Path) -> dict[str, float]:
    """A step's figures from a fresh process."""
    command = [sys.executable, "-m", "tests.bench.bench_drift", "--step", name, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(name: str, directory: str) -> None:
    """Run one step here, and print what it took; imports are paid before."""
    pa.set_cpu_count(os.cpu_count())  # `make` holds OpenMP at one thread, which Arrow obeys too
    step = STEPS[name](LocalStore(Path(directory)))
    started, worked = perf_counter(), process_time()
    step()
    found = {
        "seconds": perf_counter() - started,
        "cpu_seconds": process_time() - worked,
        "mebibytes": peak_mib(),
    }
    write(json.dumps(found))


def whole(store: LocalStore) -> Callable[[], Any]:
    """From the log to drift.json in one part, as the DAG's tasks do it."""
    run = drift_run("bench", {"part_mebibytes": 2**20}, store=store)

    def step() -> None:
        found = detect_drift(run, [collect_predictions(run, part) for part in plan_parts(run)])
        assert not found.drifted

    return step


def reading(store: LocalStore) -> Callable[[], Any]:
    """Only read, decode and remove duplicates."""
    columns = ["model_version", "source", "customer_key", *COLUMNS]
    return lambda: sum(
        batch.num_rows
        for batch in prediction_log.read_predictions(
            store, DAY, columns=columns, hashed=["customer_key"]
        )
    )


def with_pandas(store: LocalStore) -> Callable[[], Any]:
    """The whole day in one frame, then SciPy; without removing duplicates or checking anything."""
    from scipy.stats import chi2_contingency, ks_2samp

    trained = reference_frame(store)

    def step() -> None:
        day = log_frame(store)
        for name in (*NUMERIC, SCORE):
            ks_2samp(trained[name], day[name], method="asymp")
        for name in CATEGORICAL:
            pair = [frame[name].value_counts() for frame in (trained, day)]
            chi2_contingency(pd.concat(pair, axis=1).fillna(0).to_numpy())

    return step


def with_evidently(store: LocalStore) -> Callable[[], Any]:
    """Evidently's own drift preset, its results as JSON, without a page."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(
        numerical_columns=[*NUMERIC, SCORE], categorical_columns=CATEGORICAL
    )
    trained = reference_frame(store)

    def step() -> None:
        sides = [
            Dataset.from_pandas(frame, data_definition=definition)
            for frame in (log_frame(store), trained)
        ]
        Report([DataDriftPreset()]).run(*sides).json()

    return step


def log_frame(store: LocalStore) -> pd.DataFrame:
    """A day's log in one frame, object by object."""
    files = sorted((store.root / prediction_log.log_prefix(DAY)).glob("*.parquet"))
    return pd.concat([pd.read_parquet(f, columns=COLUMNS) for f in files], ignore_index=True)


def reference_frame(store: LocalStore) -> pd.DataFrame:
    """The version's training rows."""
    frame = pd.read_parquet(store.root / "champion/versions/1/reference.parquet")
    return frame.loc[frame["split"] == "training", COLUMNS]


def write_day(home: Path, rows: int, objects: int, *, anonymous: bool = False) -> None:
    """A champion and a day's log: records drawn again and again, each row of another customer."""
    store = LocalStore(home)
    publish(store, people=people(REFERENCE_ROWS, seed=1))
    asked = people(REFERENCE_ROWS, seed=2)
    pool = pa.Table.from_pandas(
        asked[list(CONTRACT.feature_names)].assign(**{SCORE: score(asked)}), preserve_index=False
    )
    schema = prediction_log.log_schema(prediction_log.feature_columns(CONTRACT))
    random = np.random.default_rng(rows)
    folder = home / prediction_log.log_prefix(DAY)
    folder.mkdir(parents=True)
    for place in range(objects):
        table = log_table(pool, schema, rows // objects, random)
        if anonymous:
            table = without_customers(table, random)
        (folder / f"{place:06}.parquet").write_bytes(encoded(table))


def log_table(
    pool: pa.Table, schema: pa.Schema, rows: int, random: np.random.Generator
) -> pa.Table:
    """One object of the log, as the API's shipper writes it."""
    drawn = pool.take(pa.array(random.integers(0, pool.num_rows, rows)))
    moment = int(datetime.combine(DAY, time(12), UTC).timestamp() * 1e6)
    own = {
        "prediction_id": hexadecimal(random, rows, 16),
        "row": np.zeros(rows, dtype=np.int32),
        "request_id": hexadecimal(random, rows, 16),
        "predicted_at": moment + np.sort(random.integers(0, 10**9, rows)),
        "model_version": ["1"] * rows,
        "customer_key": hexadecimal(random, rows, 32),
        "source": ["customer"] * rows,
        "prediction": np.zeros(rows, dtype=np.int8),
        "latency_seconds": random.random(rows) / 1000,
    }
    columns = {name: drawn[name] for name in drawn.column_names} | own
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def without_customers(table: pa.Table, random: np.random.Generator) -> pa.Table:
    """The same answers to nobody: each has a credit limit of its own, by parts of a millionth."""
    limits = table["Credit_Limit"].to_numpy() * (1 - random.random(table.num_rows) * 1e-6)
    changed = {"customer_key": pa.nulls(table.num_rows, pa.string()), "Credit_Limit": limits}
    columns = {name: changed.get(name, table[name]) for name in table.column_names}
    return pa.table(columns, schema=table.schema)


def hexadecimal(random: np.random.Generator, rows: int, width: int) -> pa.Array:
    """Random identifiers."""
    text = random.bytes(rows * width).hex().encode()
    offsets = np.arange(rows + 1, dtype=np.int32) * 2 * width
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text))


STEPS: dict[str, Callable[[LocalStore], Callable[[], Any]]] = {
    "whole": whole,
    "reading": reading,
    "pandas": with_pandas,
    "evidently": with_evidently,
}


if __name__ == "__main__":
    main()
