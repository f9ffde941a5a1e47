"""Questions to the call list, each answered by the database: a page, a count, a campaign.

The list is the table `churn_scores`, which the nightly run swaps in whole; nothing is written here.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from dashboard.data.list_view import SHOWN, ListView
from include.customers.contacts import contacts_table, utc
from include.customers.database import reading
from include.customers.table import published_contract
from include.errors import DataError
from include.scoring.earlier import RISES
from include.scoring.list_columns import COPIED
from include.scoring.table import TABLE, score_table

TEXT_MATCHES: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, wanted: wanted in text,
    "notContains": lambda text, wanted: wanted not in text,
    "equals": lambda text, wanted: text == wanted,
    "notEqual": lambda text, wanted: text != wanted,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
}
PAGE_ROWS_MAX = 500
# Stored numbers differ from the shown, rounded ones: "equals" means equal as shown.
SHOWN_HALF = {
    **dict.fromkeys(("risk", *RISES.values()), 0.05),
    **dict.fromkeys(("call_value", "value"), 0.005),
}
STORED = {
    "risk": "probability",
    "call_value": "at_risk",
    "value": "revenue",
    "flagged_since": "call_by",  # so many days later for everybody, and in an index
}
DAYS = ("flagged_since", "call_by")  # of whoever is on the list
DUE_DAYS = 7
ROSE_LEAST = 0.0005  # of P(churn): what is shown as 0.1 points


@dataclass(frozen=True)
class CampaignSum:
    """What a campaign promises where nobody is kept aside."""

    calls: int
    leavers: float  # expected among those called, if nobody calls
    value: float
    spent: float


class CallList:
    """The list as one view sees it."""

    def __init__(
        self, engine: sa.Engine, view: ListView, table: sa.FromClause | None = None
    ) -> None:
        self._engine, self._view = engine, view
        self._table: Any = score_table() if table is None else table
        self._now = utc(datetime.now(UTC))

    def page(self, start: int, end: int) -> list[dict[str, Any]]:
        """Rows `start` to `end` in the view's order, with reasons and marks."""
        limit = max(0, min(end - start, PAGE_ROWS_MAX))
        source = self._source()
        query = self._selected(source).where(*self._narrow()).order_by(*self._order(source))
        with reading(self._engine, TABLE) as connection:
            rows = _rows(connection, query.offset(_written(max(start, 0))).limit(_written(limit)))
            self._add_marks(connection, rows)
        return rows

    def everybody(self, *, rows: int) -> Iterator[list[dict[str, Any]]]:
        """All customers of the view by number, so many in memory at once.

        Each part is a question of its own, so that nobody who reads slowly holds up the nightly
        swap; DataError where that has put another night's scores in the place of these.
        """
        source = self._source()
        more = [source.c[name] for name in ("has_left", "model_version", "scored_at")]
        query = self._selected(source).add_columns(*more).where(*self._narrow())
        query = query.order_by(source.c.customer).limit(_written(rows))
        moments, part = set[datetime](), query
        while True:
            with reading(self._engine, TABLE) as connection:
                found = _rows(connection, part)
                self._add_marks(connection, found)
            moments.update(row["scored_at"] for row in found)
            if len(moments) > 1:
                raise DataError(f"{TABLE} was replaced by a new night's meanwhile: ask again")
            yield found
            if len(found) < rows:
                return
            part = query.where(source.c.customer > found[-1]["customer"])

    def count(self) -> int:
        """How many customers the view has."""
        key, view = self._table.c.customer, self._view
        if view.campaign_only:
            return self._count(self._campaign(key).subquery(), [])
        if view.status != "open":
            return self._count(self._table, self._conditions(view.status))
        # Open is everybody but the few who are marked: to ask it of each takes twice as long.
        everybody = self._conditions("all")
        marked = [*everybody, key.in_(self._hidden())]
        return self._count(self._table, everybody) - self._count(self._table, marked)

    def _count(self, source: Any, conditions: Sequence[Any]) -> int:
        query = sa.select(sa.func.count()).select_from(source).where(*conditions)
        with reading(self._engine, TABLE) as connection:
            return int(connection.scalar(query) or 0)

    def campaign_sum(self) -> CampaignSum:
        """What the calls that the budget pays for promise."""
        chosen = self._campaign(self._table.c.probability, self._table.c.at_risk).subquery()
        cost, weight = self._view.rules.cost, self._view.rules.weight
        query = sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(chosen.c.probability), 0.0),
            sa.func.coalesce(sa.func.sum(chosen.c.at_risk), 0.0),
        )
        with reading(self._engine, TABLE) as connection:
            calls, leavers, at_risk = connection.execute(query).one()
        return CampaignSum(calls, leavers, at_risk * weight - calls * cost, calls * cost)

    def campaign_rows(self) -> list[dict[str, Any]]:
        """Every customer of the campaign, the best call first, as the CSV file has them."""
        return self._best_first(self._selected(self._campaign(self._table).subquery()))

    def started_rows(self, campaign: str) -> list[dict[str, Any]]:
        """The customers who were put on a started campaign's list, the best call first."""
        marks = contacts_table()
        on_list = sa.select(marks.c.customer).where(
            marks.c.campaign == campaign, marks.c.kind == "listed"
        )
        selected = self._selected(self._table)
        return self._best_first(selected.where(self._table.c.customer.in_(on_list)))

    def _best_first(self, query: "sa.Select[Any]") -> list[dict[str, Any]]:
        with reading(self._engine, TABLE) as connection:
            return _rows(connection, query.order_by(sa.desc("at_risk"), sa.desc("customer")))

    def _source(self) -> Any:
        return self._campaign(self._table).subquery() if self._view.campaign_only else self._table

    def _narrow(self) -> list[Any]:
        """The conditions beyond those of the source: a campaign has its own inside."""
        return [] if self._view.campaign_only else self._conditions(self._view.status)

    def _campaign(self, *columns: Any) -> "sa.Select[Any]":
        """The best open calls that pay, as many as the budget allows."""
        table, rules = self._table, self._view.rules
        return (
            sa.select(*columns)
            .where(*self._conditions("open"), table.c.at_risk > rules.at_risk(0.0))
            .order_by(table.c.at_risk.desc(), table.c.customer.desc())
            .limit(rules.calls)
        )

    def _selected(self, source: Any) -> "sa.Select[Any]":
        columns = [self._expression(source, name).label(name) for name in SHOWN]
        more = (source.c.at_risk, source.c.probability, source.c.reasons)
        return sa.select(*columns, *more).select_from(source)

    def _order(self, source: Any) -> list[Any]:
        # Ties in the direction of the last key, so that an index serves both at once.
        keys = [*self._view.sort, ("customer", self._view.sort[-1][1])]
        order = []
        for name, way in keys:
            column = _stored(source, STORED.get(name, name))
            if name in DAYS and way == "asc" and not self._view.flagged_only:
                order.append(column.is_(None))  # the first date is wanted, and not who has none
            order.append(column.desc() if way == "desc" else column.asc())
        return order

    def _expression(self, source: Any, name: str) -> Any:
        rules = self._view.rules
        if name == "risk":
            return source.c.probability * 100.0
        if name == "call_value":
            return source.c.at_risk * rules.weight - rules.cost
        if name == "value":
            return source.c.revenue * rules.years
        if name in RISES.values():
            return source.c[name] * 100.0
        if name == "sign":
            quiet, flagged = (_stored(source, each) for each in ("quiet", "flagged_since"))
            return sa.case((flagged.is_(None), None), (quiet == 1, "quiet"), else_="new")
        return _stored(source, name)

    def _conditions(self, status: str) -> list[Any]:
        table, view = self._table, self._view
        found: list[Any] = [] if view.with_left else [table.c.has_left == 0]
        if view.bands:
            found.append(table.c.band.in_(view.bands))
        if view.rose:
            found.append(table.c[RISES[view.rose]] >= ROSE_LEAST)
        found += self._with_flags()
        for name, model in view.filters.items():
            found.append(_condition(self._expression(table, name), name, model))
        return [*found, *self._with_status(status)]

    def _with_flags(self) -> list[Any]:
        call_by, quiet = (_stored(self._table, name) for name in ("call_by", "quiet"))
        today, view = self._now.date(), self._view
        found: list[Any] = [call_by.is_not(None)] if view.flagged_only else []
        if view.sign in {"new", "quiet"}:
            found.append(quiet == int(view.sign == "quiet"))
        if view.due == "week":
            found.append(call_by <= today + timedelta(days=DUE_DAYS))
        if view.due == "passed":
            found.append(call_by < today)
        return found

    def _with_status(self, status: str) -> list[Any]:
        if status == "all":
            return []
        key, hidden = self._table.c.customer, self._hidden()
        if status == "open":
            return [key.not_in(hidden)]
        kinds = ["called", "result"] if status == "called" else [status]
        return [key.in_(hidden.where(contacts_table().c.kind.in_(kinds)))]

    def _hidden(self) -> "sa.Select[Any]":
        marks = contacts_table()
        return sa.select(marks.c.customer).where(
            marks.c.is_current == 1, marks.c.hidden_until > self._now
        )

    def _add_marks(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
        marks, keys = contacts_table(), [row["customer"] for row in rows]
        query = sa.select(marks.c.customer, marks.c.kind, marks.c.result, marks.c.hidden_until)
        query = query.where(marks.c.is_current == 1, marks.c.customer.in_(keys))
        query = query.where(marks.c.hidden_until > self._now)  # the others are open again
        found = {mark.customer: mark for mark in connection.execute(query)}
        for row in rows:
            row["mark"] = found.get(row["customer"])
            row["status"] = _status(row["mark"]) if row["mark"] else "open"


def _written(number: int) -> Any:
    """A number in the SQL itself: SQLite chooses its way before it sees what is bound."""
    return sa.bindparam(None, number, type_=sa.Integer(), literal_execute=True)


def _stored(source: Any, name: str) -> Any:
    """A column of the list; nothing where an earlier release's table has none."""
    return source.c[name] if name in source.c else sa.null()


def _status(mark: "sa.Row[Any]") -> str:
    """What was said of a customer who is not to be called now."""
    if mark.kind == "result":
        return f"called: {(mark.result or '').replace('_', ' ')}"
    if mark.kind == "snoozed":
        return f"snoozed to {mark.hidden_until:%d %b}"
    return {"listed": "on a list", "control": "control group"}.get(mark.kind, str(mark.kind))


def _rows(connection: sa.Connection, query: "sa.Select[Any]") -> list[dict[str, Any]]:
    return [
        {**row, "reasons": [(r["feature"], r["contribution"]) for r in json.loads(row["reasons"])]}
        for row in connection.execute(query).mappings()
    ]


def _condition(expression: Any, name: str, model: Mapping[str, Any]) -> Any:
    """One column filter of AG Grid as SQL; its two conditions, where there are two, nested."""
    conditions = model.get("conditions")
    if conditions:
        join = sa.or_ if model.get("operator") == "OR" else sa.and_
        return join(*(_condition(expression, name, each) for each in conditions))
    kind = str(model.get("type"))
    if kind in {"blank", "notBlank"}:
        return expression.is_(None) if kind == "blank" else expression.is_not(None)
    if name == "card":
        return _text_condition(expression, name, kind, str(model.get("filter") or ""))
    low, high = _finite(model.get("filter")), _finite(model.get("filterTo"))
    half = SHOWN_HALF.get(name, 0.0)
    if low is None:
        return sa.true()
    if kind == "inRange":
        return sa.true() if high is None else expression.between(low, high)
    same = expression.between(low - half, low + half)
    known = {
        "equals": same,
        "notEqual": sa.not_(same),
        "greaterThan": expression > low,
        "greaterThanOrEqual": expression >= low,
        "lessThan": expression < low,
        "lessThanOrEqual": expression <= low,
    }
    return known.get(kind, sa.true())


def _finite(value: Any) -> float | None:
    """A number as every database takes it: SQLite's driver refuses integers beyond 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _text_condition(expression: Any, name: str, kind: str, wanted: str) -> Any:
    """The categories that match, so that the database walks an index and reads no texts."""
    matches = TEXT_MATCHES.get(kind)
    if matches is None:
        return sa.true()
    categories = published_contract().column(COPIED[name]).categories or ()
    return expression.in_([each for each in categories if matches(each.lower(), wanted.lower())])
