"""Whom a day's log is about: contents are told apart by every value, and by values alone."""

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from include.contract import Column
from include.predictions.asked import AskedCustomers, content_hashes
from tests.include.bank_days import CONTRACT, people

VALUES = st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.5, 3.0]), st.sampled_from(["", "F"]))


def batch(**columns: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([*columns.values()], names=[*columns])


@given(st.lists(VALUES, min_size=1, max_size=40))
def test_rows_have_one_hash_exactly_where_all_their_values_are_equal(
    rows: list[tuple[int, float, str]],
) -> None:
    ages, limits, genders = zip(*rows, strict=True)
    found = content_hashes(
        batch(a=pa.array(ages), b=pa.array(limits), c=pa.array(genders).dictionary_encode())
    ).tolist()
    assert len(set(found)) == len(set(rows)) == len(set(zip(found, rows, strict=True)))


@pytest.mark.parametrize("column", CONTRACT.features, ids=lambda column: column.name)
def test_any_column_tells_two_customers_apart(column: Column) -> None:
    one = people(1, seed=9)[list(CONTRACT.feature_names)]
    old = one[column.name].iloc[0]
    changed = one.copy()
    changed[column.name] = next(n for n in column.categories or (old + 1,) if n != old)
    found = [content_hashes(pa.RecordBatch.from_pandas(each))[0] for each in (one, one, changed)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (pa.array([7]), pa.array([7.0])),
        (pa.array([0.0]), pa.array([-0.0])),
        (pa.array(["F"]), pa.array(["M", "F"]).dictionary_encode()[1:]),
        (pa.nulls(1, pa.string()), pa.nulls(1, pa.float64())),
        (pa.nulls(1, pa.string()), pa.array(["F", None]).dictionary_encode()[1:]),
    ],
)
def test_a_value_is_the_same_in_whatever_type_an_object_has_it(
    one: pa.Array, same: pa.Array
) -> None:
    assert content_hashes(batch(a=one)) == content_hashes(batch(a=same))
    assert content_hashes(batch(a=one)) != content_hashes(batch(a=pa.array([8])))


def test_values_that_change_places_are_another_row() -> None:
    found = content_hashes(batch(a=pa.array([1, 2]), b=pa.array([2.0, 1.0])))
    assert found[0] != found[1]


def test_a_row_that_is_not_kept_is_nobodys_first() -> None:
    rows = batch(
        customer_key=pa.array([None, None, 7, 7, 7], pa.uint64()), age=pa.array([40, 40, 1, 2, 3])
    )
    kept = np.array([False, True, False, True, True])
    found = AskedCustomers(["age"]).count("1", rows, kept)
    assert found.first.tolist() == [False, True, False, True, False]
    assert found.known.tolist() == [False, False, True, True, True]
