"""One customer's record, as the customer table holds it today."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

import pandas as pd
import sqlalchemy as sa
from pydantic import Field

from include.contract import LARGEST_INTEGER, Contract
from include.customers.database import reading
from include.customers.table import TABLE
from include.errors import DataError
from include.history.changes import with_changes
from include.history.days import kept_days
from include.params import HistoryRules
from include.scoring.earlier import RISES
from include.scoring.table import FLAGS
from include.scoring.table import TABLE as SCORES

# Larger ones a browser cannot say, nor SQLite be asked for.
CustomerNumber: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]


class UnknownCustomer(DataError):
    """The customer table has nobody of that number."""


def customer_number(text: str) -> int | None:
    """What somebody typed as a customer's number; None where it can be none."""
    typed = text.strip()
    if not (typed.isascii() and typed.isdigit()) or len(typed) > len(str(LARGEST_INTEGER)):
        return None
    return int(typed) if int(typed) <= LARGEST_INTEGER else None


def read_record(
    engine: sa.Engine, contract: Contract, customer: int, *, rules: HistoryRules
) -> dict[str, Any]:
    """The contract's features of one customer; UnknownCustomer where there is none.

    What changed since past snapshots, where the contract has that, as the nightly run computes it;
    None where no snapshot knows.
    """
    names = [contract.target.name, *contract.of_records.feature_names]
    table = sa.table(TABLE, *(sa.column(name) for name in (contract.key.name, *names)))
    query = sa.select(*(table.c[n] for n in names)).where(table.c[contract.key.name] == customer)
    with reading(engine, TABLE) as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        raise UnknownCustomer(f"there is no customer {customer} in the table {TABLE}")
    record = {name: _plain(value) for name, value in row.items()}
    if not contract.defaults:
        return record
    changed = with_changes(
        engine,
        pd.DataFrame([{contract.key.name: customer, **record}]),
        contract,
        as_of=datetime.now(UTC).date(),
        snapshots=kept_days(engine),
        rules=rules,
        unknown=math.nan,
    )
    found = {name: float(changed[name].iloc[0]) for name in contract.defaults}
    return record | {name: None if math.isnan(v) else v for name, v in found.items()}


def read_score(engine: sa.Engine, table: sa.FromClause, customer: int) -> dict[str, Any] | None:
    """What the last scoring said of one customer, by the list's table as it is."""
    names = ("probability", "model_version", "scored_at", *RISES.values())
    known = (*names, *(name for name in FLAGS if name in table.c))
    query = sa.select(*(table.c[n] for n in known)).where(table.c.customer == customer)
    with reading(engine, SCORES) as connection:
        row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
