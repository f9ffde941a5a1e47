"""The prediction log: what each answer was, and to which question.

One row for each answered record, as parquet under `predictions/date=YYYY-MM-DD/<uuid>.parquet`,
by the UTC day of the answer. Rows can come twice after a crash; readers take the first of each
(`prediction_id`, `row`).
"""

import hmac
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from include.contract import Contract
from include.errors import DataError
from include.predictions.objects import Decoding, read_objects
from include.store import Store

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

PREFIX = "predictions"
BATCH_ROWS = 65_536
BUCKET = 8  # hashes that lie together, as one line of the processor's cache
BUCKETS, TABLE_LOAD = 2**16, 0.75  # of the hashes seen: where it begins, when it doubles
BUCKETS_AT_ONCE = 2**14  # whose hashes fit into a processor's own cache
OBJECT_NAMES = uuid.UUID(
    "6f1c9a3e-0b0e-4e0e-9d51-3c5b8f3a7f10"
)  # any constant: names derive from it

OnUnreadable: TypeAlias = Callable[[str, DataError], None]  # the object's key, and what is wrong
Columns: TypeAlias = tuple[tuple[str, str], ...]  # the contract's features, each with its type
_IDENTITY = ("prediction_id", "row")
_HASH = "hash of the identity"
_RANDOM_TEXTS = ("prediction_id", "request_id", "customer_key")
_EACH_DIFFERENT = ("predicted_at", "probability", "latency_seconds")


def customer_key(customer_id: float | str, key: bytes) -> str:
    """What stands for a customer in the log: HMAC-SHA256 of the id as text, by `CHURN_ID_KEY`."""
    text = str(int(customer_id) if isinstance(customer_id, float) else customer_id)
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()


def feature_columns(contract: Contract) -> Columns:
    """The contract's features as the log names and types them."""
    return tuple((column.name, column.type) for column in contract.features)


def log_schema(columns: Columns) -> "pa.Schema":
    """The log's own columns, then the contract's."""
    import pyarrow as pa

    types = {"integer": pa.int64(), "float": pa.float64(), "category": pa.string()}
    own = {
        "prediction_id": pa.string(),
        "row": pa.int32(),
        "request_id": pa.string(),
        "predicted_at": pa.timestamp("us", tz="UTC"),
        "model_version": pa.string(),
        "customer_key": pa.string(),
        "source": pa.string(),
        "probability": pa.float64(),
        "prediction": pa.int8(),
        "latency_seconds": pa.float64(),
    }
    return pa.schema([*own.items(), *((name, types[kind]) for name, kind in columns)])


def day_prefix(day: date) -> str:
    """Where a day's log lies."""
    return f"{PREFIX}/date={day.isoformat()}/"


def write_rows(
    store: Store, rows: Iterable[Mapping[str, Any]], columns: Columns, *, batch: str | None = None
) -> list[str]:
    """Write rows of the log, one object for each day among them; returns the keys.

    `batch` names what is written: the same name and day give the same key, so that writing it again
    after a crash replaces the object instead of adding one. A column that a row lacks is null.
    """
    days: dict[date, list[Mapping[str, Any]]] = {}
    for row in rows:
        days.setdefault(_utc(row["predicted_at"]).date(), []).append(row)
    return [_write_day(store, day, days[day], columns, batch) for day in sorted(days)]


def read_predictions(
    store: Store,
    day: date,
    *,
    columns: Sequence[str] | None = None,
    repetitive: Sequence[str] = (),
    hashed: Sequence[str] = (),
    batch_rows: int = BATCH_ROWS,
    on_unreadable: OnUnreadable | None = None,
) -> "Iterator[pa.RecordBatch]":
    """A day's rows in batches, each row once; memory holds some objects and 11 to 22 bytes a row.

    `columns` chooses and orders what is read (all of them by default); a column that an object does
    not have, because its contract had none such, is null. Texts of `repetitive` columns stay
    dictionaries, which is faster for who wants each text once; of `hashed` columns there are only
    the texts' hashes. A batch has about `batch_rows`, of one large object or of many small ones.
    DataError names an object that is no log, unless `on_unreadable` takes it and the others are
    still read.
    """
    decoding = Decoding(
        columns=None if columns is None else frozenset((*columns, *_IDENTITY)),
        repetitive=repetitive,
        batch_rows=batch_rows,
        arrange=_arranging(columns, hashed),
    )
    seen = SeenHashes()
    for batch in _gathered(_read_day(store, day, decoding, on_unreadable), batch_rows):
        first = seen.first_of(batch.column(_HASH).to_numpy())
        fresh = batch if first.all() else batch.filter(first)
        if fresh.num_rows:
            yield fresh.select(batch.schema.names[1:])


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
        compression={n: "zstd" if n in _RANDOM_TEXTS else "lz4" for n in table.column_names},
        use_dictionary=[
            n for n in table.column_names if n not in {*_RANDOM_TEXTS, *_EACH_DIFFERENT}
        ],
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _write_day(
    store: Store, day: date, rows: list[Mapping[str, Any]], columns: Columns, batch: str | None
) -> str:
    import pyarrow as pa

    schema = log_schema(columns)
    whole = {name for name, kind in columns if kind == "integer"}
    arrays = [
        pa.array(_values(rows, name, whole=name in whole), type=schema.field(name).type)
        for name in schema.names
    ]
    name = uuid.uuid5(OBJECT_NAMES, f"{day}/{batch}") if batch else uuid.uuid4()
    key = f"{day_prefix(day)}{name}.parquet"
    store.write(key, encoded(pa.Table.from_arrays(arrays, schema=schema)))
    return key


