"""How fast the API is, as ratios within one run: `make bench-api`.

Measured: a route of the same app and server that does nothing; /predict with logging and metrics
on, its log going to an S3 server; the same application under granian; and the reference way of
working (peer.py), with and without its S3 PUT. All take turns for some rounds, so that another load
of the machine meets all of them, and the median of the rounds' ratios is told. Then the latency at
half of the rate that was reached, alone and beside clients that only hold connections.

`--class gthread` adds another of gunicorn's workers, `--checkout DIR` this service as another
checkout has it, `--mlflow` MLflow's own scoring server.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from include.contract import load_contract
from tests.bench import servers
from tests.bench.loader import Measured, ask, ask_at, bad_clients, write
from tests.bench.servers import Running
from tests.conftest import AWS_DUMMY
from tests.webapp.champions import Version, make_version, publish, records

CONNECTIONS, BATCH_CONNECTIONS, BATCH_ROWS = 16, 4, 1000
TREES, TRAINING_ROWS = 500, 8000

Rounds = dict[str, list[Measured]]


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--class", action="append", default=[], dest="classes")
    parser.add_argument("--checkout", type=Path)
    parser.add_argument("--mlflow", action="store_true")
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
        ours = _ours(stack, Path(home), aws, arguments)
        logging = {**aws, "PEER_BUCKET": store.bucket}
        theirs = _theirs(stack, Path(home, "model"), (aws, logging), version, arguments)
        rounds = _measure(ours, theirs, arguments)
        _report(rounds, ours["/predict"], theirs["peer"])
        _report_latency(rounds, ours, arguments)
        _report_cpu(ours["/predict"], arguments.seconds)


def _ours(
    stack: ExitStack, home: Path, environment: dict[str, str], arguments: argparse.Namespace
) -> dict[str, Running]:
    """The service under each server, by the name of its row."""
    workers = arguments.workers
    found = {
        "/predict": servers.api(home / "var", workers, environment),
        "granian": servers.granian(home / "granian", workers, environment),
    }
    for name in arguments.classes:
        found[name] = servers.api(home / name, workers, environment, "-k", name, "--threads", "4")
    if arguments.checkout:
        found["checkout"] = servers.api(
            home / "checkout", workers, environment, checkout=arguments.checkout
        )
    return {name: stack.enter_context(server) for name, server in found.items()}


def _theirs(
    stack: ExitStack,
    model: Path,
    environments: tuple[dict[str, str], dict[str, str]],
    version: Version,
    arguments: argparse.Namespace,
) -> dict[str, Running]:
    """The reference way of working, without and with its PUT, and perhaps MLflow's server."""
    found = {
        name: servers.peer(model, version, arguments.workers, environment)
        for name, environment in zip(("peer", "peer with PUT"), environments, strict=True)
    }
    if arguments.mlflow:
        found["mlflow"] = servers.mlflow_serve(model, arguments.workers)
    return {name: stack.enter_context(server) for name, server in found.items()}


def _measure(
    ours: dict[str, Running], theirs: dict[str, Running], arguments: argparse.Namespace
) -> Rounds:
    one = json.dumps(records(1)[0]).encode()
    batch = json.dumps({"records": records(BATCH_ROWS)}).encode()
    subjects: dict[str, Callable[[], Measured]] = {}

    def add(name: str, server: Running, path: str, body: bytes | None, connections: int) -> None:
        subjects[name] = lambda: ask(
            server.port, path, body=body, connections=connections, seconds=arguments.seconds
        )

    add("no-op", ours["/predict"], "/noop", None, CONNECTIONS)
    for name, server in {**ours, **theirs}.items():
        if name == "mlflow":
            add(name, server, "/invocations", _invocation(), CONNECTIONS)
        else:
            add(name, server, "/predict", one, CONNECTIONS)
    add("/predict_batch", ours["/predict"], "/predict_batch", batch, BATCH_CONNECTIONS)
    add("peer's batch", theirs["peer"], "/predict_batch", batch, BATCH_CONNECTIONS)
    rounds: Rounds = {name: [] for name in subjects}
    for _ in range(arguments.rounds):
        for name, measure in subjects.items():
            rounds[name].append(measure())
    return rounds


def _invocation() -> bytes:
    """One record as MLflow's server takes it: the graph's input, a matrix."""
    contract = load_contract()
    row = [contract.column(n).number(records(1)[0][n]) for n in contract.feature_names]
    return json.dumps({"inputs": [row]}).encode()


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


def _report_latency(
    rounds: Rounds, ours: dict[str, Running], arguments: argparse.Namespace
) -> None:
    """p50 and p99 where a service should run: at half of the rate that it can reach."""
    one = json.dumps(records(1)[0]).encode()
    for name, server in ours.items():
        rate = statistics.median(m.requests_per_second for m in rounds[name]) / 2

        def paced(server: Running = server, rate: float = rate) -> Measured:
            return ask_at(rate, server.port, "/predict", body=one, seconds=arguments.seconds)

        alone = [paced() for _ in range(arguments.rounds)]
        write(f"\n{name}: {rate:.0f} requests/s, {server.resident_mib():.0f} MiB a worker")
        _line("alone", alone)
        if name == "granian":  # a half body with a key stops a worker of it for good
            continue
        with bad_clients(server.port):
            beside = [paced() for _ in range(arguments.rounds)]
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
