"""The tasks of `churn_drift`: a day's log in, a verdict, a report and perhaps a training run out.

A stage reads what the one before it wrote under `runs/<run_id>/<task_id>/` and hands on keys. The
same day gives the same findings under the same keys, however often it is run.
"""

import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.champion import versions
from include.champion.versions import Pointer
from include.contract import Contract
from include.customers import loading
from include.documents import parse_document
from include.drift import findings, guards, statistics
from include.drift.findings import DriftDay, GroupDrift, GroupStatus, Retraining, StartedRun
from include.drift.guards import Production, Situation
from include.drift.reference import read_reference
from include.drift.statistics import SCORE
from include.drift.traffic import Group, Traffic, counts_frame, counts_of, read_traffic
from include.errors import ChampionError, ConfigurationError, DocumentError, ObjectNotFound
from include.handover import Run, safe_key
from include.params import DriftRules
from include.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Engine

logger = logging.getLogger(__name__)

CLOCK_SLACK = timedelta(days=1)  # between this machine's clock and the store's


@dataclass(frozen=True)
class DriftRun(Run):
    """The connections and the configuration of one run over one day."""

    day: date
    contract: Contract
    rules: DriftRules
    open_engine: "Callable[[], Engine]"  # a quiet day needs no database
    training_runs_in_flight: Callable[[str], int]  # but for the one of that id
    now: datetime


@dataclass(frozen=True)
class CollectedGroup:
    """One version's rows; without keys where there is no reference to count against."""

    version: str
    rows: int
    repeated: int
    at_fault: int
    faults: dict[str, int]
    counts: str | None
    sample: str | None


@dataclass(frozen=True)
class Collected:
    """What `collect_predictions` hands on."""

    rows: int
    other_sources: int
    without_version: int
    unreadable: list[str]
    groups: list[dict[str, Any]]  # of CollectedGroup, as Airflow hands it on

    def versions(self) -> list[CollectedGroup]:
        """The groups, by version."""
        return [CollectedGroup(**group) for group in self.groups]


@dataclass(frozen=True)
class Detected:
    """What `detect_drift` hands on."""

    drift: str
    drifted: bool
    drifted_features: int
    triggered: bool
    reason: str
    explanation: str
    run_id: str | None
    conf: dict[str, Any] | None
    report_version: str | None


def collect_predictions(run: DriftRun) -> Collected:
    """Count the day's log, by version, against each version's own reference."""
    traffic = read_traffic(
        run.store, run.day, columns=_columns(run), sample_rows=run.rules.report_rows
    )
    groups = [_write_group(run, traffic.groups[version]) for version in sorted(traffic.groups)]
    logger.info("%s", _told(traffic))
    return Collected(
        rows=traffic.rows,
        other_sources=traffic.other_sources,
        without_version=traffic.without_version,
        unreadable=list(traffic.unreadable),
        groups=[asdict(group) for group in groups],
    )


def detect_drift(run: DriftRun, collected: Collected) -> Detected:
    """Test each version's traffic, decide whether drift starts a training run, write drift.json."""
    pointer = _pointer(run)
    groups = tuple(_judged(run, group, pointer) for group in collected.versions())
    tested = any(group.verdicts for group in groups)
    report_uri = _uri(run, findings.REPORT_PAGE) if tested else None
    before = _earlier_findings(run)
    decision = _decide(run, groups, report_uri, before)
    found = _drift_day(run, collected, groups, decision, _started(decision, before), report_uri)
    key = findings.day_key(run.day, findings.DRIFT_FILE)
    run.store.write(key, found.to_bytes())
    logger.info("%s: %s; %s", run.day, found.explanation, decision.explanation)
    overtaken = decision.triggered and _overtaken(run, decision, pointer)
    return Detected(
        drift=key,
        drifted=found.drifted,
        drifted_features=found.num_drifted_features,
        triggered=decision.triggered and not overtaken,
        reason=guards.OLDER if overtaken else decision.reason,
        explanation=f"{found.explanation}; {decision.explanation}",
        run_id=decision.run_id,
        conf=decision.conf,
        report_version=report_group(run, groups, decision.run_id),
    )


