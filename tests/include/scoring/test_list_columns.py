"""What the call list says of a customer: the record's values, or nothing where they are wrong."""

import pandas as pd
import pyarrow as pa
import pytest

from include.customers.table import published_contract
from include.scoring.list_columns import COPIED, Revenue, needed_columns, with_list_columns

REVENUE = Revenue(per_spend=0.1, per_balance=0.5)
SCORES = pa.table({"customer": [1, 2], "probability": [0.25, 0.5]})


def listed(people: pd.DataFrame) -> list[dict[str, object]]:
    """The list's rows about the first two customers."""
    return with_list_columns(SCORES, people.head(2), REVENUE).to_pylist()


def test_the_list_repeats_the_record_and_reckons_its_worth(people: pd.DataFrame) -> None:
    target = published_contract().target
    frame = people.assign(**{target.name: [target.positive, None] * (len(people) // 2)})
    for row, (_, record) in zip(listed(frame), frame.head(2).iterrows(), strict=True):
        assert {name: row[name] for name in COPIED} == {n: record[c] for n, c in COPIED.items()}
        revenue = 0.1 * record["Total_Trans_Amt"] + 0.5 * record["Total_Revolving_Bal"]
        assert row["revenue"] == pytest.approx(revenue)
        assert row["at_risk"] == pytest.approx(revenue * row["probability"])
        assert row["has_left"] == (record[target.name] == target.positive)


def test_what_is_wrong_or_missing_is_nothing(people: pd.DataFrame) -> None:
    frame = people.assign(Card_Category="Wood", Total_Revolving_Bal=-1.0)
    row = listed(frame.drop(columns=["Credit_Limit", "Attrition_Flag"]))[0]
    missing = {name for name, value in row.items() if value is None}
    assert missing == {"card", "balance", "credit_limit", "revenue", "at_risk"}
    assert row["has_left"] == 0 and row["spend"] == frame["Total_Trans_Amt"].iloc[0]


def test_only_columns_that_are_there_are_read() -> None:
    assert needed_columns({"Total_Trans_Ct", "Attrition_Flag", "Gender"}) == [
        *("Total_Trans_Ct", "Attrition_Flag"),
    ]
