"""Questions to the worklist, each answered by the database: a page, a count, a campaign."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import sqlalchemy as sa

from dashboard.data.rules import CallRules
from dashboard.data.worklist import COPIED, Worklist
from include.customers.contacts import contacts_table, utc
from include.customers.database import database_errors
from include.customers.table import published_contract
from include.scoring.table import score_table

STATUSES = ("open", "listed", "called", "snoozed", "control", "all")
NUMBERS = (
    *("customer", "risk", "call_value", "value", "spend", "balance", "credit_limit"),
    *("months_inactive", "transactions"),
)
TEXTS = ("card",)
TEXT_MATCHES: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, wanted: wanted in text,
    "notContains": lambda text, wanted: wanted not in text,
    "equals": lambda text, wanted: text == wanted,
    "notEqual": lambda text, wanted: text != wanted,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
}
SHOWN = (
    *("customer", "risk", "band", "call_value", "value", "spend", "balance", "credit_limit"),
    *("card", "months_inactive", "transactions"),
)
PAGE_ROWS_MAX = 500
COUNTS_KEPT = 500
LITERAL = {"literal_binds": True}  # SQL with its values in it
# Stored numbers differ from the shown, rounded ones: "equals" means equal as shown.
SHOWN_HALF = {"risk": 0.05, "call_value": 0.005, "value": 0.005}


@dataclass(frozen=True)
class ListView:
    """What of the worklist somebody looks at, and in which order."""

    rules: CallRules = field(default_factory=CallRules)
    bands: tuple[str, ...] = ()
    status: str = "open"
    with_left: bool = False
    campaign_only: bool = False
    find: int | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    sort: tuple[tuple[str, str], ...] = (("call_value", "desc"),)

    @classmethod
    def from_values(cls, values: Mapping[str, str]) -> Self:
        """A view from a URL's query; what cannot be understood keeps its default."""
        status = values.get("status", "open")
        find = values.get("find", "").strip()
        return cls(
            rules=CallRules.from_values(dict(values)),
            bands=tuple(band for band in values.get("bands", "").split(",") if band),
            status=status if status in STATUSES else "open",
            with_left=values.get("left") == "1",
            campaign_only=values.get("view") == "campaign",
            find=int(find) if find.isascii() and find.isdigit() and len(find) < 17 else None,
            filters=_filters(values.get("filters", "")),
            sort=_sort(values.get("sort", "")),
        )


@dataclass(frozen=True)
class CampaignSum:
    """What a campaign promises."""

    calls: int
    leavers: float  # expected among those called, if nobody calls
    value: float
    spent: float


