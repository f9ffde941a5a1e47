"""The objects of one day's prediction log, decoded ahead of who reads them.

Arrow decodes without Python's lock and a store answers after a while, so threads have the next
objects ready while this one is used. Their order is that of the keys, however fast each thread was.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from include.errors import DataError
from include.store import ObjectInfo, Store

if TYPE_CHECKING:
    import pyarrow as pa

THREADS = 4  # two decode on two cores; the others wait for the network
OBJECTS_AHEAD = 8
BYTES_AHEAD = 32 * 2**20  # as they are stored; a larger object is ahead alone
BATCHES_AHEAD = 2  # of each object

Batches: TypeAlias = "Iterator[pa.RecordBatch]"


@dataclass(frozen=True)
class Decoding:
    """What is decoded of each object, and what is then made of each batch, by the same thread.

    `columns` that an object lacks are left out; without any given, all are decoded. Texts of
    `repetitive` columns stay dictionaries.
    """

    columns: frozenset[str] | None
    repetitive: Sequence[str]
    batch_rows: int
    arrange: "Callable[[pa.RecordBatch], pa.RecordBatch]"


def read_objects(store: Store, prefix: str, decoding: Decoding) -> Iterator[tuple[str, Batches]]:
    """Each parquet object's key and batches, which raise DataError for what is no log.

    The batches are to be used before the next object is asked for.
    """
    waiting: deque[_Begun] = deque()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="prediction-objects")
    try:
        for found in store.list(prefix):
            if not found.key.endswith(".parquet"):
                continue
            while waiting and not _room(waiting, found):
                yield waiting[0].key, waiting.popleft().batches()
            waiting.append(_Begun(pool, found, _decoded(store, found.key, decoding)))
        while waiting:
            yield waiting[0].key, waiting.popleft().batches()
    finally:
        pool.shutdown(cancel_futures=True)


class _Begun:
    """One object, of which a thread decodes the next batches while these are used."""

    def __init__(self, pool: ThreadPoolExecutor, found: ObjectInfo, decoded: Batches) -> None:
        self.key, self.size = found.key, found.size
        self._pool, self._decoded = pool, decoded
        self._next = self._ahead()

    def batches(self) -> Batches:
        """Its batches, in order."""
        while len(found := self._next.result()) == BATCHES_AHEAD:
            self._next = self._ahead()
            yield from found
        yield from found

    def _ahead(self) -> "Future[list[pa.RecordBatch]]":
        return self._pool.submit(list, islice(self._decoded, BATCHES_AHEAD))


def _room(waiting: deque[_Begun], found: ObjectInfo) -> bool:
    total = sum(begun.size for begun in waiting) + found.size
    return len(waiting) < OBJECTS_AHEAD and total <= BYTES_AHEAD


def _decoded(store: Store, key: str, decoding: Decoding) -> Batches:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = pa.BufferReader(store.read(key).data)
        metadata = pq.read_metadata(data)
        names = metadata.schema.names
        file = pq.ParquetFile(
            data,
            metadata=metadata,
            read_dictionary=[name for name in decoding.repetitive if name in names],
            pre_buffer=False,  # it is in memory already
        )
        wanted = names if decoding.columns is None else decoding.columns
        for batch in _batches(file, [name for name in names if name in wanted], decoding):
            yield decoding.arrange(batch)
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataError(
            f"{key} in {store.uri} is no prediction log ({error}): move it away, its rows are lost"
        ) from error


def _batches(file: Any, columns: list[str], decoding: Decoding) -> Batches:
    if file.metadata.num_rows > decoding.batch_rows:
        yield from file.iter_batches(decoding.batch_rows, columns=columns, use_threads=False)
    else:  # whole, which costs half as much
        yield from file.read(columns, use_threads=False).to_batches()
