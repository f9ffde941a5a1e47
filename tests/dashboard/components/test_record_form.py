"""The form's values as the API takes them."""

from typing import Any

import pytest

from dashboard.components.record_form import record_of
from include.contract import load_contract

CONTRACT = load_contract()


@pytest.mark.parametrize(
    ("given", "expected"), [("0", 0), ("1,200", 1200), ("0.5", 0.5), (0, 0), ("much", "much")]
)
def test_typed_numbers_are_numbers(given: Any, expected: Any) -> None:
    found = record_of({"Total_Revolving_Bal": given}, CONTRACT)["Total_Revolving_Bal"]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("given", [None, ""])
def test_empty_fields_are_left_out(given: Any) -> None:
    assert record_of({"Total_Revolving_Bal": given}, CONTRACT) == {}
