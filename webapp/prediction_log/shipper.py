"""The shipper: one process for each machine that takes the workers' spool to the store.

It is a process of its own so that neither a slow store nor the writing of parquet ever holds up
an answer. A worker starts it (shipper_process.py) and it ends with that worker, when its standard
input closes; another worker then starts the next.

    python -m webapp.prediction_log.shipper
"""

import fcntl
import logging.config
import os
import random
import select
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from include.errors import ChurnError
from include.predictions.log import KEY_MARK, Columns, log_schema, write_table
from include.settings import load_settings
from include.store import Store
from webapp import logs
from webapp.prediction_log.segments import OPEN, SEALED, rows_in, sealed_path, segment_id, segments
from webapp.prediction_log.shipper_process import locked
from webapp.store_timeouts import open_store_with_short_timeouts

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
LAST_LOOKS = 6  # once its worker is gone: the others may be about to end, too
NICENESS = 10  # the workers go first: shipping has time, an answer has not
BACK_OFF_SECONDS = (1.0, 30.0)
HEAD = ("prediction_id", "request_id", "predicted_at", "model_version", "source", "latency_seconds")
OWN = ("row", "customer_key", "probability", "prediction")


@dataclass(frozen=True)
class Segment:
    """What a sealed segment holds; `damaged` counts lines that a power cut spoiled."""

    rows: "pa.Table"  # of the log's schema
    damaged: int


class _Answer(NamedTuple):
    rows: int
    shared: dict[str, Any]
    own: dict[str, Sequence[Any]]  # a value for each row
    records: list[dict[str, Any]]


class Shipper:
    """Ships what is sealed, and adopts what dead workers left open."""

    def __init__(
        self, directory: Path, open_store: Callable[[], Store], lost: Callable[[int], None]
    ) -> None:
        self._directory = directory
        self._open_store = open_store
        self._lost = lost
        self._failures = 0

    def run(self) -> None:
        """Ship until standard input closes, then what the workers left as they ended."""
        while not _input_closed(_pause(self._failures)):
            self._look()
        for _ in range(LAST_LOOKS):
            if not self._look() or not segments(self._directory):
                break
            time.sleep(LOOK_SECONDS)

    def _look(self) -> bool:
        try:
            self.ship()
        except (ChurnError, OSError) as error:
            self._failures += 1
            if self._failures == 1:
                logger.warning("answers stay in the spool until the store takes them: %s", error)
            return False
        if self._failures:
            logger.info("the store takes answers again")
        self._failures = 0
        return True

    @cached_property
    def _store(self) -> Store:
        return self._open_store()

    def ship(self) -> int:
        """Take all that is sealed to the store; returns the rows. StoreError leaves the rest."""
        self._adopt()
        return sum(self._ship(path) for path in segments(self._directory, SEALED))

    def _ship(self, path: Path) -> int:
        segment = read_segment(path)
        rows: int = segment.rows.num_rows
        # The segment's id is in the key: after a crash between writing and removing, the same
        # object is written again.
        write_table(self._store, segment.rows, name=segment_id(path))
        path.unlink()
        damaged = max(rows_in(path) - rows, segment.damaged)
        if damaged:
            logger.error("%s logged answers were damaged on disk and are lost", damaged)
            self._lost(damaged)
        return rows

    def _adopt(self) -> None:
        """Seal the open segments whose worker is gone: the kernel freed its lock."""
        for path in segments(self._directory, OPEN):
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # Its worker may have sealed it between the listing and the lock.
                    if path.exists():
                        rows = rows_in(path)
                        path.rename(sealed_path(path, rows))
                        logger.info("adopted %s answers of a worker that is gone", rows)
            except (BlockingIOError, FileNotFoundError):
                continue


def read_segment(path: Path) -> Segment:
    """Read a segment; its last line may be torn, which means that its answer never left."""
    *lines, _ = path.read_bytes().split(b"\n")
    columns: Columns = ()
    mark = None
    answers: list[_Answer] = []
    damaged = 0
    for place, line in enumerate(lines):
        try:
            if place == 0:
                head = orjson.loads(line)
                columns = tuple((name, kind) for name, kind in head["columns"])
                mark = head.get(KEY_MARK)  # which a worker of an older release does not write
            else:
                answers.append(_answer(line))
        except (ValueError, KeyError, TypeError):
            damaged += 1
    return Segment(_table(log_schema(columns, mark), answers), damaged)


def _answer(line: bytes) -> _Answer:
    rows, *head, keys, probabilities, predictions, records = orjson.loads(line)
    shared = dict(zip(HEAD, head, strict=True))
    shared["predicted_at"] = datetime.fromisoformat(shared["predicted_at"])
    own = dict(zip(OWN, (range(rows), keys, probabilities, predictions), strict=True))
    if {len(each) for each in (*own.values(), records)} != {rows}:
        raise ValueError("each row has a key, a probability, a label and a record")
    return _Answer(rows, shared, own, records)


def _table(schema: "pa.Schema", answers: list[_Answer]) -> "pa.Table":
    """Column by column: what a batch's rows share is converted once, not for each of them."""
    import pyarrow as pa

    answer_of_row = [place for place, each in enumerate(answers) for _ in range(each.rows)]
    records = [record for each in answers for record in each.records]

    def column(field: "pa.Field") -> "pa.Array":
        name = field.name
        if name in HEAD:
            shared = pa.array([each.shared[name] for each in answers], field.type)
            return shared.take(pa.array(answer_of_row, pa.int32()))
        if name in OWN:
            return pa.array([own for each in answers for own in each.own[name]], field.type)
        values = [record.get(name) for record in records]
        try:
            return pa.array(values, field.type)
        except pa.ArrowInvalid:  # an integer from 2**53 on, which Arrow takes for no float
            return pa.array([each if each is None else float(each) for each in values], field.type)

    return pa.Table.from_arrays([column(field) for field in schema], schema=schema)


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
    logging.config.dictConfig(logs.configuration(settings.log_level))
    sys.excepthook = logs.log_uncaught
    os.nice(NICENESS)
    directory = settings.resolved_spool_dir
    directory.mkdir(parents=True, exist_ok=True)
    uri = settings.resolved_store_uri
    shipper = Shipper(directory, lambda: open_store_with_short_timeouts(uri), _count_lost)
    # When the workers are gone, this waits for the shipper before: `drain` sees to the end.
    waits = 0 if _input_closed(0) else fcntl.LOCK_NB
    with locked(directory, fcntl.LOCK_EX | waits) as free:
        if free:
            shipper.run()


def _count_lost(rows: int) -> None:
    from webapp.metrics import count_lost_rows  # rarely needed

    count_lost_rows(rows)


if __name__ == "__main__":
    main()
