"""The line to a server, by that server's own kind of URL."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

from tests.e2e.faults.proxy import Proxy

PAUSE_SECONDS = 0.005  # on the way of each packet, where the line is slow
JUNK = b"\x05\x00\x00\x00junk!"  # a packet as MySQL counts its bytes, with nothing of MySQL's in it


class Line(Proxy):
    """A proxy whose garbage begins as an answer of MySQL does."""

    def _answer_wrongly(self, client: socket.socket, mode: str) -> None:
        with suppress(OSError):
            if mode == "garbage":
                client.sendall(JUNK)
        super()._answer_wrongly(client, mode)


@contextmanager
def line_to(url: str) -> Iterator[tuple[Line, str]]:
    """A line to the server of a URL, and the URL by which it goes over that line."""
    parts = urlsplit(url)
    line = Line(str(parts.hostname), parts.port or 0, dawdle_seconds=PAUSE_SECONDS)
    place = parts.netloc.replace(f":{parts.port}", f":{line.port}")
    try:
        yield line, urlunsplit(parts._replace(netloc=place))
    finally:
        line.close()
