"""How a task hands over to the next: objects under `runs/<run_id>/<task_id>/`, and their keys."""

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.store import Store

RUNS_PREFIX = "runs"
BATCH_ROWS = 2**18  # customers in a task's memory at once: some 50 MiB


@dataclass(frozen=True)
class Run:
    """A DAG run as its tasks see it: its id, and the store in which they hand over."""

    dag_run_id: str
    store: Store

    def key(self, task_id: str, name: str) -> str:
        """Where a task of this run keeps a file."""
        return f"{RUNS_PREFIX}/{safe_key(self.dag_run_id)}/{task_id}/{name}"

    def write_frame(self, task_id: str, name: str, frame: pd.DataFrame) -> str:
        """Keep a table as parquet; returns its key."""
        return self.write(task_id, name, frame_bytes(frame))

    def write_batches(self, task_id: str, name: str, batches: Iterable[pd.DataFrame]) -> str:
        """Keep a table that comes in parts as one parquet file; returns its key."""
        with self.table(task_id, name) as table:
            for batch in batches:
                table.write(batch)
        return table.key

    @contextmanager
    def table(self, task_id: str, name: str) -> "Iterator[Table]":
        """A table that is written part by part, and kept as one parquet file when the block ends.

        ValueError without any part.
        """
        table = Table(self.key(task_id, name))
        yield table
        self.write(task_id, name, table.to_bytes())

    def write_json(self, task_id: str, name: str, value: Any) -> str:
        """Keep a value as JSON; returns its key."""
        return self.write(task_id, name, json.dumps(value, indent=2, allow_nan=False).encode())

    def write(self, task_id: str, name: str, data: bytes) -> str:
        """Keep a file; returns its key."""
        key = self.key(task_id, name)
        self.store.write(key, data)
        return key

    def read(self, key: str) -> bytes:
        """A file that an earlier task kept."""
        return self.store.read(key).data

    def read_frame(self, key: str) -> pd.DataFrame:
        """A table that an earlier task kept."""
        return pd.read_parquet(io.BytesIO(self.read(key)))

    def read_batches(
        self,
        key: str,
        *,
        columns: Sequence[str] | None = None,
        rows: int = BATCH_ROWS,
        where: tuple[str, str] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """A table that an earlier task kept, in parts of at most `rows` rows, in its order.

        `where` leaves of each part the rows whose column, one of those read, has that value.
        """
        yield from batches_of(self.read(key), columns=columns, rows=rows, where=where)

    def read_json(self, key: str) -> Any:
        """A value that an earlier task kept."""
        return json.loads(self.read(key))


class Table:
    """One parquet file in the making; the first part says its columns and their types."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._buffer = io.BytesIO()
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: pd.DataFrame) -> None:
        """Add rows of the same columns."""
        schema = self._writer.schema if self._writer else None
        table = pa.Table.from_pandas(batch, schema, preserve_index=False)
        self._writer = self._writer or pq.ParquetWriter(self._buffer, table.schema)
        self._writer.write_table(table)

    def to_bytes(self) -> bytes:
        """The finished file."""
        if self._writer is None:
            raise ValueError(f"{self.key} has no part, and so no columns")
        self._writer.close()
        return self._buffer.getvalue()


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def safe_key(run_id: str) -> str:
    """A run id as one part of an object key: Airflow's own as it is, a person's may hold anything.

    Two ids that differ only in other characters stay apart by a short hash.
    """
    cleaned = re.sub(r"[^A-Za-z0-9._:+-]", "-", run_id).strip(".") or "run"
    if cleaned == run_id:
        return cleaned
    return f"{cleaned}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def batches_of(
    data: bytes,
    *,
    columns: Sequence[str] | None = None,
    rows: int = BATCH_ROWS,
    where: tuple[str, str] | None = None,
) -> Iterator[pd.DataFrame]:
    """The same of a table in parquet's bytes, for who goes through it more than once."""
    file = pq.ParquetFile(pa.BufferReader(data))
    for batch in file.iter_batches(batch_size=rows, columns=columns and list(columns)):
        if where is not None:
            batch = batch.filter(pc.equal(batch[where[0]], where[1]))
        yield batch.to_pandas()


def frame_bytes(frame: pd.DataFrame) -> bytes:
    """A table as parquet."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
