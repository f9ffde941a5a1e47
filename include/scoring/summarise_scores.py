"""The end of a nightly run: the proof that every customer was scored exactly once, and the sums."""

import io
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from include.champion import versions
from include.customers import ranges as customer_ranges
from include.customers.ranges import KeyRange
from include.errors import DataError, ObjectNotFound
from include.scoring import comparisons, flags, score_range
from include.scoring import table as score_table
from include.scoring.plan_ranges import Portion, keys_of
from include.scoring.run import ScoringRun, clear_day, day_prefix, part_key
from include.scoring.score_range import Scored, Tally
from include.scoring.summary import (
    SUMMARY_FILE,
    Change,
    ScoreSummary,
    described,
    readable_summary,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

LATE = "late"
LATE_PASSES = 3
START_AGAIN = "clear plan_ranges with everything behind it, and the run starts again"


def summarise_scores(run: ScoringRun, planned: list[Portion], scored: list[Scored]) -> ScoreSummary:
    """Prove that the run is complete, swap its table in, and write the day's summary."""
    _every_range(planned, scored)
    for portion, done in zip(planned, scored, strict=True):
        _check_part(run, portion, done)
    ranges = _with_late(run, planned[0], scored)
    _check_table(run, planned[0], ranges)
    _check_unscorable(run, ranges)
    manifest, _ = versions.read_version(run.store, planned[0].model_version)
    flags.settle_flags(run.engine, planned[0].scored_at, target=manifest.target, rules=run.history)
    # First the comparisons: whoever sees the new scores finds with what they are compared.
    comparisons.write(run.engine, planned[0].scored_at, planned[0].earlier)
    removed = score_table.publish(run.engine, planned[0].scored_at)
    summary = _summary(run, planned, ranges, removed=removed)
    clear_day(run.store, run.day, keep=frozenset(summary.parts))
    run.store.write(day_prefix(run.day) + SUMMARY_FILE, summary.to_bytes())
    logger.info("\n%s", "\n".join(described(summary, run.rules)))
    return summary


def _every_range(planned: Sequence[Portion], scored: Sequence[Scored]) -> None:
    wanted, done = [p.place for p in planned], [s.place for s in scored]
    if wanted != done:
        raise DataError(f"planned were the ranges {wanted}, scored {done}: {START_AGAIN}")


def _check_part(run: ScoringRun, portion: Portion, scored: Scored) -> None:
    """The part holds the run's scores of its range's customers, each once, and no others."""
    keys, moments = _part_keys(run, scored.part)
    found = f"{len(keys)} rows"
    if len(keys) != scored.rows or moments - {(portion.model_version, portion.scored_at)}:
        found += f" of {sorted(map(str, moments))}"
    elif (np.diff(keys) <= 0).any():
        found = "a customer twice"
    elif not _inside(keys, keys_of(run, portion)):
        found = "customers of other ranges"
    else:
        return
    raise DataError(
        f"{scored.part} should hold {scored.rows} customers of range {portion.place}, scored by "
        f"version {portion.model_version} at {portion.scored_at.isoformat()}; found {found}: "
        "clear this range of score_range"
    )


def _part_keys(run: ScoringRun, key: str) -> "tuple[NDArray[np.int64], set[tuple[object, object]]]":
    names = ["customer", "model_version", "scored_at"]
    table = pq.read_table(io.BytesIO(run.read(key)), columns=names)
    runs = table.select(names[1:]).group_by(names[1:]).aggregate([]).to_pylist()
    return table["customer"].to_numpy(), {tuple(run[n] for n in names[1:]) for run in runs}


def _inside(keys: "NDArray[np.int64]", bounds: KeyRange) -> bool:
    above = not len(keys) or bounds.after is None or keys[0] > bounds.after
    below = not len(keys) or bounds.upto is None or keys[-1] <= bounds.upto
    return bool(above and below)


def _with_late(run: ScoringRun, portion: Portion, ranges: list[Scored]) -> list[Scored]:
    """Score also the customers who came after their range was read, in a part of their own."""
    known, late = _earlier_late(run, portion), list[Scored]()
    for _ in range(LATE_PASSES):
        missing = _missing(run, portion, [*ranges, *late])
        if not missing and (late or not known):
            return [*ranges, *late]
        known |= missing
        late = [_score_late(run, replace(portion, place=len(ranges)), known)]
    raise DataError(
        f"customers still have no score after {LATE_PASSES} passes over latecomers: is somebody "
        f"loading customers right now? When that is done, {START_AGAIN}"
    )


def _earlier_late(run: ScoringRun, portion: Portion) -> set[int]:
    """Whom an earlier try of this task has scored as latecomers."""
    try:
        keys, runs = _part_keys(run, part_key(run.day, LATE))
    except ObjectNotFound:
        return set()
    return set(keys.tolist()) if runs == {(portion.model_version, portion.scored_at)} else set()


def _missing(run: ScoringRun, portion: Portion, ranges: Sequence[Scored]) -> set[int]:
    """Customers with neither a score of this run nor a listed fault."""
    manifest, _ = versions.read_version(run.store, portion.model_version)
    unscorable = _unscorable_keys(run, ranges)
    most = run.rules.chunk_rows
    found = score_table.unscored_customers(
        run.engine,
        score_table.table_of(run.engine, portion.scored_at),
        manifest.contract.key.name,
        limit=len(unscorable) + most + 1,
    )
    missing = [key for key in found if key not in unscorable]
    if None in missing or len(missing) > most:
        raise DataError(
            f"{len(missing)} customers or more have no score, {missing.count(None)} of them no key "
            f"(without one nobody can be scored); expected were none, or at most {most} who came "
            f"during the run. {START_AGAIN}"
        )
    return {int(key) for key in missing if key is not None}


def _unscorable_keys(run: ScoringRun, ranges: Sequence[Scored]) -> set[int]:
    keys: set[int] = set()
    for done in ranges:
        if done.faults:
            keys.update(run.read_frame(done.faults)["customer"].tolist())
    return keys


def _score_late(run: ScoringRun, portion: Portion, keys: set[int]) -> Scored:
    logger.warning("%s customers came after their range was read: scored now", len(keys))
    scorer = score_range.pinned_scorer(run.store, portion)
    names = score_range.columns_to_read(run, scorer.manifest)
    frame = customer_ranges.read_keys(run.engine, scorer.manifest.contract, names, sorted(keys))
    part = part_key(run.day, LATE)
    # Nobody is compared here: they were in no earlier night, but for who comes back.
    return score_range.score_chunks(run, portion, scorer, [frame], {}, tally=Tally(), part=part)


def _check_table(run: ScoringRun, portion: Portion, ranges: Sequence[Scored]) -> None:
    """The key is unique in the table, so as many rows as in the parts are the same customers."""
    expected = sum(done.rows for done in ranges)
    table = score_table.table_of(run.engine, portion.scored_at)
    found = score_table.count_scores(run.engine, table)
    if found != expected:
        raise DataError(
            f"{table.name} should hold {expected} customers, as this run's parts do, found "
            f"{found}: {START_AGAIN}"
        )


def _check_unscorable(run: ScoringRun, ranges: Sequence[Scored]) -> None:
    unscorable = sum(done.unscorable_rows for done in ranges)
    everyone = unscorable + sum(done.rows for done in ranges)
    if unscorable > run.rejected_share_max * everyone:
        raise DataError(
            f"{unscorable} of {everyone} customers break the champion's contract, allowed are "
            f"{run.rejected_share_max:.1%} (validation.rejected_share_max): their faults are in "
            f"{', '.join(done.faults for done in ranges if done.faults)}; the night before's "
            "scores of those customers stay until then"
        )


def _summary(
    run: ScoringRun, planned: Sequence[Portion], ranges: Sequence[Scored], *, removed: int
) -> ScoreSummary:
    portion = planned[0]
    rows = sum(done.rows for done in ranges)
    names = [band.name for band in run.rules.bands]
    bands = {name: sum(done.bands.get(name, 0) for done in ranges) for name in names}
    steps = dict.fromkeys(step for done in ranges for step in done.seconds)
    mean = sum(done.probability_sum for done in ranges) / max(rows, 1)
    return ScoreSummary(
        date=run.day,
        model_version=portion.model_version,
        scored_at=portion.scored_at,
        customers=customer_ranges.count_customers(run.engine),
        scored=rows,
        unscorable=sum(done.unscorable_rows for done in ranges),
        late=sum(done.rows for done in ranges if done.part.endswith(f"part-{LATE}.parquet")),
        removed=removed,
        mean_probability=mean,
        bands=bands,
        change=_change(run, portion, rows=rows, mean=mean, bands=bands),
        parts=tuple(done.part for done in ranges),
        ranges=tuple(keys_of(run, portion) for portion in planned),
        faults=tuple(done.faults for done in ranges if done.faults),
        seconds={step: sum(done.seconds.get(step, 0.0) for done in ranges) for step in steps},
    )


def _change(
    run: ScoringRun, portion: Portion, *, rows: int, mean: float, bands: dict[str, int]
) -> Change | None:
    last = next((night.date for night in portion.earlier if night.span == "night"), None)
    before = readable_summary(run.store, last) if last else None
    if before is None:
        return None
    return Change(
        date=before.date,
        model_version=before.model_version,
        scored=rows - before.scored,
        mean_probability=mean - before.mean_probability,
        bands={name: n - before.bands.get(name, 0) for name, n in bands.items()},
    )
