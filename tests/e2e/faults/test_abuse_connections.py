"""Clients that send half a request, too much, or without end: nobody else waits for them."""

import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from include.store import LocalStore
from tests.webapp.champions import Version, publish, records
from tests.webapp.conftest import GUNICORN, Server, body, loopback_port

pytestmark = pytest.mark.slow

REQUEST_SECONDS = 2.0
PREDICT = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
KEY = b"X-API-Key: k\r\n"
EXPECT = b"Expect: 100-continue\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
MIB_15 = 15 * 2**20


@pytest.fixture(scope="module")
def _locked_server(
    tmp_path_factory: pytest.TempPathFactory, version_1: Version
) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("locked")
    hasty = home / "gunicorn.conf.py"
    ours = Path("webapp/gunicorn.conf.py").resolve().read_text()
    hasty.write_text(f"{ours}\nREQUEST_SECONDS = {REQUEST_SECONDS}\n")
    environment = {"CHURN_API_WORKERS": "1", "CHURN_API_KEYS": "k", "PYTHONPATH": "."}
    environment["CHURN_LOG_LEVEL"] = "DEBUG"
    command = ("gunicorn", "-c", str(hasty), GUNICORN[-1])
    found = Server(loopback_port(), home, environment, command=command)
    publish(LocalStore(found.var_dir / "store"), version_1)
    yield found.start()
    found.stop()


@pytest.fixture
def locked(_locked_server: Server) -> Iterator[Server]:
    """One worker that wants a key and does not wait long; the same worker serves at the end."""
    workers = _locked_server.workers()
    yield _locked_server
    assert _locked_server.workers() == workers


def connect(server: Server, stack: ExitStack, number: int) -> list[socket.socket]:
    address = ("127.0.0.1", server.port)
    return [
        stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(number)
    ]


def seconds_of_others(server: Server, times: int = 30) -> list[float]:
    """How long somebody else waits for each of some answers."""
    found = []
    for _ in range(times):
        answer = server.http.post("/predict", json=records(1)[0], headers={"X-API-Key": "k"})
        assert answer.status_code == 200
        found.append(answer.elapsed.total_seconds())
    return found


def test_clients_that_only_hold_connections_delay_nobody(locked: Server) -> None:
    with ExitStack() as stack:
        for number, data in ((30, PREDICT), (30, PREDICT + KEY + b"Content-Length: 9\r\n\r\n{")):
            for sock in connect(locked, stack, number):
                sock.sendall(data)
        connect(locked, stack, 300)
        assert statistics.median(seconds_of_others(locked)) < 0.2


def test_a_client_that_does_not_take_its_answer_delays_nobody(running: Server) -> None:
    batch = body({"records": records(1) * 5000})
    with ExitStack() as stack:
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", running.port))
            head = PREDICT.replace(b"predict", b"predict_batch")
            sock.sendall(head + b"Content-Length: %d\r\n\r\n" % len(batch) + batch)
        seconds_of_others(running)


def test_bodies_without_a_key_take_no_memory(locked: Server) -> None:
    seconds_of_others(locked)
    process = psutil.Process(locked.workers()[0])
    before, most = process.memory_info().rss, 0
    with ExitStack() as stack:
        clients = connect(locked, stack, 40)
        for sock in clients:
            sock.sendall(PREDICT + EXPECT + b"Content-Length: %d\r\n\r\n" % MIB_15)
        for sock in clients:  # the answer comes before any of the body
            answer = sock.recv(4096)
            assert answer.startswith(b"HTTP/1.1 401") and b"Connection: close" in answer
        for sock in clients:
            with suppress(OSError):  # the server has had enough
                sock.sendall(b" " * MIB_15)
            most = max(most, process.memory_info().rss)
    assert most - before < 50 * 2**20
    assert statistics.median(seconds_of_others(locked)) < 0.2


BYTES = b"1\r\n \r\n" * 10_000


@pytest.mark.parametrize(
    ("head", "unending"),
    [
        (CHUNKED, BYTES),
        (KEY + CHUNKED, BYTES),
        (KEY + b"Content-Length: %d\r\n\r\n" % MIB_15, b" " * 100_000),
    ],
    ids=["chunks of a byte without a key", "with one", "a large body"],
)
def test_two_clients_that_never_stop_do_not_starve_a_third(
    locked: Server, head: bytes, unending: bytes
) -> None:
    with two_clients_that_send(locked, PREDICT + head, unending):
        found = seconds_of_others(locked, 8)
    assert statistics.median(found) < 2 and max(found) < 5  # without turns one waits for minutes


@pytest.mark.parametrize("path", [b"/health", b"/metrics"])
def test_requests_that_come_at_once_are_answered_by_turns(locked: Server, path: bytes) -> None:
    many = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path * 1000
    with two_clients_that_send(locked, b"", many) as received:
        seconds_of_others(locked, 3)
        before = received.count
        seconds_of_others(locked, 12)
        meanwhile = received.count - before
    # Measured: 29 to 43 while one of ours is answered, without turns whole connections of 100.
    assert meanwhile < 12 * 70


@dataclass
class Received:
    """How many answers two clients have got."""

    count: int = 0


@contextmanager
def two_clients_that_send(server: Server, first: bytes, unending: bytes) -> Iterator[Received]:
    """They come again when they are cut off."""
    stopped, received = threading.Event(), Received()

    def send() -> None:
        while not stopped.is_set():
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
                threading.Thread(target=receive, args=(sock,), daemon=True).start()
                with suppress(OSError):
                    sock.sendall(first)
                    while not stopped.is_set():
                        sock.sendall(unending)

    def receive(sock: socket.socket) -> None:
        with suppress(OSError):
            while data := sock.recv(2**16):
                received.count += data.count(b"HTTP/1.1 200")

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.3)
        yield received
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def test_half_a_request_is_not_told_in_detail_either(locked: Server) -> None:
    with ExitStack() as stack:
        for sock in connect(locked, stack, 3):
            sock.sendall(b"GET /customers/708082083 HTTP/1.1\r\nX-API-Key: 708082083\r\n")
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
    assert '"level":"info"' in locked.log and "708082083" not in locked.log


@pytest.mark.parametrize("framing", [b"Content-Length: 99\r\n\r\n{", CHUNKED + b"5\r\n{"])
def test_half_a_body_is_not_waited_for_without_end(locked: Server, framing: bytes) -> None:
    with socket.create_connection(("127.0.0.1", locked.port), timeout=20) as sock:
        started = time.monotonic()
        sock.sendall(PREDICT + KEY + framing)
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 400") and b"TimeoutError" in answer
        assert REQUEST_SECONDS - 0.1 < time.monotonic() - started < REQUEST_SECONDS + 5


def test_a_client_that_asks_much_comes_to_another_worker_at_times(running: Server) -> None:
    with httpx.Client(base_url=running.url, verify=False) as client:
        ends = [client.get("/health").headers["Connection"] for _ in range(101)]
    assert ends == ["keep-alive"] * 99 + ["close"] + ["keep-alive"]
