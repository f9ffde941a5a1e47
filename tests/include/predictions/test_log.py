"""The prediction log: what is written is what is read, once, in pages, by day."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from include.contract import load_contract
from include.errors import DataError
from include.predictions.log import (
    SeenHashes,
    customer_key,
    day_prefix,
    feature_columns,
    hashes,
    log_schema,
    read_predictions,
    write_rows,
)
from include.store import LocalStore, S3Store, Store

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


def read(store: Store, day: date = DAY, **options: Any) -> pa.Table:
    return pa.Table.from_batches(list(read_predictions(store, day, **options)))


def test_rows_come_back_as_they_went(store: Store) -> None:
    rows = [logged(place) for place in range(3)]
    write_rows(store, rows, COLUMNS)
    assert read(store).to_pylist() == rows


def test_the_schema_is_the_logs_columns_then_the_contracts() -> None:
    names = log_schema(feature_columns(load_contract())).names
    assert names[:2] == ["prediction_id", "row"] and names[9] == "latency_seconds"
    assert tuple(names[10:]) == load_contract().feature_names


def test_the_day_of_the_answer_sets_the_key_even_when_it_is_shipped_later(
    local_store: LocalStore,
) -> None:
    late = logged(1, predicted_at="2026-05-03T23:59:59.999999Z")
    keys = write_rows(local_store, [logged(0), late], COLUMNS)
    assert [key.split("/")[1] for key in keys] == ["date=2026-05-03", "date=2026-05-04"]
    assert all(key.endswith(".parquet") for key in keys)


def test_a_local_time_belongs_to_its_utc_day(local_store: LocalStore) -> None:
    write_rows(local_store, [logged(0, predicted_at="2026-05-05T01:00:00+02:00")], COLUMNS)
    assert read(local_store).num_rows == 1


def test_writing_a_named_batch_again_replaces_it(local_store: LocalStore) -> None:
    first = write_rows(local_store, [logged(0)], COLUMNS, batch="a")
    assert write_rows(local_store, [logged(0)], COLUMNS, batch="a") == first
    assert len(list(local_store.list(day_prefix(DAY)))) == 1


def test_duplicates_are_removed_by_prediction_and_row(local_store: LocalStore) -> None:
    rows = [logged(0, row=row) for row in range(3)]
    write_rows(local_store, rows, COLUMNS)
    write_rows(local_store, [*rows[1:], logged(1)], COLUMNS)
    found = read(local_store)
    identity = set(zip(found["prediction_id"].to_pylist(), found["row"].to_pylist(), strict=True))
    assert found.num_rows == len(identity) == 4


def test_the_same_request_id_is_no_duplicate(local_store: LocalStore) -> None:
    write_rows(local_store, [logged(0), logged(1)], COLUMNS)
    assert set(read(local_store)["request_id"].to_pylist()) == {"r"}
    assert read(local_store).num_rows == 2


def test_more_objects_than_one_listing_holds_are_all_read(
    s3_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for place in range(7):
        write_rows(s3_store, [logged(place)], COLUMNS)
    listed = s3_store.client.list_objects_v2(Bucket=s3_store.bucket)
    assert listed["IsTruncated"]
    assert read(s3_store, columns=["prediction_id"]).num_rows == 7


def test_batches_are_bounded_and_columns_chosen(local_store: LocalStore) -> None:
    write_rows(local_store, [logged(place) for place in range(250)], COLUMNS)
    batches = list(
        read_predictions(local_store, DAY, columns=["Gender", "probability"], batch_rows=100)
    )
    assert [batch.num_rows for batch in batches] == [100, 100, 50]
    assert batches[0].schema.names == ["Gender", "probability"]


def test_a_column_of_a_later_contract_is_null_before(local_store: LocalStore) -> None:
    write_rows(local_store, [logged(0)], COLUMNS)
    found = read(local_store, columns=["Customer_Age", "Mood"])
    assert found.to_pylist() == [{"Customer_Age": 40, "Mood": None}]


def test_an_absent_value_is_null_and_an_integral_float_an_integer(local_store: LocalStore) -> None:
    row = logged(0, Customer_Age=41.0, Credit_Limit=7)
    del row["Gender"]
    write_rows(local_store, [row], COLUMNS)
    found = read(local_store, columns=["Customer_Age", "Credit_Limit", "Gender"]).to_pylist()
    assert found == [{"Customer_Age": 41, "Credit_Limit": 7.0, "Gender": None}]


def test_a_day_without_predictions_is_empty(store: Store) -> None:
    assert list(read_predictions(store, DAY)) == []


@pytest.mark.parametrize("data", [b"", b"no parquet", b"PAR1"])
def test_an_object_that_is_no_log_is_named(local_store: LocalStore, data: bytes) -> None:
    local_store.write(f"{day_prefix(DAY)}bad.parquet", data)
    with pytest.raises(DataError, match=r"date=2026-05-04/bad\.parquet .* is no prediction log"):
        list(read_predictions(local_store, DAY))


def test_of_hashed_columns_there_are_the_texts_hashes(local_store: LocalStore) -> None:
    keys = ["one", None, "one", "another", ""]
    rows = [logged(place, customer_key=key) for place, key in enumerate(keys)]
    write_rows(local_store, rows, COLUMNS)
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


def test_a_million_rows_are_told_apart() -> None:
    seen, batch_rows = SeenHashes(), 50_000
    ids = pa.array([f"{place:032x}" for place in range(batch_rows)])
    total = 0
    for row in range(20):
        found = hashes(ids, np.full(batch_rows, row, dtype=np.uint64))
        total += int(seen.first_of(found).sum())
        assert not seen.first_of(found).any()
    assert total == 1_000_000


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
        keys = np.array(batch, dtype=np.uint64) * np.uint64(2 * (spread // 2))  # even: none merge
        expected = []
        for key in keys.tolist():
            expected.append(key not in known)
            known.add(key)
        assert seen.first_of(keys).tolist() == expected


def test_many_hashes_outgrow_the_table_and_are_still_known() -> None:
    keys = np.random.default_rng(0).integers(0, 2**64, 400_000, dtype=np.uint64)
    seen = SeenHashes()
    assert all(seen.first_of(part).all() for part in np.array_split(keys, 7))
    assert not any(seen.first_of(part).any() for part in np.array_split(keys, 5))
