"""The form's values as the API takes them."""

from typing import Any

import pytest

from dashboard.components.record_form import create_answer, record_of
from dashboard.labels import WITHOUT_HISTORY
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


@pytest.mark.parametrize("more", [{}, {"defaulted": ["Total_Trans_Ct_Change_1m"]}])
def test_an_answer_says_that_it_knows_no_past_months(more: dict[str, Any]) -> None:
    answer = {"probabilities": [0.2], "predictions": [0], "model_version": "1", **more}
    assert (WITHOUT_HISTORY in str(create_answer(answer, None))) is bool(more)
