"""The shipper: one process for each machine that takes the workers' spool to the store.

It is a process of its own so that neither a slow store nor the writing of parquet ever holds up
an answer. A worker starts it (shipper_process.py) and it ends with that worker, when its standard
input closes; another worker then starts the next.

    python -m webapp.prediction_log.shipper
"""

import fcntl
import logging
import os
import random
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import orjson

from include.errors import ChurnError
from include.predictions.log import Columns, write_rows
from include.settings import Settings, load_settings
from include.store import Store
from webapp import logs
from webapp.prediction_log.shipper_process import LOCK
from webapp.prediction_log.spool import OPEN, SEALED, rows_in, sealed_path
from webapp.store_timeouts import open_store_with_short_timeouts

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
BATCH_ROWS = 50_000  # about what one object should hold when much is waiting
NICENESS = 10  # the workers go first: shipping has time, an answer has not
BACK_OFF_SECONDS = (1.0, 30.0)
LOCK_SECONDS = 5.0  # to wait for the shipper before, when the workers are gone
HEAD = (
    *("prediction_id", "request_id", "predicted_at", "model_version", "source"),
    "latency_seconds",
)


@dataclass(frozen=True)
class Segment:
    """What a sealed segment holds; `damaged` counts lines that a power cut spoiled."""

    columns: Columns
    rows: list[dict[str, Any]]
    damaged: int


class Shipper:
    """Ships what is sealed, and adopts what dead workers left open."""

    def __init__(self, directory: Path, store: Store, lost: Callable[[int], None]) -> None:
        self._directory = directory
        self._store = store
        self._lost = lost

    def ship(self) -> int:
        """Take all that is sealed to the store; returns the rows. StoreError leaves the rest."""
        self._adopt()
        shipped = 0
        for paths in _batches(sorted(self._directory.glob(f"*{SEALED}"), key=_age)):
            shipped += self._ship(paths)
        return shipped

    def _ship(self, paths: Sequence[Path]) -> int:
        segments = [read_segment(path) for path in paths]
        shipped = 0
        for columns in dict.fromkeys(segment.columns for segment in segments):
            rows = [row for s in segments if s.columns == columns for row in s.rows]
            # The names give the key: after a crash between writing and removing, the same batch
            # replaces its object.
            batch = ",".join([path.name for path in paths] + [name for name, _ in columns])
            write_rows(self._store, rows, columns, batch=batch)
            shipped += len(rows)
        for path in paths:
            path.unlink()
        damaged = sum(
            max(rows_in(path) - len(segment.rows), segment.damaged)
            for path, segment in zip(paths, segments, strict=True)
        )
        if damaged:
            logger.error("%s logged answers were damaged on disk and are lost", damaged)
            self._lost(damaged)
        return shipped

    def _adopt(self) -> None:
        """Seal the open segments whose worker is gone: the kernel freed its lock."""
        for path in self._directory.glob(f"*{OPEN}"):
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # Its worker may have sealed it between the listing and the lock.
                    if path.exists():
                        rows = len(read_segment(path).rows)
                        path.rename(sealed_path(path, rows))
                        logger.info("adopted %s answers of a worker that is gone", rows)
            except (BlockingIOError, FileNotFoundError):
                continue


def read_segment(path: Path) -> Segment:
    """Read a segment; its last line may be torn, which means that its answer never left."""
    lines = path.read_bytes().split(b"\n")
    columns: Columns = ()
    rows: list[dict[str, Any]] = []
    damaged = 0
    for place, line in enumerate(lines):
        try:
            document = orjson.loads(line) if line else None
            if place == 0 and document is not None:
                columns = tuple((name, kind) for name, kind in document["columns"])
            elif document is not None:
                rows.extend(_rows(document))
        except (ValueError, KeyError, TypeError):
            damaged += place < len(lines) - 1
    return Segment(columns, rows, damaged)


def _rows(line: list[Any]) -> Iterator[dict[str, Any]]:
    _, *head, keys, probabilities, predictions, records = line
    shared = dict(zip(HEAD, head, strict=True))
    shared["predicted_at"] = datetime.fromisoformat(shared["predicted_at"])
    for row, (key, probability, prediction, record) in enumerate(
        zip(keys, probabilities, predictions, records, strict=True)
    ):
        yield {
            **record,
            **shared,
            "row": row,
            "customer_key": key,
            "probability": probability,
            "prediction": prediction,
        }


def _batches(paths: Sequence[Path]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    rows = 0
    for path in paths:
        batch.append(path)
        rows += rows_in(path)
        if rows >= BATCH_ROWS:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def _age(path: Path) -> tuple[float, str]:
    return path.stat().st_mtime, path.name


def run(settings: Settings, lost: Callable[[int], None]) -> None:
    """Ship until standard input closes, then once more."""
    shipper: Shipper | None = None
    failures, parent_gone = 0, False
    while not parent_gone:
        parent_gone = _input_closed(_pause(failures))
        try:
            if shipper is None:
                store = open_store_with_short_timeouts(settings.resolved_store_uri)
                shipper = Shipper(settings.resolved_spool_dir, store, lost)
            shipper.ship()
        except (ChurnError, OSError) as error:
            failures += 1
            if failures == 1:
                logger.warning("answers stay in the spool until the store takes them: %s", error)
            continue
        if failures:
            logger.info("the store takes answers again")
        failures = 0


def _pause(failures: int) -> float:
    """Looks follow each other quickly, and ever more slowly while the store refuses."""
    if not failures:
        return LOOK_SECONDS
    shortest, longest = BACK_OFF_SECONDS
    return random.uniform(0.5, 1.0) * min(longest, shortest * 2.0 ** min(failures, 10))


def _input_closed(seconds: float) -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1)


def main() -> None:
    """Ship, unless another shipper does it already."""
    settings = load_settings()
    logs.configure(settings.log_level)
    os.nice(NICENESS)
    directory = settings.resolved_spool_dir
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK).open("w") as lock:
        if _lock(lock, LOCK_SECONDS if _input_closed(0) else 0):
            run(settings, _count_lost)


def _lock(file: IO[str], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_SECONDS / 5)


def _count_lost(rows: int) -> None:
    from webapp.metrics import count_lost_rows  # rarely needed

    count_lost_rows(rows)


if __name__ == "__main__":
    main()
