"""What a day of drift costs in parts; `python -m tests.bench.bench_drift_parts`.

Writes a day's log as bench_drift does and takes it from the store to drift.json: in one part, then
in parts by one process and by two, each with a core of its own, as the DAG's mapped tasks on as
many workers of one core. The whole time includes each process's start and imports, as on a worker:
of a small day it is most. The day is one of customers who each come once, then one of customers who
come again, most of them in other parts: their later rows are read again and taken back.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, process_time

from pydantic import TypeAdapter
from pydantic_core import to_json

from include.drift.collect_predictions import Collected, collect_predictions
from include.drift.detect_drift import detect_drift
from include.drift.findings import day_key
from include.drift.plan_parts import MEBIBYTE, plan_parts
from include.drift.run import DriftRun
from include.store import LocalStore
from tests.bench.bench_drift import write, write_day
from tests.bench.memory import peak_mib
from tests.include.bank_days import DAY, RULES, drift_run

WHOLE = float(MEBIBYTE)  # more than any day has
PARTS = TypeAdapter(list[Collected])
COMMAND = [sys.executable, "-m", "tests.bench.bench_drift_parts"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--part-mebibytes", type=float, default=RULES.part_mebibytes)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)  # directory, part, its core
    arguments = parser.parse_args()
    if arguments.step:
        report(*arguments.step, part_mebibytes=arguments.part_mebibytes)
        return
    for customers in (0, arguments.rows // 2):
        with tempfile.TemporaryDirectory(prefix="churn-bench-drift-") as home:
            write_day(Path(home), arguments.rows, arguments.objects, customers=customers)
            write(f"{arguments.rows:,} rows of {customers or arguments.rows:,} customers")
            compare(Path(home), arguments)


def compare(home: Path, arguments: argparse.Namespace) -> None:
    """One part, then several, by so many processes."""
    alone = measured(home, WHOLE, processes=1)
    for processes in arguments.processes:
        found = measured(home, arguments.part_mebibytes, processes=processes)
        if found["groups"] != alone["groups"]:
            raise SystemExit("in parts the day has other findings than in one")
        write(f"  {alone['seconds'] / found['seconds']:.2f} × as fast as in one part")


def measured(home: Path, part_mebibytes: float, *, processes: int) -> dict[str, float | str]:
    """A day by so many processes at once, each step in a process of its own."""
    parts = plan_parts(bench_run(home, part_mebibytes))
    cores: queue.Queue[int] = queue.Queue()
    for core in sorted(os.sched_getaffinity(0))[:processes]:
        cores.put(core)

    def step(place: int) -> dict[str, float]:
        core = cores.get()
        try:
            given = ["--part-mebibytes", str(part_mebibytes), "--step", str(home)]
            command = [*COMMAND, *given, str(place), str(core)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            cores.put(core)
        if done.returncode:
            raise SystemExit(done.stderr)
        return dict(json.loads(done.stdout.splitlines()[-1]))

    started = perf_counter()
    with ThreadPoolExecutor(processes) as pool:
        counted = list(pool.map(step, range(len(parts))))
    collected = perf_counter()
    added = step(len(parts))
    seconds = perf_counter() - started
    worked = sum(each["cpu_seconds"] for each in (*counted, added))
    memory = max(each["mebibytes"] for each in counted)
    write(
        f"{len(parts)} parts, {processes} processes {seconds:8.2f} s ({collected - started:.2f} s "
        f"to count, then {added['seconds']:.2f} s) {worked:8.2f} s of CPU {memory:8,.0f} MiB peak "
        f"of a part, {added['mebibytes']:,.0f} of what adds up"
    )
    found = json.loads(LocalStore(home).read(day_key(DAY, "drift.json")).data)
    return {"seconds": seconds, "groups": json.dumps(found["groups"])}


def report(directory: str, place: str, core: str, *, part_mebibytes: float) -> None:
    """Count one part here, or add all up, and print what it took; imports are paid before."""
    os.sched_setaffinity(0, {int(core)})
    home, run = Path(directory), bench_run(Path(directory), part_mebibytes)
    parts = plan_parts(run)
    started, worked = perf_counter(), process_time()
    if int(place) < len(parts):
        counted = collect_predictions(run, parts[int(place)])
        (home / f"part-{place}.json").write_bytes(to_json([counted]))
    else:
        files = [home / f"part-{each}.json" for each in range(len(parts))]
        detect_drift(run, [PARTS.validate_json(file.read_bytes())[0] for file in files])
    found = {
        "seconds": perf_counter() - started,
        "cpu_seconds": process_time() - worked,
        "mebibytes": peak_mib(),
    }
    write(json.dumps(found))


def bench_run(home: Path, part_mebibytes: float) -> DriftRun:
    """A run over the day in parts of that size."""
    return drift_run("bench", {"part_mebibytes": part_mebibytes}, store=LocalStore(home))


if __name__ == "__main__":
    main()
