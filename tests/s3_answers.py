"""An HTTP server that gives the answers of S3 that no test server of S3 can be brought to give."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A status, and S3's error code where it is an error."""

    status: int
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def content(self) -> bytes:
        if self.body is not None:
            return self.body
        if not self.code:
            return b"data"
        inner = f"<Code>{self.code}</Code><Message>told so</Message>"
        return f"<?xml version='1.0'?><Error>{inner}</Error>".encode()


@dataclass
class AnsweringServer:
    """Where it is, and the methods that it was asked."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def answering(
    *answers: Answer, certificate: tuple[Path, Path] | None = None
) -> Iterator[AnsweringServer]:
    """A server that gives these answers in their order, the last one for ever."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            found.asked.append(self.command)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = left.pop(0) if len(left) > 1 else left[0]
            body = answer.content() if self.command != "HEAD" else b""
            self.send_response_only(answer.status)
            for name, value in {"ETag": '"1"', **answer.headers}.items():
                if value:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = do_DELETE = answer

        def handle(self) -> None:
            with suppress(OSError):  # who was refused does not wait
                super().handle()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        # The hand-shake in the connection's own thread: who refuses the certificate ends only that.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    scheme = "https" if certificate else "http"
    found = AnsweringServer(f"{scheme}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
