"""The parts of a day added up: exactly what one task would have found that had read it whole.

Parts follow one another in the log's order, and what a part takes for a first row may come after
one of an earlier part. Rows that were shipped twice into two parts are rare: a later part that has
some is counted anew without them. Customers who are asked about again are not: the later rows are
read once more, where they lie, and taken back from the counts. Samples are the rows of the smallest
hashes of customers, which a day has in common with its parts.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add

import pandas as pd
from pandas.api.types import union_categoricals

from include.champion import versions
from include.drift.collect_predictions import (
    PRIORITY,
    Collected,
    CollectedGroup,
    collect_part,
)
from include.drift.reference import read_reference
from include.drift.run import DriftRun
from include.drift.statistics import Counts
from include.drift.traffic import (
    IDENTITY,
    KNOWN,
    VersionTraffic,
    counts_frame,
    counts_of,
    matrix_of,
)
from include.handover import safe_key
from include.predictions.log import SeenHashes, day_objects, gathered
from include.predictions.places import OBJECT, read_places

logger = logging.getLogger(__name__)

TASK = "detect_drift"


def add_parts(run: DriftRun, parts: Sequence[Collected]) -> Collected:
    """The whole day, of all its parts in their order.

    Memory holds 8 bytes for each row of the day or customer of a version, one part's rows, and 17
    bytes for each row that is taken back, twice that while they are joined.
    """
    if len(parts) == 1:
        return parts[0]
    once = list(_shipped_once(run, parts))
    of_version: dict[str, list[CollectedGroup]] = {}
    for group in (group for part in once for group in part.groups):
        of_version.setdefault(group.version, []).append(group)
    answered = sorted(of_version, key=versions.version_order)
    return Collected(
        part=once[0].part,
        rows=sum(part.rows for part in once),
        other_sources=sum(part.other_sources for part in once),
        without_version=sum(part.without_version for part in once),
        unreadable=[key for part in once for key in part.unreadable],
        groups=[_added(run, version, of_version[version]) for version in answered],
    )


def _shipped_once(run: DriftRun, parts: Sequence[Collected]) -> Iterator[Collected]:
    seen = SeenHashes()
    for each in parts:
        ids = run.read_frame(each.ids or "")["id"].to_numpy()
        shipped = ids[~seen.first_of(ids)]
        if len(shipped):
            rows, place = len(shipped), each.part.place + 1
            logger.info("%s rows of part %s came before: it is counted again", rows, place)
            yield collect_part(run, each.part, shipped=shipped, task=TASK)
        else:
            yield each


def _added(run: DriftRun, version: str, groups: Sequence[CollectedGroup]) -> CollectedGroup:
    """One version's groups of all parts."""
    repeats = _repeats(run, groups)
    anonymous = int((~repeats[KNOWN]).sum())
    keys: dict[str, str] = {}
    if all(group.counts for group in groups):
        counts = [counts_of(run.read_frame(group.counts or "")) for group in groups]
        files = {
            "counts": counts_frame(_without(_sum(counts), _counts_of(run, version, repeats))),
            "sample": _joined_sample(run, groups),
        }
        for name, frame in files.items():
            keys[name] = run.write_frame(TASK, f"{name}-v{safe_key(version)}.parquet", frame)
    return CollectedGroup(
        version=version,
        rows=sum(group.rows for group in groups) - len(repeats),
        repeated=sum(group.repeated for group in groups) + len(repeats),
        repeated_anonymous=sum(group.repeated_anonymous for group in groups) + anonymous,
        at_fault=sum(group.at_fault for group in groups),
        faults=dict(sum((Counter(group.faults) for group in groups), Counter())),
        counts=keys.get("counts"),
        sample=keys.get("sample"),
    )


def _repeats(run: DriftRun, groups: Sequence[CollectedGroup]) -> pd.DataFrame:
    """What parts took for first rows of customers whom an earlier part has."""
    seen, found = SeenHashes(), []
    for group in groups:
        rows = run.read_frame(group.first_rows or "")
        found.append(rows[~seen.first_of(rows[IDENTITY].to_numpy())])
    some = [rows for rows in found if len(rows)] or found[:1]
    objects = union_categoricals([rows[OBJECT] for rows in some])
    # Categoricals of different keys would be concatenated as text, a whole key for each row.
    bare = pd.concat([rows.drop(columns=OBJECT) for rows in some], ignore_index=True)
    return bare.assign(**{OBJECT: objects})


def _counts_of(run: DriftRun, version: str, rows: pd.DataFrame) -> dict[str, Counts]:
    """The counts of single rows, read again where they lie; other objects are not read."""
    if rows.empty:
        return {}
    traffic = VersionTraffic(version, read_reference(run.store, version), sample_rows=0)
    objects = day_objects(run.store, run.day)
    for batch in gathered(read_places(run.store, objects, rows, columns=traffic.names)):
        traffic.add(matrix_of(traffic.columns, batch))
    traffic.settle()
    return traffic.counts


def _sum(counts: Sequence[dict[str, Counts]]) -> dict[str, Counts]:
    names = dict.fromkeys(name for each in counts for name in each)
    return {name: reduce(add, (each[name] for each in counts if name in each)) for name in names}


def _without(counts: dict[str, Counts], others: dict[str, Counts]) -> dict[str, Counts]:
    return {name: each - others[name] if others else each for name, each in counts.items()}


def _joined_sample(run: DriftRun, groups: Sequence[CollectedGroup]) -> pd.DataFrame:
    """The rows that a sample of the whole day would have: of each customer the first part's."""
    drawn = [run.read_frame(group.sample or "") for group in groups]
    some = pd.concat([rows for rows in drawn if len(rows)] or drawn[:1])
    customers = some.drop_duplicates(PRIORITY).sort_values(PRIORITY, ignore_index=True)
    return customers.head(run.rules.report_rows)
