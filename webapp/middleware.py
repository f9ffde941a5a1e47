"""What every request gets, whatever its route: an id, headers, a count, a line in the log.

It wraps the application as WSGI middleware, outside Flask: an answer of Flask's own making, such
as a 404, gets the same, and it costs a few microseconds.
"""

import logging
import re
import secrets
from collections.abc import Callable, Iterable
from operator import itemgetter
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flask import Flask

from webapp import logs
from webapp.metrics import METHODS, Metrics
from webapp.problems import ENVIRON_REQUEST_ID

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

REQUEST_ID = "X-Request-ID"
SLOW_SECONDS = 0.5  # as ChurnApiSlow has it: whoever is called finds them in the log
UNMATCHED = "unmatched"  # one label for all unknown paths, or a scan would make a series of each
POLICY = "Content-Security-Policy"
HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
]
STRICT_POLICY = [(POLICY, "default-src 'none'; frame-ancestors 'none'")]
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestMiddleware:
    """Middleware around one application."""

    def __init__(self, app: Flask, metrics: Metrics, *, log_all: bool) -> None:
        self._inner: WSGIApplication = app.wsgi_app
        self._metrics = metrics
        self._log_all = log_all
        self._routes = {rule.rule for rule in app.url_map.iter_rules()}

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        started = perf_counter()
        request_id = environ.get("HTTP_X_REQUEST_ID")
        if request_id is None or not _ACCEPTABLE_ID.fullmatch(request_id):
            request_id = secrets.token_hex(16)
        environ[ENVIRON_REQUEST_ID] = request_id
        token = logs.request_id.set(request_id)
        status = ""

        def start(
            given: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], object]:
            nonlocal status
            status = given
            headers += HEADERS
            # Only the docs page sets one of its own.
            if POLICY not in map(itemgetter(0), headers):
                headers += STRICT_POLICY
            headers.append((REQUEST_ID, request_id))
            return start_response(given, headers, exc_info)

        try:
            return self._inner(environ, start)
        finally:
            # All answers are whole when the application returns, so this is the end of the work.
            self._note(environ, int(status[:3] or 500), perf_counter() - started)
            logs.request_id.reset(token)

    def _note(self, environ: "WSGIEnvironment", status: int, seconds: float) -> None:
        path = environ.get("PATH_INFO", "")
        route = path if path in self._routes else UNMATCHED
        method = environ["REQUEST_METHOD"]
        if method not in METHODS:  # what a client made up is neither a series nor in the log
            method = "other"
        self._metrics.requested(method, route, status, seconds)
        if self._log_all or seconds >= SLOW_SECONDS:
            members = {
                "method": method,
                "route": route,
                "status": status,
                "milliseconds": round(seconds * 1000, 3),
            }
            logger.info("request", extra=members)
