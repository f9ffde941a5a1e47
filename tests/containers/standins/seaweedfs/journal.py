"""Remembers what a WSGI application was told: each successful write is on disk before its answer.

The application keeps everything in memory; at the next start the journal is played to it again.
"""

import base64
import io
import json
import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

READS = frozenset({"GET", "HEAD", "OPTIONS"})
UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")
ADDRESSES = ("QUERY_STRING", "RAW_URI", "REQUEST_URI")  # where an upload's id may stand

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[str, list[tuple[str, str]], bytes]  # status, headers, body


class Journal:
    """A WSGI application around another one; writes go one after the other."""

    def __init__(self, application: Application, path: Path) -> None:
        self._application = application
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.truncate(path, self._replay(path))  # half a record was never acknowledged
        self._path = path

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/healthz":
            start_response("200 OK", [("Content-Length", "0")])
            return [b""]
        if environ["REQUEST_METHOD"] in READS:
            return self._application(environ, start_response)
        return self._write(environ, start_response)

    def _write(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        kept = {key: value for key, value in environ.items() if _is_kept(key, value)}
        with self._lock:
            status, headers, answer = self._ask(environ, body)
            if status.startswith("2"):
                upload = UPLOAD_ID.search(answer)
                record = {
                    "environ": kept,
                    "body": base64.b64encode(body).decode(),
                    "upload": upload[1].decode() if upload else None,
                }
                with self._path.open("ab") as file:
                    file.write(json.dumps(record).encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
        start_response(status, headers)
        return [answer]

    def _ask(self, environ: dict[str, Any], body: bytes) -> Answer:
        answered: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            answered[:] = [status, headers]

        chunks = self._application({**environ, "wsgi.input": io.BytesIO(body)}, start_response)
        answer = b"".join(chunks)
        return answered[0], answered[1], answer

    def _replay(self, path: Path) -> int:
        """Play every whole record; returns how many bytes they are."""
        whole, uploads = 0, {}
        with path.open("rb") as records:
            for line in records:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                record = json.loads(line)
                answer = self._again(record, uploads)
                upload = UPLOAD_ID.search(answer)
                if upload and record["upload"]:
                    uploads[record["upload"]] = upload[1].decode()
        return whole

    def _again(self, record: dict[str, Any], uploads: dict[str, str]) -> bytes:
        environ = record["environ"]
        for key in ADDRESSES:
            for old, new in uploads.items():
                if old in environ.get(key, ""):
                    environ[key] = environ[key].replace(old, new)
        environ |= {"wsgi.errors": io.StringIO(), "wsgi.url_scheme": "http", "wsgi.version": (1, 0)}
        return self._ask(environ, base64.b64decode(record["body"]))[2]


def _is_kept(key: str, value: object) -> bool:
    return key == "moto.preserved_header_names" or (
        isinstance(value, str) and not key.startswith(("wsgi.", "werkzeug."))
    )
