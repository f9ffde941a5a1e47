"""A campaign: started with a random control group kept aside, and exported as a CSV file."""

import hashlib
import json
import math
import random
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dashboard.data.list_view import ListView
from dashboard.data.spreadsheet import spreadsheet
from dashboard.labels import risk_heading, short_label
from include.customers import contacts
from include.customers.campaigns import begun_campaign
from include.customers.contacts import Mark
from include.target import STATE, Target

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
WARNING_COLUMNS = {"flagged_since": "On the list since", "sign": "Sign", "call_by": "Call by"}
SIGNS = {"new": "new sign", "quiet": "already quiet"}
ATTEMPT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d [0-9a-f]{6}")
DECIMALS = {"risk": 1, "call_value": 2, "value": 2, "spend": 2, "balance": 2, "credit_limit": 2}


@dataclass(frozen=True)
class StartedCampaign:
    """A campaign that began: who is to be called, and who was kept aside."""

    name: str
    listed: int
    control: int
    taken: int = 0  # of the list, whom somebody else had listed or marked in the meantime
    began_before: bool = False  # a click, or a request, that came twice


def control_size(customers: int, control_share: float) -> int:
    """How many of a list's customers are kept aside."""
    return round(customers * control_share)


def new_name(now: datetime) -> str:
    """A name that no other campaign has."""
    return f"{now:%Y-%m-%d %H:%M} {secrets.token_hex(3)}"


def name_of(attempt: Any, view: ListView, *, now: datetime) -> str:
    """The campaign that a page starts, the same for every click while its view is the same."""
    if not isinstance(attempt, str) or not ATTEMPT.fullmatch(attempt):
        return new_name(now)
    chosen = (asdict(view.rules), view.bands, view.with_left, view.rose, view.sign, view.due)
    text = json.dumps((*chosen, dict(view.filters)), sort_keys=True, default=str)
    return f"{attempt} {hashlib.sha256(text.encode()).hexdigest()[:6]}"


def start(
    engine: sa.Engine,
    rows: Sequence[Mapping[str, Any]],
    *,
    control_share: float,
    model_version: str,
    now: datetime,
    name: str = "",
    outcome_days: float = contacts.REST_DAYS,
    author: str = "",
) -> StartedCampaign:
    """Mark the customers of a list; a share of them, drawn at random, becomes the control group.

    Nobody else marks customers meanwhile: who was marked since the list was read is left to whoever
    did that, and a campaign of the same `name` is not started again.
    """
    name = name or new_name(now)
    customers = [row["customer"] for row in rows]
    with contacts.marking(engine) as connection:
        begun = begun_campaign(connection, name)
        if begun is not None:
            return StartedCampaign(name, begun.listed, begun.control, began_before=True)
        taken = contacts.hidden(connection, customers, now=now)
        free = [row for row in rows if row["customer"] not in taken]
        marks = _marks(free, name, control_share, model_version, _days_alone(outcome_days))
        contacts.write(connection, [replace(each, author=author) for each in marks], now=now)
    control = control_size(len(free), control_share)
    return StartedCampaign(name, len(free) - control, control, taken=len(taken))


def _marks(
    rows: Sequence[Mapping[str, Any]],
    name: str,
    control_share: float,
    model_version: str,
    days_alone: int,
) -> list[Mark]:
    customers = [row["customer"] for row in rows]
    size = control_size(len(rows), control_share)
    control = set(random.SystemRandom().sample(customers, size))
    return [
        Mark(
            customer=row["customer"],
            kind="control" if row["customer"] in control else "listed",
            days=days_alone if row["customer"] in control else None,
            campaign=name,
            probability=row["probability"],
            model_version=model_version,
        )
        for row in rows
    ]


def _days_alone(outcome_days: float) -> int:
    """How long a control group is not to be called: its outcome window, or the usual rest."""
    return max(math.ceil(outcome_days), contacts.REST_DAYS)


def campaign_csv(rows: Iterable[Mapping[str, Any]], target: Target = STATE) -> bytes:
    """The list for a spreadsheet: UTF-8 with its mark, and no cell that could act as a formula.

    Of early warning it says more: since when, which sign, and by when to call.
    """
    columns = CSV_COLUMNS
    if target.is_early_warning:
        risk = {"risk": f"{risk_heading(target)} (%)"}
        columns = CSV_COLUMNS | risk | WARNING_COLUMNS
    lines = ([_cell(name, row[name]) for name in columns] for row in rows)
    return spreadsheet(list(columns.values()), lines)


def _cell(name: str, value: Any) -> Any:
    if name == "reasons":
        return reasons_text(value)
    if name == "sign":
        return SIGNS.get(value, "")
    # A number stays a number: a negative one is no formula.
    return rounded(value, DECIMALS[name]) if name in DECIMALS else value


def rounded(value: float | None, decimals: int) -> float | None:
    """A number as shown; None where the record has none."""
    return None if value is None else round(value, decimals)


def reasons_text(reasons: Sequence[tuple[str, float]]) -> str:
    """What speaks for leaving, in words; what speaks against it is left to the customer's page."""
    return "; ".join(short_label(name) for name, contribution in reasons if contribution > 0)
