"""The nightly run over all customers: plan ranges of keys, score each, prove that none is missing.

The plan pins the champion and the moment. A range's part of `scores/date=…/` and its rows of
`churn_scores` carry both and are written under keys that depend on the range alone, so that a range
that is tried again replaces its own work. Customers whose values break the champion's contract have
no score; each is listed with its faults under `runs/<run_id>/score_range/`.
"""

import io
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from include.champion import versions
from include.customers import ranges as customer_ranges
from include.customers.ranges import KeyRange
from include.errors import ChampionError, DataError
from include.handover import Run
from include.params import ScoringRules
from include.scoring import bulk
from include.scoring import table as score_table
from include.scoring.bulk import BulkScorer
from include.store import Store

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from sqlalchemy import Engine

logger = logging.getLogger(__name__)

SCORES_PREFIX = "scores"
FAULT_COLUMNS = ["customer", "column", "expected", "found"]


@dataclass(frozen=True)
class Night(Run):
    """The connections and rules of one run, whichever task it is in."""

    engine: "Engine"
    rules: ScoringRules
    rejected_share_max: float


@dataclass(frozen=True)
class Portion:
    """One range's work: all that a mapped task must know."""

    place: int
    after: int | None
    upto: int | None
    date: str
    scored_at: str
    model_version: str
    manifest_sha256: str

    @property
    def keys(self) -> KeyRange:
        """The customers of the range."""
        return KeyRange(self.after, self.upto)

    @property
    def moment(self) -> datetime:
        """When the run pinned its champion; every score of the run says so."""
        return datetime.fromisoformat(self.scored_at)

    @property
    def part(self) -> str:
        """The key of the range's parquet file."""
        return part_key(self.date, f"{self.place:04d}")


@dataclass(frozen=True)
class Scored:
    """What a mapped task hands on."""

    place: int
    part: str
    rows: int
    unscorable_rows: int
    faults: str | None
    bands: dict[str, int]
    probability_sum: float
    seconds: dict[str, float]


@dataclass
class Tally:
    """What a range adds up to while it is scored, and where its time goes."""

    rows: int = 0
    probability_sum: float = 0.0
    bands: dict[str, int] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    unscorable_rows: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=perf_counter)

    def add(self, scores: "pa.Table") -> None:
        """Count a chunk's scores."""
        self.rows += len(scores)
        self.probability_sum += float(np.sum(scores["probability"].to_numpy()))
        for found in scores["band"].value_counts().to_pylist():
            self.bands[found["values"]] = self.bands.get(found["values"], 0) + found["counts"]

    def lap(self, step: str) -> None:
        """Book the time since the last lap."""
        now = perf_counter()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self.since
        self.since = now