def publish_report(run: DriftRun, collected: Collected, detected: Detected) -> str | None:
    """Draw the report of the day's most telling version; None where nothing was tested."""
    if detected.report_version is None:
        logger.info("nothing was tested, so there is nothing to report")
        return None
    from include.drift import publish_report

    day = read_day(run.store, run.day)
    group = next(g for g in day.groups if g.version == detected.report_version)
    logged = next(g for g in collected.versions() if g.version == detected.report_version)
    reference = read_reference(run.store, group.version)
    made = publish_report.draw(
        reference=publish_report.sample_reference(reference, group.reference or "all", run.rules),
        current=_read_frame(run.store, logged.sample or ""),
        manifest=reference.manifest,
        group=group,
    )
    run.store.write(findings.day_key(run.day, findings.REPORT_FILE), made.json)
    run.store.write(findings.day_key(run.day, findings.REPORT_PAGE), made.page)
    return _uri(run, findings.REPORT_PAGE)


def read_day(store: Store, day: date) -> DriftDay:
    """A day's drift.json."""
    key = findings.day_key(day, findings.DRIFT_FILE)
    return parse_document(DriftDay, store.read(key).data, key)


def report_group(run: DriftRun, groups: tuple[GroupDrift, ...], started: str | None) -> str | None:
    """The version that the day's report is about.

    The one whose drift started a training run, else one that drifted, else the busiest.
    """

    def telling(group: GroupDrift) -> tuple[bool, bool, int]:
        own_run_id = guards.run_id_of(run.day, group.version)
        return own_run_id == started, group.status == "drifted", group.rows

    tested = [group for group in groups if group.verdicts]
    return max(tested, key=telling).version if tested else None


def _columns(run: DriftRun) -> tuple[str, ...]:
    """The features of the contract, and those of a champion that was trained under another."""
    found = versions.read_pointer(run.store)
    trained = versions.read_manifest(run.store, found[0]).columns if found else ()
    return tuple(dict.fromkeys((*run.contract.feature_names, *trained)))


def _write_group(run: DriftRun, group: Group) -> CollectedGroup:
    keys: dict[str, str | None] = {"counts": None, "sample": None}
    if group.reference is not None:
        files = {
            "counts": counts_frame(group.counts),
            "sample": pd.DataFrame(group.sample, columns=group.names if group.rows else None),
        }
        for name, frame in files.items():
            file = f"{name}-v{safe_key(group.version)}.parquet"
            keys[name] = run.write_frame("collect_predictions", file, frame)
    return CollectedGroup(
        version=group.version,
        rows=group.rows,
        repeated=group.repeated,
        at_fault=group.at_fault,
        faults=dict(group.faults),
        counts=keys["counts"],
        sample=keys["sample"],
    )


def _pointer(run: DriftRun) -> Pointer | None:
    found = versions.read_pointer(run.store)
    return found[0] if found else None


def _overtaken(run: DriftRun, decision: Retraining, pointer: Pointer | None) -> bool:
    """Whether a later champion stands where this day's earlier run has started a training.

    What the day said then stays in drift.json; Airflow may have forgotten its training run.
    """
    if pointer is None or run.day >= pointer.promoted_at.date():
        return False
    return decision.run_id != guards.run_id_of(run.day, pointer.version)


def _judged(run: DriftRun, group: CollectedGroup, pointer: Pointer | None) -> GroupDrift:
    facts: dict[str, Any] = {
        "version": group.version,
        "rows": group.rows,
        "repeated_rows": group.repeated,
        "rows_at_fault": group.at_fault,
        "faults": group.faults,
        "reference": None,
        "reference_rows": None,
        "score_reference_rows": None,
        "verdicts": (),
        "drifted_features": (),
    }
    in_production = pointer is not None and pointer.version == group.version
    if group.counts is None and in_production:
        raise ChampionError(
            f"the reference of version {group.version}, the champion, cannot be read from "
            f"{run.store.uri}, so its {group.rows:,} rows cannot be tested: the log of "
            "collect_predictions says why; restore the object, or train a new champion, then "
            "clear this run"
        )
    if group.counts is None:
        return GroupDrift(status="no_reference", **facts)
    if group.rows < run.rules.rows_min:
        return GroupDrift(status="too_few_rows", **facts)
    return GroupDrift(**(facts | _tested(run, group, group.counts, in_production)))


