"""The line to a server, which may answer what that server never would, or be slow by the packet."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

from tests.e2e.faults.proxy import Proxy

PAUSE_SECONDS = 0.005  # on the way of each packet, where the line is slow
PAGE = b"<html><body>Welcome to nginx!</body></html>"
ANSWERS = {
    # A packet of MySQL's length and no sense, which is no HTTP either.
    "garbage": b"\x05\x00\x00\x00junk!",
    "page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE),
}


class Line(Proxy):
    """Forwards connections; `mode` may also be garbage, or the page of some web server."""

    def _forward(self, client: socket.socket) -> None:
        answer = ANSWERS.get(self._mode)
        if answer is None:
            with suppress(ConnectionRefusedError):
                super()._forward(client)
            return
        with suppress(OSError):
            if self._mode == "page":
                client.recv(65536)
            client.sendall(answer)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._mode == "slow":
                    time.sleep(PAUSE_SECONDS)
                target.sendall(data)
        for sock in (source, target):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to(url: str) -> Iterator[tuple[Line, str]]:
    """A line to the server of a URL, and the URL by which it goes over that line."""
    parts = urlsplit(url)
    line = Line(str(parts.hostname), parts.port or 0)
    place = parts.netloc.replace(f":{parts.port}", f":{line.port}")
    try:
        yield line, urlunsplit(parts._replace(netloc=place))
    finally:
        line.close()
