"""Numbers whose points can mean two things."""

import pytest

from include.contract import load_contract
from include.customers import csv_file
from include.customers.csv_file import read_csv
from tests.include.records import csv_text, customer

LIMITS = "Credit_Limit"
COUNTS = "Total_Trans_Ct"


def faults_of(text: str) -> list[str]:
    return [str(fault) for fault in read_csv(text.encode(), load_contract()).faults]


@pytest.mark.parametrize(
    ("name", "values", "doubtful"),
    [
        pytest.param(LIMITS, ["4.223", "1.234.567"], "4.223", id="thousands"),
        pytest.param(LIMITS, ["1.234.567", "4.223"], "4.223", id="thousands first"),
        pytest.param(LIMITS, ["4.223", "12.691"], "4.223 12.691", id="nothing tells"),
        pytest.param(LIMITS, ["4.223", "500"], "4.223", id="below a thousand"),
        pytest.param(LIMITS, ["4.223", "12.691,50"], "4.223", id="decimal comma"),
        pytest.param(LIMITS, ["4.223", "12691"], "", id="a thousand without a point"),
        pytest.param(LIMITS, ["4.223", "12691.5"], "", id="four digits before the point"),
        pytest.param(LIMITS, ["4.223", "4.2"], "", id="one decimal"),
        pytest.param(LIMITS, ["4.223", "0.5"], "", id="nothing before the point"),
        pytest.param("Total_Amt_Chng_Q4_Q1", ["1.335", "2.541"], "", id="too many if thousands"),
        pytest.param(COUNTS, ["4.000", "500"], "4.000", id="an integer beside one without"),
        pytest.param(COUNTS, ["4.000", "5.000"], "", id="integers as decimals"),
        pytest.param("CLIENTNUM", ["7.000", "8"], "7.000", id="keys"),
    ],
)
def test_a_point_of_two_meanings_is_a_fault(
    name: str, values: list[str], doubtful: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 1000)  # what tells may come blocks later
    rows = [customer(key) for key in range(11, 29)]
    rows = [rows[0] | {name: values[0]}, *(row | {name: values[1]} for row in rows[1:])]
    told = [
        fault.partition(" found ")[2] for fault in faults_of(csv_text(*rows)) if "one way" in fault
    ]
    assert sorted({*told}) == sorted(f"'{each}'" for each in doubtful.split())