def _tested(
    run: DriftRun, group: CollectedGroup, counts_key: str, in_production: bool
) -> dict[str, Any]:
    reference = read_reference(run.store, group.version)
    current = counts_of(_read_frame(run.store, counts_key))
    mix, verdicts = findings.compare_group(reference, current, run.rules)
    unknown = set(run.rules.rule.any_of) - {verdict.feature for verdict in verdicts}
    if unknown and in_production:  # an earlier version may have had other columns
        raise ConfigurationError(
            f"drift.rule.any_of names {', '.join(sorted(unknown))}, which version {group.version} "
            f"does not use: it uses {', '.join(v.feature for v in verdicts)}"
        )
    drifted = statistics.day_drifted(verdicts, run.rules)
    status: GroupStatus = "drifted" if drifted else "quiet"
    return {
        "status": status,
        "reference": mix,
        "reference_rows": reference.rows(mix),
        "score_reference_rows": reference.rows(mix, SCORE),
        "verdicts": verdicts,
        "drifted_features": tuple(v.feature for v in verdicts if v.drifted),
    }


def _decide(
    run: DriftRun,
    groups: tuple[GroupDrift, ...],
    report_uri: str | None,
    before: DriftDay | None,
) -> Retraining:
    drifted = {group.version for group in groups if group.status == "drifted"}
    if not drifted:
        return guards.no_drift()
    production = _production(run)
    again = _same_again(run, drifted, production, before)
    if again:
        return again
    own_run_id = guards.run_id_of(run.day, production.version) if production else ""
    situation = Situation(
        day=run.day,
        now=run.now,
        production=production,
        earlier=list(_earlier_starts(run)),
        in_flight=run.training_runs_in_flight(own_run_id),
        report_uri=report_uri,
    )
    return guards.decide(groups, situation, run.rules)


def _same_again(
    run: DriftRun, drifted: set[str], production: Production | None, before: DriftDay | None
) -> Retraining | None:
    """What an earlier run of this day decided, unless the champion of now has drifted since.

    It starts the same training run, which the operator then finds there.
    """
    if before is None or not before.retraining.triggered:
        return None
    champion_drifted = production is not None and production.version in drifted
    candidates = {production.version} if production and champion_drifted else drifted
    own = {guards.run_id_of(run.day, version) for version in candidates}
    return before.retraining if before.retraining.run_id in own else None


def _production(run: DriftRun) -> Production | None:
    found = versions.read_pointer(run.store)
    if found is None:
        return None
    pointer, _ = found
    snapshot = versions.read_manifest(run.store, pointer).snapshot_at
    newly_labelled = loading.count_newly_labelled(run.open_engine(), snapshot)
    return Production(pointer.version, pointer.promoted_at, newly_labelled)


def _earlier_findings(run: DriftRun) -> DriftDay | None:
    """The drift.json of an earlier run over the same day."""
    return _readable(run.store, findings.day_key(run.day, findings.DRIFT_FILE))


def _earlier_starts(run: DriftRun) -> Iterator[StartedRun]:
    """What drift started within the cool-down, as every day's drift.json tells it."""
    oldest = run.now - timedelta(days=run.rules.cooldown_days) - CLOCK_SLACK
    for found in run.store.list(f"{findings.PREFIX}/"):
        if not found.key.endswith(f"/{findings.DRIFT_FILE}"):
            continue
        if found.modified >= oldest.timestamp():
            earlier = _readable(run.store, found.key)
            yield from earlier.started_runs if earlier else ()


def _readable(store: Store, key: str) -> DriftDay | None:
    """An older drift.json; one that another release wrote otherwise must not silence today's."""
    try:
        return parse_document(DriftDay, store.read(key).data, key)
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
        rules=run.rules,
    )


def _told(traffic: Traffic) -> str:
    groups = ", ".join(
        f"{g.rows:,} customers of version {g.version} ({g.repeated:,} repeated, {g.at_fault:,} "
        "rows at fault)"
        for g in traffic.groups.values()
    )
    return f"{traffic.day}: {traffic.rows:,} logged rows; {groups or 'no customers'}"


def _uri(run: DriftRun, name: str) -> str:
    return f"{run.store.uri}/{findings.day_key(run.day, name)}"


def _read_frame(store: Store, key: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(store.read(key).data))