def _values(rows: list[Mapping[str, Any]], name: str, *, whole: bool) -> list[Any]:
    values = [row.get(name) for row in rows]
    if name == "predicted_at":
        return [_utc(value) for value in values]
    if whole:  # the contract lets 3.0 pass for an integer
        return [None if value is None else int(value) for value in values]
    return values


def _utc(moment: Any) -> datetime:
    parsed: datetime = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return parsed if parsed.tzinfo is UTC else parsed.astimezone(UTC)


def _read_day(
    store: Store, day: date, decoding: Decoding, on_unreadable: OnUnreadable | None
) -> "Iterator[pa.RecordBatch]":
    """All rows of a day, some perhaps twice."""
    for key, batches in read_objects(store, day_prefix(day), decoding):
        try:
            yield from batches
        except DataError as error:
            if on_unreadable is None:
                raise
            on_unreadable(key, error)


def _arranging(
    columns: Sequence[str] | None, hashed: Sequence[str]
) -> "Callable[[pa.RecordBatch], pa.RecordBatch]":
    """What puts the hash of each row's identity first, then the wanted columns."""
    import pyarrow as pa

    types = {field.name: field.type for field in log_schema(())} | dict.fromkeys(
        hashed, pa.uint64()
    )

    def column(batch: "pa.RecordBatch", name: str) -> "pa.Array":
        if name not in batch.schema.names:
            return pa.nulls(batch.num_rows, types.get(name, pa.null()))
        return _hashed(batch.column(name)) if name in hashed else batch.column(name)

    def arrange(batch: "pa.RecordBatch") -> "pa.RecordBatch":
        names = batch.schema.names if columns is None else columns
        identity = pa.array(_identity(*(batch.column(name) for name in _IDENTITY)))
        arrays = [identity, *(column(batch, name) for name in names)]
        return pa.RecordBatch.from_arrays(arrays, names=[_HASH, *names])

    return arrange


def _gathered(batches: "Iterable[pa.RecordBatch]", batch_rows: int) -> "Iterator[pa.RecordBatch]":
    """Small batches taken together: what is done for each costs the same for five thousand rows."""
    pending: list[Any] = []
    for batch in batches:
        rows = sum(each.num_rows for each in pending)
        if pending and (rows + batch.num_rows > batch_rows or pending[0].schema != batch.schema):
            yield _joined(pending)
            pending = []
        pending.append(batch)
    if pending:
        yield _joined(pending)


def _joined(batches: "list[pa.RecordBatch]") -> "pa.RecordBatch":
    import pyarrow as pa

    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    return table.to_batches()[0]


