"""The verdict on a day: each version's traffic tested, a training run decided, drift.json written.

What the task hands on are the facts of the drift.json that it has written, and no others.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from include.champion import versions
from include.drift import findings, guards, statistics
from include.drift.collect_predictions import Collected, CollectedGroup
from include.drift.findings import (
    DayStatus,
    DriftDay,
    GroupDrift,
    GroupStatus,
    Mix,
    Retraining,
    StartedRun,
    Verdict,
)
from include.drift.guards import Cause, PinnedChampion, Situation, is_run_of, run_id_of
from include.drift.new_labels import new_labels
from include.drift.parts import add_parts
from include.drift.performance import VersionWeek, read_performance
from include.drift.reference import Reference, compare_group, read_reference
from include.drift.run import DriftRun
from include.drift.statistics import SCORE
from include.drift.traffic import counts_of
from include.errors import ChampionError, ConfigurationError, DocumentError, ObjectNotFound
from include.store import Store

logger = logging.getLogger(__name__)

CLOCK_SLACK = timedelta(days=1)  # between this machine's clock and the store's


@dataclass(frozen=True)
class Detected:
    """What `detect_drift` hands on."""

    drift: str
    status: DayStatus
    rows: int
    drifted: bool
    drifted_features: int
    triggered: bool
    reason: str
    explanation: str
    run_id: str | None
    conf: dict[str, Any] | None
    report_version: str | None
    report_sample: str | None  # of its logged rows


def detect_drift(run: DriftRun, parts: Sequence[Collected]) -> Detected:
    """Test each version's traffic, decide whether drift starts a training run, write drift.json."""
    collected = add_parts(run, parts)
    champion = collected.part.champion
    groups = tuple(_judged(run, group, champion) for group in collected.groups)
    tested = any(group.verdicts for group in groups)
    report_key = findings.day_key(run.day, findings.REPORT_PAGE)
    report_uri = f"{run.store.uri}/{report_key}" if tested else None
    key = findings.day_key(run.day, findings.DRIFT_FILE)
    before = _earlier_day(run.store, key)
    decision = _decide(run, groups, champion, report_uri, before)
    found = _drift_day(run, collected, groups, decision, _started(decision, before), report_uri)
    run.store.write(key, found.to_bytes())
    logger.info("%s: %s; %s", run.day, found.explanation, decision.explanation)
    return _detected(found, key, collected)


def _detected(found: DriftDay, key: str, collected: Collected) -> Detected:
    decision = found.retraining
    version = _report_version(found)
    samples = {group.version: group.sample for group in collected.groups}
    return Detected(
        drift=key,
        status=found.status,
        rows=found.rows,
        drifted=found.drifted,
        drifted_features=found.num_drifted_features,
        triggered=decision.triggered,
        reason=decision.reason,
        explanation=f"{found.explanation}; {decision.explanation}",
        run_id=decision.run_id,
        conf=decision.conf,
        report_version=version,
        report_sample=samples[version] if version else None,
    )


def _judged(run: DriftRun, group: CollectedGroup, champion: PinnedChampion | None) -> GroupDrift:
    in_production = champion is not None and champion.version == group.version
    if group.counts is None and in_production:
        raise ChampionError(
            f"the reference of version {group.version}, the champion, cannot be read from "
            f"{run.store.uri}, so its {group.rows:,} rows cannot be tested: the log of "
            "collect_predictions says why; restore the object, or train a new champion, then "
            "clear this run"
        )
    if group.counts is None:
        return _group_drift(group, "no_reference")
    if group.rows < run.rules.rows_min:
        return _group_drift(group, "too_few_rows")
    reference = read_reference(run.store, group.version)
    current = counts_of(run.read_frame(group.counts))
    mix, verdicts = compare_group(reference, current, run.rules)
    if in_production:  # an earlier version may have had other columns
        _check_rule(run, group.version, verdicts)
    status: GroupStatus = "drifted" if statistics.day_drifted(verdicts, run.rules) else "quiet"
    return _group_drift(group, status, tested=(reference, mix, verdicts))


def _group_drift(
    group: CollectedGroup,
    status: GroupStatus,
    *,
    tested: tuple[Reference, Mix, tuple[Verdict, ...]] | None = None,
) -> GroupDrift:
    reference, mix, verdicts = tested or (None, None, ())
    scored = SCORE in (verdict.feature for verdict in verdicts)
    return GroupDrift(
        version=group.version,
        status=status,
        rows=group.rows,
        repeated_rows=group.repeated,
        repeated_anonymous_rows=group.repeated_anonymous,
        rows_at_fault=group.at_fault,
        faults=group.faults,
        reference=mix,
        reference_rows=reference.rows(mix) if reference and mix else None,
        score_reference_rows=reference.rows(mix, SCORE) if reference and mix and scored else None,
        verdicts=verdicts,
        drifted_features=tuple(v.feature for v in verdicts if v.drifted),
    )


def _check_rule(run: DriftRun, version: str, verdicts: tuple[Verdict, ...]) -> None:
    unknown = set(run.rules.rule.any_of) - {verdict.feature for verdict in verdicts}
    if unknown:
        raise ConfigurationError(
            f"drift.rule.any_of names {', '.join(sorted(unknown))}, which version {version} "
            f"does not use: it uses {', '.join(v.feature for v in verdicts)}"
        )


