"""What the call list needs of a customer beside the score: the record's own columns, and worth."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from include.customers.table import published_contract

if TYPE_CHECKING:
    import pandas as pd

COPIED = {
    "spend": "Total_Trans_Amt",
    "balance": "Total_Revolving_Bal",
    "credit_limit": "Credit_Limit",
    "card": "Card_Category",
    "months_inactive": "Months_Inactive_12_mon",
    "transactions": "Total_Trans_Ct",
}


@dataclass(frozen=True)
class Revenue:
    """What a customer brings in a year: a share of what is spent, and interest on the balance."""

    per_spend: float
    per_balance: float


def needed_columns(known: Collection[str]) -> list[str]:
    """The columns of `churners` to read for the list, of those that it has."""
    wanted = [*COPIED.values(), published_contract().target.name]
    return [name for name in wanted if name in known]


def with_list_columns(scores: pa.Table, frame: "pd.DataFrame", revenue: Revenue) -> pa.Table:
    """Scores with what the list shows of the same customers, who are the frame's rows."""
    contract, names = published_contract(), list(COPIED.values())
    whole = frame.reindex(columns=[*names, contract.target.name])
    values = dict(zip(COPIED, contract.matrix(whole, names).T, strict=True))
    yearly = revenue.per_spend * values["spend"] + revenue.per_balance * values["balance"]
    values |= {"revenue": yearly, "at_risk": scores["probability"].to_numpy() * yearly}
    columns = {name: pa.array(found, mask=np.isnan(found)) for name, found in values.items()}
    categories = pa.array(contract.column(COPIED["card"]).categories or ())
    columns["card"] = categories.take(columns["card"].cast(pa.int64()))
    columns["has_left"] = pa.array(contract.labels(whole))
    for name, column in columns.items():
        scores = scores.append_column(name, column)
    return scores