def plan_ranges(night: Night, *, day: date, now: datetime) -> list[Portion]:
    """Pin the champion and cut the table; an empty list where there is no champion yet.

    What an earlier run left for the same day is removed: its parts are cut elsewhere.
    """
    found = versions.read_pointer(night.store)
    if found is None:
        return []
    pointer, manifest = found[0], versions.read_manifest(night.store, found[0])
    rows = customer_ranges.count_customers(night.engine)
    if not rows:
        raise DataError(
            "the table churners is empty, so nobody can be scored: see why, then start the run "
            "again; the scores of the night before stay"
        )
    count = min(night.rules.ranges_max, -(-rows // night.rules.range_rows))
    cuts = customer_ranges.cut(
        night.engine, manifest.contract, ranges=count, rows=-(-rows // count)
    )
    score_table.create_score_table(night.engine)
    clear_day(night.store, day.isoformat())
    logger.info("%s customers in %s ranges, champion %s", rows, len(cuts), pointer.version)
    return [
        Portion(
            place=place,
            after=keys.after,
            upto=keys.upto,
            date=day.isoformat(),
            scored_at=now.isoformat(),
            model_version=pointer.version,
            manifest_sha256=pointer.manifest_sha256,
        )
        for place, keys in enumerate(cuts)
    ]


def score_range(night: Night, portion: Portion) -> Scored:
    """Stream a range through the pinned champion into its part and the table.

    DataError where a later run has scored the range: an older night, cleared, would overwrite it.
    """
    tally = Tally()
    later = score_table.later_moment(night.engine, portion.keys, than=portion.moment)
    if later is not None:
        raise DataError(
            f"this run pinned its champion at {portion.scored_at}, and churn_scores has scores of "
            f"{later}: those stay; start a new run instead of clearing this one"
        )
    scorer = pinned_scorer(night.store, portion)
    tally.lap("load")
    chunks = customer_ranges.pages(
        night.engine,
        scorer.manifest.contract,
        scorer.manifest.columns,
        portion.keys,
        rows=night.rules.chunk_rows,
    )
    return score_chunks(night, portion, scorer, chunks, tally=tally, part=portion.part)


def score_chunks(
    night: Night,
    portion: Portion,
    scorer: BulkScorer,
    chunks: Iterable[pd.DataFrame],
    *,
    tally: Tally,
    part: str,
) -> Scored:
    """Score customers chunk by chunk into the table and one part."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, bulk.SCHEMA, compression="zstd") as writer:
        for frame in chunks:
            tally.lap("read")
            scores = _scored(night, portion, scorer, frame, tally)
            writer.write_table(scores)
            tally.lap("write part")
            score_table.upsert_scores(night.engine, scores)
            tally.lap("write table")
            tally.add(scores)
    night.store.write(part, buffer.getvalue())
    faults = _write_faults(night, part, tally.faults)
    tally.lap("write part")
    logger.info("%s: %s scored, %s not", part, tally.rows, tally.unscorable_rows)
    return Scored(
        place=portion.place,
        part=part,
        rows=tally.rows,
        unscorable_rows=tally.unscorable_rows,
        faults=faults,
        bands=tally.bands,
        probability_sum=tally.probability_sum,
        seconds={step: round(seconds, 3) for step, seconds in tally.seconds.items()},
    )


def pinned_scorer(store: Store, portion: Portion) -> BulkScorer:
    """The version that the run pinned, whatever is in production by now."""
    manifest, digest = versions.read_version(store, portion.model_version)
    if digest != portion.manifest_sha256:
        raise ChampionError(
            f"version {portion.model_version} has the manifest {digest}, the run pinned "
            f"{portion.manifest_sha256}: the version was changed, start the run again"
        )
    files = versions.read_files(store, manifest, bulk.SCORING_FILES)
    return BulkScorer(manifest, files)


def day_prefix(day: str) -> str:
    """Where a day's scores are kept."""
    return f"{SCORES_PREFIX}/date={day}/"


def part_key(day: str, name: str) -> str:
    """One of a day's parquet files."""
    return f"{day_prefix(day)}part-{name}.parquet"


def clear_day(store: Store, day: str, *, keep: frozenset[str] = frozenset()) -> None:
    """Remove a day's objects but those named: another plan's parts would count customers twice."""
    for info in list(store.list(day_prefix(day))):
        if info.key not in keep:
            store.delete(info.key)


def _scored(
    night: Night, portion: Portion, scorer: BulkScorer, frame: pd.DataFrame, tally: Tally
) -> "pa.Table":
    manifest = scorer.manifest
    keys = _keys(frame, manifest.contract.key.name)
    matrix = manifest.contract.matrix(frame, manifest.columns)
    good = ~np.isnan(matrix).any(axis=1)
    bad = np.flatnonzero(~good)
    tally.faults += bulk.faults_of(frame.iloc[bad], matrix[bad], manifest)
    tally.unscorable_rows += len(bad)
    tally.lap("check")
    if not good.any():
        return bulk.SCHEMA.empty_table()
    inputs = scorer.inputs(matrix[good])
    tally.lap("features")
    probabilities = scorer.score(inputs)
    tally.lap("score")
    reasons = scorer.reasons(inputs)
    tally.lap("reasons")
    scores = bulk.score_rows(
        probabilities,
        scorer.reasons_json(reasons, rows=len(probabilities)),
        keys=keys[good],
        bands=night.rules.bands,
        model_version=portion.model_version,
        scored_at=portion.moment,
    )
    tally.lap("rows")
    return scores


def _keys(frame: pd.DataFrame, name: str) -> "NDArray[np.int64]":
    keys = frame[name].to_numpy(dtype=np.int64)
    again = np.flatnonzero(np.diff(keys) <= 0)
    if len(again):
        raise DataError(
            f"customer {keys[again[0] + 1]} is in churners more than once: make {name} its "
            "primary key"
        )
    return keys


def _write_faults(night: Night, part: str, faults: list[dict[str, Any]]) -> str | None:
    if not faults:
        return None
    name = part.rpartition("/")[2]
    frame = pd.DataFrame(faults, columns=FAULT_COLUMNS)
    key = night.write_frame("score_range", f"faults-{name}", frame)
    return key
