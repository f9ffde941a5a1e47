"""Structured logs: one JSON object a line, without customers' data.

Messages name versions, counts, routes and kinds of errors. What a client sent stays out of them.
"""

from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.orjson import OrjsonFormatter

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
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
            "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": True},
            "botocore": {"level": "WARNING"},
        },
    }
