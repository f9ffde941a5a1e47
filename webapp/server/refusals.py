"""What the server answers by itself, without the application: to bytes that are no HTTP request."""

import logging
import traceback
from http import HTTPStatus

import orjson
from gunicorn.http.errors import ExpectationFailed, LimitRequestHeaders, ParseException

logger = logging.getLogger(__name__)


def refusal(error: Exception) -> bytes:
    """The answer to bytes that are no HTTP request; nothing of them is repeated or logged."""
    if isinstance(error, LimitRequestHeaders):
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    elif isinstance(error, ExpectationFailed):
        status = HTTPStatus.EXPECTATION_FAILED
    elif isinstance(error, ParseException):
        status = HTTPStatus.BAD_REQUEST
    else:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error("%s in the worker:\n%s", type(error).__name__, where)
    body = orjson.dumps(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": int(status),
            "detail": f"no valid HTTP/1.1 request: {type(error).__name__}",
        }
    )
    head = (
        f"HTTP/1.1 {int(status)} {status.phrase}\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nX-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
