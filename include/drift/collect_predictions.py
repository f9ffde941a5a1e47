"""One part of the day's log as counts, by the version that answered."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from include.champion import versions
from include.drift.plan_parts import Part
from include.drift.run import DriftRun
from include.drift.traffic import Traffic, VersionTraffic, counts_frame, read_traffic
from include.handover import safe_key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

TASK = "collect_predictions"
PRIORITY = "priority"  # the column of a sample that says which rows stay when samples are joined


@dataclass(frozen=True)
class CollectedGroup:
    """One version's rows; no counts and sample where there is no reference to count against.

    `first_rows` are there where the part is not alone: another one may have the same customers.
    """

    version: str
    rows: int
    repeated: int
    repeated_anonymous: int
    at_fault: int
    faults: dict[str, int]
    counts: str | None
    sample: str | None
    first_rows: str | None = None


@dataclass(frozen=True)
class Collected:
    """What `collect_predictions` hands on; `ids` are the hashes of the rows' own identities."""

    part: Part
    rows: int
    other_sources: int
    without_version: int
    unreadable: list[str]
    groups: list[CollectedGroup]
    ids: str | None = None


def collect_predictions(run: DriftRun, part: Part) -> Collected:
    """Count a part of the day's log, by version, against each version's own reference."""
    return collect_part(run, part)


def collect_part(
    run: DriftRun, part: Part, *, shipped: "NDArray[np.uint64] | None" = None, task: str = TASK
) -> Collected:
    """Count a part, but for rows whose hashes are among those `shipped` in earlier parts."""
    traffic = Traffic(
        run.store, run.day, part.columns, run.rules.report_rows, places=not part.is_alone
    )
    read_traffic(traffic, span=part.span, shipped=shipped)
    answered = sorted(traffic.versions, key=versions.version_order)
    groups = [_written(run, task, part, traffic.versions[version]) for version in answered]
    ids = None
    if not part.is_alone:
        frame = pd.DataFrame({"id": traffic.seen.hashes()})
        ids = run.write_frame(task, f"ids-{part.place:04d}.parquet", frame)
    logger.info("%s", _told(part, traffic))
    return Collected(
        part=part,
        rows=traffic.rows,
        other_sources=traffic.other_sources,
        without_version=traffic.without_version,
        unreadable=traffic.unreadable,
        groups=groups,
        ids=ids,
    )


def _written(run: DriftRun, task: str, part: Part, traffic: VersionTraffic) -> CollectedGroup:
    """A version's counts, sample and first rows, handed on."""
    files: dict[str, pd.DataFrame] = {}
    if traffic.reference is not None:
        sample = pd.DataFrame(traffic.sample, columns=traffic.names if traffic.rows else None)
        files["counts"] = counts_frame(traffic.counts)
        files["sample"] = sample.assign(**{PRIORITY: traffic.priorities})
    if not part.is_alone:
        files["first_rows"] = traffic.first_rows_frame()
    keys = {
        name: run.write_frame(
            task, f"{name}-v{safe_key(traffic.version)}-{part.place:04d}.parquet", frame
        )
        for name, frame in files.items()
    }
    return CollectedGroup(
        version=traffic.version,
        rows=traffic.rows,
        repeated=traffic.repeated,
        repeated_anonymous=traffic.repeated_anonymous,
        at_fault=traffic.at_fault,
        faults=dict(traffic.faults),
        counts=keys.get("counts"),
        sample=keys.get("sample"),
        first_rows=keys.get("first_rows"),
    )


def _told(part: Part, traffic: Traffic) -> str:
    asked = ", ".join(
        f"{each.rows:,} customers of version {each.version} ({each.repeated:,} rows repeated, "
        f"{each.repeated_anonymous:,} of them anonymous; {each.at_fault:,} at fault)"
        for each in traffic.versions.values()
    )
    whose = "" if part.is_alone else f", part {part.place + 1} of {part.parts}"
    return f"{traffic.day}{whose}: {traffic.rows:,} logged rows; {asked or 'no customers'}"
