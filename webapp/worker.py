"""gunicorn's worker: gevent's own, but what it cannot read as HTTP it refuses as we refuse a fault.

The stock worker answers in HTML, and writes what the client sent, keys and customers included,
into the log.
"""

import logging
import secrets
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors
from gunicorn.util import close_graceful
from gunicorn.workers.ggevent import GeventWorker

from webapp import logs
from webapp.problems import MEDIA_TYPE, document

logger = logging.getLogger(__name__)

LINGER_SECONDS = 2.0  # for a client to read an answer that came before it had sent everything
DRAINED_BYTES_MAX = 2**20
DETAIL_CHARACTERS = 200
STATUSES = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """gevent's worker with our words for malformed HTTP."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what could not be read, and end the connection: where it goes on is not known."""
        request_id = secrets.token_hex(16)
        token = logs.request_id.set(request_id)
        if isinstance(exc, errors.ParseException):
            status = STATUSES.get(type(exc), HTTPStatus.BAD_REQUEST)
            detail = self._detail(exc)
            members = {"kind": type(exc).__name__, "status": int(status)}
            logger.warning("refused what is no HTTP/1.1", extra=members)
        else:
            status, detail = (
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "the service failed; its log says how",
            )
            logger.error("a connection failed", exc_info=exc)
        logs.request_id.reset(token)
        body = document(status, detail, request_id=request_id)
        head = (
            f"HTTP/1.1 {status:d} {status.phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nX-Content-Type-Options: nosniff\r\n"
            f"Cache-Control: no-store\r\nX-Request-ID: {request_id}\r\nConnection: close\r\n\r\n"
        )
        try:
            client.settimeout(LINGER_SECONDS)
            client.sendall(head.encode() + body)
        except OSError:
            return  # nobody is there any more
        close_graceful(client, timeout=LINGER_SECONDS, max_drain=DRAINED_BYTES_MAX)

    def _detail(self, error: errors.ParseException) -> str:
        if isinstance(error, errors.LimitRequestLine):
            return f"the request line must have at most {self.cfg.limit_request_line} bytes"
        if isinstance(error, errors.LimitRequestHeaders):
            fields, size = self.cfg.limit_request_fields, self.cfg.limit_request_field_size
            return f"there must be at most {fields} header fields, each of at most {size} bytes"
        return f"the service reads HTTP/1.1 only (RFC 9112): {error}"[:DETAIL_CHARACTERS]
