"""Reading ahead: threads decode, and nobody can tell by the result."""

import threading
import time
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.predictions import objects
from include.predictions.objects import OBJECTS_AHEAD, encoded, read_objects
from include.store import LocalStore, StoredObject

PREFIX = "predictions/date=2026-05-04/"


class Slow(LocalStore):
    """A store that answers late, the earlier keys latest, and remembers what it was asked."""

    asked = 0

    def read(self, key: str) -> StoredObject:
        self.asked += 1
        time.sleep(0.02 if self.asked % 2 else 0)
        return super().read(key)


@pytest.fixture
def slow(local_store: LocalStore) -> Slow:
    """Thirty objects of a row each."""
    for place in range(30):
        table = pa.table({"prediction_id": ["a"], "row": pa.array([place], pa.int32())})
        local_store.write(f"{PREFIX}{place:02}.parquet", encoded(table))
    return Slow(local_store.root)


def rows(store: LocalStore) -> Iterator[int]:
    for _, decoded in read_objects(store, store.list(PREFIX), arrange=lambda batch: batch):
        yield from (row for b in decoded.result() for row in b.column("row").to_pylist())


def test_objects_come_in_the_order_of_their_keys_whichever_is_ready_first(slow: Slow) -> None:
    assert list(rows(slow)) == [*range(30)]


def test_no_more_than_a_few_objects_are_ahead_and_who_stops_early_leaves_no_thread(
    slow: Slow,
) -> None:
    before = threading.active_count()
    found = rows(slow)
    next(found)
    assert slow.asked <= OBJECTS_AHEAD and threading.active_count() > before
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_large_objects_are_not_held_in_memory_together(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "BYTES_AHEAD", 10)
    for used, _ in enumerate(rows(slow), 1):
        assert slow.asked <= used + 1


def test_repeated_values_are_dictionaries_and_no_text_is_left_uncompressed() -> None:
    names = ("prediction_id", "source", "Customer_Age", "probability")
    table = pa.table({name: ["a", "b"] * 50 for name in names})
    group = pq.read_metadata(pa.BufferReader(encoded(table))).row_group(0)
    found = {group.column(place).path_in_schema: group.column(place) for place in range(len(names))}
    assert {name for name in names if found[name].has_dictionary_page} == {"source", "Customer_Age"}
    assert found["prediction_id"].compression == "ZSTD"
    assert found["source"].compression == "LZ4"
