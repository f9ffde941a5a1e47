"""A TCP proxy in front of a store, that refuses, hangs or dawdles when told to."""

import socket
import threading
import time
from contextlib import suppress

DAWDLE_SECONDS = 1.0


class Proxy:
    """Forwards connections; `mode` is pass, refuse, hang or slow, and may change at any time."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._mode = "pass"
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self._closed = False
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set(self, mode: str) -> None:
        """Change the mode; connections of the old one are cut."""
        self._mode = mode
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
            if self._mode != "hang":
                self._start(self._forward, client)

    def _forward(self, client: socket.socket) -> None:
        with socket.create_connection(self._target) as server:
            back = threading.Thread(target=self._pump, args=(server, client))
            back.start()
            self._pump(client, server)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._mode == "slow":
                    time.sleep(DAWDLE_SECONDS)
                target.sendall(data)
        for sock in (source, target):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
