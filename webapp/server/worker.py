"""The gunicorn worker of the API: one thread that serves whole requests, one after the other.

A request is computed in a tenth of a millisecond, so that threads or greenlets cost more than
they bring: they pass the interpreter's lock around (tests/bench/README.md has the figures). What
takes long is not computing but waiting, for slow clients, and that is left to the kernel: a
request is handed to the application when all of its bytes are here, and an answer that a client
is slow to take waits in a buffer. Requests that do compute for long go to a thread beside.

It lacks what the API does not need: TLS, HTTP/2, streaming, gunicorn's request hooks and access
log.
"""

import errno
import io
import logging
import os
import selectors
import socket
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import (
    InvalidRequestLine,
    NoMoreData,
)
from gunicorn.http.parser import RequestParser
from gunicorn.workers.base import Worker

from webapp.server.connection_shares import ConnectionShare
from webapp.server.framing import Frame
from webapp.server.refusals import refusal

logger = logging.getLogger(__name__)

RECEIVE_BYTES = 256 * 1024
REQUEST_SECONDS = 60.0  # for all bytes of a request, and for taking an answer
TICK_SECONDS = 1.0
LONG_BYTES = 32 * 1024  # a larger request computes for milliseconds: not in the way of the others
LONG_PATHS = (b"POST /explain", b"GET /metrics", b"GET /docs", b"GET /openapi.json")
THREADS = 2
LINGER_SECONDS = 2.0  # for a client to read an answer that came before it had sent everything
QUIET = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EINTR}
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
UNLIMITED = 2**40
YIELD_SECONDS = 0.002  # that a new client waits for a worker with fewer clients
WARN_AGAIN_SECONDS = 60.0


