"""The prediction log's local spool: one write before each reply, no more waiting than that.

A worker appends to a segment of its own, `<uuid>.open`, and holds a lock on it for as long as it
lives. A full or old segment is sealed: flushed to disk and renamed to `<uuid>.<rows>.sealed`. The
shipper (shipper.py) takes sealed segments, and open ones whose lock is free because their worker
died, to the store, each as an object of the same uuid.

What can be lost: a killed process loses nothing that it acknowledged. A power cut can take what
was written since the last fsync, at most SYNC_SECONDS of answers.
"""

import fcntl
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from include.predictions.log import KEY_MARK, Columns
from webapp.prediction_log.segments import OPEN, rows_in, sealed_path, segments

logger = logging.getLogger(__name__)

SYNC_SECONDS = 1.0
WARN_AGAIN_SECONDS = 60.0


@dataclass
class _OpenSegment:
    path: Path
    handle: int
    columns: Columns
    opened: float
    rows: int = 0
    size: int = 0
    dirty: bool = True


class Spool:
    """The worker's side of the spool; safe to share between threads."""

    def __init__(
        self,
        directory: Path,
        *,
        key_mark: str,
        max_bytes: int,
        seal_rows: int,
        seal_seconds: float,
        lost: Callable[[int], None],
    ) -> None:
        self.directory = directory
        self._key_mark = key_mark
        self._max_bytes = max_bytes
        self._seal_rows = seal_rows
        self._seal_seconds = seal_seconds
        self._lost = lost
        self._lock = threading.Lock()
        self._segment: _OpenSegment | None = None
        self._full: list[_OpenSegment] = []
        self._room = max_bytes  # bytes that may still be written, as of the last tick
        self._warned_at: dict[str, float] = {}

    def append(self, line: bytes, *, rows: int, columns: Columns) -> None:
        """Write one line, an answered request of so many rows; what cannot be kept is lost."""
        with self._lock:
            try:
                self._append(line, rows, columns)
            except OSError as error:
                self._lost(rows)
                self.log_rarely(
                    "answers are given but not logged, see prediction_log_lost_rows_total", error
                )

    def _append(self, line: bytes, rows: int, columns: Columns) -> None:
        if len(line) > self._room:
            raise OSError(f"the spool holds its {self._max_bytes} bytes (CHURN_SPOOL_MAX_BYTES)")
        segment = self._segment
        if segment is None or segment.columns is not columns:
            self._retire()
            self.directory.mkdir(parents=True, exist_ok=True)
            segment = self._segment = _begin(self.directory, columns, self._key_mark)
        if os.write(segment.handle, line) != len(line):
            # A disk that fills up takes part of a line. The next line must not follow it.
            os.ftruncate(segment.handle, segment.size)
            raise OSError("the disk took only part of a line")
        segment.size += len(line)
        segment.rows += rows
        segment.dirty = True
        self._room -= len(line)
        if segment.rows >= self._seal_rows:
            self._retire()

    def tick(self) -> None:
        """Each SYNC_SECONDS: flush to disk, seal what is full or old, measure the room left."""
        with self._lock:
            segment = self._segment
            if segment is not None and time.monotonic() - segment.opened >= self._seal_seconds:
                self._retire()
                segment = None
        self._seal_full()
        if segment is not None and segment.dirty:
            segment.dirty = False
            os.fdatasync(segment.handle)
        self._room = self._max_bytes - sum(_size(path) for path in segments(self.directory))

    def _retire(self) -> None:
        """Write no more to the segment: sealing takes long, which is the next tick's."""
        if self._segment is not None:
            self._full.append(self._segment)
            self._segment = None

    def _seal_full(self) -> None:
        """Seal each; one that the disk refuses is in nobody's way, and tried again later."""
        with self._lock:
            full, self._full = self._full, []
        for segment in full:
            try:
                os.fsync(segment.handle)
                segment.path.rename(sealed_path(segment.path, segment.rows))
            except FileNotFoundError:  # somebody emptied the spool: trying again would not help
                self._lost(segment.rows)
            except OSError as error:
                with self._lock:
                    self._full.append(segment)
                self.log_rarely("a segment of the spool could not be sealed yet", error)
                continue
            os.close(segment.handle)

    def pending_rows(self) -> int:
        """Rows that are not in the store yet, of all workers, the dead ones included."""
        return sum(rows_in(path) for path in segments(self.directory))

    def log_rarely(self, trouble: str, error: OSError) -> None:
        """Tell of a trouble that lasts, each minute once."""
        now = time.monotonic()
        if now - self._warned_at.get(trouble, -WARN_AGAIN_SECONDS) >= WARN_AGAIN_SECONDS:
            self._warned_at[trouble] = now
            logger.error("%s: %s", trouble, error)


def _begin(directory: Path, columns: Columns, key_mark: str) -> _OpenSegment:
    """A fresh segment; its first line says which columns its records have, and whose key."""
    hidden = directory / f".{uuid.uuid4()}"
    handle = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600)
    try:
        # Locked before it has a name that the shipper looks for, or it would pass for an orphan.
        fcntl.flock(handle, fcntl.LOCK_EX)
        head = orjson.dumps({"columns": columns, KEY_MARK: key_mark}) + b"\n"
        if os.write(handle, head) != len(head):
            raise OSError("the disk took only part of a line")
        path = hidden.with_name(hidden.name[1:] + OPEN)
        hidden.rename(path)
    except OSError:
        # On a full disk each request comes here: what it left would use up the worker's handles.
        os.close(handle)
        hidden.unlink(missing_ok=True)
        raise
    return _OpenSegment(path, handle, columns, time.monotonic(), size=len(head))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
