"""Whose label a call may have had a hand in."""

from datetime import date

import pandas as pd
import pytest

from include.contract import Contract
from include.customers.treatment import called_between


@pytest.mark.parametrize(
    ("called_on", "within", "expected"),
    [
        ("2026-02-20", 104, True),
        ("2026-02-20", 50, True),  # the day of leaving
        ("2026-02-21", 50, False),  # he had left, and was on the list because nobody knew
        ("2026-04-15", 104, True),
        ("2026-04-16", 104, False),  # after the window
        ("2025-10-04", 104, True),  # 90 days of a call reach into the first day
        ("2025-10-03", 104, False),
    ],
)
def test_a_call_counts_until_the_window_ends_or_the_customer_leaves(
    contract: Contract, called_on: str, within: int, expected: bool
) -> None:
    marked_at = pd.Timestamp(called_on, tz="UTC") + pd.Timedelta(hours=9)
    marks = pd.DataFrame({"customer": [7], "kind": "called", "marked_at": marked_at})
    customers = pd.DataFrame({contract.key.name: [7, 8]}, index=[3, 4])
    days = pd.Series([within, within], customers.index, dtype="Int64")
    found = called_between(customers, marks, contract, days=90, after=date(2026, 1, 1), within=days)
    assert found.to_dict() == {3: expected, 4: False}
