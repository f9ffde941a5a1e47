"""Reading records: the fast way and the contract's own way agree, and every fault is named."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contract import Contract, load_contract
from include.history.changes import extended
from research.customers import EIGHT_COLUMNS
from tests.webapp.champions import records
from webapp.problems import FAULTS_LISTED, Unprocessable
from webapp.records import RecordReader

CONTRACT = load_contract()
READER = RecordReader(CONTRACT, CONTRACT.feature_names)
EIGHT = RecordReader(CONTRACT, EIGHT_COLUMNS)


def faults(reader: RecordReader, record: Any) -> dict[str, tuple[str, str]]:
    with pytest.raises(Unprocessable) as caught:
        reader.read(record)
    return {fault.field: (fault.expected, fault.found) for fault in caught.value.faults}


@pytest.mark.parametrize("rows", [1, 2, 500])
@pytest.mark.parametrize("reader", [READER, EIGHT])
def test_many_records_become_the_same_rows_as_one_by_one(reader: RecordReader, rows: int) -> None:
    found = reader.read_all(records(rows)).matrix
    assert np.array_equal(found, np.vstack([reader.read(r).matrix for r in records(rows)]))


@pytest.mark.parametrize(
    ("field", "value", "expected", "found"),
    [
        ("Customer_Age", "44", "an integer from 18 to 120", "'44'"),
        ("customer_id", "", "an integer, or a text of 1 to 128 characters", "''"),
        ("customer_id", 1.5, "an integer, or a text of 1 to 128 characters", "1.5"),
        ("customer_id", True, "an integer, or a text of 1 to 128 characters", "the boolean true"),
        ("customer_id", 2**53, "an integer, or a text of 1 to 128 characters", str(2**53)),
        ("customer_id", "x" * 129, "an integer, or a text of", repr("x" * 80) + "…"),
        ("Attrition_Flag", 1, "no Attrition_Flag: it is the answer or", "an unknown field"),
        ("labelled_at", 1, "no labelled_at: it is the answer or", "an unknown field"),
        ("CLIENTNUM", 1, "no customer key: send it as customer_id", "an unknown field"),
        ("customer_age", 1, "a column of the contract", "an unknown field"),
    ],
)
def test_what_is_wrong_is_named_among_every_fault(
    record: dict[str, Any], field: str, value: Any, expected: str, found: str
) -> None:
    del record["Gender"]
    told = faults(READER, {**record, field: value})
    assert set(told) == {"Gender", field}
    assert told[field][0].startswith(expected) and told[field][1] == found


@pytest.mark.parametrize("value", [3, "abc", None, 7.0, "x" * 128])
def test_a_customer_id_is_taken_out(record: dict[str, Any], value: Any) -> None:
    accepted = READER.read({**record, "customer_id": value})
    assert accepted.customer_ids == [value] and "customer_id" not in accepted.records[0]


def test_a_batchs_faults_carry_their_row() -> None:
    batch = records(5)
    batch[3]["Gender"] = "?"
    batch[4] = 7
    with pytest.raises(Unprocessable) as caught:
        READER.read_all(batch)
    errors = caught.value.members()["errors"]
    assert [(error["row"], error["field"]) for error in errors] == [(3, "Gender"), (4, "record")]


def test_a_long_list_of_faults_is_cut() -> None:
    with pytest.raises(Unprocessable, match="more than 100 faults") as caught:
        READER.read_all([{} for _ in range(10_000)])
    assert len(caught.value.members()["errors"]) == FAULTS_LISTED


def test_an_unknown_category_may_be_configured_to_stand_for_another(record: dict[str, Any]) -> None:
    document = CONTRACT.model_dump()
    column = next(c for c in document["columns"] if c["name"] == "Education_Level")
    column["unknown_as"] = "Unknown"
    lenient = RecordReader(Contract.model_validate(document), CONTRACT.feature_names)
    place = CONTRACT.feature_names.index("Education_Level")
    record["Education_Level"] = "Kindergarten"
    assert lenient.read(record).matrix[0, place] == 0.0
    assert lenient.read_all([record, record]).matrix[1, place] == 0.0
    record["Education_Level"] = 4
    assert "Education_Level" in faults(lenient, record)


VALUES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    st.sampled_from([0, 1, 0.5, 2.0, "F", "M", "Blue", "Unknown", "Single", 50, 1e7, 10**400, []]),
)


@settings(max_examples=150, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(CONTRACT.feature_names), VALUES, max_size=3))
def test_the_fast_way_agrees_with_the_contract(changes: dict[str, Any]) -> None:
    record = {**records(1)[0], **changes}
    numbers, wrong = CONTRACT.check_record(record, required=CONTRACT.feature_names)
    for read in (
        lambda: READER.read(dict(record)).matrix[0],
        lambda: READER.read_all([dict(record), dict(record)]).matrix[1],
    ):
        if wrong:
            with pytest.raises(Unprocessable):
                read()
        else:
            assert read().tolist() == [numbers[name] for name in CONTRACT.feature_names]


CHANGES = extended(CONTRACT, "all")
WARNS_EARLY = RecordReader(CHANGES, CHANGES.feature_names)


@pytest.mark.parametrize("rows", [1, 3])
def test_what_a_record_may_leave_out_counts_as_its_default_and_is_named(rows: int) -> None:
    found = WARNS_EARLY.read_all(records(rows))
    assert found.defaulted == list(CHANGES.defaults)
    np.testing.assert_array_equal(found.matrix[:, : len(CONTRACT.features)], matrix_of(rows))
    assert not found.matrix[:, len(CONTRACT.features) :].any()
    assert found.records == records(rows)  # the log says what came


def test_what_a_record_brings_of_it_is_used_and_checked(record: dict[str, Any]) -> None:
    whole = record | dict.fromkeys(CHANGES.defaults, -2.5)
    accepted = WARNS_EARLY.read(dict(whole))
    assert (accepted.defaulted, accepted.matrix[0, -1]) == ([], -2.5)
    unknown = WARNS_EARLY.read(record | dict.fromkeys(CHANGES.defaults))
    assert unknown.defaulted == list(CHANGES.defaults)
    partly = WARNS_EARLY.read(record | {"Total_Trans_Ct_Change_1m": 7})
    assert partly.defaulted == list(CHANGES.defaults)[1:]
    assert faults(WARNS_EARLY, record | {"Total_Trans_Ct_Change_1m": "7"}).keys() == {
        "Total_Trans_Ct_Change_1m"
    }


def matrix_of(rows: int) -> Any:
    return READER.read_all(records(rows)).matrix
