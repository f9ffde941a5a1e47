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
from include.store import Store

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

PREFIX = "predictions"
BATCH_ROWS = 65_536
TABLE_BITS, TABLE_LOAD = 17, 0.75  # of the hashes seen: where it begins, when it doubles
OBJECT_NAMES = uuid.UUID(
    "6f1c9a3e-0b0e-4e0e-9d51-3c5b8f3a7f10"
)  # any constant: names derive from it

OnUnreadable: TypeAlias = Callable[[str, DataError], None]  # the object's key, and what is wrong
Columns: TypeAlias = tuple[tuple[str, str], ...]  # the contract's features, each with its type
_IDENTITY = ("prediction_id", "row")


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
    batch_rows: int = BATCH_ROWS,
    on_unreadable: OnUnreadable | None = None,
) -> "Iterator[pa.RecordBatch]":
    """A day's rows in batches, each row once; memory holds some objects and 11 to 22 bytes a row.

    `columns` chooses and orders what is read (all of them by default); a column that an object does
    not have, because its contract had none such, is null. Texts of `repetitive` columns stay
    dictionaries, which is faster for who wants each text once. A batch has about `batch_rows`, of
    one large object or of many small ones. DataError names an object that is no log, unless
    `on_unreadable` takes it and the others are still read.
    """
    seen = _Seen()
    batches = _read_objects(store, day, columns, repetitive, batch_rows, on_unreadable)
    for batch in _gathered(batches, batch_rows):
        first = seen.first(batch)
        fresh = batch if first.all() else batch.filter(first)
        if fresh.num_rows:
            yield fresh.select(batch.schema.names[len(_IDENTITY) :])


def _write_day(
    store: Store, day: date, rows: list[Mapping[str, Any]], columns: Columns, batch: str | None
) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = log_schema(columns)
    whole = {name for name, kind in columns if kind == "integer"}
    arrays = [
        pa.array(_values(rows, name, whole=name in whole), type=schema.field(name).type)
        for name in schema.names
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), sink, compression="zstd")
    name = uuid.uuid5(OBJECT_NAMES, f"{day}/{batch}") if batch else uuid.uuid4()
    key = f"{day_prefix(day)}{name}.parquet"
    store.write(key, sink.getvalue().to_pybytes())
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


def _read_objects(
    store: Store,
    day: date,
    columns: Sequence[str] | None,
    repetitive: Sequence[str],
    batch_rows: int,
    on_unreadable: OnUnreadable | None,
) -> "Iterator[pa.RecordBatch]":
    """All rows of a day, some perhaps twice, with their identity in the first columns."""
    for found in store.list(day_prefix(day)):
        if not found.key.endswith(".parquet"):
            continue
        try:
            yield from _read_object(store, found.key, columns, repetitive, batch_rows)
        except DataError as error:
            if on_unreadable is None:
                raise
            on_unreadable(found.key, error)


def _read_object(
    store: Store,
    key: str,
    columns: Sequence[str] | None,
    repetitive: Sequence[str],
    batch_rows: int,
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = pa.BufferReader(store.read(key).data)
        present = pq.read_schema(data).names
        data.seek(0)
        file = pq.ParquetFile(data, read_dictionary=[n for n in repetitive if n in present])
        wanted = present if columns is None else list(columns)
        needed = [name for name in present if name in {*wanted, *_IDENTITY}]
        for batch in file.iter_batches(batch_size=batch_rows, columns=needed):
            yield _arranged(batch, wanted)
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataError(
            f"{key} in {store.uri} is no prediction log ({error}): move it away, its rows are lost"
        ) from error


def _arranged(batch: "pa.RecordBatch", names: Sequence[str]) -> "pa.RecordBatch":
    """The identity under names of its own, then the wanted columns."""
    import pyarrow as pa

    types = {field.name: field.type for field in log_schema(())}
    identity = [batch.column(name) for name in _IDENTITY]
    arrays = [
        batch.column(name)
        if name in batch.schema.names
        else pa.nulls(batch.num_rows, types.get(name, pa.null()))
        for name in names
    ]
    own_names = [f"identity of {name}" for name in _IDENTITY]
    return pa.RecordBatch.from_arrays([*identity, *arrays], names=[*own_names, *names])


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
    """Which 64-bit hashes have been seen: a table with open addressing, 11 to 22 bytes for each.

    Two of ten million rows share a hash once in 150,000 days; one of them would then be left out.
    """

    def __init__(self) -> None:
        self._table = np.zeros(2**TABLE_BITS, dtype=np.uint64)  # zero is an empty place
        self._size = 0

    def first_of(self, keys: "NDArray[np.uint64]") -> "NDArray[np.bool_]":
        """True for each hash that was not there before, in these or earlier ones."""
        odd = keys | np.uint64(1)  # so that none is zero
        ordered = np.sort(odd)
        distinct = ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]
        while self._size + len(distinct) > TABLE_LOAD * len(self._table):
            self._grow()
        new = self._insert(distinct)
        self._size += int(new.sum())
        if len(distinct) == len(keys) and new.all():
            return np.ones(len(keys), dtype=bool)
        fresh = np.zeros(len(keys), dtype=bool)
        fresh[np.unique(odd, return_index=True)[1][new]] = True
        return fresh

    def _grow(self) -> None:
        old = self._table[self._table != 0]
        self._table = np.zeros(2 * len(self._table), dtype=np.uint64)
        for start in range(0, len(old), BATCH_ROWS):
            self._insert(old[start : start + BATCH_ROWS])

    def _insert(self, keys: "NDArray[np.uint64]") -> "NDArray[np.bool_]":
        """Put distinct keys in, all at once; which of them were new.

        Each goes to the place of its leading bits or the next free one, so that sorted keys walk
        through the table in order. Where two want one place, the last written has it.
        """
        table, last = self._table, len(self._table) - 1
        places = (keys >> np.uint64(64 - last.bit_length())).astype(np.int64)
        left, new = np.arange(len(keys)), np.zeros(len(keys), dtype=bool)
        while len(left):
            found = table[places]
            empty = np.flatnonzero(found == 0)
            table[places[empty]] = keys[left[empty]]
            won = empty[table[places[empty]] == keys[left[empty]]]
            new[left[won]] = True
            onward = found != keys[left]
            onward[won] = False
            left, places = left[onward], (places[onward] + 1) & last
        return new


class _Seen(SeenHashes):
    """Which rows have been read, as hashes of what identifies them."""

    def first(self, batch: "pa.RecordBatch") -> "NDArray[np.bool_]":
        """True for each row that was not there before, in this batch or an earlier one."""
        ids, rows = batch.columns[: len(_IDENTITY)]
        places = rows.fill_null(-1).to_numpy(zero_copy_only=False)
        return self.first_of(hashes(ids, places.astype(np.int64).astype(np.uint64)))


def hashes(texts: "pa.Array", salt: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """A 64-bit hash of each text with its salt; zero bytes at its end make no difference."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = texts.cast(pa.string()).fill_null("")
    longest = pc.max(pc.binary_length(plain)).as_py() or 1
    words = -(-longest // 8)
    padded = pc.ascii_rpad(plain, width=8 * words, padding="\0")
    whole = np.frombuffer(padded.buffers()[2] or b"", np.uint64, count=words * len(padded))
    mixed = salt
    for word in whole.reshape(len(padded), words).T:
        mixed = _mixed((mixed * np.uint64(0x9E3779B97F4A7C15)) ^ word)
    return mixed


def _mixed(words: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """SplitMix64's finaliser: each bit of the input moves half of the output's bits."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