class SeenHashes:
    """Which 64-bit hashes have been seen: a table of buckets, 11 to 22 bytes for each hash.

    Two of ten million rows share a hash once in 150,000 days; one of them would then be left out.
    """

    def __init__(self) -> None:
        self._table = np.zeros((BUCKETS, BUCKET), dtype=np.uint64)  # zero is an empty place
        self._size = 0

    def first_of(self, keys: "NDArray[np.uint64]") -> "NDArray[np.bool_]":
        """True for each hash that was not there before, in these or earlier ones."""
        odd = keys | np.uint64(1)  # so that none is zero
        ordered = _ascending(odd)
        distinct = ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]
        while self._size + len(distinct) > TABLE_LOAD * self._table.size:
            self._grow()
        new = self._insert(distinct)
        self._size += int(new.sum())
        if len(distinct) == len(keys) and new.all():
            return np.ones(len(keys), dtype=bool)
        fresh = np.zeros(len(keys), dtype=bool)
        fresh[np.unique(odd, return_index=True)[1][new]] = True
        return fresh

    def _homes(self, keys: "NDArray[np.uint64]") -> "NDArray[np.int64]":
        """The bucket that each key's leading bits name; sorted keys walk through them in order."""
        bits = len(self._table).bit_length() - 1
        return (keys >> np.uint64(64 - bits)).astype(np.int64)

    def _grow(self) -> None:
        """Twice as many buckets, filled part by part: only the few strays are inserted one by one.

        A key strays where its bucket was full and it lies in a later part, or would come to lie so.
        """
        old, self._table = self._table, np.zeros((2 * len(self._table), BUCKET), dtype=np.uint64)
        strays = []
        for start in range(0, len(old), BUCKETS_AT_ONCE):
            room = self._table[2 * start : 2 * (start + BUCKETS_AT_ONCE)].reshape(-1)
            part = old[start : start + BUCKETS_AT_ONCE]
            keys = np.sort(part[part != 0], kind="stable")  # they nearly are
            places = BUCKET * (self._homes(keys) - 2 * start)
            own = (places >= 0) & (places < len(room))
            ranks = np.arange(np.count_nonzero(own))
            # The first place of its bucket, or the one behind the key before it.
            places[own] = ranks + np.maximum.accumulate(places[own] - ranks)
            own &= places < len(room)
            room[places[own]] = keys[own]
            strays.append(keys[~own])
        self._insert(np.sort(np.concatenate(strays)))

    def _insert(self, keys: "NDArray[np.uint64]") -> "NDArray[np.bool_]":
        """Put distinct ascending keys in, all at once; which of them were new.

        Each goes to its own bucket, or to the next that is not full.
        """
        new, left, homes = np.zeros(len(keys), dtype=bool), np.arange(len(keys)), self._homes(keys)
        while len(left):
            buckets = self._table.take(homes, axis=0)
            absent = np.flatnonzero(_trues(buckets == keys[left, None]) == 0)
            left, homes = left[absent], homes[absent]
            places = _trues(buckets != 0)[absent] + _ranks(homes)
            fits = places < BUCKET
            self._table.reshape(-1)[(BUCKET * homes + places)[fits]] = keys[left[fits]]
            new[left[fits]] = True
            left, homes = left[~fits], (homes[~fits] + 1) % len(self._table)
        return new


def hashes(texts: "pa.Array", salt: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """A 64-bit hash of each text with its salt; zero bytes at its end make no difference."""
    mixed = salt
    for word in _words(texts).T:
        mixed = _mixed((mixed * np.uint64(0x9E3779B97F4A7C15)) ^ word)
    return mixed


def _words(texts: "pa.Array") -> "NDArray[np.uint64]":
    """Each text as a row of words, as many as the longest needs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = texts.cast(pa.string()).fill_null("")
    lengths = pc.min_max(pc.binary_length(plain)).as_py()
    words = -(-(lengths["max"] or 1) // 8)
    if lengths["min"] != 8 * words:
        plain = pc.ascii_rpad(plain, width=8 * words, padding="\0")
    _, offsets, data = plain.buffers()
    start = int(np.frombuffer(offsets, np.int32)[plain.offset]) if len(plain) else 0
    found = np.frombuffer(data or b"", np.uint64, count=words * len(plain), offset=start)
    return found.reshape(len(plain), words)


def _hashed(texts: "pa.Array") -> "pa.Array":
    import pyarrow as pa

    found = hashes(texts, np.zeros(len(texts), dtype=np.uint64))
    return pa.array(found, mask=texts.is_null().to_numpy(zero_copy_only=False))


def _identity(ids: "pa.Array", rows: "pa.Array") -> "NDArray[np.uint64]":
    places = rows.fill_null(-1).to_numpy(zero_copy_only=False)
    return hashes(ids, places.astype(np.int64).astype(np.uint64))


def _ascending(keys: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """The hashes in order: by radix as far as 16 bits go, which leaves little to sort."""
    rough = np.argsort((keys >> np.uint64(48)).astype(np.uint16), kind="stable")
    return np.sort(keys[rough], kind="stable")


def _trues(rows: "NDArray[np.bool_]") -> "NDArray[np.int64]":
    """How many of the eight in each row are true: their bytes summed by one multiplication."""
    ones = np.uint64(0x0101010101010101)
    return ((rows.view(np.uint64)[:, 0] * ones) >> np.uint64(56)).astype(np.int64)


def _ranks(groups: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """How many of the same group come before each, where equal ones lie side by side."""
    ranks = np.arange(len(groups))
    first = np.append(True, groups[1:] != groups[:-1])[: len(groups)]
    return ranks - np.maximum.accumulate(np.where(first, ranks, 0))


def _mixed(words: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """SplitMix64's finaliser: each bit of the input moves half of the output's bits."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
