"""Structured logs: one JSON object a line, without customers' data.

Messages name versions, counts, routes and kinds of errors. What a client sent stays out of them.
"""

import logging
import logging.config
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with its time in UTC, and the request that it belongs to."""
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        current = request_id.get()
        if current is not None:
            document["request_id"] = current
        document |= getattr(record, "members", {})
        if record.exc_info and record.exc_info[0] is not None:
            document["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return orjson.dumps(document, default=str).decode()


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
            "gunicorn.error": {"level": level, "handlers": [], "propagate": True},
            "gunicorn.access": {"level": level, "handlers": [], "propagate": True},
            "botocore": {"level": "WARNING"},
        },
    }


def configure(level: str) -> None:
    """Configure logging in a process of our own."""
    logging.config.dictConfig(configuration(level))
