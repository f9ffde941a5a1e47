"""The prediction log: what each answer was, and to which question.

One row for each answered record, as parquet under `predictions/date=YYYY-MM-DD/<uuid>.parquet`,
by the UTC day of the answer. Rows can come twice after a crash; readers take the first of each
(`prediction_id`, `row`).
"""

import hmac
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from include.contract import Contract
from include.errors import DataError
from include.predictions.objects import encoded, read_objects
from include.predictions.places import located
from include.store import ObjectInfo, Store

if TYPE_CHECKING:
    from concurrent.futures import Future

    import pyarrow as pa
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

PREFIX = "predictions"
BATCH_ROWS = 2**17
KEY_MARK = "customer_key_mark"  # of an object's metadata: which key its customers are named by
RUNS_APART = 4  # how many times longer than the next a run of hashes is

Columns: TypeAlias = tuple[tuple[str, str], ...]  # the contract's features, each with its type
_HASH = "hash of the identity"


def customer_key(customer_id: float | str, key: bytes) -> str:
    """What stands for a customer in the log: HMAC-SHA256 of the id as text, by `CHURN_ID_KEY`."""
    text = str(int(customer_id) if isinstance(customer_id, float) else customer_id)
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()


def key_mark(key: bytes) -> str:
    """Tells keys of the log apart and gives none away: 32 bits of its HMAC of the one text, that of
    no characters, which is nobody's id."""
    return customer_key("", key)[:8]


def feature_columns(contract: Contract) -> Columns:
    """The contract's features as the log names and types them."""
    return tuple((column.name, column.type) for column in contract.features)


def log_schema(columns: Columns, mark: str | None = None) -> "pa.Schema":
    """The log's own columns, then the contract's; the mark of their customers' key beside them."""
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
    return pa.schema(
        [*own.items(), *((name, types[kind]) for name, kind in columns)],
        metadata={KEY_MARK: mark} if mark else None,
    )


def log_prefix(day: date) -> str:
    """Where a day's log lies."""
    return f"{PREFIX}/date={day.isoformat()}/"


@dataclass(frozen=True)
class KeySpan:
    """Objects by their keys: those after one, up to another; by default all."""

    after: str | None = None
    upto: str | None = None

    def __contains__(self, key: str) -> bool:
        return (self.after is None or key > self.after) and (self.upto is None or key <= self.upto)


def day_objects(store: Store, day: date, span: KeySpan | None = None) -> Iterator[ObjectInfo]:
    """The objects of a day's log, or of a part of it, in the order of their keys."""
    for found in store.list(log_prefix(day)):
        if found.key.endswith(".parquet") and (span is None or found.key in span):
            yield found


