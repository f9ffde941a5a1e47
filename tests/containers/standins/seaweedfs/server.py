"""Serves moto's S3 on port 8333 from /data, whatever arguments SeaweedFS would have got."""

import signal
import sys
from pathlib import Path

from journal import Journal
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import run_simple

JOURNAL = Path("/data/s3.jsonl")
PORT = 8333


class QuietHandler(MotoRequestHandler):
    """Writes no line for each request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    application = Journal(DomainDispatcherApplication(create_backend_app), JOURNAL)
    run_simple("0.0.0.0", PORT, application, threaded=True, request_handler=QuietHandler)
