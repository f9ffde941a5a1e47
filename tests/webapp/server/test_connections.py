"""Clients beside clients: shared out to the workers, slow, too many."""

import os
import signal
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from include.store import LocalStore
from tests.webapp.champions import Version, publish, records
from tests.webapp.conftest import Server, body, loopback_port

WORKER_CONNECTIONS = 6


def test_clients_that_come_at_once_are_shared_out(running: Server) -> None:
    def both_serve() -> bool:
        with clients(running, 2) as shared:
            return shared == [1, 1]

    running.until(both_serve)
    with clients(running, 16) as shared:
        assert sum(shared) == 16 and max(shared) <= 10
    os.kill(running.workers()[0], signal.SIGKILL)
    running.until(both_serve)


@contextmanager
def clients(server: Server, number: int) -> Iterator[list[int]]:
    """So many idle clients; how many each worker has."""
    with ExitStack() as stack:
        connect(server, stack, number)
        deadline = time.monotonic() + 2
        found = _clients_of(server)
        while sum(found) < number and time.monotonic() < deadline:
            time.sleep(0.05)
            found = _clients_of(server)
        yield found


def connect(server: Server, stack: ExitStack, number: int) -> list[socket.socket]:
    address = ("127.0.0.1", server.port)
    return [
        stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(number)
    ]


def _clients_of(server: Server) -> list[int]:
    return [_clients_at(worker, server.port) for worker in server.workers()]


def _clients_at(worker: int, port: int) -> int:
    try:
        connections = psutil.Process(worker).net_connections("tcp")
    except psutil.NoSuchProcess:  # killed a moment ago, and not yet off the master's list
        return 0
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port for each in connections
    )


def test_slow_clients_delay_nobody(running: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
    seconds = []
    with ExitStack() as stack:
        slow = connect(running, stack, 20)
        for place in range(len(head)):
            for sock in slow:
                sock.sendall(head[place : place + 1])
            answer = running.http.post("/predict", json=records(1)[0])
            assert answer.status_code == 200
            seconds.append(answer.elapsed.total_seconds())
    assert statistics.quantiles(seconds, n=20)[-1] < 1.0  # other processes may hold up a few


def test_a_client_that_does_not_take_its_answer_delays_nobody(running: Server) -> None:
    batch = body({"records": records(1) * 5000})
    head = b"POST /predict_batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(batch)
    with ExitStack() as stack:
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", running.port))
            sock.sendall(head + batch)
        for _ in range(50):
            assert running.http.post("/predict", json=records(1)[0]).status_code == 200


@pytest.fixture(scope="module")
def _small_server(tmp_path_factory: pytest.TempPathFactory, version_1: Version) -> Iterator[Server]:
    environment = {
        "CHURN_API_WORKERS": "1",
        "GUNICORN_CMD_ARGS": f"--worker-connections={WORKER_CONNECTIONS}",
    }
    found = Server(loopback_port(), tmp_path_factory.mktemp("small"), environment)
    publish(LocalStore(found.var_dir / "store"), version_1)
    yield found
    found.stop()


@pytest.fixture
def small(_small_server: Server) -> Server:
    """One worker, with room for a few clients."""
    if _small_server.process is None:
        _small_server.start()
    return _small_server


def health(client: socket.socket) -> bytes:
    client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    return client.recv(4096)[:15]


def test_a_full_worker_idles_until_a_client_leaves(small: Server) -> None:
    worker = psutil.Process(small.workers()[0])
    with ExitStack() as stack:
        first, *others = connect(small, stack, WORKER_CONNECTIONS)
        assert health(first) == b"HTTP/1.1 200 OK"
        (late,) = connect(small, stack, 1)
        time.sleep(0.2)
        before = worker.cpu_times()
        time.sleep(1.5)
        after = worker.cpu_times()
        assert after.user + after.system - before.user - before.system < 0.5
        others[0].close()
        assert health(late) == b"HTTP/1.1 200 OK"


def test_a_worker_without_file_descriptors_lives_on(small: Server) -> None:
    worker = psutil.Process(small.workers()[0])
    warned = small.log.count("no file descriptor is left")
    with ExitStack() as stack:
        (first,) = connect(small, stack, 1)
        assert health(first) == b"HTTP/1.1 200 OK"
        allowed = worker.rlimit(psutil.RLIMIT_NOFILE)
        worker.rlimit(psutil.RLIMIT_NOFILE, (3, allowed[1]))
        (late,) = connect(small, stack, 1)
        small.until(lambda: small.log.count("no file descriptor is left") > warned)
        assert health(first) == b"HTTP/1.1 200 OK"
        worker.rlimit(psutil.RLIMIT_NOFILE, allowed)
        assert health(late) == b"HTTP/1.1 200 OK"
    assert small.workers() == [worker.pid]
    assert small.log.count("no file descriptor is left") == warned + 1


def test_a_full_worker_still_stops_gently(small: Server) -> None:
    before = len(small.log)
    with ExitStack() as stack:
        too_many = connect(small, stack, WORKER_CONNECTIONS + 2)
        assert health(too_many[0]) == b"HTTP/1.1 200 OK"
        started = time.monotonic()
        small.stop()
        assert time.monotonic() - started < 10
    assert '"level":"error"' not in small.log[before:]
