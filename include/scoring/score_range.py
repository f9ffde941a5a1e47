"""One range of a nightly run: its customers through the pinned champion, into part and table.

Customers whose values break the champion's contract have no score; each is listed with its faults
under `runs/<run_id>/score_range/`.
"""

import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from include.champion import versions
from include.champion.versions import Manifest
from include.customers import queries
from include.customers import ranges as customer_ranges
from include.customers.table import published_contract
from include.errors import ChampionError, DataError
from include.history import changes
from include.history.days import kept_days
from include.history.tables import SNAPSHOTS
from include.scoring import bulk, flags
from include.scoring import table as score_table
from include.scoring.bulk import BulkScorer
from include.scoring.earlier import (
    NOBODY,
    EarlierScores,
    Span,
    comparable_scores,
    with_rises,
)
from include.scoring.list_columns import needed_columns, with_list_columns
from include.scoring.plan_ranges import Portion, keys_of
from include.scoring.run import ScoringRun, part_key
from include.store import Store

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

FAULT_COLUMNS = ["customer", "column", "expected", "found"]


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


def score_range(run: ScoringRun, portion: Portion) -> Scored:
    """Stream a range through the pinned champion into its part and the run's table."""
    tally = Tally()
    scorer = pinned_scorer(run.store, portion)
    tally.lap("load")
    contract, names = scorer.manifest.contract, columns_to_read(run, scorer.manifest)
    keys = keys_of(run, portion)
    chunks = customer_ranges.pages(run.engine, contract, names, keys, rows=run.rules.chunk_rows)
    earlier = comparable_scores(
        run.store, portion.earlier, keys, model_version=portion.model_version
    )
    standing = flags.standing_flags(run.engine, keys, scorer.manifest.target)
    tally.lap("earlier")
    part = part_key(run.day, f"{portion.place:04d}")
    return score_chunks(run, portion, scorer, chunks, earlier, standing, tally=tally, part=part)


def score_chunks(
    run: ScoringRun,
    portion: Portion,
    scorer: BulkScorer,
    chunks: Iterable[pd.DataFrame],
    earlier: Mapping[Span, EarlierScores],
    standing: EarlierScores = NOBODY,
    *,
    tally: Tally,
    part: str,
) -> Scored:
    """Score customers chunk by chunk into the run's table and one part."""
    table = score_table.table_of(run.engine, portion.scored_at)
    buffer = io.BytesIO()
    read = with_present_changes(run, scorer.manifest, chunks)
    with pq.ParquetWriter(buffer, bulk.SCHEMA, compression="zstd") as writer:
        for frame in read:
            tally.lap("read")
            scores = _scored(run, portion, scorer, frame, standing, tally)
            writer.write_table(scores.select(bulk.SCHEMA.names))
            tally.lap("write part")
            scores = with_rises(scores, earlier)
            tally.lap("earlier")
            score_table.write_scores(run.engine, table, scores)
            tally.lap("write table")
            tally.add(scores)
    run.store.write(part, buffer.getvalue())
    faults = _write_faults(run, part, tally.faults)
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


def with_present_changes(
    run: ScoringRun, manifest: Manifest, chunks: Iterable[pd.DataFrame]
) -> Iterator[pd.DataFrame]:
    """Today's customers with what changed since the snapshots, as far as the version asks.

    Of today whatever day the scores are filed under, because the records are. DataError where the
    version has learned from history and none is there.
    """
    contract, as_of = manifest.contract, run.now.astimezone(UTC).date()
    if not contract.defaults:
        yield from chunks
        return
    days = kept_days(run.engine)
    if not days:
        raise DataError(
            f"version {manifest.version} looks at changes over past snapshots, and the database "
            f"has none in {SNAPSHOTS}: restore that table, load history (make load-history), or "
            "roll back to a version without them"
        )
    for months in changes.unknown_months(contract, as_of, days):
        logger.warning(
            "no snapshot is from about %s month(s) ago: changes over as many count as none, for "
            "everybody; see which month churn_snapshot missed",
            months,
        )
    for frame in chunks:
        yield changes.with_changes(
            run.engine, frame, contract, as_of=as_of, snapshots=days, rules=run.history
        )


def columns_to_read(run: ScoringRun, manifest: Manifest) -> list[str]:
    """What the version answers from, and what else the call list shows of a customer."""
    known = queries.column_types(run.engine, published_contract())
    more = [name for name in flags.needed_columns(manifest.target) if name in known]
    return list(dict.fromkeys([*manifest.record_columns, *needed_columns(known), *more]))


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


def _scored(
    run: ScoringRun,
    portion: Portion,
    scorer: BulkScorer,
    frame: pd.DataFrame,
    standing: EarlierScores,
    tally: Tally,
) -> "pa.Table":
    manifest = scorer.manifest
    keys = _keys(frame, manifest.contract.key.name)
    matrix = manifest.contract.matrix(frame, manifest.columns)
    good = ~np.isnan(matrix).any(axis=1)
    bad = np.flatnonzero(~good)
    tally.faults += bulk.faults_of(frame.iloc[bad], manifest)
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
        bands=run.rules.bands,
        model_version=portion.model_version,
        scored_at=portion.scored_at,
    )
    frame = frame.iloc[np.flatnonzero(good)]
    scores = with_list_columns(scores, frame, run.revenue)
    scores = flags.with_flags(scores, frame, standing, target=manifest.target, rules=run.history)
    tally.lap("rows")
    return scores


def _keys(frame: pd.DataFrame, name: str) -> "NDArray[np.int64]":
    keys = frame[name].to_numpy(dtype=np.int64)
    again = np.flatnonzero(np.diff(keys) <= 0)
    if len(again):
        raise DataError(
            f"{len(again):,} customers are in churners more than once: make {name} its primary key "
            f"(SELECT {name} FROM churners GROUP BY {name} HAVING COUNT(*) > 1 lists them)"
        )
    return keys


def _write_faults(run: ScoringRun, part: str, faults: list[dict[str, Any]]) -> str | None:
    if not faults:
        return None
    name = part.rpartition("/")[2]
    frame = pd.DataFrame(faults, columns=FAULT_COLUMNS)
    return run.write_frame("score_range", f"faults-{name}", frame)
