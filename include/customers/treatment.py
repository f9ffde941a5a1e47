"""Whom a call may have influenced, and until when: such labels do not say who leaves unasked."""

from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from include.contract import Contract
from include.customers.campaigns import SIDES as SIDES
from include.customers.contacts import TABLE, contacts_table, is_there
from include.customers.database import reading
from include.values import moments

if TYPE_CHECKING:
    from datetime import date, datetime

DAY = pd.Timedelta(days=1)
TREATED = ("listed", "called", "result")  # also who was called outside any campaign
SIDE = "campaign_side"
TAGS = ("campaign", SIDE, "campaign_at")  # a customer's latest campaign
OPEN, WITHIN = "window open", "label from within the window"
CALLED = "called in these days"  # that a label of early warning is about


def read_marks(engine: sa.Engine) -> pd.DataFrame:
    """Every listing, call and keeping aside, in the order in which they were noted."""
    table = contacts_table()
    columns = (table.c.customer, table.c.kind, table.c.campaign, table.c.marked_at)
    query = sa.select(*columns).where(table.c.kind.in_({*SIDES, *TREATED})).order_by(table.c.id)
    if not is_there(engine):
        return _frame([])
    with reading(engine, TABLE) as connection:
        return _frame(connection.execute(query).tuples().all())


def _frame(rows: Any) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer", "kind", "campaign", "marked_at"])
    marked = pd.to_datetime(frame["marked_at"], utc=True).dt.as_unit("us")
    types = {"customer": "int64", "kind": "str", "campaign": "str"}  # also where there is none
    return frame.astype(types).assign(marked_at=marked)


def with_tags(customers: pd.DataFrame, marks: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """The customers with the campaign that each was in last, the side, and when it began."""
    campaigns = marks[marks["kind"].isin(SIDES)].drop_duplicates("customer", keep="last")
    latest = campaigns.set_index("customer")[["campaign", "kind", "marked_at"]]
    found = latest.reindex(_keys(customers, contract)).set_axis(customers.index)
    return customers.assign(**dict(zip(TAGS, (found[name] for name in found), strict=True)))


def shadows(
    customers: pd.DataFrame, marks: pd.DataFrame, contract: Contract, *, days: float, at: "datetime"
) -> "pd.Series[Any]":
    """Why a customer's label says nothing of who leaves unasked; empty where it does.

    For `days` after he was listed or called nobody knows, and a label from within those days is
    what came of the call. One from before, or from after, counts; so does a control customer's.
    """
    calls = marks.loc[marks["kind"].isin(TREATED), ["customer", "marked_at"]]
    keys, dated = _keys(customers, contract), label_moments(customers, contract)
    pairs = pd.DataFrame({"customer": keys, "labelled_at": dated, "place": customers.index})
    pairs = pairs.merge(calls, on="customer")
    ends = pairs["marked_at"] + pd.Timedelta(days=days)
    known_at = pairs["labelled_at"].fillna(pd.Timestamp(at))
    within = (known_at >= pairs["marked_at"]) & (known_at <= ends)
    found = pd.Series("", index=customers.index, dtype="str")  # also where none is found
    found[pairs.loc[within, "place"]] = WITHIN
    found[pairs.loc[ends >= at, "place"]] = OPEN
    return found


def called_between(
    customers: pd.DataFrame,
    marks: pd.DataFrame,
    contract: Contract,
    *,
    days: float,
    after: "date",
    within: "pd.Series[Any]",
) -> "pd.Series[bool]":
    """Whom a call may have kept in the days that follow `after`, of each customer so many.

    It works for `days`. Who had left before it was listed by mistake: his days end with leaving.
    """
    treated, begins = marks["kind"].isin(TREATED), pd.Timestamp(after, tz="UTC") + DAY
    lasting = marks[treated & (marks["marked_at"] + days * DAY > begins)]
    first = lasting.groupby("customer")["marked_at"].min().reindex(_keys(customers, contract))
    return first.set_axis(customers.index) < begins + pd.to_timedelta(within, unit="D")


def label_moments(customers: pd.DataFrame, contract: Contract) -> "pd.Series[Any]":
    """When each label became known; NaT where it is not dated, or by no date."""
    name = contract.labelled_at.name
    given = customers[name] if name in customers else pd.Series(pd.NaT, index=customers.index)
    found: pd.Series[Any] = moments(given).dt.as_unit("us")
    return found


def _keys(customers: pd.DataFrame, contract: Contract) -> "pd.Series[Any]":
    """Customer numbers as the marks have them; what is no number has none."""
    return pd.to_numeric(customers[contract.key.name], errors="coerce")
