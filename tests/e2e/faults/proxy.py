"""A TCP proxy in front of what a component depends on, that fails in each way when told to."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

DAWDLE_SECONDS = 1.0
SLOW_LINE_SECONDS = 0.005  # on the way of each packet
# First a packet as MySQL counts its bytes, with nothing of MySQL's in it.
NOISE = b"\x05\x00\x00\x00junk!" + bytes(range(256)) * 4
FOREIGN = b"<!doctype html><title>Welcome to the guest network</title>"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s"
TORN_BYTES = 1500  # of an answer, before the connection ends


class Proxy:
    """Forwards connections; `mode` is pass or a fault of matrix.py, and may change at any time."""

    def __init__(self, host: str, port: int, *, dawdle_seconds: float = DAWDLE_SECONDS) -> None:
        self._target = (host, port)
        self._dawdle_seconds = dawdle_seconds
        self._mode = "pass"
        self._changed = threading.Event()
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(0.1)
        self._closed = False
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set(self, mode: str) -> None:
        """Change the mode; connections of the old one are cut, or hang with what begins to hang."""
        self._mode = mode
        self._changed.set()
        self._changed = threading.Event()
        if mode == "hang":
            return
        for sock in self._clients:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed = True
        self.set("refuse")
        for thread in self._threads:
            thread.join(10)
        for sock in [self._listener, *self._clients]:
            sock.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            if self._mode == "refuse":
                # A reset, as from a port that nobody listens on.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
                continue
            self._clients.append(client)
            if self._mode in {"garbage", "page"}:
                self._start(self._answer_wrongly, client, self._mode)
            elif self._mode != "hang":
                self._start(self._forward, client)

    def _answer_wrongly(self, client: socket.socket, mode: str) -> None:
        """Noise at once, as a server that speaks first may; a page to whoever asked something."""
        with suppress(OSError):
            if mode == "garbage":
                client.sendall(NOISE)
            while client.recv(65536) and mode == "page":
                client.sendall(PAGE % (len(FOREIGN), FOREIGN))
            client.shutdown(socket.SHUT_RDWR)

    def _forward(self, client: socket.socket) -> None:
        with suppress(OSError), socket.create_connection(self._target) as server:
            back = threading.Thread(target=self._pump, args=(server, client, True))
            back.start()
            self._pump(client, server)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                changed = self._changed
                if self._mode == "hang":
                    changed.wait()
                    break
                if self._mode == "slow":
                    time.sleep(self._dawdle_seconds)
                if self._mode == "torn" and answers and len(data) > TORN_BYTES:
                    target.sendall(data[:TORN_BYTES])
                    break
                target.sendall(data)
        for sock in (source, target):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to(url: str) -> Iterator[tuple[Proxy, str]]:
    """A line to the server of a URL, and the URL by which it goes over that line."""
    parts = urlsplit(url)
    line = Proxy(str(parts.hostname), parts.port or 0, dawdle_seconds=SLOW_LINE_SECONDS)
    place = parts.netloc.replace(f":{parts.port}", f":{line.port}")
    try:
        yield line, urlunsplit(parts._replace(netloc=place))
    finally:
        line.close()
