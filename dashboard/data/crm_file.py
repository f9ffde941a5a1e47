"""The list as a file for other systems: docs/crm.md is its contract, in two versions.

A column is never renamed, moved or given another meaning, but that `probability` is of
what the night's model predicts; what must change makes a new version.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from dashboard.data.campaign import rounded
from dashboard.data.spreadsheet import csv_lines
from include.target import Target

Row: TypeAlias = Mapping[str, Any]

ROWS = 1000  # in memory at once
REASONS = 3
DECIMALS = 4  # of a probability


def _share(name: str) -> Callable[[Row], Any]:
    """A column of percentages as a share of 1."""
    return lambda row: None if row[name] is None else round(row[name] / 100, DECIMALS)


def _dollars(name: str) -> Callable[[Row], Any]:
    return lambda row: rounded(row[name], 2)


def _as_it_is(name: str) -> Callable[[Row], Any]:
    return lambda row: row[name]


def _reason(place: int) -> Callable[[Row], Any]:
    """The column that speaks for leaving most, second most, … or nothing."""

    def told(row: Row) -> Any:
        towards = [name for name, contribution in row["reasons"] if contribution > 0]
        return towards[place] if place < len(towards) else None

    return told


def _status(row: Row) -> Any:
    if row["mark"] is None:
        return "open"
    return "called" if row["mark"].kind == "result" else row["mark"].kind


def _days(name: str) -> Callable[[Row], Any]:
    """Days of the window in which a version of early warning says that somebody leaves."""

    def told(row: Row) -> Any:
        target = row["target_of"](row["model_version"])
        return getattr(target, name) if target.is_early_warning else None

    return told


Columns: TypeAlias = dict[str, Callable[[Row], Any]]
VERSION_1: Columns = {
    "customer_id": _as_it_is("customer"),
    "probability": _share("risk"),
    "risk_band": _as_it_is("band"),
    "rise_since_last_night": _share("rise_night"),
    "rise_since_last_week": _share("rise_week"),
    **{f"reason_{place + 1}": _reason(place) for place in range(REASONS)},
    "expected_call_value_usd": _dollars("call_value"),
    "value_at_stake_usd": _dollars("value"),
    "spend_12_months_usd": _dollars("spend"),
    "revolving_balance_usd": _dollars("balance"),
    "credit_limit_usd": _dollars("credit_limit"),
    "card": _as_it_is("card"),
    "months_inactive_12_months": _as_it_is("months_inactive"),
    "transactions_12_months": _as_it_is("transactions"),
    "status": _status,
    "call_result": lambda row: row["mark"].result if row["mark"] else None,
    "has_left": _as_it_is("has_left"),
    "model_version": _as_it_is("model_version"),
    "scored_at": lambda row: f"{row['scored_at']:%Y-%m-%dT%H:%M:%SZ}",
}
VERSION_2: Columns = {
    **VERSION_1,
    "gap_days": _days("gap_days"),
    "horizon_days": _days("horizon_days"),
    "flagged_since": _as_it_is("flagged_since"),
    "sign": _as_it_is("sign"),
    "call_by": _as_it_is("call_by"),
}
VERSIONS = {1: VERSION_1, 2: VERSION_2}


def crm_path(target: Target) -> str:
    """The address that a page leads to: of the version with all that the target tells."""
    return f"/crm/v{max(VERSIONS) if target.is_early_warning else 1}.csv"


def crm_lines(
    parts: Iterable[Iterable[Row]], columns: Columns, target_of: Callable[[str], Target]
) -> Iterator[bytes]:
    """The file, part by part: UTF-8 without a mark, no cell that could act as a formula."""
    yield csv_lines([list(columns)]).encode()
    for rows in parts:
        whole = ({**row, "target_of": target_of} for row in rows)
        yield csv_lines([of(row) for of in columns.values()] for row in whole).encode()
