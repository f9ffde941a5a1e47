"""The beginning of a nightly run: the champion and the moment pinned, the customers cut in ranges.

A range's part of `scores/date=…/` and its rows of `churn_scores` carry both and are written under
keys that depend on the range alone, so that a range that is tried again replaces its own work.
Where a range begins and ends is a customer's number: the run's own table has it, which expires, and
not what Airflow hands from task to task.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from include.champion import versions
from include.customers import contacts
from include.customers import ranges as customer_ranges
from include.customers.ranges import KeyRange
from include.errors import DataError
from include.scoring import table as score_table
from include.scoring.earlier import EarlierNight, earlier_nights
from include.scoring.run import ScoringRun, clear_day

logger = logging.getLogger(__name__)

RANGES_FILE = "ranges.json"


@dataclass(frozen=True)
class Portion:
    """One range's work: all that a mapped task must know."""

    place: int
    ranges: str  # the key of all ranges' bounds; this one's are at its place
    scored_at: datetime  # when the run pinned its champion; every score of the run says so
    model_version: str
    manifest_sha256: str
    earlier: tuple[EarlierNight, ...] = ()


def plan_ranges(run: ScoringRun) -> list[Portion]:
    """Pin the champion and cut the table; an empty list where there is no champion yet.

    What an earlier run left for the same day is removed: its parts are cut elsewhere.
    """
    found = versions.read_pointer(run.store)
    if found is None:
        return []
    pointer, manifest = found[0], versions.read_manifest(run.store, found[0])
    rows = customer_ranges.count_customers(run.engine)
    if not rows:
        raise DataError(
            "the table churners is empty, so nobody can be scored: see why, then start the run "
            "again; the scores of the night before stay"
        )
    count = min(run.rules.ranges_max, -(-rows // run.rules.range_rows))
    cuts = customer_ranges.cut(run.engine, manifest.contract, ranges=count, rows=-(-rows // count))
    score_table.stage(run.engine, run.now)
    contacts.create_contacts(run.engine)  # the call list reads it, and makes no tables
    clear_day(run.store, run.day)
    earlier = earlier_nights(run.store, run.day)
    bounds = run.write_json("plan_ranges", RANGES_FILE, [[each.after, each.upto] for each in cuts])
    logger.info("%s customers in %s ranges, champion %s", rows, len(cuts), pointer.version)
    return [
        Portion(
            place=place,
            ranges=bounds,
            scored_at=run.now,
            model_version=pointer.version,
            manifest_sha256=pointer.manifest_sha256,
            earlier=earlier,
        )
        for place in range(len(cuts))
    ]


def keys_of(run: ScoringRun, portion: Portion) -> KeyRange:
    """The customers of a range."""
    return KeyRange(*run.read_json(portion.ranges)[portion.place])
