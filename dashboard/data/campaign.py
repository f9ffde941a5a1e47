"""A campaign: started with a random control group kept aside, and exported as a CSV file."""

import random
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dashboard.data.spreadsheet import spreadsheet
from dashboard.labels import short_label
from include.customers.contacts import Mark, mark

CSV_COLUMNS = {
    "customer": "Customer",
    "risk": "Risk of leaving (%)",
    "band": "Risk band",
    "call_value": "Expected value of a call ($)",
    "value": "Value at stake ($)",
    "spend": "Spend, 12 months ($)",
    "balance": "Balance carried ($)",
    "credit_limit": "Credit limit ($)",
    "card": "Card",
    "months_inactive": "Months inactive",
    "transactions": "Transactions, 12 months",
    "reasons": "Why",
}
DECIMALS = {"risk": 1, "call_value": 2, "value": 2, "spend": 2, "balance": 2, "credit_limit": 2}


@dataclass(frozen=True)
class StartedCampaign:
    """A campaign that began: who is to be called, and who was kept aside."""

    name: str
    listed: int
    control: int


def start(
    engine: sa.Engine,
    rows: Sequence[Mapping[str, Any]],
    *,
    control_share: float,
    model_version: str,
    now: datetime,
) -> StartedCampaign:
    """Mark the customers of a list; a share of them, drawn at random, becomes the control group."""
    name = f"{now:%Y-%m-%d %H:%M} {secrets.token_hex(3)}"
    customers = [row["customer"] for row in rows]
    control = set(random.SystemRandom().sample(customers, round(len(rows) * control_share)))
    marks = [
        Mark(
            customer=row["customer"],
            kind="control" if row["customer"] in control else "listed",
            campaign=name,
            probability=row["probability"],
            model_version=model_version,
        )
        for row in rows
    ]
    mark(engine, marks, now=now)
    return StartedCampaign(name, len(rows) - len(control), len(control))


def campaign_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """The list for a spreadsheet: UTF-8 with its mark, and no cell that could act as a formula."""
    lines = ([_cell(name, row[name]) for name in CSV_COLUMNS] for row in rows)
    return spreadsheet(list(CSV_COLUMNS.values()), lines)


def _cell(name: str, value: Any) -> Any:
    if name == "reasons":
        return reasons_text(value)
    # A number stays a number: a negative one is no formula.
    return rounded(value, DECIMALS[name]) if name in DECIMALS else value


def rounded(value: float | None, decimals: int) -> float | None:
    """A number as shown; None where the record has none."""
    return None if value is None else round(value, decimals)


def reasons_text(reasons: Sequence[tuple[str, float]]) -> str:
    """What speaks for leaving, in words; what speaks against it is left to the customer's page."""
    return "; ".join(short_label(name) for name, contribution in reasons if contribution > 0)
