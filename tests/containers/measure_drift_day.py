"""A day of drift on Celery workers in containers; `python -m tests.containers.measure_drift_day`.

Starts what of the stack the run needs (no database of customers: `measure_outcomes` fails beside),
writes a day's log into its S3 server, and runs `churn_drift` on one worker, then on two. CHURN_CPUS
is how many cores a worker may use; with CHURN_CPUS=1 a worker stands for a machine of one core.
Images as for `make test-containers`; CHURN_KEEP_IMAGES=1 builds none. Needs a docker daemon.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from include.store import LocalStore
from infra.compose.command import PROJECT, Compose
from infra.compose.environment import write_environment
from infra.compose.up import SERVICE_LABEL, wait_until_ready
from tests.bench.bench_drift import write, write_day
from tests.containers import images
from tests.containers.stack import CELERY, PORTS, START_SECONDS, RunningStack, eventually
from tests.include.bank_days import DAY
from tests.ports import free_ports

DAG = "churn_drift"
WORKER = "airflow-worker"
SERVICES = [
    *("postgres", "redis", "s3", "store-init", "statsd-exporter", "airflow-init"),
    *("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", WORKER),
]
# The stand-in for the S3 server holds all of a day in memory.
S3_MEMORY = "services: {s3: {mem_limit: 8g}}\n"
TIMES = (
    "SELECT task_id, hostname, EXTRACT(EPOCH FROM start_date), EXTRACT(EPOCH FROM end_date) "
    "FROM task_instance WHERE dag_id = '{dag}' AND run_id = '{run}' AND end_date IS NOT NULL"
)


def main() -> None:
    """Print how long the day took on each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--keep-images", action="store_true", help="build none")
    arguments = parser.parse_args()
    if not arguments.keep_images:
        images.provide([])
    with tempfile.TemporaryDirectory(prefix="churn-measure-") as home:
        write_day(Path(home, "day"), arguments.rows, arguments.objects)
        with part_of_a_stack(Path(home)) as stack:
            copy(LocalStore(Path(home, "day")), stack)
            for workers in arguments.workers:
                stack.compose.run(
                    *("up", "-d", "--no-build", "--scale", f"{WORKER}={workers}"), *SERVICES
                )
                ready(stack)
                measure(stack, workers)


@contextmanager
def part_of_a_stack(home: Path) -> Iterator[RunningStack]:
    """What the run needs, with one worker; nothing of it is left afterwards."""
    env_file = home / ".env"
    write_environment(env_file)
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    with env_file.open("a") as file:
        file.writelines(f"CHURN_{name}_PORT={port}\n" for name, port in ports.items())
    (home / "s3.yaml").write_text(S3_MEMORY)
    layers = (PROJECT / "docker-compose.yaml", CELERY, home / "s3.yaml")
    files = [word for layer in layers for word in ("-f", str(layer))]
    compose = Compose([*files, "--project-name", home.name], env_file=env_file)
    stack = RunningStack(compose, env_file, time.monotonic(), SERVICES)
    try:
        compose.run("up", "-d", "--no-build", *SERVICES)
        ready(stack)
        yield stack
    finally:
        compose.run("down", "--volumes", "--remove-orphans")


def ready(stack: RunningStack) -> None:
    """Wait until all of it is well, and the DAG is known."""
    wait_until_ready(stack.compose, began=stack.began, seconds=START_SECONDS, only=SERVICES)
    client = stack.airflow()
    eventually(lambda: client.dag(DAG) is not None, f"{DAG} is read", seconds=300)
    client.close()


def copy(local: LocalStore, stack: RunningStack) -> None:
    """The champion and the day's log, into the stack's own store."""
    store = stack.store()
    keys = [each.key for prefix in ("champion/", "predictions/") for each in local.list(prefix)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: store.write(key, local.read(key).data), keys))


def measure(stack: RunningStack, workers: int) -> None:
    """One run: from the first task's start to drift.json, and where its parts were counted."""
    client = stack.airflow()
    run_id = client.trigger(DAG, {"date": DAY.isoformat()})

    def judged() -> bool:
        states = {task.task_id: task.state for task in client.tasks(DAG, run_id)}
        if "failed" in (states["collect_predictions"], states["detect_drift"]):
            raise SystemExit(f"{run_id} failed: {states}")
        return states["detect_drift"] == "success"

    eventually(judged, f"{run_id} has judged the day", seconds=3600)
    client.close()
    spans, hosts = defaultdict(list), set()
    for line in query(stack, TIMES.format(dag=DAG, run=run_id)):
        task, host, start, end = line.split("|")
        spans[task].append((float(start), float(end)))
        hosts.update([host] if task == "collect_predictions" else [])
    counted, added = spans["collect_predictions"], spans["detect_drift"][0]
    begins = min(start for start, _ in spans["plan_parts"])
    write(
        f"{workers} workers: {added[1] - begins:.1f} s from the first task to drift.json, of it "
        f"{max(end for _, end in counted) - min(start for start, _ in counted):.1f} s to count "
        f"{len(counted)} parts on {len(hosts)} workers and {added[1] - added[0]:.1f} s to add up; "
        f"peak {', '.join(f'{each:,.0f}' for each in peaks(stack))} MiB a worker"
    )


def query(stack: RunningStack, statement: str) -> list[str]:
    """Lines of Airflow's own database."""
    script = f'PGPASSWORD="$AIRFLOW_PASSWORD" psql -h 127.0.0.1 -U airflow -At -c "{statement}"'
    return stack.compose.run("exec", "-T", "postgres", "sh", "-c", script).decode().splitlines()


def peaks(stack: RunningStack) -> list[float]:
    """The largest memory of each worker's container so far, in MiB."""
    workers = [
        each["Id"]
        for each in stack.compose.containers()
        if each["Config"]["Labels"][SERVICE_LABEL] == WORKER
    ]
    files = "/sys/fs/cgroup/memory.peak /sys/fs/cgroup/memory/memory.max_usage_in_bytes"
    script = f"cat {files} 2>/dev/null | head -1"
    found = [
        subprocess.run(
            ["docker", "exec", each, "sh", "-c", script], capture_output=True, text=True, check=True
        )
        for each in workers
    ]
    return [int(each.stdout) / 2**20 for each in found]


if __name__ == "__main__":
    sys.exit(main())
