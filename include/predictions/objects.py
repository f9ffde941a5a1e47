"""The objects of the prediction log: how rows are encoded, and a day decoded ahead of its reader.

Arrow decodes without Python's lock and a store answers after a while, so threads have the next
objects ready while this one is used. Their order is that of the keys, however fast each thread was.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from include.errors import DataError
from include.store import ObjectInfo, Store

if TYPE_CHECKING:
    import pyarrow as pa

THREAD_NAME = "prediction-objects"
THREADS = 4  # two decode on two cores; the others wait for the network
OBJECTS_AHEAD = 8
BYTES_AHEAD = 32 * 2**20  # as they are stored; a larger object is ahead alone
RANDOM_TEXTS = frozenset({"prediction_id", "request_id", "customer_key"})
EACH_DIFFERENT = frozenset({"predicted_at", "probability", "latency_seconds"})


def encoded(table: "pa.Table") -> bytes:
    """Rows of the log as parquet: as small as zstd alone makes them, and cheaper to read.

    Only random texts need zstd, which costs a reader more than all else. The other columns repeat
    their values, so that dictionaries make them small, or have another value in each row.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression={n: "zstd" if n in RANDOM_TEXTS else "lz4" for n in table.column_names},
        use_dictionary=[n for n in table.column_names if n not in RANDOM_TEXTS | EACH_DIFFERENT],
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def read_objects(
    store: Store,
    objects: Iterable[ObjectInfo],
    *,
    columns: Collection[str] | None = None,
    arrange: "Callable[[pa.RecordBatch], pa.RecordBatch]",
) -> "Iterator[tuple[str, Future[list[pa.RecordBatch]]]]":
    """Each object's key and batches, which raise DataError for what is no log.

    Of `columns` (all of them by default) those that an object lacks are left out; `arrange` is done
    to each batch by the thread that decodes it. Texts that repeat stay dictionaries.
    """
    waiting: deque[tuple[int, str, Future[list[pa.RecordBatch]]]] = deque()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix=THREAD_NAME)
    try:
        for found in objects:
            while waiting and not _room(found.size, [size for size, *_ in waiting]):
                yield waiting.popleft()[1:]
            decoded = pool.submit(_decoded, store, found.key, columns, arrange)
            waiting.append((found.size, found.key, decoded))
        while waiting:
            yield waiting.popleft()[1:]
    finally:
        # Who fails halfway may have this collected in one of the threads: none awaits itself.
        own = threading.current_thread().name.startswith(THREAD_NAME)
        pool.shutdown(wait=not own, cancel_futures=True)


def _room(size: int, ahead: list[int]) -> bool:
    return len(ahead) < OBJECTS_AHEAD and sum(ahead) + size <= BYTES_AHEAD


def _decoded(
    store: Store,
    key: str,
    columns: Collection[str] | None,
    arrange: "Callable[[pa.RecordBatch], pa.RecordBatch]",
) -> "list[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = pa.BufferReader(store.read(key).data)
        metadata = pq.read_metadata(data)
        names = metadata.schema.names
        file = pq.ParquetFile(
            data,
            metadata=metadata,
            read_dictionary=[name for name in names if name not in RANDOM_TEXTS],
            pre_buffer=False,  # it is in memory already
        )
        wanted = [name for name in names if columns is None or name in columns]
        return [arrange(batch) for batch in file.read(wanted, use_threads=False).to_batches()]
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataError(
            f"{key} in {store.uri} is no prediction log ({error}): move it away, its rows are lost"
        ) from error
