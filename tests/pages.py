"""An HTTP server on loopback that answers each path as a test says, and keeps who asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from werkzeug.datastructures import Headers
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response


@dataclass
class Pages:
    """Status and text of each path, for the others `otherwise`, and each request's headers."""

    answers: dict[str, tuple[int, str]]
    otherwise: int
    asked: list[Headers] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Silent(WSGIRequestHandler):
    """Writes no line for each request."""

    def log_request(self, *_: object) -> None:
        pass


@contextmanager
def serving(
    answers: dict[str, tuple[int, str]] | None = None, *, otherwise: int = 404
) -> Iterator[Pages]:
    """The server, as long as the block lasts; its answers may change meanwhile."""
    pages = Pages(answers or {}, otherwise)

    @Request.application
    def answer(request: Request) -> Response:
        pages.asked.append(request.headers)
        status, text = pages.answers.get(request.path, (pages.otherwise, ""))
        return Response(text, status)

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Silent)
    pages.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield pages
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
