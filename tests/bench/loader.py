"""Asks a server as fast as it answers, or at a fixed rate, and measures.

One process of Python, which takes more of the machine than a client in C: ratios to slow servers
come out lower with it.
"""

import re
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Self

PACED_CONNECTIONS = 16


@dataclass(frozen=True)
class Measured:
    """What one run found; latencies in seconds."""

    requests_per_second: float
    p50: float
    p99: float
    failed: int


def ask_at(rate: float, port: int, path: str, *, body: bytes, seconds: float) -> Measured:
    """Ask so many times a second, whether or not answers come: each waits from when it was due.

    What has not come when twice that time is over has failed.
    """
    with _Clients(port, path, body) as clients:
        idle, wanted, sent = deque(clients.connect(PACED_CONNECTIONS)), int(rate * seconds), 0
        due_of, taken, begun = dict[int, float](), list[float](), time.perf_counter()
        while len(taken) < wanted and time.perf_counter() < begun + 2 * seconds:
            due = begun + sent / rate
            if idle and sent < wanted and due <= time.perf_counter():
                due_of[clients.ask(idle.popleft())] = due
                sent += 1
                continue
            wait = due - time.perf_counter() if idle and sent < wanted else 0.1
            for client, place in clients.answered(max(0, wait)):
                taken.append(time.perf_counter() - due_of[place])
                idle.append(client)
    return _measured(taken, seconds, clients.failed + wanted - len(taken))


class _Clients:
    """Connections that ask the same again and again, each anew when the server ends it."""

    def __init__(self, port: int, path: str, body: bytes | None) -> None:
        self.failed = 0
        self._port, self._request = port, _request(path, body)
        self._selector = selectors.DefaultSelector()
        self._inbox: dict[socket.socket, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._inbox:
            client.close()
        self._selector.close()

    def connect(self, clients: int) -> list[socket.socket]:
        """So many new clients, one after the other: none comes in the same millisecond."""
        found = []
        for _ in range(clients):
            time.sleep(0.005)
            found.append(self._connect())
        return found

    def _connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self._port), timeout=20)
        self._selector.register(client, selectors.EVENT_READ)
        self._inbox[client] = b""
        return client

    def ask(self, client: socket.socket) -> int:
        """Send the request; returns what names it."""
        client.sendall(self._request)
        return client.fileno()

    def answered(self, seconds: float) -> Iterator[tuple[socket.socket, int]]:
        """Each client that has an answer and may ask again, with what named its request."""
        for key, _ in self._selector.select(seconds):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            self._inbox[client] += client.recv(2**20)
            head, whole = _head_if_whole(self._inbox[client])
            if not whole:
                continue
            self._inbox[client] = b""
            self.failed += not head.startswith(b"HTTP/1.1 200")
            if b"connection: close" in head.lower():
                self._selector.unregister(client)
                del self._inbox[client]
                client.close()
                client = self._connect()
            yield client, key.fd


@contextmanager
def bad_clients(port: int) -> Iterator[None]:
    """Clients that hold connections: half-sent heads, half-sent bodies, and silent ones."""
    half = _request("/predict", b" " * 500)[:-250]
    with ExitStack() as stack:
        for number, data in ((30, half[:40]), (30, half), (300, b"")):
            for _ in range(number):
                sock = socket.create_connection(("127.0.0.1", port), timeout=10)
                stack.enter_context(sock).sendall(data)
        yield


def _request(path: str, body: bytes | None) -> bytes:
    verb = "GET" if body is None else "POST"
    head = f"{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body or b'')}\r\n\r\n".encode() + (body or b"")


def _measured(taken: list[float], elapsed: float, failed: int) -> Measured:
    taken = sorted(taken) or [float("inf")]
    return Measured(
        len(taken) / elapsed, taken[len(taken) // 2], taken[len(taken) * 99 // 100], failed
    )


def ask(port: int, path: str, *, body: bytes | None, connections: int, seconds: float) -> Measured:
    """Ask one path for so many seconds."""
    with _Clients(port, path, body) as clients:
        started, taken = dict[int, float](), list[float]()
        for client in clients.connect(connections):
            started[clients.ask(client)] = time.perf_counter()
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            for client, place in clients.answered(1):
                now = time.perf_counter()
                taken.append(now - started[place])
                started[clients.ask(client)] = now
        return _measured(taken, time.perf_counter() - begun, clients.failed)


def _head_if_whole(data: bytes) -> tuple[bytes, bool]:
    head, separator, rest = data.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return head, bool(separator and found and len(rest) >= int(found[1]))


def write(line: str = "") -> None:
    """One line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
