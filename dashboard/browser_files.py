"""What a browser loads before it shows a page: the scripts in use, packed and kept for a year."""

import os
import re
from collections.abc import Callable
from typing import Any

import dash_ag_grid
from dash import Dash
from dash.fingerprint import build_fingerprint, check_fingerprint
from flask import Flask, Response, request
from flask_compress import Compress

from dashboard.request_bodies import checked

SUITES, ASSETS = "/_dash-component-suites/", "/assets/"
# Dash always sends its old table along; no page has one.
UNUSED = re.compile(r'<script src="[^"]*/dash_table/[^"]*"></script>\n?')
# The grid asks for this file when it is about to draw; sent with the rest, it need not wait.
GRID_FILE = "async-community.js"
PACKING = {
    "COMPRESS_ALGORITHM": ["zstd", "gzip"],
    "COMPRESS_MIMETYPES": [
        *("text/html", "text/css", "text/csv", "text/javascript"),
        *("application/json", "application/javascript", "image/svg+xml"),
    ],
    "COMPRESS_MIN_SIZE": 1400,  # less fits into one packet as it is
    "COMPRESS_LEVEL": 2,  # of gzip
}
YEAR_SECONDS = 365 * 24 * 3600


class LeanDash(Dash):  # type: ignore[misc]
    """Dash, with the scripts that these pages use, and callbacks that check what they get."""

    def callback(self, *outputs_and_inputs: Any, **more: Any) -> Callable[[Any], Any]:
        """As Dash's, for a function whose annotations say what a browser may send it."""
        register: Callable[[Any], Any] = super().callback(*outputs_and_inputs, **more)
        return lambda function: register(checked(function))

    def interpolate_index(self, scripts: str = "", **parts: Any) -> str:
        """The page that loads everything else."""
        lean = UNUSED.sub("", scripts) + f'\n<script src="{self._grid_url()}"></script>'
        return str(super().interpolate_index(scripts=lean, **parts))

    def _grid_url(self) -> str:
        folder = os.path.dirname(dash_ag_grid.__file__)
        changed = int(os.stat(os.path.join(folder, GRID_FILE)).st_mtime)
        name = build_fingerprint(GRID_FILE, dash_ag_grid.__version__, changed)
        return f"{SUITES}dash_ag_grid/{name}"


def register(server: Flask) -> None:
    """Pack what is worth it, and let browsers keep what never changes under its name."""
    server.config.update(PACKING)
    Compress(server)

    @server.after_request
    def _send(answer: Response) -> Response:
        if is_static(request.path):
            answer.direct_passthrough = False
            answer.get_data()  # what is packed as a stream would leave its file open
            _keep(answer)
        else:
            answer.headers["Cache-Control"] = "no-store"
        return answer


def is_static(path: str) -> bool:
    """Whether the path names a file of the dashboard's own, not data."""
    return path.startswith((SUITES, ASSETS))


def _is_versioned() -> bool:
    return "m" in request.args or bool(check_fingerprint(request.path)[1])


def _keep(answer: Response) -> None:
    if _is_versioned() and answer.status_code == 200:
        answer.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
