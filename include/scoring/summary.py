"""`scores/date=…/summary.json`: what a whole night found, kept beside its parts."""

import logging
from datetime import date
from itertools import zip_longest

from pydantic import AwareDatetime, Field

from include.customers.ranges import KeyRange
from include.documents import Document, parse_document
from include.errors import DocumentError, ObjectNotFound
from include.params import ScoringRules
from include.scoring.run import day_prefix
from include.store import Store

logger = logging.getLogger(__name__)

SUMMARY_FILE = "summary.json"


class Change(Document):
    """What differs from the night before."""

    date: date
    model_version: str
    scored: int
    mean_probability: float
    bands: dict[str, int]


class ScoreSummary(Document):
    """`scores/date=…/summary.json`: it is there exactly when the day's scores are complete."""

    date: date
    model_version: str
    scored_at: AwareDatetime
    customers: int = Field(description="in churners at the end of the run")
    scored: int
    unscorable: int = Field(description="whose values break the champion's contract")
    late: int = Field(description="of the scored, who came after their range was read")
    removed: int = Field(description="rows of churn_scores about customers who have no score now")
    mean_probability: float
    bands: dict[str, int]
    change: Change | None = Field(description="against the night before; null on the first night")
    parts: tuple[str, ...]
    ranges: tuple[KeyRange, ...] = Field(
        default=(), description="the customers of each part; of who came late, there is none"
    )
    faults: tuple[str, ...] = Field(description="where unscorable customers are listed")
    seconds: dict[str, float] = Field(description="summed over the ranges, by step")

    def parts_with(self, keys: KeyRange) -> list[str]:
        """The parts that may hold customers of a range."""
        both = zip_longest(self.parts, self.ranges)
        return [part for part, its in both if its is None or its.overlaps(keys)]


def read_summary(store: Store, day: date) -> ScoreSummary | None:
    """A day's summary; None where the day has none."""
    key = day_prefix(day) + SUMMARY_FILE
    try:
        return parse_document(ScoreSummary, store.read(key).data, key)
    except ObjectNotFound:
        return None


def readable_summary(store: Store, day: date) -> ScoreSummary | None:
    """The same of a night before; one that another release wrote must not spoil tonight's."""
    try:
        return read_summary(store, day)
    except DocumentError as error:
        logger.warning("%s; it is left out", error)
        return None


def described(summary: ScoreSummary, rules: ScoringRules) -> list[str]:
    """The summary for people, the lowest band first."""
    change = summary.change
    since = f" ({change.scored:+,} since {change.date})" if change else ""
    lines = [
        f"{summary.date}: {summary.scored:,} of {summary.customers:,} customers scored by version "
        f"{summary.model_version}{since}, each exactly once; {summary.unscorable:,} cannot be"
    ]
    for name in [band.name for band in rules.bands if band.name in summary.bands]:
        rows = summary.bands[name]
        moved = f"  {change.bands.get(name, 0):+,}" if change else ""
        lines.append(f"  {name:10} {rows:>12,}{moved}")
    moved = f"  {change.mean_probability:+.4f}" if change else ""
    lines.append(f"  {'mean':10} {summary.mean_probability:>12.4f}{moved}")
    lines += [f"  not scorable: {key}" for key in summary.faults]
    return lines
