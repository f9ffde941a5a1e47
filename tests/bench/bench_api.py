"""How fast the API is, as ratios within one run: `make bench-api`.

Measured: a route of the same app and server that does nothing; /predict with logging and metrics
on, its log going to an S3 server; and the reference way of working (peer.py), with and without its
S3 PUT. All take turns for some rounds, so that another load of the machine meets all of them, and
the median of the rounds' ratios is told. Then the latency at half of the rate that was reached,
alone and beside clients that only hold connections.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.bench import servers
from tests.bench.loader import Measured, ask, ask_at, bad_clients, write
from tests.bench.servers import Running
from tests.conftest import AWS_DUMMY
from tests.webapp.champions import make_version, publish, records

CONNECTIONS, BATCH_CONNECTIONS, BATCH_ROWS = 16, 4, 1000
TREES, TRAINING_ROWS = 500, 8000

Rounds = dict[str, list[Measured]]


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="churn-bench-") as home,
        servers.s3_server() as (url, store),
        ExitStack() as stack,
    ):
        version = make_version("1", trees=TREES, rows=TRAINING_ROWS)
        publish(store, version)
        aws = {**AWS_DUMMY, "AWS_ENDPOINT_URL": url, "CHURN_STORE_URI": store.uri}
        servers.save_mlflow_model(version, Path(home, "model"))
        write(f"{arguments.workers} worker processes on each side")
        ours = stack.enter_context(servers.api(Path(home, "var"), arguments.workers, aws))
        logging = {**aws, "PEER_BUCKET": store.bucket}
        peers = {
            name: stack.enter_context(
                servers.peer(Path(home, "model"), version, arguments.workers, environment)
            )
            for name, environment in (("peer", aws), ("peer with PUT", logging))
        }
        rounds = _measure({"/predict": ours, **peers}, arguments)
        _report(rounds, ours, peers["peer"])
        _report_latency(rounds, ours, arguments)
        _report_cpu(ours, arguments.seconds)


def _measure(found: dict[str, Running], arguments: argparse.Namespace) -> Rounds:
    one = json.dumps(records(1)[0]).encode()
    batch = json.dumps({"records": records(BATCH_ROWS)}).encode()
    subjects: dict[str, Callable[[], Measured]] = {}

    def add(name: str, server: Running, path: str, body: bytes | None, connections: int) -> None:
        subjects[name] = lambda: ask(
            server.port, path, body=body, connections=connections, seconds=arguments.seconds
        )

    add("no-op", found["/predict"], "/noop", None, CONNECTIONS)
    for name, server in found.items():
        add(name, server, "/predict", one, CONNECTIONS)
    add("/predict_batch", found["/predict"], "/predict_batch", batch, BATCH_CONNECTIONS)
    add("peer's batch", found["peer"], "/predict_batch", batch, BATCH_CONNECTIONS)
    rounds: Rounds = {name: [] for name in subjects}
    for _ in range(arguments.rounds):
        for name, measure in subjects.items():
            rounds[name].append(measure())
    return rounds


def _report(rounds: Rounds, service: Running, plain: Running) -> None:
    write(f"\n{'':18}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'p99/p50':>10}{'failed':>8}")
    for name, found in rounds.items():
        _line(name, found)
    write(f"\n{'target':58}{'found':>10}{'wanted':>10}")
    for text, upper, lower, wanted in (
        ("/predict to the no-op route, 16 connections", "/predict", "no-op", 0.5),
        ("/predict to the peer without PUT", "/predict", "peer", 5),
        ("/predict to the peer with PUT", "/predict", "peer with PUT", 12),
        ("/predict_batch of 1,000 to the peer's", "/predict_batch", "peer's batch", 3),
    ):
        _target(text, _ratio(rounds, upper, lower), ">=", wanted)
    _target(
        "requests that failed", sum(m.failed for all_ in rounds.values() for m in all_), "<=", 0
    )
    _target("start to ready, seconds", service.ready_seconds, "<=", 2)
    _target("resident memory of a worker, MiB", service.resident_mib(), "<=", 160)
    write(f"the peer: start {plain.ready_seconds:.1f} s, {plain.resident_mib():.0f} MiB a worker")


def _report_latency(rounds: Rounds, service: Running, arguments: argparse.Namespace) -> None:
    """p50 and p99 where a service should run: at half of the rate that it can reach."""
    one = json.dumps(records(1)[0]).encode()
    rate = statistics.median(m.requests_per_second for m in rounds["/predict"]) / 2

    def paced() -> list[Measured]:
        return [
            ask_at(rate, service.port, "/predict", body=one, seconds=arguments.seconds)
            for _ in range(arguments.rounds)
        ]

    alone = paced()
    write(f"\n{rate:.0f} requests/s, {service.resident_mib():.0f} MiB a worker")
    _line("alone", alone)
    with bad_clients(service.port):
        beside = paced()
    _line("with bad clients", beside)
    p99, p99_beside = (statistics.median(m.p99 for m in found) for found in (alone, beside))
    _target("p99 alone, ms", p99 * 1e3, "<=", 20)
    _target("p99 with bad clients to p99 alone", p99_beside / p99, "<=", 3)


def _line(name: str, found: list[Measured]) -> None:
    rate = statistics.median(m.requests_per_second for m in found)
    p50, p99 = (statistics.median(getattr(m, p) for m in found) * 1e3 for p in ("p50", "p99"))
    failed = sum(m.failed for m in found)
    spread = f"{p99 / p50:10.1f}" if p50 else f"{'-':>10}"
    write(f"{name:18}{rate:12.0f}{p50:10.2f}{p99:10.2f}{spread}{failed:8}")


def _ratio(rounds: Rounds, upper: str, lower: str) -> float:
    pairs = zip(rounds[upper], rounds[lower], strict=True)
    return statistics.median(u.requests_per_second / n.requests_per_second for u, n in pairs)


def _target(text: str, found: float, sign: str, wanted: float) -> None:
    met = found >= wanted if sign == ">=" else found <= wanted
    write(f"{text:58}{found:10.2f}{sign:>6}{wanted:5g}  {'met' if met else 'MISSED'}")


def _report_cpu(service: Running, seconds: float) -> None:
    """What a request costs the workers: a figure that other loads of the machine hardly move."""
    one = json.dumps(records(1)[0]).encode()
    write("\nCPU of the workers for one request")
    for name, path, body in (
        ("no-op", "/noop", None),
        ("/predict", "/predict", one),
    ):
        before = service.cpu_seconds()
        found = ask(service.port, path, body=body, connections=CONNECTIONS, seconds=seconds)
        used = service.cpu_seconds() - before
        write(f"{name:18}{used / (found.requests_per_second * seconds) * 1e6:10.0f} microseconds")


if __name__ == "__main__":
    main()
