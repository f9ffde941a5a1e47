"""Reading ahead: threads decode, and nobody can tell by the result."""

import threading
import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.errors import StoreUnavailable
from include.predictions import objects
from include.predictions.log import day_prefix, encoded, read_predictions
from include.predictions.objects import BATCHES_AHEAD, OBJECTS_AHEAD, Decoding, read_objects
from include.store import LocalStore, StoredObject

PREFIX = day_prefix(date(2026, 5, 4))
WHOLE = Decoding(columns=None, repetitive=(), batch_rows=100, arrange=lambda batch: batch)


def put(store: LocalStore, name: str, numbers: list[int]) -> None:
    texts = [str(number) for number in numbers]
    table = pa.table({"prediction_id": texts, "row": pa.array(numbers, pa.int32())})
    store.write(f"{PREFIX}{name}.parquet", encoded(table))


def rows(found: Iterator[tuple[str, Any]]) -> list[int]:
    return [row for _, batches in found for b in batches for row in b.column("row").to_pylist()]


class Slow(LocalStore):
    """A store that answers late, the earlier keys latest, and remembers what it was asked."""

    asked = 0

    def read(self, key: str) -> StoredObject:
        self.asked += 1
        time.sleep(0.02 if self.asked % 2 else 0)
        return super().read(key)


def test_objects_come_in_the_order_of_their_keys_whichever_is_ready_first(
    local_store: LocalStore,
) -> None:
    for place in range(20):
        put(local_store, f"{place:02}", [place])
    assert rows(read_objects(Slow(local_store.root), PREFIX, WHOLE)) == [*range(20)]


@pytest.mark.parametrize("batches", range(2 * BATCHES_AHEAD + 2))
def test_an_object_of_any_number_of_batches_is_read_to_its_end(
    local_store: LocalStore, batches: int
) -> None:
    put(local_store, "a", [*range(100 * batches)])
    put(local_store, "b", [-1])
    assert rows(read_objects(local_store, PREFIX, WHOLE)) == [*range(100 * batches), -1]


def test_no_more_than_a_few_objects_are_ahead(local_store: LocalStore) -> None:
    for place in range(3 * OBJECTS_AHEAD):
        put(local_store, f"{place:02}", [place])
    store = Slow(local_store.root)
    found = read_objects(store, PREFIX, WHOLE)
    next(found)
    assert store.asked <= OBJECTS_AHEAD
    found.close()  # type: ignore[attr-defined]


def test_large_objects_are_not_held_in_memory_together(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in range(5):
        put(local_store, f"{place}", [place])
    monkeypatch.setattr(objects, "BYTES_AHEAD", 10)
    store = Slow(local_store.root)
    for used, (_, batches) in enumerate(read_objects(store, PREFIX, WHOLE), 1):
        list(batches)
        assert store.asked <= used + 1


def test_an_object_that_is_no_log_says_so_and_the_next_is_read(local_store: LocalStore) -> None:
    put(local_store, "a", [1])
    local_store.write(f"{PREFIX}b.parquet", b"no parquet")
    put(local_store, "c", [3])
    told: list[str] = []
    day = date(2026, 5, 4)
    found = read_predictions(local_store, day, on_unreadable=lambda key, error: told.append(key))
    assert [batch.column("row").to_pylist() for batch in found] == [[1, 3]]
    assert told == [f"{PREFIX}b.parquet"]


def test_a_store_that_fails_is_not_taken_for_a_bad_object(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(local_store, "a", [1])

    def read(store: LocalStore, key: str) -> StoredObject:
        raise StoreUnavailable("away")

    monkeypatch.setattr(LocalStore, "read", read)
    with pytest.raises(StoreUnavailable):
        list(read_predictions(local_store, date(2026, 5, 4), on_unreadable=lambda *_: None))


def test_who_stops_early_leaves_no_thread_behind(local_store: LocalStore) -> None:
    before = threading.active_count()
    for place in range(30):
        put(local_store, f"{place:02}", [place])
    found = read_predictions(local_store, date(2026, 5, 4), batch_rows=2)
    next(found)
    assert threading.active_count() > before
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_repeated_values_are_dictionaries_and_no_text_is_left_uncompressed() -> None:
    names = ("prediction_id", "source", "Customer_Age", "probability")
    table = pa.table({name: ["a", "b"] * 50 for name in names})
    group = pq.read_metadata(pa.BufferReader(encoded(table))).row_group(0)
    found = {group.column(place).path_in_schema: group.column(place) for place in range(len(names))}
    assert {name for name in names if found[name].has_dictionary_page} == {"source", "Customer_Age"}
    assert found["prediction_id"].compression == "ZSTD"
    assert found["source"].compression == "LZ4"
