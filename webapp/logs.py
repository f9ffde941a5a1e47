"""Structured logs: one JSON object a line, without customers' data.

Messages name versions, counts, routes and kinds of errors. What a client sent stays out of them,
and so do the words of errors that may repeat it: a library's error often tells the value.
"""

import logging
import traceback
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from pythonjsonlogger.orjson import OrjsonFormatter

from include.errors import ChurnError

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
logger = logging.getLogger(__name__)

CHAIN_MAX = 10
NAMES = {"levelname": "level", "name": "logger", "exc_info": "exception"}


class JsonFormatter(OrjsonFormatter):
    """A record's time in UTC, its message and extra members, and the request that it belongs to."""

    def __init__(self) -> None:
        fields = ["levelname", "name", "message", "process"]
        super().__init__(fields, timestamp="time", rename_fields=NAMES)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """The members as they are written."""
        current = request_id.get()
        more = {} if current is None else {"request_id": current}
        return {**log_data, "level": log_data["level"].lower(), **more}

    def formatException(self, ei: Any) -> str:
        """Where it failed, and for each error of the chain its kind; words only of safe ones."""
        error: BaseException | None = ei[1]
        told: list[str] = []
        while error is not None and len(told) < CHAIN_MAX:
            frames = "".join(traceback.format_tb(error.__traceback__))
            told.append(f"{frames}{type(error).__name__}{_words(error)}")
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\nled to\n".join(reversed(told))


def _words(error: BaseException) -> str:
    """What an error says, if that is ours, or names a file or a module."""
    of_system = isinstance(error, OSError) and error.errno is not None
    return f": {error}" if of_system or isinstance(error, ChurnError | ImportError) else ""


def log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Takes sys.excepthook's place, which would write the error's words."""
    logger.critical("the process ends by an error", exc_info=(kind, error, trace))


def configuration(level: str) -> dict[str, Any]:
    """The logging configuration of gunicorn, the application and the shipper."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "webapp.logs.JsonFormatter"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            # In detail it would repeat requests that broke off.
            "gunicorn.error": {
                "level": "INFO" if level == "DEBUG" else level,
                "handlers": [],
                "propagate": True,
            },
            "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": True},
            "botocore": {"level": "WARNING"},
        },
    }