def _decide(
    run: DriftRun,
    groups: tuple[GroupDrift, ...],
    champion: PinnedChampion | None,
    report_uri: str | None,
    before: DriftDay | None,
) -> Retraining:
    causes = [*_causes(run, groups, champion)]
    if not causes:
        return guards.no_drift()
    # What a run that is cleared, tried again or slow must not take for the champion it pinned.
    own = guards.own_cause(causes, champion)
    found = versions.read_pointer(run.store)
    present = found[0].version if found else None
    if present != (champion.version if champion else None):
        return guards.moved(champion, present, (own or causes[0]).reason)
    again = _same_again(run, causes, champion, before)
    if again:
        return again
    own_run_id = own.run_id(run.day) if own else ""
    in_flight = run.training_runs_in_flight(own_run_id)
    situation = Situation(
        day=run.day,
        now=run.now,
        champion=champion,
        new_labels=new_labels(run, champion) if champion else None,
        earlier=list(_earlier_starts(run, own)),
        in_flight=in_flight,
        report_uri=report_uri,
        approval_page=run.approval_page() if in_flight else None,
    )
    return guards.decide(causes, situation, run.rules)


def _causes(
    run: DriftRun, groups: Sequence[GroupDrift], champion: PinnedChampion | None
) -> Iterator[Cause]:
    """Drift first; then, where it may, the loss that the last `measure_outcomes` found."""
    for group in groups:
        if group.status == "drifted":
            yield Cause("drift", group.version, len(group.drifted_features))
    if run.rules.performance.retrain and champion:
        lost = _lost_week(run.store, champion.version)
        if lost:
            yield Cause.loss(champion.version, lost)


def _lost_week(store: Store, version: str) -> VersionWeek | None:
    """The latest judged week of the version, if it is a loss; unreadable figures are none."""
    try:
        found = read_performance(store)
    except DocumentError as error:
        logger.warning("%s; it starts no training", error)
        return None
    if found is None:
        return None
    lost = {each.judged_week for each in found.versions if each.version == version and each.lost}
    return next((w for w in found.weeks if w.version == version and w.week in lost), None)


def _same_again(
    run: DriftRun,
    causes: Sequence[Cause],
    champion: PinnedChampion | None,
    before: DriftDay | None,
) -> Retraining | None:
    """What an earlier run of this day decided, unless there is another champion now.

    It starts the same training run, which the operator then finds there; but where a later champion
    stands, Airflow may have forgotten that run, and none is started.
    """
    if before is None:
        return None
    own = guards.own_cause(causes, champion)
    candidates = [own.version] if own else [cause.version for cause in causes]
    if champion is not None and own is None and champion.is_younger_than(run.day):
        started = any(is_run_of(start.run_id, candidates) for start in before.started_runs)
        return guards.overtaken(champion, run.day, causes[0].reason) if started else None
    run_id = before.retraining.run_id
    return before.retraining if run_id and is_run_of(run_id, candidates) else None


def _earlier_starts(run: DriftRun, own: Cause | None) -> Iterator[StartedRun]:
    """What was started within the cool-down, or since the lost week, as every drift.json tells."""
    oldest = run.now - timedelta(days=run.rules.cooldown_days) - CLOCK_SLACK
    if own and own.week_begins:
        oldest = min(oldest, own.week_begins)
    for found in run.store.list(f"{findings.PREFIX}/"):
        if not found.key.endswith(f"/{findings.DRIFT_FILE}"):
            continue
        if found.modified >= oldest.timestamp():
            earlier = _earlier_day(run.store, found.key)
            yield from earlier.started_runs if earlier else ()


def _earlier_day(store: Store, key: str) -> DriftDay | None:
    """An older drift.json; one that another release wrote otherwise must not silence today's."""
    try:
        return findings.read_day_at(store, key)
    except ObjectNotFound:
        return None
    except DocumentError as error:
        logger.warning("%s; it is left out", error)
        return None


def _started(decision: Retraining, before: DriftDay | None) -> tuple[StartedRun, ...]:
    """Every training run that this day has started, the one just decided included."""
    runs = {start.run_id: start for start in before.started_runs} if before else {}
    if decision.run_id and decision.decided_at:
        start = StartedRun(run_id=decision.run_id, decided_at=decision.decided_at)
        runs.setdefault(decision.run_id, start)
    return tuple(runs.values())


def _drift_day(
    run: DriftRun,
    collected: Collected,
    groups: tuple[GroupDrift, ...],
    decision: Retraining,
    started_runs: tuple[StartedRun, ...],
    report_uri: str | None,
) -> DriftDay:
    status = findings.status_of(groups)
    drifted = tuple(sorted({name for group in groups for name in group.drifted_features}))
    return DriftDay(
        date=run.day,
        status=status,
        explanation=findings.explain(status, groups, run.rules),
        drifted=status == "drifted",
        drifted_features=drifted,
        num_drifted_features=len(drifted),
        threshold=run.rules.rule.threshold,
        rows=collected.rows,
        rows_of_other_sources=collected.other_sources,
        rows_without_version=collected.without_version,
        unreadable_objects=tuple(collected.unreadable),
        groups=groups,
        retraining=decision,
        started_runs=started_runs,
        report_uri=report_uri,
        rules=run.rules.model_dump(mode="json"),
    )


def _report_version(found: DriftDay) -> str | None:
    """The version that the day's report is about.

    The one whose drift started a training run, else one that drifted, else the busiest.
    """

    def telling(group: GroupDrift) -> tuple[bool, bool, int]:
        own_run_id = run_id_of(found.date, group.version)
        return own_run_id == found.retraining.run_id, group.status == "drifted", group.rows

    tested = [group for group in found.groups if group.verdicts]
    return max(tested, key=telling).version if tested else None
