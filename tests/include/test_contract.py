import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from include.contract import SCHEMA_FILE, Contract, load_contract
from include.errors import ConfigurationError
from include.values import describe
from tests.include.records import customer, features

CONTRACT = load_contract()


def frame(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(rows, dtype=object)


def schema(**columns: dict[str, object] | None) -> dict[str, Any]:
    """schema.yaml with some columns' rules changed, or left out (None)."""
    document: dict[str, Any] = yaml.safe_load(SCHEMA_FILE.read_text())
    changed = [
        column | (columns.get(column["name"], {}) or {})
        for column in document["columns"]
        if columns.get(column["name"], {}) is not None
    ]
    return document | {"columns": changed}


# --- one value


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("Customer_Age", 17, "17"),
        ("Customer_Age", 121, "121"),
        ("Customer_Age", 45.5, "45.5"),
        ("Customer_Age", "45", "'45'"),
        ("Customer_Age", True, "the boolean true"),
        ("Customer_Age", None, "nothing"),
        ("Customer_Age", [45], "a JSON array"),
        ("Customer_Age", {"a": 1}, "a JSON object"),
        ("Customer_Age", math.nan, "nan"),
        ("Customer_Age", math.inf, "inf"),
        pytest.param("Customer_Age", 10**5000, "an integer too long to print", id="huge"),
        ("Credit_Limit", -1e-300, "-1e-300"),
        ("Credit_Limit", 1e300, "1e+300"),
        ("Credit_Limit", 10**400, "1" + "0" * 79),
        ("Credit_Limit", False, "the boolean false"),
        ("Gender", "m", "'m'"),
        ("Gender", "", "''"),
        ("Gender", 0, "0"),
        ("Gender", None, "nothing"),
        ("Gender", ["F"], "a JSON array"),
        ("Gender", "x" * 1000, "'" + "x" * 80 + "'…"),
    ],
)
def test_a_wrong_value_is_a_fault_with_all_that_it_takes_to_mend_it(
    name: str, value: object, found: str
) -> None:
    numbers, (fault,) = CONTRACT.check_record({name: value}, required=())
    assert (numbers, fault.field, fault.found) == ({}, name, found)
    assert fault.expected == CONTRACT.column(name).expected


def test_every_fault_of_a_record_is_named_in_a_sentence() -> None:
    record = features(Gender="X", Customer_Age=7, Surname="Doe", CLIENTNUM=1)
    del record["Card_Category"]
    _, faults = CONTRACT.check_record(record, required=CONTRACT.feature_names)
    assert [str(fault) for fault in faults] == [
        "Customer_Age: expected an integer from 18 to 120, found 7",
        "Gender: expected one of F, M, found 'X'",
        "Card_Category: expected one of Blue, Silver, Gold, Platinum, found nothing",
        "'Surname': expected a column of the contract, found an unknown field",
        "'CLIENTNUM': expected a column of the contract, found an unknown field",
    ]
    assert CONTRACT.check_record({}, required=()) == ({}, [])


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
def test_any_value_is_described_briefly(value: object) -> None:
    assert 0 < len(describe(value)) <= 400


# --- one value, and many at once


VALUES = st.one_of(
    *(st.integers(), st.integers(-2, 130), st.floats(), st.integers(-2, 130).map(float)),
    *(st.booleans(), st.none(), st.text(max_size=5), st.just([])),
    st.sampled_from([c for column in CONTRACT.features for c in column.categories]),
    st.sampled_from([end for c in CONTRACT.features for end in (c.minimum, c.maximum) if end]),
)
TYPED = (
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1)
    | st.lists(st.integers(-2, 130), min_size=1)
    | st.lists(st.floats(), min_size=1)
    | st.lists(st.sampled_from(["F", "M", "Blue", "Unknown", "?"]), min_size=1)
)


@given(st.sampled_from(CONTRACT.feature_names), st.lists(VALUES, min_size=1, max_size=5) | TYPED)
def test_a_record_and_a_table_agree_on_every_value(name: str, values: list[Any]) -> None:
    """The scalar way, its list, its column of a table, typed and not: one judgement."""
    judged = [CONTRACT.check_record({name: value}, required=()) for value in values]
    right = [not faults for _, faults in judged]
    expected = [numbers.get(name, math.nan) for numbers, _ in judged]
    np.testing.assert_array_equal(CONTRACT.column(name).numbers(values), expected)
    people = frame(*(customer(key) for key in range(1, len(values) + 1)))
    for column in (pd.Series(values, dtype=object), pd.Series(values)):
        check = CONTRACT.check_frame(people.assign(**{name: column}))
        assert check.valid.tolist() == right
        np.testing.assert_array_equal(
            CONTRACT.matrix(people.assign(**{name: column}), [name])[:, 0], expected
        )


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        *(("Customer_Age", 18, 18.0), ("Customer_Age", 120, 120.0), ("Customer_Age", 45.0, 45.0)),
        *(("Credit_Limit", 0, 0.0), ("Credit_Limit", 1e-300, 1e-300), ("Gender", "M", 1.0)),
        *(("Card_Category", "Platinum", 3.0), ("Customer_Age", np.int64(40), 40.0)),
        ("Credit_Limit", Decimal("1.5"), 1.5),
    ],
)
def test_a_right_value_becomes_a_number(name: str, value: object, number: float) -> None:
    assert CONTRACT.matrix(frame(customer(**{name: value})), [name]).tolist() == [[number]]