def write_table(store: Store, table: "pa.Table", *, name: str) -> None:
    """Write rows of the log (`log_schema`), one object of this name for each day among them.

    Writing the same rows again after a crash replaces the objects instead of adding some.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    days = table.column("predicted_at").cast(pa.date32())
    for day in pc.unique(days).to_pylist():
        of_day = table.filter(pc.equal(days, pa.scalar(day, pa.date32())))
        store.write(f"{log_prefix(day)}{name}.parquet", encoded(of_day))


def read_predictions(
    store: Store,
    day: date,
    *,
    columns: Sequence[str] | None = None,
    hashed: Sequence[str] = (),
    unreadable: list[str] | None = None,
    span: KeySpan | None = None,
    seen: "SeenHashes | None" = None,
    places: bool = False,
) -> "Iterator[pa.RecordBatch]":
    """A day's rows in large batches, each row once; memory holds some objects and 8 bytes a row.

    `columns` chooses and orders what is read (all of them by default); a column that an object does
    not have, because its contract had none such, is null. Texts that repeat are dictionaries; of
    `hashed` columns there are only the texts' hashes. DataError names an object that is no log,
    unless there is a list of `unreadable` keys to take it and the others are still read. `span` is
    the part of the day that is read; rows whose hashes `seen` has are left out, and it learns the
    others'. `places` adds where each row lies (`include.predictions.places`).
    """
    arrange = partial(_arranged, columns=columns, hashed=hashed)
    wanted = None if columns is None else {*columns, "prediction_id", "row"}
    seen = SeenHashes() if seen is None else seen
    found = day_objects(store, day, span)
    objects = read_objects(store, found, columns=wanted, arrange=arrange)
    for batch in gathered(_readable(objects, unreadable, places=places)):
        first = seen.first_of(batch.column(_HASH).to_numpy())
        fresh = batch if first.all() else batch.filter(first)
        if fresh.num_rows:
            yield fresh.select(batch.schema.names[1:])


def gathered(batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    """Small batches taken together: what is done for each costs the same for five thousand rows."""
    pending: list[Any] = []
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        if pending and (rows > BATCH_ROWS or pending[0].schema != batch.schema):
            yield _joined(pending)
            pending, rows = [], batch.num_rows
        pending.append(batch)
    if pending:
        yield _joined(pending)


class SeenHashes:
    """Which 64-bit hashes have been seen: ascending runs, each several times as long as the next.

    8 bytes for each hash, and as much again for a moment while runs are merged. Two of ten million
    rows share a hash once in 370,000 days (n² / 2⁶⁵); one of them would then be left out. Ids
    are the server's and customer keys are HMACs; whoever chooses the values of anonymous rows so
    that they share one loses no rows but such.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []

    def first_of(self, keys: "NDArray[np.uint64]") -> "NDArray[np.bool_]":
        """True for each hash that was not there before, in these or earlier ones."""
        order = _order(keys)
        ordered = keys[order]
        new = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, ordered), len(run) - 1)
            new &= run[places] != ordered
        if new.any():
            self._keep(ordered[new])
        fresh = np.empty(len(keys), dtype=bool)
        fresh[order] = new
        return fresh

    def hashes(self) -> "NDArray[np.uint64]":
        """All that have been seen, ascending."""
        return np.sort(np.concatenate([np.empty(0, np.uint64), *self._runs]), kind="stable")

    def _keep(self, run: "NDArray[np.uint64]") -> None:
        while self._runs and len(self._runs[-1]) <= RUNS_APART * len(run):
            run = np.concatenate([self._runs.pop(), run])
            run.sort(kind="stable")  # which merges runs
        self._runs.append(run)


def hashes(texts: "pa.Array", salt: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """A 64-bit hash of each text with its salt; zero bytes at its end make no difference."""
    mixed = salt
    for word in _words(texts).T:
        mixed = combined(mixed, word)
    return mixed


def combined(before: "NDArray[np.uint64]", words: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """Hashes of what was hashed before and one more word each."""
    return _mixed((before * np.uint64(0x9E3779B97F4A7C15)) ^ words)


def _readable(
    objects: "Iterator[tuple[str, Future[list[pa.RecordBatch]]]]",
    unreadable: list[str] | None,
    *,
    places: bool,
) -> "Iterator[pa.RecordBatch]":
    """All rows of a day, some perhaps twice."""
    for key, decoded in objects:
        try:
            batches = decoded.result()
            yield from located(key, batches) if places else batches
        except DataError as error:
            if unreadable is None:
                raise
            logger.warning("%s; it is left out", error)
            unreadable.append(key)


def _arranged(
    batch: "pa.RecordBatch", *, columns: Sequence[str] | None, hashed: Sequence[str]
) -> "pa.RecordBatch":
    """The hash of each row's identity, then the wanted columns."""
    import pyarrow as pa

    def column(name: str) -> "pa.Array":
        known = name in batch.schema.names
        found = batch.column(name) if known else pa.nulls(batch.num_rows, pa.string())
        return _hashed(found) if name in hashed else found

    names = batch.schema.names if columns is None else columns
    places = batch.column("row").fill_null(-1).to_numpy().astype(np.uint64)
    identity = pa.array(hashes(batch.column("prediction_id"), places))
    return pa.RecordBatch.from_arrays([identity, *map(column, names)], names=[_HASH, *names])


def _joined(batches: "list[pa.RecordBatch]") -> "pa.RecordBatch":
    import pyarrow as pa

    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    return table.to_batches()[0]


def _order(keys: "NDArray[np.uint64]") -> "NDArray[np.intp]":
    """What sorts hashes: by radix as far as 16 bits go, which leaves little to do."""
    rough = np.argsort((keys >> np.uint64(48)).astype(np.uint16), kind="stable")
    return np.asarray(rough[np.argsort(keys[rough], kind="stable")])


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


def _mixed(words: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """SplitMix64's finaliser: each bit of the input moves half of the output's bits."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
