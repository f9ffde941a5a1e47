"""What a browser loads before it shows a page: the scripts in use, packed and kept for a year."""

import gzip
import os
import re
from functools import lru_cache
from typing import Any

import dash_ag_grid
from dash import Dash
from dash.fingerprint import build_fingerprint, check_fingerprint
from flask import Flask, Response, request

SUITES, ASSETS = "/_dash-component-suites/", "/assets/"
# Dash always sends its old table along; no page has one.
UNUSED = re.compile(r'<script src="[^"]*/dash_table/[^"]*"></script>\n?')
# The grid asks for this file when it is about to draw; sent with the rest, it need not wait.
GRID_FILE = "async-community.js"
PACKED_TYPES = ("text/", "application/json", "application/javascript", "image/svg+xml")
PACKED_BYTES_MIN = 1400  # fits into one packet as it is
FILE_LEVEL, ANSWER_LEVEL = 6, 2
YEAR_SECONDS = 365 * 24 * 3600


class LeanDash(Dash):  # type: ignore[misc]
    """Dash, with the scripts that these pages use."""

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

    @server.after_request
    def _send(answer: Response) -> Response:
        if is_static(request.path):
            _keep(answer)
        else:
            answer.headers["Cache-Control"] = "no-store"
        if _is_worth_packing(answer):
            _pack(answer)
        return answer


def is_static(path: str) -> bool:
    """Whether the path names a file of the dashboard's own, not data."""
    return path.startswith((SUITES, ASSETS))


def _is_versioned() -> bool:
    return "m" in request.args or bool(check_fingerprint(request.path)[1])


def _keep(answer: Response) -> None:
    if _is_versioned() and answer.status_code == 200:
        answer.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"


def _is_worth_packing(answer: Response) -> bool:
    length = answer.content_length
    return (
        answer.status_code == 200
        and request.accept_encodings.quality("gzip") > 0
        and "Content-Encoding" not in answer.headers
        and (answer.mimetype or "").startswith(PACKED_TYPES)
        and length is not None
        and length >= PACKED_BYTES_MIN
    )


def _pack(answer: Response) -> None:
    answer.direct_passthrough = False  # files come as streams
    data = answer.get_data()
    static = is_static(request.path)
    answer.set_data(_packed_file(data) if static else gzip.compress(data, ANSWER_LEVEL))
    answer.headers["Content-Encoding"] = "gzip"
    answer.vary.add("Accept-Encoding")
    tag, _ = answer.get_etag()
    if tag is not None:
        answer.set_etag(tag, weak=True)  # the packed bytes are others than the file's


@lru_cache(maxsize=64)
def _packed_file(data: bytes) -> bytes:
    """A file of the dashboard's own, packed once for a process."""
    return gzip.compress(data, FILE_LEVEL)