def test_an_unknown_category_may_stand_for_a_known_one() -> None:
    contract = Contract.model_validate(schema(Gender={"unknown_as": "M"}))
    values = ["F", "X", None, 5, True]
    records = [contract.check_record({"Gender": value}, required=()) for value in values]
    found = contract.check_frame(frame(*(customer(n, Gender=v) for n, v in enumerate(values, 1))))
    assert [not faults for _, faults in records] == [True, True, False, False, False]
    assert found.valid.tolist() == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([customer()], []),
        ([customer(Attrition_Flag=None)], []),
        ([customer(Attrition_Flag=math.nan)], []),
        ([customer(labelled_at="2026-11-22")], []),
        ([customer(labelled_at="2026-11-22T10:00:00Z")], []),
        ([customer(labelled_at=pd.Timestamp(0))], []),
        ([customer(labelled_at="soon")], [(0, "labelled_at", "'soon'")]),
        ([customer(labelled_at=5)], [(0, "labelled_at", "5")]),
        ([customer(Attrition_Flag="Gone")], [(0, "Attrition_Flag", "'Gone'")]),
        ([customer(0)], [(0, "CLIENTNUM", "0")]),
        ([customer(2**53)], [(0, "CLIENTNUM", str(2**53))]),
        ([customer(CLIENTNUM=None)], [(0, "CLIENTNUM", "nothing")]),
        (
            [customer(5), customer(6), customer(5)],
            [(0, "CLIENTNUM", "5 again"), (2, "CLIENTNUM", "5 again")],
        ),
        (
            [customer(1), customer(2, Gender=None, Customer_Age=7), customer(3, Gender="X")],
            [(1, "Customer_Age", "7"), (1, "Gender", "nothing"), (2, "Gender", "'X'")],
        ),
    ],
)
def test_every_fault_of_a_table_is_named_with_its_row(
    rows: list[dict[str, object]], found: list[tuple[int, str, str]]
) -> None:
    check = CONTRACT.check_frame(frame(*rows))
    assert check.rejected_rows == len({position for position, *_ in found})
    assert list(check.faults) == ["position", "column", "expected", "found"]
    told = check.faults[["position", "column", "found"]]
    assert list(told.itertuples(index=False, name=None)) == found


def test_an_empty_table_has_no_faults() -> None:
    assert CONTRACT.check_frame(frame(customer()).iloc[:0]).rejected_rows == 0


def test_missing_columns_are_named_and_only_labelled_at_may_be_absent() -> None:
    assert CONTRACT.missing_columns(customer()) == []
    present = set(customer()) - {"Gender", "CLIENTNUM"}
    assert CONTRACT.missing_columns(present) == ["CLIENTNUM", "Gender"]


# --- the choice of columns


def test_chosen_columns_come_in_the_contracts_order() -> None:
    assert CONTRACT.chosen("all") == CONTRACT.feature_names
    assert len(CONTRACT.feature_names) == 19
    assert CONTRACT.chosen(["Credit_Limit", "Customer_Age"]) == ("Customer_Age", "Credit_Limit")


@pytest.mark.parametrize("names", [["Surname"], ["CLIENTNUM"], []])
def test_columns_outside_the_contract_cannot_be_chosen(names: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="model columns must be features"):
        CONTRACT.chosen(names)


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no column 'Surname'"):
        CONTRACT.column("Surname")


# --- schema.yaml


def test_the_contract_survives_json() -> None:
    assert Contract.model_validate(json.loads(CONTRACT.model_dump_json())) == CONTRACT


def test_every_column_says_what_it_means() -> None:
    assert all(len(column.meaning) > 5 for column in CONTRACT.columns)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (schema(Customer_Age={"minimum": 200}), "minimum must be below maximum"),
        (schema(Customer_Age={"minimum": math.nan}), "minimum must be below maximum"),
        (schema(Customer_Age={"name": "Gender"}), "each column is listed once"),
        (schema(Customer_Age={"name": "split"}), "split: training adds a column of that name"),
        (schema(Customer_Age={"typo": 1}), "Extra inputs are not permitted"),
        (schema(Customer_Age={"type": "number"}), "Input should be 'integer'"),
        (schema(Customer_Age={"meaning": None}), "meaning"),
        (schema(Customer_Age={"categories": ["young", "old"]}), "only a category column"),
        (schema(Gender={"categories": []}), "lists its categories"),
        (schema(Gender={"categories": ["F", "F"]}), "each once"),
        (schema(Gender={"categories": ["F", True]}), "should be a valid string"),
        (schema(Gender={"unknown_as": "X"}), "'X' is not one of its categories"),
        (schema(Attrition_Flag={"positive": "Gone"}), "'Gone' is not one of its categories"),
        (schema(Attrition_Flag={"positive": None}), "says which one is positive"),
        (schema(CLIENTNUM=None), "exactly one column has the role key"),
        (schema(Gender={"role": "target"}), "exactly one column has the role target"),
        (schema(**dict.fromkeys(CONTRACT.feature_names)), "at least one column is a feature"),
        (schema() | {"attrited_share": {"minimum": 0.6, "maximum": 0.1}}, "minimum .* below"),
        (schema() | {"attrited_share": {"minimum": 0, "maximum": 2}}, "attrited_share.maximum"),
        ([], "valid dictionary"),
        (None, "valid dictionary"),
    ],
)
def test_a_broken_schema_is_refused(document: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "schema.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigurationError, match=f"(?s)schema.yaml: .*{message}"):
        load_contract(path)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("columns: [1"),
        lambda path: path.write_text(SCHEMA_FILE.read_text() + "version: 2\n"),
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        lambda path: path.mkdir(),
        lambda path: None,
    ],
    ids=["no yaml", "twice", "no text", "directory", "absent"],
)
def test_an_unreadable_schema_is_refused(write: Callable[[Path], object], tmp_path: Path) -> None:
    write(tmp_path / "schema.yaml")
    with pytest.raises(ConfigurationError, match="cannot read .*schema.yaml: "):
        load_contract(tmp_path / "schema.yaml")