class CallList:
    """The worklist as one view sees it."""

    def __init__(self, engine: sa.Engine, worklist: Worklist, view: ListView) -> None:
        self._engine, self._worklist, self._view = engine, worklist, view
        self._table = worklist.table
        self._now = utc(datetime.now(UTC))

    def page(self, start: int, end: int) -> list[dict[str, Any]]:
        """Rows `start` to `end` in the view's order, with reasons and marks."""
        limit = max(0, min(end - start, PAGE_ROWS_MAX))
        query = self._ordered(self._selected(self._source())).offset(max(start, 0)).limit(limit)
        with self._reading() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
            self._add_reasons(connection, rows)
            self._add_marks(connection, rows)
        return rows

    def count(self) -> int:
        """How many customers the view has."""
        view = self._view
        if view.campaign_only or view.status != "open":
            return self._count(self._source(), self._narrow())
        # Open is everybody but the few who are marked; everybody is counted once for each list.
        everybody, known = self._conditions("all"), self._worklist.counts
        question = str(sa.and_(sa.true(), *everybody).compile(self._engine, compile_kwargs=LITERAL))
        if question not in known:
            if len(known) >= COUNTS_KEPT:
                known.clear()
            known[question] = self._count(self._table, everybody)
        marked = self._table.c.customer.in_(self._hidden())
        return known[question] - self._count(self._table, [*everybody, marked])

    def _count(self, source: Any, conditions: Sequence[Any]) -> int:
        query = sa.select(sa.func.count()).select_from(source).where(*conditions)
        with self._reading() as connection:
            return int(connection.scalar(query) or 0)

    def campaign_sum(self) -> CampaignSum:
        """What the calls that the budget pays for promise."""
        chosen = self._campaign().subquery()
        cost, weight = self._view.rules.cost, self._view.rules.weight
        query = sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(chosen.c.probability), 0.0),
            sa.func.coalesce(sa.func.sum(chosen.c.at_risk), 0.0),
        )
        with self._reading() as connection:
            calls, leavers, at_risk = connection.execute(query).one()
        return CampaignSum(calls, leavers, at_risk * weight - calls * cost, calls * cost)

    def campaign_rows(self) -> list[dict[str, Any]]:
        """Every customer of the campaign, the best call first, as the CSV file has them."""
        return self._best_first(self._selected(self._campaign().subquery()))

    def started_rows(self, campaign: str) -> list[dict[str, Any]]:
        """The customers who were put on a started campaign's list, the best call first."""
        marks = contacts_table()
        on_list = sa.select(marks.c.customer).where(
            marks.c.campaign == campaign, marks.c.kind == "listed"
        )
        selected = self._selected(self._table)
        return self._best_first(selected.where(self._table.c.customer.in_(on_list)))

    def _best_first(self, query: "sa.Select[Any]") -> list[dict[str, Any]]:
        query = query.order_by(sa.desc("at_risk"), sa.desc("customer"))
        with self._reading() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
            self._add_reasons(connection, rows)
        return rows

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """A connection whose errors come in plain words."""
        with database_errors(self._engine, "read the worklist"):
            with self._engine.connect() as connection:
                yield connection

    def _source(self) -> Any:
        return self._campaign().subquery() if self._view.campaign_only else self._table

    def _narrow(self) -> list[Any]:
        """The conditions beyond those of the source: a campaign has its own inside."""
        return [] if self._view.campaign_only else self._conditions(self._view.status)

    def _campaign(self) -> "sa.Select[Any]":
        """The best open calls that pay, as many as the budget allows."""
        table, rules = self._table, self._view.rules
        return (
            sa.select(table)
            .where(*self._conditions("open"), table.c.at_risk > rules.at_risk(0.0))
            .order_by(table.c.at_risk.desc(), table.c.customer.desc())
            .limit(rules.calls)
        )

    def _selected(self, source: Any) -> "sa.Select[Any]":
        shown = {name: self._expression(source, name) for name in SHOWN}
        columns = [value.label(name) for name, value in shown.items()]
        return sa.select(*columns, source.c.at_risk, source.c.probability).select_from(source)

    def _ordered(self, query: "sa.Select[Any]") -> "sa.Select[Any]":
        source = query.get_final_froms()[0]
        query = query.where(*self._narrow())
        for name, direction in self._view.sort:
            stored = {"risk": "probability", "call_value": "at_risk", "value": "revenue"}
            column = source.c[stored.get(name, name)]
            query = query.order_by(column.desc() if direction == "desc" else column.asc())
        # Ties in the direction of the last key, so that an index serves both at once.
        descending = bool(self._view.sort) and self._view.sort[-1][1] == "desc"
        key = source.c.customer
        return query.order_by(key.desc() if descending else key.asc())

    def _expression(self, source: Any, name: str) -> Any:
        rules = self._view.rules
        if name == "risk":
            return source.c.probability * 100.0
        if name == "call_value":
            return source.c.at_risk * rules.weight - rules.cost
        if name == "value":
            return source.c.revenue * rules.years
        return source.c[name]

    def _conditions(self, status: str) -> list[Any]:
        table, view = self._table, self._view
        found: list[Any] = [] if view.with_left else [table.c.has_left == 0]
        if view.find is not None:
            found.append(table.c.customer == view.find)
        if view.bands:
            found.append(table.c.band.in_(view.bands))
        for name, model in view.filters.items():
            found.append(_condition(self._expression(table, name), name, model))
        return [*found, *self._with_status(status)]

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

    def _add_reasons(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
        scores = score_table()
        found: dict[Any, Any] = {}
        for keys in _batches([row["customer"] for row in rows]):
            query = sa.select(scores.c.customer, scores.c.reasons)
            query = query.where(scores.c.customer.in_(keys))
            found |= {customer: text for customer, text in connection.execute(query)}
        for row in rows:
            row["reasons"] = parse_reasons(found.get(row["customer"]))

    def _add_marks(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
        marks = contacts_table()
        found: dict[Any, str] = {}
        for keys in _batches([row["customer"] for row in rows]):
            query = sa.select(marks.c.customer, marks.c.kind, marks.c.result, marks.c.hidden_until)
            query = query.where(marks.c.is_current == 1, marks.c.customer.in_(keys))
            for customer, kind, result, until in connection.execute(query):
                found[customer] = _status_text(kind, result, until, self._now)
        for row in rows:
            row["status"] = found.get(row["customer"], "open")


def parse_reasons(text: Any) -> list[tuple[str, float]]:
    """The largest contributions in `churn_scores.reasons`; nothing where they cannot be read."""
    try:
        found = json.loads(text) if isinstance(text, str | bytes) else text
    except ValueError:
        return []
    if isinstance(found, dict):
        found = list(found.items())
    pairs = [_reason(each) for each in found] if isinstance(found, list) else []
    return [pair for pair in pairs if pair is not None]


def _reason(each: Any) -> tuple[str, float] | None:
    if isinstance(each, dict):
        each = (each.get("feature"), each.get("contribution"))
    try:
        name, contribution = each
        return str(name), float(contribution)
    except (TypeError, ValueError):
        return None


def _status_text(kind: str, result: str | None, until: datetime, now: datetime) -> str:
    if until <= now:
        return "open"
    if kind == "result":
        return f"called: {(result or '').replace('_', ' ')}"
    if kind == "snoozed":
        return f"snoozed to {until:%d %b}"
    return {"listed": "on a list", "control": "control group"}.get(kind, kind)


def _condition(expression: Any, name: str, model: Mapping[str, Any]) -> Any:
    """One column filter of AG Grid as SQL; its two conditions, where there are two, nested."""
    conditions = model.get("conditions")
    if conditions:
        join = sa.or_ if model.get("operator") == "OR" else sa.and_
        return join(*(_condition(expression, name, each) for each in conditions))
    kind = str(model.get("type"))
    if name in TEXTS:
        return _text_condition(expression, name, kind, str(model.get("filter") or ""))
    low, high = _finite(model.get("filter")), _finite(model.get("filterTo"))
    half = SHOWN_HALF.get(name, 0.0)
    if kind == "blank":
        return sa.false()
    if kind == "notBlank" or low is None:
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


def _filters(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    known = found.items() if isinstance(found, dict) else ()
    return {n: m for n, m in known if n in (*NUMBERS, *TEXTS) and _is_filter(m)}


def _is_filter(model: Any) -> bool:
    """Whether it is a filter as AG Grid makes them: plain, or joined of plain ones."""
    if not isinstance(model, dict):
        return False
    conditions = model.get("conditions") or []
    return isinstance(conditions, list) and all(
        isinstance(each, dict) and "conditions" not in each for each in conditions
    )


def _sort(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.partition(":")[::2] for part in text.split(",")]
    found = tuple((n, d) for n, d in pairs if n in SHOWN and d in {"asc", "desc"})
    return found[:3] or (("call_value", "desc"),)


def _batches(keys: Sequence[Any]) -> list[Sequence[Any]]:
    return [keys[start : start + PAGE_ROWS_MAX] for start in range(0, len(keys), PAGE_ROWS_MAX)]