class Outbox:
    """Stands for the socket while gunicorn writes an answer, so that it leaves in one piece."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        """Keep a part of the answer."""
        self.parts.append(data)

    def send(self, data: bytes) -> int:
        """Drop an interim answer: the worker has sent 100 Continue when it was due."""
        return len(data)


class Connection:
    """One client."""

    __slots__ = (
        "address",
        "busy",
        "deadline",
        "frame",
        "inbox",
        "leaving",
        "outbox",
        "sock",
        "watched",
    )

    def __init__(self, sock: socket.socket, address: Any, deadline: float) -> None:
        self.sock = sock
        self.address = address
        self.deadline = deadline
        self.inbox = bytearray()
        self.outbox = memoryview(b"")
        self.frame = Frame()
        self.busy = False  # its request is with a thread
        self.leaving = False  # hang up once the outbox is empty
        self.watched = 0


class WholeRequestWorker(Worker):  # type: ignore[misc]
    """Serves requests that have arrived completely."""

    alive: bool
    connection_share: ConnectionShare | None = None  # given by the master

    def init_process(self) -> None:
        """Prepare what must not be shared with the master, then serve."""
        self._selector = selectors.DefaultSelector()
        self._connections: set[Connection] = set()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="long")
        self._done: deque[tuple[Connection, bytes, bool]] = deque()
        self._now = time.monotonic()
        self._paused_until = 0.0  # new clients are left to the other workers
        self._full = False  # they are because there is no place for them
        self._warned_at = -WARN_AGAIN_SECONDS
        super().init_process()

    def run(self) -> None:
        """Serve until told to stop, then finish what has begun."""
        self._max_body = getattr(self.wsgi, "config", {}).get("MAX_CONTENT_LENGTH") or UNLIMITED
        self._server = self.sockets[0].getsockname()
        self._selector.register(self.PIPE[0], READ)
        for listener in self.sockets:
            listener.setblocking(False)
        self._open()
        self._publish_count()
        ticked = 0.0
        while self.alive:
            self._serve(TICK_SECONDS)
            if self._now - ticked >= TICK_SECONDS:
                ticked = self._now
                self.notify()
                self._hang_up_on_the_slow()
                if self.ppid != os.getppid():
                    self.log.info("Parent changed, shutting down: %s", self)
                    break
        self._finish()

    def _serve(self, seconds: float) -> None:
        """Wait for something to do, and do it."""
        if self._paused_until:
            seconds = min(seconds, max(self._paused_until - time.monotonic(), 0))
        events = self._selector.select(seconds)
        self._now = time.monotonic()
        if 0 < self._paused_until <= self._now:
            self._open()
            for listener in self.sockets:  # perhaps nobody else took the client
                self._accept(listener)
        for key, _ in events:
            if key.data is None:
                os.read(key.fd, 4096)
            elif isinstance(key.data, Connection):
                self._on_ready(key.data)
            else:
                key.data(key.fileobj)
        while self._done:
            connection, answer, keep = self._done.popleft()
            connection.busy = False
            self._reply(connection, answer, keep=keep)
            self._advance(connection)

    def _finish(self) -> None:
        """Take no more clients, answer the requests that are here, and leave."""
        if not self._paused_until:
            self._shut()
        self._paused_until, self._full = 0.0, False
        for listener in self.sockets:
            listener.close()
        if self.connection_share:
            self.connection_share.leave()
            self.connection_share = None
        deadline = time.monotonic() + self.cfg.graceful_timeout
        self._serve(0)  # what arrived while the last request was computed
        while self._unfinished() and time.monotonic() < deadline:
            self.notify()
            self._serve(0.1)
        for connection in list(self._connections):
            self._hang_up(connection)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._selector.close()

    def _unfinished(self) -> bool:
        return any(c.busy or c.outbox or c.inbox for c in self._connections)

    def _hang_up_on_the_slow(self) -> None:
        for connection in list(self._connections):
            if connection.deadline < self._now and not connection.busy:
                self._hang_up(connection)

    def _open(self) -> None:
        self._paused_until, self._full = 0.0, False
        for listener in self.sockets:
            self._selector.register(listener, READ, self._accept_or_yield)

    def _shut(self) -> None:
        for listener in self.sockets:
            self._selector.unregister(listener)

    def _pause_accepting(self) -> None:
        """Take no clients until one has left, or for a moment.

        While a client waits that nobody takes, the selector never does.
        """
        if not self._paused_until:
            self._shut()
        self._paused_until, self._full = self._now + TICK_SECONDS, True

    def _publish_count(self) -> None:
        if self.connection_share:
            self.connection_share.publish(len(self._connections))

    def _accept_or_yield(self, listener: socket.socket) -> None:
        """Take a new client, unless another worker has fewer and takes it within moments."""
        share = self.connection_share
        if not self._paused_until and share and share.above_another():
            self._shut()
            self._paused_until = self._now + YIELD_SECONDS
        elif not self._paused_until:
            self._accept(listener)

    def _accept(self, listener: socket.socket) -> None:
        if len(self._connections) >= self.cfg.worker_connections:
            self._pause_accepting()
            return
        try:
            sock, address = listener.accept()
        except OSError as error:
            self._survive_accept_error(error)
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(sock, address, self._now + self.cfg.keepalive)
        self._connections.add(connection)
        self._publish_count()
        self._watch(connection, READ)
        # Mostly the request is here already.
        self._receive(connection)

    def _survive_accept_error(self, error: OSError) -> None:
        """What keeps one client out must not cost all the others their worker."""
        if error.errno in EXHAUSTED:
            self._pause_accepting()
            if self._now - self._warned_at >= WARN_AGAIN_SECONDS:
                self._warned_at = self._now
                logger.warning(
                    "new clients wait, for no file descriptor is left: raise the limit of open "
                    "files (ulimit -n), or lower worker_connections: %s",
                    error.strerror,
                )
        elif error.errno not in QUIET:
            raise error

    def _on_ready(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        if connection.outbox:
            self._send(connection)
            self._advance(connection)
        else:
            self._receive(connection)

    def _receive(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up(connection)
        elif not connection.leaving:
            if not connection.inbox:
                connection.deadline = self._now + REQUEST_SECONDS
            connection.inbox += data
            self._advance(connection)

    def _advance(self, connection: Connection) -> None:
        """Answer the requests that have arrived completely, in their order."""
        while connection.inbox and not (connection.busy or connection.outbox or connection.leaving):
            frame = connection.frame
            if not frame.complete(connection.inbox, max_body=self._max_body):
                self._send_continue(connection)
                return
            data = bytes(memoryview(connection.inbox)[: frame.size])
            del connection.inbox[: frame.size]
            connection.frame = Frame()
            if len(data) > LONG_BYTES or data.startswith(LONG_PATHS):
                connection.busy = True
                self._watch(connection, 0)
                self._pool.submit(self._answer_beside, connection, data, frame)
                return
            answer, keep = self._answer(connection.address, data, frame)
            self._reply(connection, answer, keep=keep)

    def _send_continue(self, connection: Connection) -> None:
        if connection.frame.expects:
            connection.frame.expects = False
            self._reply(connection, b"HTTP/1.1 100 Continue\r\n\r\n", keep=True)

    def _answer_beside(self, connection: Connection, data: bytes, frame: Frame) -> None:
        answer, keep = self._answer(connection.address, data, frame)
        self._done.append((connection, answer, keep))
        os.write(self.PIPE[1], b".")

    def _answer(self, address: Any, data: bytes, frame: Frame) -> tuple[bytes, bool]:
        """The application's answer to one request, and whether the client may send another."""
        outbox = Outbox()
        request = None
        try:
            request = next(RequestParser(self.cfg, iter((data[: frame.head],)), address))
            if frame.broken:
                raise InvalidRequestLine("chunked body")
            keep = self._run_application(request, outbox, address, data, frame)
        except (StopIteration, NoMoreData):
            return b"", False
        except Exception as error:  # as every gunicorn worker does: one request must not end all
            return refusal(error), False
        return b"".join(outbox.parts), keep

    def _run_application(
        self, request: Any, outbox: Outbox, address: Any, data: bytes, frame: Frame
    ) -> bool:
        response, environ = wsgi.create(request, outbox, address, self._server, self.cfg)
        # All of it is here; gunicorn's own reader hands it out in pieces of 1 KiB.
        environ["wsgi.input"] = io.BytesIO(frame.body(data))
        if frame.chunked:
            environ.pop("HTTP_TRANSFER_ENCODING", None)
            environ["CONTENT_LENGTH"] = str(frame.body_size)
        self.nr += 1
        if self.nr >= self.max_requests:
            self.alive = False
        if frame.cut or not self.alive or not self.cfg.keepalive:
            response.force_close()
        parts = self.wsgi(environ, response.start_response)
        try:
            for part in parts:
                response.write(part)
            response.close()
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return not response.should_close()

    def _reply(self, connection: Connection, answer: bytes, *, keep: bool) -> None:
        connection.outbox = memoryview(answer)
        connection.leaving = not keep
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        try:
            if connection.outbox:
                sent = connection.sock.send(connection.outbox)
                connection.outbox = connection.outbox[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up(connection)
            return
        if connection.outbox:
            connection.deadline = self._now + REQUEST_SECONDS
            self._watch(connection, WRITE)
        elif connection.leaving:
            self._linger(connection)
        else:
            connection.deadline = self._now + self.cfg.keepalive
            self._watch(connection, READ)

    def _linger(self, connection: Connection) -> None:
        """Say that no more comes; closing could take the answer from a client that still sends."""
        connection.deadline = self._now + LINGER_SECONDS
        self._watch(connection, READ)
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._hang_up(connection)

    def _watch(self, connection: Connection, events: int) -> None:
        if connection.watched == events:
            return
        if not connection.watched:
            self._selector.register(connection.sock, events, connection)
        elif not events:
            self._selector.unregister(connection.sock)
        else:
            self._selector.modify(connection.sock, events, connection)
        connection.watched = events

    def _hang_up(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._watch(connection, 0)
        self._connections.discard(connection)
        self._publish_count()
        util.close(connection.sock)
        if self._full:
            self._paused_until = self._now  # there is a place again
