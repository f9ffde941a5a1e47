"""Errors as `application/problem+json` (RFC 9457), each carrying its HTTP status.

Problem
├── NotJson              400
├── Unreadable           400
├── Unauthorized         401
├── TooLarge             413
├── UnsupportedMedia     415
├── Misdirected          421
├── Unprocessable        422  lists every fault
├── TooManyRequests      429
├── Unexplained          501
├── NoChampion           503
└── Draining             503  for /ready alone
"""

import json
import logging
import traceback
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from include.contract import Fault
from include.values import describe

logger = logging.getLogger(__name__)

FAULTS_LISTED = 100
MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
ENVIRON_REQUEST_ID = "churn.request_id"  # set by the middleware


class Problem(Exception):
    """A request that cannot be answered, and why, for the client."""

    status: ClassVar[HTTPStatus]

    def __init__(self, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def members(self) -> dict[str, Any]:
        """What the problem says beyond its title and detail."""
        return {}


class NotJson(Problem):
    """The body is not JSON."""

    status = HTTPStatus.BAD_REQUEST


class Unreadable(Problem):
    """The body did not come as announced: it broke off, came too slowly, or in broken chunks."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, error: Exception) -> None:
        super().__init__(f"the body did not come as announced: {type(error).__name__}")


class Unauthorized(Problem):
    """No API key, or an unknown one."""

    status = HTTPStatus.UNAUTHORIZED


class TooLarge(Problem):
    """The body or the batch is larger than allowed."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMedia(Problem):
    """The body is no JSON in UTF-8, or is compressed, or does not say what it is."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class Misdirected(Problem):
    """A request for another host than this one, where no key is asked for."""

    status = HTTPStatus.MISDIRECTED_REQUEST

    def __init__(self, called: Sequence[str]) -> None:
        super().__init__(
            "without CHURN_API_KEYS the service answers to localhost, to loopback addresses and to "
            f"the names in CHURN_ALLOWED_HOSTS, found {' and '.join(map(describe, called))}"
        )


class TooManyRequests(Problem):
    """More requests than the rate limit allows."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class NoChampion(Problem):
    """There is no model to answer with yet."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self) -> None:
        super().__init__(
            "no champion is loaded yet: train and promote one, or see champion_reloads_total and "
            "the log for why the present one was refused",
            Retry_After=str(RETRY_SECONDS),
        )


class Draining(Problem):
    """New requests should go to another instance: this one is about to be stopped."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("this instance still answers but is about to stop: ask another one")


class Unexplained(Problem):
    """The champion that serves cannot be explained here."""

    status = HTTPStatus.NOT_IMPLEMENTED

    def __init__(self) -> None:
        super().__init__(
            "the champion's native trees could not be loaded, so its answers cannot be explained: "
            "the service's log says why"
        )


class Unprocessable(Problem):
    """JSON that breaks the contract; its faults are listed, at most 100 of them."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, faults: Sequence[Fault], *, rows: Sequence[int | None] = ()) -> None:
        self.faults = faults[:FAULTS_LISTED]
        self.rows = rows
        more = len(faults) > FAULTS_LISTED
        noun = "1 fault" if len(faults) == 1 else f"{len(self.faults)} faults"
        super().__init__(
            f"the request has more than {noun}, and these are the first"
            if more
            else f"the request has {noun}"
        )

    def members(self) -> dict[str, Any]:
        errors: list[dict[str, Any]] = [
            {"field": f.field, "expected": f.expected, "found": f.found} for f in self.faults
        ]
        for error, row in zip(errors, self.rows, strict=False):
            if row is not None:
                error["row"] = row
        return {"errors": errors}


def register(app: Flask) -> None:
    """Let every error of the application leave as a problem document."""
    app.register_error_handler(Problem, answer_problem)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unexpected)


def answer_problem(problem: Problem) -> Response:
    """The problem as an answer."""
    return _document(problem.status, problem.detail, problem.members(), problem.headers)


def _answer_http(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Location"}}
    return _document(status, error.description or status.description, {}, headers)


def _answer_unexpected(error: Exception) -> Response:
    # Where it failed, but not the error's message, which might repeat a customer's record.
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s in %s:\n%s", type(error).__name__, request.endpoint, where)
    detail = "the service failed; the log under this request_id says how"
    return _document(HTTPStatus.INTERNAL_SERVER_ERROR, detail, {}, {})


def _document(
    status: HTTPStatus, detail: str, members: dict[str, Any], headers: dict[str, str]
) -> Response:
    request_id = request.environ.get(ENVIRON_REQUEST_ID)
    body = document(status, detail, request_id=request_id, **members)
    return Response(body, int(status), headers, content_type=MEDIA_TYPE)


def document(status: HTTPStatus, detail: str, *, request_id: str | None, **members: Any) -> bytes:
    """The body of a problem."""
    found = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "request_id": request_id,
        **members,
    }
    try:
        return orjson.dumps(found)
    except TypeError:  # half a surrogate pair in a field's name, which is no UTF-8
        return json.dumps(found).encode()
