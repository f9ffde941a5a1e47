"""How fast the API is, as ratios within one run: `make bench-api`.

Measured: a route of the same app and server that does nothing; /predict with logging and metrics
on, its log going to an S3 server; and the reference way of working (peer.py), with and without its
S3 PUT. All take turns for some rounds, so that another load of the machine meets all of them, and
the median of the rounds' ratios is told. `--workers-compared` adds gunicorn's worker classes.
"""

import argparse
import importlib.metadata
import json
import re
import socket
import statistics
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from include.store import LocalStore, S3Store
from tests.bench.loader import Measured, ask, client_name, write
from tests.bench.servers import AWS, Running, _client, api, peer, s3_server, save_mlflow_model
from tests.webapp.champions import Version, make_version, publish, records

CONNECTIONS, BATCH_CONNECTIONS, BATCH_ROWS = 16, 4, 1000
TREES, TRAINING_ROWS = 500, 8000
WORKER_CLASSES = {
    "ours": (),
    "sync": ("-k", "sync"),
    "gthread": ("-k", "gthread", "--threads", "4"),
    "gevent": ("-k", "gevent"),
}
SLOW_CLIENTS = 2

Rounds = dict[str, list[Measured]]


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--workers-compared", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="churn-bench-") as home, s3_server() as url:
        version = make_version("1", trees=TREES, rows=TRAINING_ROWS)
        publish(S3Store(_client(url), "bench", "ours"), version)  # type: ignore[arg-type]
        save_mlflow_model(version, Path(home, "model"))
        write(f"{arguments.workers} worker processes on each side; asked by {client_name()}")
        _compare(Path(home), url, version, arguments)
        if arguments.workers_compared:
            publish(LocalStore(Path(home, "classes", "store")), version)
            _compare_worker_classes(Path(home, "classes"), arguments)
    write(f"Python packages of the web image: {packages_mb('webapp/requirements.txt'):.0f} MB")


def _compare(home: Path, url: str, version: Version, arguments: argparse.Namespace) -> None:
    aws = {**AWS, "AWS_ENDPOINT_URL": url}
    ours = {**aws, "CHURN_STORE_URI": "s3://bench/ours"}
    with ExitStack() as stack:
        service = stack.enter_context(api(home / "var", arguments.workers, ours))
        plain = stack.enter_context(peer(home / "model", version, arguments.workers, aws))
        logging = {**aws, "PEER_BUCKET": "bench"}
        putting = stack.enter_context(peer(home / "model", version, arguments.workers, logging))
        one = json.dumps(records(1)[0]).encode()
        batch = json.dumps({"records": records(BATCH_ROWS)}).encode()
        subjects: dict[str, Callable[[], Measured]] = {}
        for name, server, path, body, connections in (
            ("no-op", service, "/noop", None, CONNECTIONS),
            ("/predict", service, "/predict", one, CONNECTIONS),
            ("peer", plain, "/predict", one, CONNECTIONS),
            ("peer with PUT", putting, "/predict", one, CONNECTIONS),
            ("/predict_batch", service, "/predict_batch", batch, BATCH_CONNECTIONS),
            ("peer's batch", plain, "/predict_batch", batch, BATCH_CONNECTIONS),
        ):
            subjects[name] = _asker(server, path, body, connections, arguments.seconds)
        rounds: Rounds = {name: [] for name in subjects}
        for _ in range(arguments.rounds):
            for name, measure in subjects.items():
                rounds[name].append(measure())
        _report(rounds, service, plain)
        _report_cpu(service, one, batch, arguments.seconds)


def _asker(
    server: Running, path: str, body: bytes | None, connections: int, seconds: float
) -> Callable[[], Measured]:
    return lambda: ask(server.port, path, body=body, connections=connections, seconds=seconds)


def _report(rounds: Rounds, service: Running, plain: Running) -> None:
    write(f"\n{'':18}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'p99/p50':>10}{'failed':>8}")
    for name, found in rounds.items():
        _line(name, found)
    write(f"\n{'target':58}{'found':>10}{'wanted':>10}")
    for text, upper, lower, wanted in (
        ("/predict to the no-op route, 16 connections", "/predict", "no-op", 0.45),
        ("/predict to the peer without PUT", "/predict", "peer", 5),
        ("/predict to the peer with PUT", "/predict", "peer with PUT", 25),
        ("/predict_batch of 1,000 to the peer's", "/predict_batch", "peer's batch", 3),
    ):
        _target(text, _ratio(rounds, upper, lower), ">=", wanted)
    spread = statistics.median(m.p99 / (m.p50 or 1) for m in rounds["/predict"])
    _target("p99 to p50 of /predict", spread, "<=", 4)
    _target("start to ready, seconds", service.ready_seconds, "<=", 2)
    _target("resident memory of a worker, MiB", service.resident_mib(), "<=", 160)
    write(f"the peer: start {plain.ready_seconds:.1f} s, {plain.resident_mib():.0f} MiB a worker")


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


def _report_cpu(service: Running, one: bytes, batch: bytes, seconds: float) -> None:
    """What a request costs the workers: a figure that other loads of the machine hardly move."""
    write("\nCPU of the workers for one request")
    for name, path, body in (
        ("no-op", "/noop", None),
        ("/predict", "/predict", one),
        ("/predict_batch", "/predict_batch", batch),
    ):
        before = service.cpu_seconds()
        found = ask(service.port, path, body=body, connections=CONNECTIONS, seconds=seconds)
        used = service.cpu_seconds() - before
        write(f"{name:18}{used / (found.requests_per_second * seconds) * 1e6:10.0f} microseconds")


def _compare_worker_classes(home: Path, arguments: argparse.Namespace) -> None:
    one = json.dumps(records(1)[0]).encode()
    write(f"\n{'worker class':18}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'p99/p50':>10}")
    for name, options in WORKER_CLASSES.items():
        with api(home, arguments.workers, {}, *options) as server:
            for path, body in (("/noop", None), ("/predict", one)):
                measure = _asker(server, path, body, CONNECTIONS, arguments.seconds)
                _line(f"{name} {path}", [measure() for _ in range(arguments.rounds)])
            with _slow_clients(server.port):
                _line(f"{name} + 2 slow", [measure() for _ in range(arguments.rounds)])


@contextmanager
def _slow_clients(port: int) -> Iterator[None]:
    """Clients that send their body a byte a second."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 500\r\n\r\n"
    stop = threading.Event()

    def dawdle() -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(head)
            while not stop.wait(1):
                sock.sendall(b" ")

    threads = [threading.Thread(target=dawdle) for _ in range(SLOW_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def packages_mb(requirements: str) -> float:
    """The installed size of the packages in a requirements file, with all that they need."""
    names = re.findall(r"^([A-Za-z0-9-]+)", Path(requirements).read_text(), re.MULTILINE)
    todo, sizes = list(names), dict[str, int]()
    while todo:
        name = todo.pop().lower().replace("_", "-")
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system
        if name not in sizes:
            files = [found.locate_file(file) for file in found.files or []]
            sizes[name] = sum(Path(str(f)).stat().st_size for f in files if Path(str(f)).exists())
            needed = [r for r in found.requires or [] if "extra ==" not in r]
            todo += [m[0] for r in needed if (m := re.match(r"[A-Za-z0-9._-]+", r))]
    return sum(sizes.values()) / 1e6


if __name__ == "__main__":
    main()
