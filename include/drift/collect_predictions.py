"""The day's log as counts, by the version that answered, and the champion of this run."""

import logging
from dataclasses import dataclass

import pandas as pd

from include.champion import versions
from include.drift.guards import PinnedChampion
from include.drift.run import DriftRun
from include.drift.traffic import Traffic, VersionTraffic, counts_frame, read_traffic
from include.handover import safe_key
from include.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CollectedGroup:
    """One version's rows; without keys where there is no reference to count against."""

    version: str
    rows: int
    repeated: int
    repeated_anonymous: int
    at_fault: int
    faults: dict[str, int]
    counts: str | None
    sample: str | None


@dataclass(frozen=True)
class Collected:
    """What `collect_predictions` hands on."""

    champion: PinnedChampion | None
    rows: int
    other_sources: int
    without_version: int
    unreadable: list[str]
    groups: list[CollectedGroup]


def collect_predictions(run: DriftRun) -> Collected:
    """Count the day's log, by version, against each version's own reference.

    The pointer is read here for the whole run: it may have moved before the run ends.
    """
    champion, trained_on = _champion(run.store)
    # Also the features of a champion that was trained under another contract.
    columns = tuple(dict.fromkeys((*run.contract.feature_names, *trained_on)))
    traffic = read_traffic(run.store, run.day, columns=columns, sample_rows=run.rules.report_rows)
    answered = sorted(traffic.versions, key=versions.version_order)
    groups = [_written(run, traffic.versions[version]) for version in answered]
    logger.info("%s", _told(traffic))
    return Collected(
        champion=champion,
        rows=traffic.rows,
        other_sources=traffic.other_sources,
        without_version=traffic.without_version,
        unreadable=traffic.unreadable,
        groups=groups,
    )


def _champion(store: Store) -> tuple[PinnedChampion | None, tuple[str, ...]]:
    """The champion and its features; none before the first."""
    found = versions.read_pointer(store)
    if found is None:
        return None, ()
    pointer, manifest = found[0], versions.read_manifest(store, found[0])
    pinned = PinnedChampion(pointer.version, pointer.promoted_at, manifest.snapshot_at)
    return pinned, manifest.columns


def _written(run: DriftRun, traffic: VersionTraffic) -> CollectedGroup:
    """A version's counts and sample, handed on."""
    keys: dict[str, str | None] = {"counts": None, "sample": None}
    if traffic.reference is not None:
        files = {
            "counts": counts_frame(traffic.counts),
            "sample": pd.DataFrame(traffic.sample, columns=traffic.names if traffic.rows else None),
        }
        for name, frame in files.items():
            file = f"{name}-v{safe_key(traffic.version)}.parquet"
            keys[name] = run.write_frame("collect_predictions", file, frame)
    return CollectedGroup(
        version=traffic.version,
        rows=traffic.rows,
        repeated=traffic.repeated,
        repeated_anonymous=traffic.repeated_anonymous,
        at_fault=traffic.at_fault,
        faults=dict(traffic.faults),
        counts=keys["counts"],
        sample=keys["sample"],
    )


def _told(traffic: Traffic) -> str:
    asked = ", ".join(
        f"{each.rows:,} customers of version {each.version} ({each.repeated:,} rows repeated, "
        f"{each.repeated_anonymous:,} of them anonymous; {each.at_fault:,} at fault)"
        for each in traffic.versions.values()
    )
    return f"{traffic.day}: {traffic.rows:,} logged rows; {asked or 'no customers'}"
