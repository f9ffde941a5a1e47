"""The prediction log: what is written is what is read, once, in pages, by day."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from include.contract import load_contract
from include.errors import DataError, StoreUnavailable
from include.predictions.log import (
    SeenHashes,
    customer_key,
    feature_columns,
    hashes,
    key_mark,
    log_prefix,
    log_schema,
    read_predictions,
    write_table,
)
from include.store import LocalStore, S3Store, Store, StoredObject

COLUMNS = (("Customer_Age", "integer"), ("Credit_Limit", "float"), ("Gender", "category"))
DAY = date(2026, 5, 4)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def logged(place: int, **changes: Any) -> dict[str, Any]:
    return {
        "prediction_id": f"{place:032x}",
        "row": 0,
        "request_id": "r",
        "predicted_at": NOON + timedelta(microseconds=place),
        "model_version": "1",
        "customer_key": None,
        "source": "customer",
        "probability": 0.25,
        "prediction": 0,
        "latency_seconds": 0.001,
        "Customer_Age": 40 + place % 30,
        "Credit_Limit": 1500.5,
        "Gender": "F",
        **changes,
    }


def write(store: Store, rows: list[dict[str, Any]], name: str = "a") -> None:
    write_table(store, pa.Table.from_pylist(rows, log_schema(COLUMNS)), name=name)


def read(store: Store, **options: Any) -> pa.Table:
    return pa.Table.from_batches(list(read_predictions(store, DAY, **options)))


def test_rows_come_back_as_they_went(store: Store) -> None:
    assert list(read_predictions(store, DAY)) == [], "a day without predictions is empty"
    rows = [logged(place) for place in range(3)]
    write(store, rows)
    assert read(store).to_pylist() == rows


def test_a_key_is_told_from_another_and_not_given_away() -> None:
    marks = {key_mark(f"key {place}".encode()) for place in range(1000)}
    assert len(marks) == 1000 and {len(mark) for mark in marks} == {8}


def test_the_schema_is_the_logs_columns_then_the_contracts() -> None:
    names = log_schema(feature_columns(load_contract())).names
    assert names[:2] == ["prediction_id", "row"] and names[9] == "latency_seconds"
    assert tuple(names[10:]) == load_contract().feature_names


def test_the_utc_day_of_the_answer_sets_the_key_even_when_it_is_shipped_later(
    local_store: LocalStore,
) -> None:
    moments = ["2026-05-03T23:59:59.999999Z", "2026-05-04T00:00:00Z", "2026-05-05T01:00:00+02:00"]
    rows = [logged(i, predicted_at=datetime.fromisoformat(m)) for i, m in enumerate(moments)]
    write(local_store, rows)
    keys = [found.key for found in local_store.list("predictions/")]
    assert keys == [f"predictions/date=2026-05-0{day}/a.parquet" for day in (3, 4)]
    assert read(local_store).num_rows == 2


def test_writing_rows_again_under_their_name_replaces_them(local_store: LocalStore) -> None:
    for _ in range(2):
        write(local_store, [logged(0)])
    assert len(list(local_store.list(log_prefix(DAY)))) == 1


def test_duplicates_are_removed_by_prediction_and_row_and_not_by_request(
    local_store: LocalStore,
) -> None:
    rows = [logged(0, row=row) for row in range(3)]
    write(local_store, rows)
    write(local_store, [*rows[1:], logged(1)], "b")
    found = read(local_store)
    identity = set(zip(found["prediction_id"].to_pylist(), found["row"].to_pylist(), strict=True))
    assert found.num_rows == len(identity) == 4
    assert {*found["request_id"].to_pylist()} == {"r"}


def test_more_objects_than_one_listing_holds_are_all_read(
    s3_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for place in range(7):
        write(s3_store, [logged(place)], str(place))
    listed = s3_store.client.list_objects_v2(Bucket=s3_store.bucket)
    assert listed["IsTruncated"]
    assert read(s3_store, columns=["prediction_id"]).num_rows == 7


def test_columns_are_chosen_and_those_of_a_later_contract_are_null(local_store: LocalStore) -> None:
    write(local_store, [logged(0)])
    found = read(local_store, columns=["Mood", "Customer_Age"])
    assert found.to_pylist() == [{"Mood": None, "Customer_Age": 40}]


def test_an_absent_value_is_null_and_an_integral_float_an_integer(local_store: LocalStore) -> None:
    row = logged(0, Customer_Age=41.0, Credit_Limit=7)
    del row["Gender"]
    write(local_store, [row])
    found = read(local_store, columns=["Customer_Age", "Credit_Limit", "Gender"]).to_pylist()
    assert found == [{"Customer_Age": 41, "Credit_Limit": 7.0, "Gender": None}]


@pytest.mark.parametrize("data", [b"", b"no parquet", b"PAR1"])
def test_an_object_that_is_no_log_is_named_and_the_others_are_read(
    local_store: LocalStore, data: bytes
) -> None:
    bad = f"{log_prefix(DAY)}b.parquet"
    local_store.write(bad, data)
    for place, name in enumerate("ac"):
        write(local_store, [logged(place)], name)
    with pytest.raises(DataError, match=r"date=2026-05-04/b\.parquet .* is no prediction log"):
        read(local_store)
    unreadable: list[str] = []
    assert read(local_store, unreadable=unreadable).num_rows == 2 and unreadable == [bad]


def test_a_store_that_fails_is_not_taken_for_a_bad_object(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(local_store, [logged(0)])

    def refuse(store: LocalStore, key: str) -> StoredObject:
        raise StoreUnavailable("away")

    monkeypatch.setattr(LocalStore, "read", refuse)
    with pytest.raises(StoreUnavailable):
        read(local_store, unreadable=[])


def test_of_hashed_columns_there_are_the_texts_hashes(local_store: LocalStore) -> None:
    keys = ["one", None, "one", "another", ""]
    write(local_store, [logged(place, customer_key=key) for place, key in enumerate(keys)])
    found = read(local_store, columns=["customer_key"], hashed=["customer_key"])
    first, none, again, other, empty = found["customer_key"].to_pylist()
    assert none is None and first == again and len({first, other, empty}) == 3


@pytest.mark.parametrize("width", [1, 7, 8, 16, 31, 32, 64])
def test_texts_that_differ_in_one_place_have_other_hashes(width: int) -> None:
    texts = {"a" * width} | {
        "a" * place + letter + "a" * (width - place - 1)
        for place in range(width)
        for letter in "0123456789bcdef"
    }
    array = pa.array(["before", *sorted(texts)], pa.string())[1:]
    found = hashes(array, np.zeros(len(array), dtype=np.uint64))
    assert len({*found.tolist()}) == len(texts)
    apart = pa.array(array.to_pylist())
    assert (found == hashes(apart, np.zeros(len(array), dtype=np.uint64))).all()


def test_a_customer_key_hides_the_id_and_is_one_for_both_spellings() -> None:
    key = customer_key(708082083, b"k")
    assert key == customer_key("708082083", b"k") == customer_key(708082083.0, b"k")
    assert "708082083" not in key and len(key) == 64
    assert key != customer_key(708082083, b"another")


@given(st.lists(st.lists(st.integers(0, 40), max_size=60), max_size=8), st.integers(1, 2**63))
def test_a_hash_is_new_exactly_once(batches: list[list[int]], spread: int) -> None:
    known: set[int] = set()
    seen = SeenHashes()
    for batch in batches:
        keys = np.array(batch, dtype=np.uint64) * np.uint64(spread | 1)  # odd: no two become one
        expected = []
        for key in keys.tolist():
            expected.append(key not in known)
            known.add(key)
        assert seen.first_of(keys).tolist() == expected


def test_many_hashes_are_told_apart_and_still_known() -> None:
    seen, ids = SeenHashes(), pa.array([f"{place:032x}" for place in range(50_000)])
    parts = [hashes(ids, np.full(50_000, row, dtype=np.uint64)) for row in range(20)]
    assert all(seen.first_of(part).all() for part in parts)
    assert not any(seen.first_of(part).any() for part in parts)
