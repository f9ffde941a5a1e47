"""One run of `churn_scoring`: what its tasks share, and where a day's scores lie."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from include.handover import Run
from include.params import HistoryRules, ScoringRules
from include.scoring.list_columns import Revenue
from include.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Engine

SCORES_PREFIX = "scores"


@dataclass(frozen=True)
class ScoringRun(Run):
    """The connections and rules of one run, whichever task it is in."""

    engine: "Engine"
    rules: ScoringRules
    rejected_share_max: float
    revenue: Revenue
    day: date  # under which its scores are filed
    now: datetime
    history: HistoryRules = HistoryRules()


def day_prefix(day: date) -> str:
    """Where a day's scores are kept."""
    return f"{SCORES_PREFIX}/date={day.isoformat()}/"


def part_key(day: date, name: str) -> str:
    """One of a day's parquet files."""
    return f"{day_prefix(day)}part-{name}.parquet"


def clear_day(store: Store, day: date, *, keep: frozenset[str] = frozenset()) -> None:
    """Remove a day's objects but those named: another plan's parts would count customers twice."""
    for info in list(store.list(day_prefix(day))):
        if info.key not in keep:
            store.delete(info.key)
